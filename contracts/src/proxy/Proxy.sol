// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Proxy
/// @notice An EIP-1967 proxy. Everybody's calls go to the implementation, except the admin's: those are the upgrade
///         functions below. So no function of the implementation is ever hidden from a user by one of the same name.
///         The zero address is treated as the admin for *reading*, since only `eth_call` can use it: explorers ask so.
contract Proxy {
    /// @dev bytes32(uint256(keccak256("eip1967.proxy.implementation")) - 1)
    bytes32 private constant IMPLEMENTATION_SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;
    /// @dev bytes32(uint256(keccak256("eip1967.proxy.admin")) - 1)
    bytes32 private constant ADMIN_SLOT = 0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103;

    event Upgraded(address indexed implementation);
    event AdminChanged(address previousAdmin, address newAdmin);

    modifier adminOrDelegate() {
        if (msg.sender != _load(ADMIN_SLOT)) _delegate();
        _;
    }

    modifier readerOrDelegate() {
        if (msg.sender != _load(ADMIN_SLOT) && msg.sender != address(0)) _delegate();
        _;
    }

    constructor(address _admin) {
        _changeAdmin(_admin);
    }

    receive() external payable {
        _delegate();
    }

    fallback() external payable {
        _delegate();
    }

    /// @notice Sets the implementation.
    function upgradeTo(address _implementation) external payable adminOrDelegate {
        _upgrade(_implementation);
    }

    /// @notice Sets the implementation and calls it.
    function upgradeToAndCall(address _implementation, bytes calldata _data)
        external
        payable
        adminOrDelegate
        returns (bytes memory)
    {
        _upgrade(_implementation);
        (bool success, bytes memory result) = _implementation.delegatecall(_data);
        require(success, "Proxy: delegatecall to new implementation contract failed");
        return result;
    }

    /// @notice Hands the proxy to another admin.
    function changeAdmin(address _admin) external payable adminOrDelegate {
        _changeAdmin(_admin);
    }

    function admin() external payable readerOrDelegate returns (address) {
        return _load(ADMIN_SLOT);
    }

    function implementation() external payable readerOrDelegate returns (address) {
        return _load(IMPLEMENTATION_SLOT);
    }

    function _upgrade(address newImplementation) private {
        // A delegatecall to an account without code succeeds and does nothing: the predeploy would go silent.
        require(newImplementation.code.length != 0, "Proxy: implementation has no code");
        _store(IMPLEMENTATION_SLOT, newImplementation);
        emit Upgraded(newImplementation);
    }

    function _changeAdmin(address newAdmin) private {
        emit AdminChanged(_load(ADMIN_SLOT), newAdmin);
        _store(ADMIN_SLOT, newAdmin);
    }

    /// @dev Does not return to its caller: it ends the call with the implementation's own result.
    function _delegate() private {
        address target = _load(IMPLEMENTATION_SLOT);
        require(target != address(0), "Proxy: implementation not initialized");
        assembly {
            calldatacopy(0, 0, calldatasize())
            let success := delegatecall(gas(), target, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if success { return(0, returndatasize()) }
            revert(0, returndatasize())
        }
    }

    function _load(bytes32 slot) private view returns (address value) {
        assembly {
            value := sload(slot)
        }
    }

    function _store(bytes32 slot, address value) private {
        assembly {
            sstore(slot, value)
        }
    }
}
