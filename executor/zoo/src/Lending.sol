// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IToken} from "./IToken.sol";

/// @title Lending
/// @notice One market in which people lend a token to each other. Interest accrues to two global indices that everybody
///         moves, so the market is serial by nature.
contract Lending {
    struct Position {
        uint128 shares; // Of what all have deposited.
        uint128 debt; // In units of the debt's index.
    }

    IToken public token; // slot 0
    uint128 public shareIndex; // slot 1, with the next: what a share and a unit of debt are worth, times 2^64
    uint128 public debtIndex;
    uint128 public totalShares; // slot 2, with the next
    uint128 public totalDebt;
    uint256 public accruedAt; // slot 3
    mapping(address => Position) public positions; // slot 4

    uint256 private constant UNIT = 1 << 64;
    uint256 private constant RATE = UNIT / 100_000_000; // Per second.

    event Moved(address indexed account, bytes4 indexed what, uint256 amount, uint256 shareIndex, uint256 debtIndex);

    error Unhealthy(uint256 owed, uint256 limit);

    function deposit(uint256 amount) external {
        _accrue();
        uint128 shares = uint128((amount * UNIT) / shareIndex);
        totalShares += shares;
        positions[msg.sender].shares += shares;
        token.transferFrom(msg.sender, address(this), amount);
        emit Moved(msg.sender, this.deposit.selector, amount, shareIndex, debtIndex);
    }

    function withdraw(uint128 shares) external {
        _accrue();
        totalShares -= shares;
        positions[msg.sender].shares -= shares;
        _checkHealth();
        uint256 amount = (uint256(shares) * shareIndex) / UNIT;
        token.transfer(msg.sender, amount);
        emit Moved(msg.sender, this.withdraw.selector, amount, shareIndex, debtIndex);
    }

    /// @notice Lends up to three quarters of what the borrower has deposited.
    function borrow(uint256 amount) external {
        _accrue();
        uint128 debt = uint128((amount * UNIT) / debtIndex + 1);
        totalDebt += debt;
        positions[msg.sender].debt += debt;
        _checkHealth();
        token.transfer(msg.sender, amount);
        emit Moved(msg.sender, this.borrow.selector, amount, shareIndex, debtIndex);
    }

    /// @notice Pays back so much, or all that is owed if that is less.
    function repay(uint256 amount) external {
        _accrue();
        uint128 debt = uint128((amount * UNIT) / debtIndex);
        uint128 owed = positions[msg.sender].debt;
        if (debt > owed) debt = owed;
        totalDebt -= debt;
        positions[msg.sender].debt = owed - debt;
        uint256 paid = (uint256(debt) * debtIndex) / UNIT;
        token.transferFrom(msg.sender, address(this), paid);
        emit Moved(msg.sender, this.repay.selector, paid, shareIndex, debtIndex);
    }

    /// @dev The first call of a block pays the interest since the last; the others of the block find nothing to do.
    function _accrue() private {
        uint256 elapsed = block.timestamp - accruedAt;
        if (elapsed == 0) return;
        accruedAt = block.timestamp;
        uint256 interest = (uint256(debtIndex) * elapsed * RATE) / UNIT;
        debtIndex += uint128(interest);
        if (totalShares > 0) shareIndex += uint128((interest * totalDebt) / totalShares);
    }

    function _checkHealth() private view {
        Position storage position = positions[msg.sender];
        uint256 owed = (uint256(position.debt) * debtIndex) / UNIT;
        uint256 limit = ((uint256(position.shares) * shareIndex) / UNIT) * 3 / 4;
        if (owed > limit) revert Unhealthy(owed, limit);
    }
}
