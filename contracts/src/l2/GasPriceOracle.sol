// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {fastLzLength} from "./FastLz.sol";
import {L1Block} from "./L1Block.sol";
import {L1_BLOCK} from "./Predeploys.sol";

/// @title GasPriceOracle
/// @notice Tells wallets what a transaction will cost besides its L2 gas: the L1 data fee (Fjord) and the operator fee
///         (Isthmus). It holds no state. The node computes both fees on its own; this must only agree with it.
contract GasPriceOracle {
    string public constant version = "1.4.0";

    /// @notice Every fork up to Isthmus is active from genesis.
    bool public constant isEcotone = true;
    bool public constant isFjord = true;
    bool public constant isIsthmus = true;

    /// @notice Decimals of the fee scalars.
    uint256 public constant DECIMALS = 6;

    /// @dev A signature is 65 bytes, and 3 more frame it: what an unsigned transaction lacks.
    uint256 private constant SIGNATURE_BYTES = 68;

    // The linear model from FastLZ bytes to Brotli bytes, in millionths of a byte.
    uint256 private constant SLOPE = 836_500;
    uint256 private constant INTERCEPT = 42_585_600;
    uint256 private constant SIZE_MIN = 100_000_000;

    /// @notice The L1 data fee of a transaction, from its unsigned encoding.
    function getL1Fee(bytes calldata _data) external view returns (uint256) {
        return _l1Fee(fastLzLength(_data) + SIGNATURE_BYTES);
    }

    /// @notice A bound on the L1 data fee of any (but about one in ten thousand) transaction of this unsigned size.
    ///         Far cheaper to call than `getL1Fee`.
    function getL1FeeUpperBound(uint256 _unsignedTxSize) external view returns (uint256) {
        uint256 size = _unsignedTxSize + SIGNATURE_BYTES;
        return _l1Fee(size + size / 255 + 16);
    }

    /// @notice The L1 gas that a transaction's share of calldata would use. Kept for old callers; fees are not
    ///         computed from it.
    function getL1GasUsed(bytes calldata _data) external pure returns (uint256) {
        return (_compressedSize(fastLzLength(_data) + SIGNATURE_BYTES) * 16) / 1e6;
    }

    /// @notice The operator fee of a transaction that uses this much gas. Saturates instead of overflowing.
    function getOperatorFee(uint256 _gasUsed) external view returns (uint256) {
        uint256 perGas = L1Block(L1_BLOCK).operatorFeeScalar();
        uint256 flat = L1Block(L1_BLOCK).operatorFeeConstant();
        unchecked {
            uint256 product = _gasUsed * perGas;
            if (perGas != 0 && product / perGas != _gasUsed) product = type(uint256).max;
            // Divided by a million, the product leaves room for any 64-bit constant.
            return product / 1e6 + flat;
        }
    }

    /// @notice The L2 base fee.
    function gasPrice() external view returns (uint256) {
        return block.basefee;
    }

    /// @notice The L2 base fee.
    function baseFee() external view returns (uint256) {
        return block.basefee;
    }

    function l1BaseFee() public view returns (uint256) {
        return L1Block(L1_BLOCK).basefee();
    }

    function blobBaseFee() public view returns (uint256) {
        return L1Block(L1_BLOCK).blobBaseFee();
    }

    function baseFeeScalar() public view returns (uint32) {
        return L1Block(L1_BLOCK).baseFeeScalar();
    }

    function blobBaseFeeScalar() public view returns (uint32) {
        return L1Block(L1_BLOCK).blobBaseFeeScalar();
    }

    function decimals() external pure returns (uint256) {
        return DECIMALS;
    }

    /// @notice Gone since Ecotone.
    function overhead() external pure returns (uint256) {
        revert("GasPriceOracle: overhead() is deprecated");
    }

    /// @notice Gone since Ecotone.
    function scalar() external pure returns (uint256) {
        revert("GasPriceOracle: scalar() is deprecated");
    }

    function _l1Fee(uint256 fastLzSize) private view returns (uint256) {
        uint256 pricePerByte = uint256(baseFeeScalar()) * 16 * l1BaseFee() + uint256(blobBaseFeeScalar()) * blobBaseFee();
        return (_compressedSize(fastLzSize) * pricePerByte) / 1e12;
    }

    /// @dev In millionths of a byte.
    function _compressedSize(uint256 fastLzSize) private pure returns (uint256) {
        uint256 scaled = fastLzSize * SLOPE;
        return scaled < INTERCEPT + SIZE_MIN ? SIZE_MIN : scaled - INTERCEPT;
    }
}
