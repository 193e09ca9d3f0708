// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Reverter
/// @notice Fails in every way there is, after having written.
contract Reverter {
    uint256 public calls; // slot 0
    mapping(uint256 => uint256) public values; // slot 1
    uint256 public failures; // slot 2

    event Written(uint256 indexed slot, uint256 value);

    error Undone(uint256 slot, uint256 value);

    receive() external payable {}

    function write(uint256 slot, uint256 value) public payable {
        calls += 1;
        values[slot] = value;
        emit Written(slot, value);
    }

    function writeAndRevert(uint256 slot, uint256 value) external payable {
        write(slot, value);
        revert Undone(slot, value);
    }

    /// @notice Writes until the gas is gone.
    function burn(uint256 slot) external payable {
        while (true) values[slot] += 1;
    }

    function halt(uint256 slot) external payable {
        write(slot, 1);
        assembly {
            invalid()
        }
    }

    /// @notice Reverts when the slot is odd, and makes it odd otherwise: calls succeed and fail in turns, by order.
    function flip(uint256 slot) external {
        require(values[slot] % 2 == 0, "odd");
        values[slot] += 1;
    }

    /// @notice Calls itself `depth` times over; at each level whose bit is set in `failing`, all that happened in it and
    ///         below is taken back, and the level above goes on.
    function nest(uint256 depth, uint256 failing) external {
        values[depth] += 1;
        if (depth > 0) {
            try this.nest(depth - 1, failing) {
                calls += 1;
            } catch {
                failures += 1;
            }
        }
        require(failing >> depth & 1 == 0, "told to");
    }

    /// @notice Calls another contract, which may call back, between two writes, and swallows its failure.
    function around(uint256 slot, address target, bytes calldata data) external payable {
        uint256 before = values[slot];
        values[slot] = before + 1;
        (bool succeeded,) = target.call{value: msg.value}(data);
        // Whoever came back in has changed it: that must show here.
        values[slot] = values[slot] * 2 + (succeeded ? 1 : 0);
        if (!succeeded) failures += 1;
    }
}
