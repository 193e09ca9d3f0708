// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Ownable
/// @notice One account that may do what others may not, at the slot where the OP Stack's contracts have theirs.
abstract contract Ownable {
    uint256[50] private spacer_1_0_1600; // slots 1 to 50
    /// @notice Who may change settings.
    address public owner; // slot 51
    uint256[49] private spacer_52_0_1568; // slots 52 to 100

    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

    modifier onlyOwner() {
        require(msg.sender == owner, "Ownable: caller is not the owner");
        _;
    }

    function transferOwnership(address newOwner) external onlyOwner {
        require(newOwner != address(0), "Ownable: new owner is the zero address");
        _setOwner(newOwner);
    }

    /// @notice Fixes all settings for ever.
    function renounceOwnership() external onlyOwner {
        _setOwner(address(0));
    }

    function _setOwner(address newOwner) internal {
        emit OwnershipTransferred(owner, newOwner);
        owner = newOwner;
    }
}
