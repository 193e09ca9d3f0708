// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IToken} from "./IToken.sol";

/// @title Staking
/// @notice Pays those who lock up a token, by one global reward a unit that every call brings up to date.
contract Staking {
    struct Stake {
        uint128 amount;
        uint128 pending;
        uint256 rewardPaid;
    }

    IToken public token; // slot 0
    uint256 public rewardPerUnit; // slot 1, times 2^64
    uint256 public totalStaked; // slot 2
    uint256 public updatedAt; // slot 3
    mapping(address => Stake) public stakes; // slot 4

    uint256 private constant REWARD_PER_SECOND = 1_000_000;

    event Staked(address indexed account, uint256 amount);
    event Unstaked(address indexed account, uint256 amount);
    event Claimed(address indexed account, uint256 reward);

    function stake(uint128 amount) external {
        Stake storage mine = _update();
        mine.amount += amount;
        totalStaked += amount;
        token.transferFrom(msg.sender, address(this), amount);
        emit Staked(msg.sender, amount);
    }

    function unstake(uint128 amount) external {
        Stake storage mine = _update();
        mine.amount -= amount;
        totalStaked -= amount;
        token.transfer(msg.sender, amount);
        emit Unstaked(msg.sender, amount);
    }

    function claim() external {
        Stake storage mine = _update();
        uint256 reward = mine.pending;
        mine.pending = 0;
        token.transfer(msg.sender, reward);
        emit Claimed(msg.sender, reward);
    }

    function _update() private returns (Stake storage mine) {
        uint256 elapsed = block.timestamp - updatedAt;
        if (elapsed > 0) {
            updatedAt = block.timestamp;
            if (totalStaked > 0) rewardPerUnit += (elapsed * REWARD_PER_SECOND << 64) / totalStaked;
        }
        mine = stakes[msg.sender];
        mine.pending += uint128((mine.amount * (rewardPerUnit - mine.rewardPaid)) >> 64);
        mine.rewardPaid = rewardPerUnit;
    }
}
