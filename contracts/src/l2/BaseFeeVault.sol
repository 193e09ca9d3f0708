// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FeeVault} from "./FeeVault.sol";

/// @title BaseFeeVault
/// @notice The base fee of every transaction.
contract BaseFeeVault is FeeVault {}
