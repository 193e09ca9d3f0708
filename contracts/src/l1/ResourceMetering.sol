// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ResourceConfig} from "./ResourceConfig.sol";

/// @title ResourceMetering
/// @notice Sells L2 gas for L1 gas. Deposits cannot be refused on L2, so what they may ask of it is limited and priced
///         here: the price follows demand as under EIP-1559, and is paid by burning L1 gas.
abstract contract ResourceMetering {
    /// @notice More gas than is left for deposits in this block.
    error OutOfGas();

    /// @custom:field prevBaseFee   The price of a unit of L2 gas when it was last bought, in wei.
    /// @custom:field prevBoughtGas How much was bought in that block.
    /// @custom:field prevBlockNum  Which block that was.
    struct ResourceParams {
        uint128 prevBaseFee;
        uint64 prevBoughtGas;
        uint64 prevBlockNum;
    }

    /// @notice The market's state.
    ResourceParams public params; // slot 1
    uint256[48] private spacer_2_0_1536; // slots 2 to 49

    /// @dev The least that a unit of L1 gas counts for when a price in wei becomes an amount of gas to burn. An L1 whose
    ///      base fee is next to nothing would otherwise ask for more gas than a block has.
    uint256 private constant L1_BASE_FEE_MIN = 1 gwei;

    /// @dev One, in the fixed-point numbers below. Products of two that are smaller still fit into a word.
    uint256 private constant ONE = 1 << 128;

    /// @dev The rules; they belong to the system config.
    function _resourceConfig() internal view virtual returns (ResourceConfig memory);

    function _initializeMetering() internal {
        params = ResourceParams({prevBaseFee: 1 gwei, prevBoughtGas: 0, prevBlockNum: uint64(block.number)});
    }

    /// @dev Sells `_amount` of L2 gas. The L1 gas that was used since `_initialGas` was left is part of the payment.
    function _meter(uint64 _amount, uint256 _initialGas) internal {
        ResourceConfig memory config = _resourceConfig();
        ResourceParams memory market = params;

        uint256 blocks = block.number - market.prevBlockNum;
        if (blocks != 0) {
            market.prevBaseFee = uint128(_nextBaseFee(config, market.prevBaseFee, market.prevBoughtGas, blocks));
            market.prevBoughtGas = 0;
            market.prevBlockNum = uint64(block.number);
        }

        uint256 bought = uint256(market.prevBoughtGas) + _amount;
        if (bought > config.maxResourceLimit) revert OutOfGas();
        market.prevBoughtGas = uint64(bought);
        params = market;

        uint256 cost = uint256(_amount) * market.prevBaseFee;
        uint256 l1BaseFee = block.basefee > L1_BASE_FEE_MIN ? block.basefee : L1_BASE_FEE_MIN;
        uint256 gasCost = cost / l1BaseFee;
        uint256 gasUsed = _initialGas - gasleft();
        if (gasCost > gasUsed) _burnGas(gasCost - gasUsed);
    }

    /// @dev The price `_blocks` (at least one) after a block in which `_bought` was bought for `_baseFee` each, and
    ///      nothing since.
    function _nextBaseFee(ResourceConfig memory _config, uint256 _baseFee, uint256 _bought, uint256 _blocks)
        internal
        pure
        returns (uint256)
    {
        uint256 target = _config.maxResourceLimit / _config.elasticityMultiplier;
        uint256 denominator = _config.baseFeeMaxChangeDenominator;

        // 128 bits of fee times 64 bits of gas: nothing here can overflow.
        uint256 next = _bought > target
            ? _baseFee + _baseFee * (_bought - target) / (target * denominator)
            : _baseFee - _baseFee * (target - _bought) / (target * denominator);
        next = _clamp(_config, next);

        // Every further block was empty, and took one part in `denominator` off.
        if (_blocks > 1) {
            next = next * _power(ONE - ONE / denominator, _blocks - 1) / ONE;
            next = _clamp(_config, next);
        }
        return next;
    }

    function _clamp(ResourceConfig memory _config, uint256 _baseFee) private pure returns (uint256) {
        if (_baseFee < _config.minimumBaseFee) return _config.minimumBaseFee;
        if (_baseFee > _config.maximumBaseFee) return _config.maximumBaseFee;
        return _baseFee;
    }

    /// @dev A fixed-point number below one to a whole power, by squaring: a step for each bit of the exponent.
    function _power(uint256 _base, uint256 _exponent) private pure returns (uint256 result) {
        result = ONE;
        while (_exponent != 0) {
            if (_exponent & 1 == 1) result = result * _base / ONE;
            _base = _base * _base / ONE;
            _exponent >>= 1;
        }
    }

    function _burnGas(uint256 _amount) private view {
        uint256 start = gasleft();
        while (start - gasleft() < _amount) {}
    }
}
