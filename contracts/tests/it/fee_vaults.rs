//! The fee vaults pay out to whom genesis, or the owner since, named.

use alloy_primitives::{Address, Log, U256};
use alloy_sol_types::{SolCall, SolEvent};
use millrace_contracts::DEV_ACCOUNTS;
use millrace_protocol::predeploys::{
    BASE_FEE_VAULT, L1_FEE_VAULT, L2_TO_L1_MESSAGE_PASSER, OPERATOR_FEE_VAULT, SEQUENCER_FEE_VAULT,
};

use crate::{
    chain::Chain,
    interfaces::IFeeVault,
    message_passer::{check_sent, passed},
};

const VAULTS: [Address; 4] =
    [SEQUENCER_FEE_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT];
const OWNER: Address = DEV_ACCOUNTS[0];
const ANYBODY: Address = DEV_ACCOUNTS[3];
const RECIPIENT: Address = Address::repeat_byte(0x42);
const L1: u8 = 0;
const L2: u8 = 1;

#[test]
fn genesis_settings_are_readable_under_both_names() {
    let mut chain = Chain::new();
    for vault in VAULTS {
        assert_eq!(chain.view(vault, IFeeVault::recipientCall {}), OWNER);
        assert_eq!(chain.view(vault, IFeeVault::RECIPIENTCall {}), OWNER);
        assert_eq!(chain.view(vault, IFeeVault::withdrawalNetworkCall {}), L2);
        assert_eq!(chain.view(vault, IFeeVault::WITHDRAWAL_NETWORKCall {}), L2);
        assert_eq!(chain.view(vault, IFeeVault::minWithdrawalAmountCall {}), U256::ZERO);
        assert_eq!(chain.view(vault, IFeeVault::MIN_WITHDRAWAL_AMOUNTCall {}), U256::ZERO);
    }
}

#[test]
fn anybody_can_have_the_balance_paid_to_the_recipient_on_l2() {
    let mut chain = Chain::new();
    for (index, vault) in VAULTS.into_iter().enumerate() {
        let recipient = Address::repeat_byte(0x50 + index as u8);
        chain.call(OWNER, vault, IFeeVault::setRecipientCall { newRecipient: recipient });
        for (amount, total) in [(1_000, 1_000), (500, 1_500)] {
            chain.credit(vault, U256::from(amount));
            let logs =
                chain.send(ANYBODY, vault, U256::ZERO, IFeeVault::withdrawCall {}.abi_encode());
            check_events(&logs, vault, U256::from(amount), recipient, L2);
            assert_eq!(chain.balance(vault), U256::ZERO);
            assert_eq!(chain.balance(recipient), U256::from(total));
            assert_eq!(chain.view(vault, IFeeVault::totalProcessedCall {}), U256::from(total));
        }
    }
}

#[test]
fn or_withdrawn_to_the_recipient_on_l1() {
    let mut chain = Chain::new();
    for vault in VAULTS {
        chain.call(OWNER, vault, IFeeVault::setRecipientCall { newRecipient: RECIPIENT });
        chain.call(OWNER, vault, IFeeVault::setWithdrawalNetworkCall { newWithdrawalNetwork: L1 });
        chain.credit(vault, U256::from(777));
        let before = chain.balance(L2_TO_L1_MESSAGE_PASSER);

        let logs = chain.send(ANYBODY, vault, U256::ZERO, IFeeVault::withdrawCall {}.abi_encode());
        check_events(&logs, vault, U256::from(777), RECIPIENT, L1);
        let message = passed(&logs);
        assert_eq!(
            (message.sender, message.target, message.value),
            (vault, RECIPIENT, U256::from(777))
        );
        assert_eq!(message.gasLimit, U256::from(400_000));
        check_sent(&mut chain, message.withdrawalHash);
        assert_eq!(chain.balance(vault), U256::ZERO);
        assert_eq!(chain.balance(L2_TO_L1_MESSAGE_PASSER), before + U256::from(777));
    }
}

#[test]
fn less_than_the_minimum_stays() {
    let mut chain = Chain::new();
    let minimum =
        IFeeVault::setMinWithdrawalAmountCall { newMinWithdrawalAmount: U256::from(1_000) };
    chain.call(OWNER, BASE_FEE_VAULT, minimum);
    chain.credit(BASE_FEE_VAULT, U256::from(999));
    let reason = chain.revert_reason(ANYBODY, BASE_FEE_VAULT, IFeeVault::withdrawCall {});
    assert_eq!(
        reason,
        "FeeVault: withdrawal amount must be greater than minimum withdrawal amount"
    );
    // A plain transfer tops it up.
    chain.send(ANYBODY, BASE_FEE_VAULT, U256::from(1), Vec::new());
    assert_eq!(chain.call(ANYBODY, BASE_FEE_VAULT, IFeeVault::withdrawCall {}), U256::from(1_000));
}

#[test]
fn a_recipient_that_refuses_ether_keeps_the_balance_in_the_vault() {
    let mut chain = Chain::new();
    // Multicall3 has no function to receive ether with.
    let refuses = millrace_protocol::predeploys::MULTICALL3;
    chain.call(OWNER, L1_FEE_VAULT, IFeeVault::setRecipientCall { newRecipient: refuses });
    chain.credit(L1_FEE_VAULT, U256::from(5));
    let reason = chain.revert_reason(ANYBODY, L1_FEE_VAULT, IFeeVault::withdrawCall {});
    assert_eq!(reason, "FeeVault: failed to send ETH to L2 fee recipient");
    assert_eq!(chain.balance(L1_FEE_VAULT), U256::from(5));
    assert_eq!(chain.view(L1_FEE_VAULT, IFeeVault::totalProcessedCall {}), U256::ZERO);
}

#[test]
fn only_the_owner_changes_settings() {
    let mut chain = Chain::new();
    let refused = "FeeVault: caller is not the proxy admin's owner";
    let recipient = IFeeVault::setRecipientCall { newRecipient: ANYBODY };
    assert_eq!(chain.revert_reason(ANYBODY, L1_FEE_VAULT, recipient), refused);
    let minimum = IFeeVault::setMinWithdrawalAmountCall { newMinWithdrawalAmount: U256::MAX };
    assert_eq!(chain.revert_reason(ANYBODY, L1_FEE_VAULT, minimum), refused);
    let network = IFeeVault::setWithdrawalNetworkCall { newWithdrawalNetwork: L1 };
    assert_eq!(chain.revert_reason(ANYBODY, L1_FEE_VAULT, network), refused);

    let nobody = IFeeVault::setRecipientCall { newRecipient: Address::ZERO };
    assert_eq!(
        chain.revert_reason(OWNER, L1_FEE_VAULT, nobody),
        "FeeVault: recipient is the zero address"
    );
}

fn check_events(logs: &[Log], vault: Address, value: U256, to: Address, network: u8) {
    let logs: Vec<_> = logs.iter().filter(|log| log.address == vault).collect();
    assert_eq!(logs.len(), 2);
    let old = IFeeVault::Withdrawal_0::decode_log(logs[0]).unwrap().data;
    assert_eq!(old, IFeeVault::Withdrawal_0 { value, to, from: ANYBODY });
    let new = IFeeVault::Withdrawal_1::decode_log(logs[1]).unwrap().data;
    assert_eq!(
        new,
        IFeeVault::Withdrawal_1 { value, to, from: ANYBODY, withdrawalNetwork: network }
    );
}
