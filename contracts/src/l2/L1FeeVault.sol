// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FeeVault} from "./FeeVault.sol";

/// @title L1FeeVault
/// @notice The L1 data fee of every transaction.
contract L1FeeVault is FeeVault {}
