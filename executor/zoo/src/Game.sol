// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Game
/// @notice Units on a round board of 64 by 64 cells. A step touches the player, the cell, and whoever held the cell
///         before, so most steps are independent and some are not.
contract Game {
    struct Player {
        uint32 cell;
        uint32 steps;
        uint64 score;
        uint64 losses;
        bool joined;
    }

    mapping(address => Player) public players; // slot 0
    mapping(uint256 => address) public holders; // slot 1

    event Stepped(address indexed player, uint256 cell, address captured);

    error NotJoined(address player);
    error AlreadyJoined(address player);

    function join() external {
        Player storage player = players[msg.sender];
        if (player.joined) revert AlreadyJoined(msg.sender);
        player.joined = true;
        player.cell = uint32(uint256(keccak256(abi.encode(msg.sender))) % 4096);
    }

    /// @notice 0 is east, 1 south, 2 west, 3 north.
    function step(uint8 direction) external {
        Player storage player = players[msg.sender];
        if (!player.joined) revert NotJoined(msg.sender);
        uint16[4] memory moves = [1, 64, 4095, 4032];
        uint32 cell = (player.cell + moves[direction % 4]) % 4096;
        player.cell = cell;
        player.steps += 1;
        address holder = holders[cell];
        if (holder != msg.sender) {
            holders[cell] = msg.sender;
            player.score += 1;
            if (holder != address(0)) {
                players[holder].losses += 1;
                if (players[holder].score > 0) players[holder].score -= 1;
            }
        }
        emit Stepped(msg.sender, cell, holder);
    }
}
