// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {L2ToL1MessagePasser} from "./L2ToL1MessagePasser.sol";
import {L2_TO_L1_MESSAGE_PASSER, PROXY_ADMIN} from "./Predeploys.sol";
import {ProxyAdmin} from "../proxy/ProxyAdmin.sol";

/// @title FeeVault
/// @notice Collects one kind of fee. The protocol credits the balance without a call; anybody may then have the whole
///         of it sent to the recipient. The configuration is storage that genesis writes, rather than immutables, so
///         that one bytecode serves every chain.
abstract contract FeeVault {
    /// @notice Where the recipient is.
    enum WithdrawalNetwork {
        L1,
        L2
    }

    string public constant version = "1.5.0";

    /// @dev The L1 gas of a withdrawal to the recipient there.
    uint256 private constant WITHDRAWAL_MIN_GAS = 400_000;

    /// @notice All that was ever withdrawn, in wei.
    uint256 public totalProcessed; // slot 0
    /// @notice The least balance that may be withdrawn.
    uint256 public minWithdrawalAmount; // slot 1
    /// @notice Who gets the fees.
    address public recipient; // slot 2, low 20 bytes
    /// @notice On which network.
    WithdrawalNetwork public withdrawalNetwork; // slot 2, next byte

    /// @notice Kept for old indexers, beside the four-argument form.
    event Withdrawal(uint256 value, address to, address from);
    event Withdrawal(uint256 value, address to, address from, WithdrawalNetwork withdrawalNetwork);
    event MinWithdrawalAmountUpdated(uint256 oldWithdrawalAmount, uint256 newWithdrawalAmount);
    event RecipientUpdated(address oldRecipient, address newRecipient);
    event WithdrawalNetworkUpdated(WithdrawalNetwork oldWithdrawalNetwork, WithdrawalNetwork newWithdrawalNetwork);

    modifier onlyProxyAdminOwner() {
        require(msg.sender == ProxyAdmin(PROXY_ADMIN).owner(), "FeeVault: caller is not the proxy admin's owner");
        _;
    }

    receive() external payable {}

    /// @notice Sends the whole balance to the recipient.
    function withdraw() external returns (uint256 value) {
        value = address(this).balance;
        require(
            value >= minWithdrawalAmount,
            "FeeVault: withdrawal amount must be greater than minimum withdrawal amount"
        );
        totalProcessed += value;

        emit Withdrawal(value, recipient, msg.sender);
        emit Withdrawal(value, recipient, msg.sender, withdrawalNetwork);

        if (withdrawalNetwork == WithdrawalNetwork.L2) {
            (bool sent,) = recipient.call{value: value}("");
            require(sent, "FeeVault: failed to send ETH to L2 fee recipient");
        } else {
            L2ToL1MessagePasser(L2_TO_L1_MESSAGE_PASSER).initiateWithdrawal{value: value}(
                recipient, WITHDRAWAL_MIN_GAS, ""
            );
        }
    }

    function setMinWithdrawalAmount(uint256 _newMinWithdrawalAmount) external onlyProxyAdminOwner {
        emit MinWithdrawalAmountUpdated(minWithdrawalAmount, _newMinWithdrawalAmount);
        minWithdrawalAmount = _newMinWithdrawalAmount;
    }

    function setRecipient(address _newRecipient) external onlyProxyAdminOwner {
        require(_newRecipient != address(0), "FeeVault: recipient is the zero address");
        emit RecipientUpdated(recipient, _newRecipient);
        recipient = _newRecipient;
    }

    function setWithdrawalNetwork(WithdrawalNetwork _newWithdrawalNetwork) external onlyProxyAdminOwner {
        emit WithdrawalNetworkUpdated(withdrawalNetwork, _newWithdrawalNetwork);
        withdrawalNetwork = _newWithdrawalNetwork;
    }

    /// @notice The old name of `minWithdrawalAmount`.
    function MIN_WITHDRAWAL_AMOUNT() external view returns (uint256) {
        return minWithdrawalAmount;
    }

    /// @notice The old name of `recipient`.
    function RECIPIENT() external view returns (address) {
        return recipient;
    }

    /// @notice The old name of `withdrawalNetwork`.
    function WITHDRAWAL_NETWORK() external view returns (WithdrawalNetwork) {
        return withdrawalNetwork;
    }
}
