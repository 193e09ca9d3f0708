// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FeeVault} from "./FeeVault.sol";

/// @title SequencerFeeVault
/// @notice Every transaction's tip: this is the block's beneficiary.
contract SequencerFeeVault is FeeVault {
    /// @notice The oldest name of `recipient`.
    function l1FeeWallet() external view returns (address) {
        return recipient;
    }
}
