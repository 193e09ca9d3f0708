// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FeeVault} from "./FeeVault.sol";

/// @title OperatorFeeVault
/// @notice The operator fee of every transaction.
contract OperatorFeeVault is FeeVault {}
