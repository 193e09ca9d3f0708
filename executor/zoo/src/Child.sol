// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Child
/// @notice What the factory deploys: it stores, and goes when it is told to.
contract Child {
    uint256 public pokes; // slot 0
    mapping(uint256 => uint256) public values; // slot 1

    /// @notice Counts in what was there before, so a value that survived a destruction would show.
    function poke(uint256 key, uint256 value) external payable returns (uint256) {
        pokes += 1;
        values[key] = values[key] * 3 + value;
        return values[key];
    }

    function destroy(address payable heir) external {
        selfdestruct(heir);
    }
}
