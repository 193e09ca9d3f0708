// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DEPOSITOR} from "./Predeploys.sol";

/// @title L1Block
/// @notice What L2 knows about its L1 origin. The first transaction of every block, the L1 attributes deposit, writes
///         it; contracts read it through the getters, and the node reads the fee parameters straight from storage.
///         The order of the state variables is therefore consensus: see the slot beside each.
contract L1Block {
    /// @notice The caller is not the depositor account.
    error NotDepositor();

    string public constant version = "1.6.0";

    uint64 public number; // slot 0, low 8 bytes
    uint64 public timestamp; // slot 0, next 8 bytes
    uint256 public basefee; // slot 1
    bytes32 public hash; // slot 2
    uint64 public sequenceNumber; // slot 3, low 8 bytes
    uint32 public blobBaseFeeScalar; // slot 3, next 4 bytes
    uint32 public baseFeeScalar; // slot 3, next 4 bytes
    bytes32 public batcherHash; // slot 4
    uint256 public l1FeeOverhead; // slot 5, unused since Ecotone
    uint256 public l1FeeScalar; // slot 6, unused since Ecotone
    uint256 public blobBaseFee; // slot 7
    uint64 public operatorFeeConstant; // slot 8, low 8 bytes
    uint32 public operatorFeeScalar; // slot 8, next 4 bytes

    /// @notice Stores the L1 attributes, Isthmus form. The 172 bytes after the selector are packed, not ABI-encoded:
    ///         the Ecotone fields (below), then operatorFeeScalar (4) and operatorFeeConstant (8).
    function setL1BlockValuesIsthmus() external {
        _storeEcotoneValues();
        assembly {
            sstore(operatorFeeConstant.slot, shr(160, calldataload(164)))
        }
    }

    /// @notice Stores the L1 attributes, Ecotone form. The 160 bytes after the selector are packed: baseFeeScalar (4),
    ///         blobBaseFeeScalar (4), sequenceNumber (8), timestamp (8), number (8), basefee (32), blobBaseFee (32),
    ///         hash (32), batcherHash (32).
    function setL1BlockValuesEcotone() external {
        _storeEcotoneValues();
    }

    /// @dev The calldata order is the storage order, so two packed slots are copied with one shift each.
    function _storeEcotoneValues() private {
        if (msg.sender != DEPOSITOR) revert NotDepositor();
        assembly {
            sstore(sequenceNumber.slot, shr(128, calldataload(4)))
            sstore(number.slot, shr(128, calldataload(20)))
            sstore(basefee.slot, calldataload(36))
            sstore(blobBaseFee.slot, calldataload(68))
            sstore(hash.slot, calldataload(100))
            sstore(batcherHash.slot, calldataload(132))
        }
    }

    /// @notice The only account that may write here.
    function DEPOSITOR_ACCOUNT() external pure returns (address) {
        return DEPOSITOR;
    }

    /// @notice Gas is paid in ether on this chain, always.
    function isCustomGasToken() external pure returns (bool) {
        return false;
    }

    /// @notice Ether, by the address that stands for it.
    function gasPayingToken() external pure returns (address, uint8) {
        return (0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE, 18);
    }

    function gasPayingTokenName() external pure returns (string memory) {
        return "Ether";
    }

    function gasPayingTokenSymbol() external pure returns (string memory) {
        return "ETH";
    }
}
