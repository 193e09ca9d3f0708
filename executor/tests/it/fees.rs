//! Who pays what to whom.

use alloy_primitives::{TxKind, U256};
use millrace_executor::{Candidate, Executor, Limits, Outcome, Rejection, StateView};
use millrace_protocol::predeploys::{
    BASE_FEE_VAULT, L1_BLOCK, L1_FEE_VAULT, OPERATOR_FEE_VAULT, SEQUENCER_FEE_VAULT, l1_block_slots,
};
use op_alloy_consensus::TxDeposit;

use crate::world::*;

const VAULTS: [alloy_primitives::Address; 4] =
    [SEQUENCER_FEE_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT];

/// Runs one transfer and compares each vault with the sum computed by hand.
fn check_vaults(executor: &Executor, operator_fee: impl Fn(u64) -> U256) {
    let world = World::new();
    let mut block = world.open_on(executor);
    let candidate = candidate(transfer(0));
    let data_fee = FEES.data_fee(candidate.data_size);
    let included = include(&mut block, candidate);
    assert_eq!((included.gas_used, included.l1_fee), (21_000, data_fee));

    let view = block.view();
    let expected =
        [U256::from(21_000 * 500), U256::from(21_000 * BASE_FEE), data_fee, operator_fee(21_000)];
    assert_eq!(VAULTS.map(|vault| balance(&view, vault)), expected);
    let paid: U256 = expected.into_iter().sum();
    assert_eq!(balance(&view, ALICE), U256::from(ETHER) - paid - U256::from(1));
}

#[test]
fn every_wei_arrives_in_its_vault() {
    // What was charged for 100,000 gas and not used is given back.
    assert_eq!(FEES.operator_fee(21_000), U256::from(42_000 + 5_000));
    check_vaults(&executor(), |gas| FEES.operator_fee(gas));
}

#[test]
fn there_is_no_operator_fee_before_isthmus() {
    check_vaults(&holocene(), |_| U256::ZERO);
}

#[test]
fn fees_add_up_over_many_transactions_and_groups() {
    let world = World::new();
    let mut block = world.open();
    let mut l1_fees = U256::ZERO;
    for nonces in [0..3, 3..4, 4..9] {
        let candidates: Vec<_> = nonces.map(|nonce| candidate(transfer(nonce))).collect();
        let group = block.run(candidates.as_slice(), Limits::NONE).unwrap();
        assert_eq!(changes(&group).accounts().len(), 2 + VAULTS.len());
        l1_fees += group.outcomes.into_iter().map(|one| included(one).l1_fee).sum::<U256>();
    }
    let view = block.view();
    let expected = [21_000 * 500 * 9, 21_000 * BASE_FEE * 9].map(U256::from);
    assert_eq!(balance(&view, SEQUENCER_FEE_VAULT), expected[0]);
    assert_eq!(balance(&view, BASE_FEE_VAULT), expected[1]);
    assert_eq!(balance(&view, L1_FEE_VAULT), l1_fees);
    assert_eq!(balance(&view, OPERATOR_FEE_VAULT), FEES.operator_fee(21_000) * U256::from(9));

    // The block's own account of it is the same.
    let executed = block.finish().unwrap();
    let vault = executed.diff.account(&L1_FEE_VAULT).unwrap().0.account.unwrap();
    assert_eq!(vault.balance, l1_fees);
}

/// A contract that reads a vault sees what earlier transactions paid, and nothing of its own.
#[test]
fn vaults_are_exact_whenever_they_are_read() {
    let reader = code(&[
        &push_balance(SEQUENCER_FEE_VAULT),
        &store(0),
        &push_balance(BASE_FEE_VAULT),
        &store(1),
        &push_balance(L1_FEE_VAULT),
        &store(2),
        &push_balance(OPERATOR_FEE_VAULT),
        &store(3),
        &[0x00],
    ]);
    let world = World::new().with_code(CONTRACT, reader).with_balance(L1_FEE_VAULT, 77);
    let mut block = world.open();
    let call = |nonce| {
        let mut tx = transfer(nonce);
        (tx.to, tx.gas_limit) = (TxKind::Call(CONTRACT), 200_000);
        candidate(tx)
    };
    let first = candidate(transfer(0));
    let data_fee = FEES.data_fee(first.data_size);
    let group = block.run([first, call(1), call(2)], Limits::NONE).unwrap();
    let gas = group.outcomes.iter().map(|one| included(one.clone()).gas_used).collect::<Vec<_>>();
    let after_two = |price: u64| U256::from((gas[0] + gas[1]) * price);

    // What the last call stored is what the first two transactions paid.
    let view = block.view();
    assert_eq!(slot(&view, CONTRACT, 0), after_two(500));
    assert_eq!(slot(&view, CONTRACT, 1), after_two(BASE_FEE));
    let l1_fees = U256::from(77) + data_fee + FEES.data_fee(call(1).data_size);
    assert_eq!(slot(&view, CONTRACT, 2), l1_fees);
    let operator = FEES.operator_fee(gas[0]) + FEES.operator_fee(gas[1]);
    assert_eq!(slot(&view, CONTRACT, 3), operator);
    // And what it paid itself has arrived after it.
    assert_eq!(balance(&view, SEQUENCER_FEE_VAULT), after_two(500) + U256::from(gas[2] * 500));
    assert_eq!(balance(&view, L1_FEE_VAULT), l1_fees + FEES.data_fee(call(2).data_size));
}

#[test]
fn a_vault_can_send_and_be_paid_in_one_transaction() {
    let world = World::new().with_balance(BASE_FEE_VAULT, ETHER);
    let mut block = world.open();
    let candidate = Candidate::new(signed(transfer(0), BASE_FEE_VAULT));
    let data_fee = FEES.data_fee(candidate.data_size);
    include(&mut block, candidate);
    // The base fee comes straight back.
    let lost = U256::from(1 + 21_000 * 500) + data_fee + FEES.operator_fee(21_000);
    assert_eq!(balance(&block.view(), BASE_FEE_VAULT), U256::from(ETHER) - lost);
}

#[test]
fn the_price_is_what_the_l1_attributes_have_set() {
    // A contract in the place of L1Block that doubles the L1 base fee.
    let doubled = FEES.base_fee * U256::from(2);
    let set = code(&[&[0x7f], &doubled.to_be_bytes::<32>(), &store(1), &[0x00]]);
    let world = World::new().with_code(L1_BLOCK, set);
    let mut block = world.open();
    let attributes = TxDeposit {
        from: BOB,
        to: TxKind::Call(L1_BLOCK),
        gas_limit: 1_000_000,
        ..TxDeposit::default()
    };
    include_deposit(&mut block, attributes);
    let candidate = candidate(transfer(0));
    let expected = millrace_protocol::L1Fees { base_fee: doubled, ..FEES };
    let data_fee = expected.data_fee(candidate.data_size);
    assert_eq!(include(&mut block, candidate).l1_fee, data_fee);
    assert_eq!(block.fees(), Some(expected));
}

#[test]
fn the_sender_must_afford_the_l1_and_the_operator_fee() {
    let candidate = candidate(transfer(0));
    // At its fee cap, with the operator fee on its whole gas limit, and the value.
    let needed = U256::from(100_000 * 3_000 + 1)
        + FEES.data_fee(candidate.data_size)
        + FEES.operator_fee(100_000);
    let world = |balance: U256| World::new().with_balance(ALICE, balance.to());

    let mut block = world(needed - U256::from(1)).open();
    let group = block.run(std::slice::from_ref(&candidate), Limits::NONE).unwrap();
    let Outcome::Rejected(rejection) = &group.outcomes[0] else { panic!("{group:?}") };
    let balance = needed - U256::from(1);
    assert_eq!(*rejection, Rejection::InsufficientFunds { required: needed, balance });
    assert!(rejection.is_temporary());
    assert!(rejection.to_string().starts_with("insufficient funds for gas * price + value"));
    assert!(group.diffs.is_empty());

    include(&mut world(needed).open(), candidate);
}

#[test]
fn a_data_fee_beyond_all_numbers_is_unaffordable() {
    let world = World::new().with_slot(L1_BLOCK, l1_block_slots::BASE_FEE, U256::MAX);
    let group = world.open().run([candidate(transfer(0))], Limits::NONE).unwrap();
    let Outcome::Rejected(rejection) = &group.outcomes[0] else { panic!("{group:?}") };
    assert!(matches!(rejection, Rejection::InsufficientFunds { required: U256::MAX, .. }));
}

#[test]
fn failing_transactions_pay_too() {
    let world = World::new().with_code(CONTRACT, INVALID);
    let mut block = world.open();
    let mut tx = transfer(0);
    tx.to = TxKind::Call(CONTRACT);
    let included = include(&mut block, candidate(tx));
    assert!(!block.receipts()[included.index].success);
    assert_eq!(included.gas_used, 100_000);
    let view = block.view();
    assert_eq!(balance(&view, SEQUENCER_FEE_VAULT), U256::from(100_000 * 500));
    assert_eq!(balance(&view, OPERATOR_FEE_VAULT), FEES.operator_fee(100_000));
    assert_eq!(account(&view, ALICE).nonce, 1);
    assert_eq!(view.account(&CONTRACT).unwrap().unwrap().balance, U256::ZERO);
}
