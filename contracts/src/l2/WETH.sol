// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title WETH
/// @notice Ether as an ERC-20 token, with the interface of WETH9. It holds one wei for each of its units and has no
///         owner, no proxy and nothing to configure.
contract WETH {
    string public constant version = "1.1.0";
    string public constant name = "Wrapped Ether";
    string public constant symbol = "WETH";
    uint8 public constant decimals = 18;

    mapping(address => uint256) public balanceOf; // slot 0
    mapping(address => mapping(address => uint256)) public allowance; // slot 1

    event Approval(address indexed src, address indexed guy, uint256 wad);
    event Transfer(address indexed src, address indexed dst, uint256 wad);
    event Deposit(address indexed dst, uint256 wad);
    event Withdrawal(address indexed src, uint256 wad);

    receive() external payable {
        deposit();
    }

    fallback() external payable {
        deposit();
    }

    function deposit() public payable {
        balanceOf[msg.sender] += msg.value;
        emit Deposit(msg.sender, msg.value);
    }

    function withdraw(uint256 wad) external {
        _debit(msg.sender, wad);
        emit Withdrawal(msg.sender, wad);
        (bool sent,) = msg.sender.call{value: wad}("");
        require(sent, "WETH: failed to send ETH");
    }

    function totalSupply() external view returns (uint256) {
        return address(this).balance;
    }

    function approve(address guy, uint256 wad) external returns (bool) {
        allowance[msg.sender][guy] = wad;
        emit Approval(msg.sender, guy, wad);
        return true;
    }

    function transfer(address dst, uint256 wad) external returns (bool) {
        return transferFrom(msg.sender, dst, wad);
    }

    /// @notice An allowance of 2^256 - 1 is unlimited and not counted down.
    function transferFrom(address src, address dst, uint256 wad) public returns (bool) {
        uint256 allowed = src == msg.sender ? type(uint256).max : allowance[src][msg.sender];
        if (allowed != type(uint256).max) {
            require(allowed >= wad, "WETH: insufficient allowance");
            unchecked {
                allowance[src][msg.sender] = allowed - wad;
            }
        }
        _debit(src, wad);
        balanceOf[dst] += wad;
        emit Transfer(src, dst, wad);
        return true;
    }

    function _debit(address src, uint256 wad) private {
        uint256 balance = balanceOf[src];
        require(balance >= wad, "WETH: insufficient balance");
        unchecked {
            balanceOf[src] = balance - wad;
        }
    }
}
