// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IToken} from "./IToken.sol";

/// @title ConcentratedPool
/// @notice A market of two tokens whose liquidity lies in ranges of ticks. Which slots a swap touches depends on how far
///         it moves the price: it crosses ticks, found in a bitmap, and takes on or drops the liquidity that they say.
/// @dev The root of the price grows linearly with the tick rather than exponentially, which keeps the arithmetic short
///      and the access pattern the same.
contract ConcentratedPool {
    struct Tick {
        int128 liquidityNet; // What crossing it upwards adds.
        uint128 crossings;
        uint256 feesBeyond; // Fees that were earned on its other side.
    }

    IToken public token0; // slot 0
    IToken public token1; // slot 1
    uint160 public rootPrice; // slot 2, with the next: the root of token1 a token0, in units of 2^-64
    int24 public tick;
    uint128 public liquidity; // slot 3
    uint256 public feesPerLiquidity; // slot 4
    mapping(int24 => Tick) public ticks; // slot 5
    mapping(int24 => uint256) public bitmap; // slot 6

    uint256 private constant UNIT = 1 << 64;
    uint256 private constant STEP = UNIT / 1000;
    int24 private constant TICK_MAX = 500;

    event Swap(address indexed sender, bool zeroForOne, uint256 amountIn, uint256 amountOut, uint160 rootPrice, int24 tick);
    event Added(address indexed sender, int24 lower, int24 upper, uint128 liquidity);

    error BadRange();
    error NoLiquidity();

    /// @notice Puts liquidity between two ticks. Nobody is asked for the tokens: the zoo wants the slots to be touched.
    function add(int24 lower, int24 upper, uint128 amount) external {
        if (lower >= upper || lower < -TICK_MAX || upper > TICK_MAX || amount > 1 << 100) revert BadRange();
        _mark(lower, int128(amount));
        _mark(upper, -int128(amount));
        if (lower <= tick && tick < upper) liquidity += amount;
        emit Added(msg.sender, lower, upper, amount);
    }

    /// @notice Takes up to `amountIn` of one token, by an allowance, and pays in the other.
    function swap(bool zeroForOne, uint256 amountIn) external returns (uint256 amountOut) {
        uint256 left = amountIn;
        uint256 price = rootPrice;
        while (left > 0 && tick >= -TICK_MAX && tick < TICK_MAX) {
            (int24 next, bool marked) = _next(zeroForOne);
            uint256 target = rootPriceAt(next);
            uint256 reach = _amountIn(zeroForOne, price, target);
            uint256 usable = (left * 997) / 1000;
            if (usable < reach) {
                uint256 stop = _priceAfter(zeroForOne, price, usable);
                amountOut += _amountOut(zeroForOne, price, stop);
                feesPerLiquidity += ((left - usable) << 64) / liquidity;
                (left, price) = (0, stop);
                tick = _tickAt(stop);
                break;
            }
            uint256 paid = (reach * 1000 + 996) / 997;
            amountOut += _amountOut(zeroForOne, price, target);
            if (liquidity > 0) feesPerLiquidity += ((paid - reach) << 64) / liquidity;
            left = left > paid ? left - paid : 0;
            price = target;
            if (marked) _cross(next, zeroForOne);
            tick = zeroForOne ? next - 1 : next;
        }
        if (amountOut == 0) revert NoLiquidity();
        rootPrice = uint160(price);
        (IToken tokenIn, IToken tokenOut) = zeroForOne ? (token0, token1) : (token1, token0);
        tokenOut.transfer(msg.sender, amountOut);
        tokenIn.transferFrom(msg.sender, address(this), amountIn - left);
        emit Swap(msg.sender, zeroForOne, amountIn - left, amountOut, rootPrice, tick);
    }

    function rootPriceAt(int24 where) public pure returns (uint256) {
        return uint256(int256(UNIT) + int256(where) * int256(STEP));
    }

    function _tickAt(uint256 price) private pure returns (int24) {
        int256 above = int256(price) - int256(UNIT);
        int256 floor = above / int256(STEP);
        return int24(above < 0 && above % int256(STEP) != 0 ? floor - 1 : floor);
    }

    function _mark(int24 where, int128 net) private {
        ticks[where].liquidityNet += net;
        bitmap[where >> 8] |= 1 << uint8(uint24(where));
    }

    function _cross(int24 where, bool downwards) private {
        Tick storage crossed = ticks[where];
        crossed.crossings += 1;
        unchecked {
            crossed.feesBeyond = feesPerLiquidity - crossed.feesBeyond;
        }
        int128 net = crossed.liquidityNet;
        liquidity = uint128(int128(liquidity) + (downwards ? -net : net));
    }

    /// @dev The nearest marked tick in the same word of the bitmap, or where the word ends.
    function _next(bool downwards) private view returns (int24, bool) {
        int24 from = downwards ? tick : tick + 1;
        uint256 position = uint8(uint24(from));
        uint256 word = bitmap[from >> 8];
        uint256 below = (1 << position) - 1;
        if (downwards) {
            word &= below | (1 << position);
            return (from - int24(uint24(word == 0 ? position : position - _highestBit(word))), word != 0);
        }
        word &= ~below;
        return (from + int24(uint24(word == 0 ? 255 - position : _lowestBit(word) - position)), word != 0);
    }

    function _highestBit(uint256 word) private pure returns (uint256 bit) {
        for (uint256 half = 128; half > 0; half >>= 1) {
            if (word >> half != 0) {
                word >>= half;
                bit += half;
            }
        }
    }

    function _lowestBit(uint256 word) private pure returns (uint256) {
        unchecked {
            return _highestBit(word & (~word + 1));
        }
    }

    /// @dev What it takes to move the price this far, rounded up.
    function _amountIn(bool downwards, uint256 price, uint256 target) private view returns (uint256) {
        if (downwards) return _divideUp(uint256(liquidity) * UNIT * (price - target), price * target);
        return _divideUp(uint256(liquidity) * (target - price), UNIT);
    }

    /// @dev What moving the price this far yields.
    function _amountOut(bool downwards, uint256 price, uint256 target) private view returns (uint256) {
        if (downwards) return (uint256(liquidity) * (price - target)) / UNIT;
        return (uint256(liquidity) * UNIT * (target - price)) / (price * target);
    }

    function _priceAfter(bool downwards, uint256 price, uint256 amountIn) private view returns (uint256) {
        if (!downwards) return price + (amountIn * UNIT) / liquidity;
        uint256 depth = uint256(liquidity) * UNIT;
        return _divideUp(depth * price, depth + amountIn * price);
    }

    function _divideUp(uint256 a, uint256 b) private pure returns (uint256) {
        return (a + b - 1) / b;
    }
}
