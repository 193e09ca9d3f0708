// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice How L2 gas is sold on L1: as gas is under EIP-1559, by a base fee that follows demand.
/// @custom:field maxResourceLimit            The most gas that deposits can buy in a block.
/// @custom:field elasticityMultiplier        The limit is this many times the target, at which the base fee stands still.
/// @custom:field baseFeeMaxChangeDenominator Without demand, the base fee falls by one part in this many a block.
/// @custom:field minimumBaseFee              The base fee never falls below this many wei.
/// @custom:field systemTxMaxGas              What the L1 attributes transaction needs of an L2 block's gas.
/// @custom:field maximumBaseFee              The base fee never rises above this many wei.
struct ResourceConfig {
    uint32 maxResourceLimit;
    uint8 elasticityMultiplier;
    uint8 baseFeeMaxChangeDenominator;
    uint32 minimumBaseFee;
    uint32 systemTxMaxGas;
    uint128 maximumBaseFee;
}
