// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// Counts, says so, and refuses with a reason: enough for a client to deploy, call, watch and fail.
contract Counter {
    uint256 public number;

    event Counted(address indexed by, uint256 number);

    error TooFar(uint256 limit);

    constructor(uint256 start) {
        number = start;
    }

    function increment() external {
        number += 1;
        emit Counted(msg.sender, number);
    }

    function set(uint256 value) external {
        if (value > 1000) revert TooFar(1000);
        require(value != 13, "not thirteen");
        number = value;
        emit Counted(msg.sender, value);
    }
}
