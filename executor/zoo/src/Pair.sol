// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IToken} from "./IToken.sol";

/// @title Pair
/// @notice A market of two tokens whose reserves keep a constant product, less 0.3 % that each swap leaves behind.
///         Every swap reads and writes the one slot of the reserves.
contract Pair {
    IToken public token0; // slot 0
    IToken public token1; // slot 1
    uint112 public reserve0; // slot 2, with the next two
    uint112 public reserve1;
    uint32 public swappedAt;
    uint256 private entered; // slot 3

    event Swap(address indexed sender, bool zeroForOne, uint256 amountIn, uint256 amountOut);

    error Reentered();
    error NothingToSwap();
    error TooLittleOut(uint256 amountOut, uint256 wanted);
    error ProductFell();

    modifier once() {
        if (entered != 0) revert Reentered();
        entered = 1;
        _;
        entered = 0;
    }

    /// @notice Takes `amountIn` of one token, by an allowance, and pays in the other.
    function swap(bool zeroForOne, uint256 amountIn, uint256 amountOutMin) external once returns (uint256 amountOut) {
        (uint256 in_, uint256 out) = zeroForOne ? (reserve0, reserve1) : (reserve1, reserve0);
        uint256 afterFee = amountIn * 997;
        amountOut = (afterFee * out) / (in_ * 1000 + afterFee);
        if (amountOut == 0) revert NothingToSwap();
        if (amountOut < amountOutMin) revert TooLittleOut(amountOut, amountOutMin);
        (IToken tokenIn, IToken tokenOut) = zeroForOne ? (token0, token1) : (token1, token0);
        tokenIn.transferFrom(msg.sender, address(this), amountIn);
        tokenOut.transfer(msg.sender, amountOut);
        _settle();
        emit Swap(msg.sender, zeroForOne, amountIn, amountOut);
    }

    /// @dev What the pair really has counts, not what was computed: tokens may have been sent to it in the meantime.
    function _settle() private {
        uint256 balance0 = token0.balanceOf(address(this));
        uint256 balance1 = token1.balanceOf(address(this));
        if (balance0 * balance1 < uint256(reserve0) * reserve1) revert ProductFell();
        reserve0 = uint112(balance0);
        reserve1 = uint112(balance1);
        swappedAt = uint32(block.timestamp);
    }
}
