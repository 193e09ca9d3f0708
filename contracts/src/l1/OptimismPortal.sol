// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Initializable} from "./Initializable.sol";
import {ResourceConfig} from "./ResourceConfig.sol";
import {ResourceMetering} from "./ResourceMetering.sol";
import {SuperchainConfig} from "./SuperchainConfig.sol";
import {SystemConfig} from "./SystemConfig.sol";

/// @title OptimismPortal
/// @notice The way from L1 to L2. Every deposit becomes an event, and every event a transaction on L2 that no sequencer
///         can leave out. Ether that comes in stays here, and exists on L2 instead.
///
///         The way back, with dispute games, comes with a later version behind the same proxy. Its state has the slots
///         that the OP Stack's portal v3 has it in; they are kept free below.
contract OptimismPortal is Initializable, ResourceMetering {
    /// @notice A contract creation that names a recipient.
    error BadTarget();
    /// @notice More data than a deposit may carry.
    error LargeCalldata();
    /// @notice Less gas than the transaction costs before it does anything.
    error SmallGasLimit();

    /// @notice What comes before the hyphen is the version of the portal whose slots these are.
    string public constant version = "3.14.0-deposits.1";

    uint256 private constant DEPOSIT_VERSION = 0;
    uint64 private constant RECEIVE_DEFAULT_GAS_LIMIT = 100_000;
    /// @dev A block with one deposit has to fit into what nodes gossip: 128 KiB.
    uint256 private constant DATA_LENGTH_MAX = 120_000;
    /// @dev Contracts act on L2 under their address plus this, so that they cannot pose as an account whose code there is
    ///      another one.
    uint160 private constant ALIAS_OFFSET = uint160(0x1111000000000000000000000000000000001111);

    address private spacer_50_0_20; // l2Sender
    bytes32 private spacer_51_0_32; // finalizedWithdrawals
    bytes32 private spacer_52_0_32; // portal v1: provenWithdrawals
    bool private spacer_53_0_1; // portal v1: paused
    address private spacer_53_1_20; // superchainConfig; here the system config knows it
    address private spacer_54_0_20; // portal v1: l2Oracle
    /// @notice The rollup's settings.
    SystemConfig public systemConfig; // slot 55
    address private spacer_56_0_20; // disputeGameFactory
    bytes32 private spacer_57_0_32; // provenWithdrawals
    bytes32 private spacer_58_0_32; // disputeGameBlacklist
    bytes32 private spacer_59_0_32; // respectedGameType, respectedGameTypeUpdatedAt
    bytes32 private spacer_60_0_32; // proofSubmitters
    bytes32 private spacer_61_0_32; // portal v2: the balance of a custom gas token
    address private spacer_62_0_20; // anchorStateRegistry

    event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);

    constructor() {
        _disableInitializers();
    }

    function initialize(SystemConfig _systemConfig) external initializer(1) {
        systemConfig = _systemConfig;
        _initializeMetering();
    }

    /// @notice Ether from a wallet, for the same account on L2. A contract's ether would arrive at its alias: it should
    ///         call depositTransaction.
    receive() external payable {
        depositTransaction(msg.sender, msg.value, RECEIVE_DEFAULT_GAS_LIMIT, false, "");
    }

    /// @notice Ether for nobody: it backs withdrawals.
    function donateETH() external payable {}

    /// @notice Sends a transaction to L2. The ether that comes along is the sender's there, even if the transaction
    ///         fails. Costs L1 gas by the price of L2 gas: see ResourceMetering.
    /// @param _to         The recipient; zero for a contract creation.
    /// @param _value      The ether that the transaction carries. What does not come along has to be there already.
    /// @param _gasLimit   The gas that it may use; none of it comes back.
    /// @param _isCreation Whether it creates a contract.
    /// @param _data       Its calldata or init code.
    function depositTransaction(
        address _to,
        uint256 _value,
        uint64 _gasLimit,
        bool _isCreation,
        bytes memory _data
    ) public payable {
        uint256 initialGas = gasleft();

        if (_isCreation && _to != address(0)) revert BadTarget();
        if (_data.length > DATA_LENGTH_MAX) revert LargeCalldata();
        if (_gasLimit < minimumGasLimit(uint64(_data.length))) revert SmallGasLimit();

        address from = _isAccount(msg.sender) ? msg.sender : _alias(msg.sender);
        bytes memory opaqueData = abi.encodePacked(msg.value, _value, _gasLimit, _isCreation, _data);
        emit TransactionDeposited(from, _to, DEPOSIT_VERSION, opaqueData);

        _meter(_gasLimit, initialGas);
    }

    /// @notice The least gas for a transaction with so many bytes of data: what L2 charges for it, as if none were zero.
    function minimumGasLimit(uint64 _byteCount) public pure returns (uint64) {
        return _byteCount * 40 + 21_000;
    }

    /// @notice Whether withdrawals are held up. Deposits never are.
    function paused() external view returns (bool) {
        return superchainConfig().paused();
    }

    /// @notice Who can hold them up.
    function guardian() external view returns (address) {
        return superchainConfig().guardian();
    }

    function superchainConfig() public view returns (SuperchainConfig) {
        return SuperchainConfig(systemConfig.superchainConfig());
    }

    function _resourceConfig() internal view override returns (ResourceConfig memory) {
        return systemConfig.resourceConfig();
    }

    /// @dev Whether somebody with a key called: the origin of the transaction, or an account that borrows its code (EIP-7702),
    ///      which is the same account on L2. No contract's code can begin like the mark of such an account.
    function _isAccount(address _caller) private view returns (bool) {
        if (_caller == tx.origin) return true;
        return _caller.code.length == 23 && bytes3(_caller.code) == 0xef0100;
    }

    function _alias(address _contract) private pure returns (address) {
        unchecked {
            return address(uint160(_contract) + ALIAS_OFFSET);
        }
    }
}
