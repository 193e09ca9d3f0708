// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Proxy} from "./Proxy.sol";

/// @title ProxyAdmin
/// @notice The admin of a chain's proxies: on L2 those of all predeploys, with an owner that genesis names; on L1 those of
///         one rollup's contracts. The owner can replace their code; an owner of zero means that nobody ever can.
contract ProxyAdmin {
    /// @notice Who may upgrade.
    address public owner; // slot 0

    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

    modifier onlyOwner() {
        require(msg.sender == owner, "Ownable: caller is not the owner");
        _;
    }

    constructor(address _owner) {
        _setOwner(_owner);
    }

    /// @notice Points a proxy at other code.
    function upgrade(address payable _proxy, address _implementation) external onlyOwner {
        Proxy(_proxy).upgradeTo(_implementation);
    }

    /// @notice Points a proxy at other code and calls it at once, so that nobody else can initialise it first.
    function upgradeAndCall(address payable _proxy, address _implementation, bytes calldata _data)
        external
        payable
        onlyOwner
    {
        Proxy(_proxy).upgradeToAndCall{value: msg.value}(_implementation, _data);
    }

    /// @notice Hands one proxy to another admin.
    function changeProxyAdmin(address payable _proxy, address _newAdmin) external onlyOwner {
        Proxy(_proxy).changeAdmin(_newAdmin);
    }

    function getProxyImplementation(address _proxy) external returns (address) {
        return Proxy(payable(_proxy)).implementation();
    }

    function getProxyAdmin(address payable _proxy) external returns (address) {
        return Proxy(_proxy).admin();
    }

    function transferOwnership(address newOwner) external onlyOwner {
        require(newOwner != address(0), "Ownable: new owner is the zero address");
        _setOwner(newOwner);
    }

    /// @notice Gives up upgrades for ever.
    function renounceOwnership() external onlyOwner {
        _setOwner(address(0));
    }

    function _setOwner(address newOwner) private {
        emit OwnershipTransferred(owner, newOwner);
        owner = newOwner;
    }
}
