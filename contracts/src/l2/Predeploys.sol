// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// Where the protocol expects the L2 contracts to be. The node reads L1Block's storage and the message passer's
// storage root, and pays fees into the vaults, so these are consensus constants, not deployment choices.

address constant L1_BLOCK = 0x4200000000000000000000000000000000000015;
address payable constant L2_TO_L1_MESSAGE_PASSER = payable(0x4200000000000000000000000000000000000016);
address constant PROXY_ADMIN = 0x4200000000000000000000000000000000000018;

/// @dev The sender of the L1 attributes transaction. Nobody has its key; only derivation can speak for it.
address constant DEPOSITOR = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;
