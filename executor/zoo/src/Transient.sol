// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Transient
/// @notice Uses storage that lasts for one transaction (EIP-1153): if any of it outlived one, the sums would be wrong.
contract Transient {
    uint256 private transient depth;
    uint256 private transient sum;

    uint256 public total; // slot 0
    mapping(address => uint256) public totals; // slot 1

    error TooDeep(uint256 depth);

    /// @notice Adds up in transient storage over nested calls, one of which is taken back, and stores the sum.
    function accumulate(uint256 levels, uint256 each, bool shared) external {
        require(sum == 0 && depth == 0);
        this.descend(levels, each);
        try this.descend(type(uint256).max, each) {} catch {}
        if (shared) total += sum;
        else totals[msg.sender] += sum;
    }

    function descend(uint256 levels, uint256 each) external {
        depth += 1;
        sum += each * depth;
        if (depth > 8) revert TooDeep(depth);
        if (levels > 1) this.descend(levels - 1, each);
        depth -= 1;
    }
}
