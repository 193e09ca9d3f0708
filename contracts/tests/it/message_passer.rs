//! L2ToL1MessagePasser records withdrawals where L1 looks for them.

use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent, SolValue};
use millrace_contracts::DEV_ACCOUNTS;
use millrace_protocol::predeploys::L2_TO_L1_MESSAGE_PASSER;

use crate::{chain::Chain, interfaces::IL2ToL1MessagePasser};

const SENDER: Address = DEV_ACCOUNTS[1];
const TARGET: Address = DEV_ACCOUNTS[2];

#[test]
fn a_withdrawal_is_recorded_at_slot_zero() {
    let mut chain = Chain::new();
    for count in 0..3_u64 {
        let (value, gas_limit) = (U256::from(1_000 + count), U256::from(200_000));
        let data = Bytes::from(vec![0xab; 33 * count as usize]);
        let nonce = versioned_nonce(count);
        assert_eq!(
            nonce,
            chain.view(L2_TO_L1_MESSAGE_PASSER, IL2ToL1MessagePasser::messageNonceCall {})
        );

        let call = IL2ToL1MessagePasser::initiateWithdrawalCall {
            target: TARGET,
            gasLimit: gas_limit,
            data: data.clone(),
        };
        let logs = chain.send(SENDER, L2_TO_L1_MESSAGE_PASSER, value, call.abi_encode());

        let hash =
            keccak256((nonce, SENDER, TARGET, value, gas_limit, data.clone()).abi_encode_params());
        let expected = IL2ToL1MessagePasser::MessagePassed {
            nonce,
            sender: SENDER,
            target: TARGET,
            value,
            gasLimit: gas_limit,
            data,
            withdrawalHash: hash,
        };
        assert_eq!(passed(&logs), expected);
        check_sent(&mut chain, hash);
        assert_eq!(chain.slot(L2_TO_L1_MESSAGE_PASSER, U256::from(1)), U256::from(count + 1));
    }
}

#[test]
fn ether_sent_here_is_withdrawn_to_its_sender() {
    let mut chain = Chain::new();
    let logs = chain.send(SENDER, L2_TO_L1_MESSAGE_PASSER, U256::from(5), Bytes::new());
    let event = passed(&logs);
    assert_eq!((event.sender, event.target, event.value), (SENDER, SENDER, U256::from(5)));
    assert_eq!((event.gasLimit, event.data), (U256::from(100_000), Bytes::new()));
    check_sent(&mut chain, event.withdrawalHash);
}

#[test]
fn what_was_not_sent_is_not_there() {
    let mut chain = Chain::new();
    let call = IL2ToL1MessagePasser::sentMessagesCall { withdrawalHash: B256::repeat_byte(1) };
    assert!(!chain.view(L2_TO_L1_MESSAGE_PASSER, call));
}

#[test]
fn burning_takes_the_withdrawn_ether_out_of_existence() {
    let mut chain = Chain::new();
    chain.send(SENDER, L2_TO_L1_MESSAGE_PASSER, U256::from(12_345), Bytes::new());
    assert_eq!(chain.balance(L2_TO_L1_MESSAGE_PASSER), U256::from(12_345));

    let burn = IL2ToL1MessagePasser::burnCall {}.abi_encode();
    // The contract that is destroyed is the first that the passer creates.
    let grave = L2_TO_L1_MESSAGE_PASSER.create(1);
    let logs = chain.send(SENDER, L2_TO_L1_MESSAGE_PASSER, U256::ZERO, burn);
    let burnt = logs
        .iter()
        .find_map(|log| IL2ToL1MessagePasser::WithdrawerBalanceBurnt::decode_log(log).ok());
    assert_eq!(burnt.unwrap().amount, U256::from(12_345));
    assert_eq!(chain.balance(L2_TO_L1_MESSAGE_PASSER), U256::ZERO);
    assert_eq!(chain.balance(grave), U256::ZERO);
    assert!(chain.code(grave).is_empty());
}

/// The version is in the top two bytes.
fn versioned_nonce(count: u64) -> U256 {
    U256::from(1) << 240 | U256::from(count)
}

pub(crate) fn passed(logs: &[Log]) -> IL2ToL1MessagePasser::MessagePassed {
    let log = logs.iter().find(|log| log.address == L2_TO_L1_MESSAGE_PASSER).unwrap();
    IL2ToL1MessagePasser::MessagePassed::decode_log(log).unwrap().data
}

/// By the getter, and by the slot that a withdrawal proof is about.
pub(crate) fn check_sent(chain: &mut Chain, hash: B256) {
    let call = IL2ToL1MessagePasser::sentMessagesCall { withdrawalHash: hash };
    assert!(chain.view(L2_TO_L1_MESSAGE_PASSER, call));
    let slot = keccak256((hash, U256::ZERO).abi_encode());
    assert_eq!(chain.slot(L2_TO_L1_MESSAGE_PASSER, slot.into()), U256::from(1));
}
