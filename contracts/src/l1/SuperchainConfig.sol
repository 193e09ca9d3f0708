// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Initializable} from "./Initializable.sol";
import {loadAddress, loadWord, storeAddress, storeWord} from "./StorageSlot.sol";

/// @title SuperchainConfig
/// @notice The brake: a guardian who can hold up withdrawals. Deposits are never held up, since they are what users have
///         left when a sequencer ignores them.
contract SuperchainConfig is Initializable {
    enum UpdateType {
        GUARDIAN
    }

    string public constant version = "1.2.0";

    bytes32 public constant GUARDIAN_SLOT = bytes32(uint256(keccak256("superchainConfig.guardian")) - 1);
    bytes32 public constant PAUSED_SLOT = bytes32(uint256(keccak256("superchainConfig.paused")) - 1);

    event Paused(string identifier);
    event Unpaused();
    event ConfigUpdate(UpdateType indexed updateType, bytes data);

    constructor() {
        _disableInitializers();
    }

    function initialize(address _guardian, bool _paused) external initializer(1) {
        storeAddress(GUARDIAN_SLOT, _guardian);
        emit ConfigUpdate(UpdateType.GUARDIAN, abi.encode(_guardian));
        if (_paused) _pause("Initializer paused");
    }

    /// @notice Holds up withdrawals; `_identifier` says why, or which part.
    function pause(string calldata _identifier) external {
        require(msg.sender == guardian(), "SuperchainConfig: only guardian can pause");
        _pause(_identifier);
    }

    function unpause() external {
        require(msg.sender == guardian(), "SuperchainConfig: only guardian can unpause");
        storeWord(PAUSED_SLOT, 0);
        emit Unpaused();
    }

    function guardian() public view returns (address) {
        return loadAddress(GUARDIAN_SLOT);
    }

    function paused() external view returns (bool) {
        return loadWord(PAUSED_SLOT) != 0;
    }

    function _pause(string memory _identifier) private {
        storeWord(PAUSED_SLOT, 1);
        emit Paused(_identifier);
    }
}
