// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Wallet
/// @notice What an account may delegate to (EIP-7702): it calls others in the account's name and keeps count in the
///         account's own storage. Anybody may use it, which suits a zoo.
contract Wallet {
    uint256 public received; // slot 0
    uint256 public executed; // slot 1
    mapping(address => uint256) public callsTo; // slot 2

    event Executed(address indexed target, bool succeeded);

    /// @notice A plain transfer to a delegating account writes its storage.
    receive() external payable {
        received += msg.value;
    }

    function execute(address target, uint256 value, bytes calldata data) external payable {
        executed += 1;
        callsTo[target] += 1;
        (bool succeeded,) = target.call{value: value}(data);
        emit Executed(target, succeeded);
    }
}
