// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Initializable
/// @notice What a constructor is to a contract, an initializer is to the state behind a proxy: it runs once. An upgrade
///         that has to set something up runs one more, with the next version.
abstract contract Initializable {
    /// @dev The version of the last initializer that ran, where the OP Stack's contracts have it.
    uint8 private _initialized; // slot 0, lowest byte
    /// @dev There: whether an initializer is running. Ours call nobody, so nobody can come back in the middle of one.
    bool private spacer_0_1_1; // slot 0, next byte

    event Initialized(uint8 version);

    /// @dev The version is noted before the body runs, so the body cannot be entered again.
    modifier initializer(uint8 _version) {
        require(_initialized < _version, "Initializable: contract is already initialized");
        _initialized = _version;
        _;
        emit Initialized(_version);
    }

    /// @dev For constructors of implementations: state belongs to proxies only.
    function _disableInitializers() internal {
        _initialized = type(uint8).max;
        emit Initialized(type(uint8).max);
    }
}
