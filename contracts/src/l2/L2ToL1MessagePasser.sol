// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title L2ToL1MessagePasser
/// @notice Where withdrawals begin. Its storage root is in every header (`withdrawalsRoot`) and in every output root,
///         and L1 checks a withdrawal by a proof of `sentMessages[hash]`: slot 0 is consensus.
contract L2ToL1MessagePasser {
    string public constant version = "1.1.2";

    /// @notice The version of the message encoding, in the top two bytes of every nonce.
    uint16 public constant MESSAGE_VERSION = 1;

    /// @dev The L1 gas of a withdrawal that was made by just sending ether here.
    uint256 private constant RECEIVE_DEFAULT_GAS_LIMIT = 100_000;

    /// @notice Which withdrawals were made, by hash.
    mapping(bytes32 => bool) public sentMessages; // slot 0
    uint240 internal msgNonce; // slot 1

    /// @notice A withdrawal was made.
    event MessagePassed(
        uint256 indexed nonce,
        address indexed sender,
        address indexed target,
        uint256 value,
        uint256 gasLimit,
        bytes data,
        bytes32 withdrawalHash
    );

    /// @notice Withdrawn ether left the L2 supply.
    event WithdrawerBalanceBurnt(uint256 indexed amount);

    /// @notice Ether sent here is withdrawn to the same address on L1.
    receive() external payable {
        initiateWithdrawal(msg.sender, RECEIVE_DEFAULT_GAS_LIMIT, "");
    }

    /// @notice Sends a message, with the ether attached to the call, to L1.
    /// @param _target   Who is called on L1.
    /// @param _gasLimit The least gas that the call on L1 must be given.
    /// @param _data     What it is called with.
    function initiateWithdrawal(address _target, uint256 _gasLimit, bytes memory _data) public payable {
        uint256 nonce = messageNonce();
        bytes32 withdrawalHash = keccak256(abi.encode(nonce, msg.sender, _target, msg.value, _gasLimit, _data));

        sentMessages[withdrawalHash] = true;
        unchecked {
            ++msgNonce;
        }

        emit MessagePassed(nonce, msg.sender, _target, msg.value, _gasLimit, _data, withdrawalHash);
    }

    /// @notice Destroys the ether held here: it was withdrawn, and exists on L1 now. Anybody may call this.
    function burn() external {
        uint256 amount = address(this).balance;
        bool burnt;
        assembly ("memory-safe") {
            // ADDRESS SELFDESTRUCT, as init code: a contract that destroys itself while it is being created, with
            // itself as the heir, takes its ether out of existence (EIP-6780 keeps that for the same transaction).
            mstore(0, 0x30ff)
            burnt := create(amount, 30, 2)
        }
        require(burnt, "L2ToL1MessagePasser: burn failed");
        emit WithdrawerBalanceBurnt(amount);
    }

    /// @notice The nonce of the next message.
    function messageNonce() public view returns (uint256) {
        return (uint256(MESSAGE_VERSION) << 240) | msgNonce;
    }
}
