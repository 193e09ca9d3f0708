// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Nft
/// @notice Numbered tokens. Minting takes the next number from a counter that all share; moving one touches only its
///         owners.
contract Nft {
    uint256 public nextId; // slot 0
    mapping(uint256 => address) public ownerOf; // slot 1
    mapping(address => uint256) public balanceOf; // slot 2
    mapping(uint256 => address) public getApproved; // slot 3

    event Transfer(address indexed from, address indexed to, uint256 indexed id);
    event Approval(address indexed owner, address indexed approved, uint256 indexed id);

    error NotAllowed(address caller, uint256 id);

    function mint(address to) external returns (uint256 id) {
        id = nextId++;
        ownerOf[id] = to;
        balanceOf[to] += 1;
        emit Transfer(address(0), to, id);
    }

    function approve(address to, uint256 id) external {
        if (ownerOf[id] != msg.sender) revert NotAllowed(msg.sender, id);
        getApproved[id] = to;
        emit Approval(msg.sender, to, id);
    }

    function transferFrom(address from, address to, uint256 id) external {
        if (ownerOf[id] != from || (msg.sender != from && msg.sender != getApproved[id])) {
            revert NotAllowed(msg.sender, id);
        }
        delete getApproved[id];
        balanceOf[from] -= 1;
        balanceOf[to] += 1;
        ownerOf[id] = to;
        emit Transfer(from, to, id);
    }
}
