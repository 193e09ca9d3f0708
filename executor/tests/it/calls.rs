//! Calls: what they return, what they are spared, what they may pretend.

use std::sync::Arc;

use alloy_primitives::{Bytes, TxKind, U256};
use millrace_executor::{
    AccountOverride, BlockContext, BlockOverrides, CallError, CallFees, CallOutcome, CallRequest,
    HaltReason, LayeredView, Rejection, StateOverrides, StorageOverride,
};

use crate::world::*;

/// Returns the word on the stack.
const RETURN: &[u8] = &[0x5f, 0x52, 0x60, 32, 0x5f, 0xf3];

fn to_contract() -> CallRequest {
    CallRequest { from: ALICE, to: TxKind::Call(CONTRACT), ..CallRequest::default() }
}

fn call(world: &World, request: &CallRequest) -> Result<CallOutcome, CallError> {
    let block = BlockContext::from(&attributes());
    executor().call(world.view(), &block, request, &StateOverrides::default())
}

fn output(outcome: CallOutcome) -> U256 {
    match outcome {
        CallOutcome::Success { output, .. } => U256::from_be_slice(&output),
        other => panic!("{other:?}"),
    }
}

fn returning(opcode: u8) -> World {
    World::new().with_code(CONTRACT, code(&[&[opcode], RETURN]))
}

#[test]
fn ends_are_told_apart() {
    let outcome = call(&World::new().with_code(CONTRACT, REVERT), &to_contract()).unwrap();
    let reason = Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef]);
    assert_eq!(outcome, CallOutcome::Revert { output: reason, gas_used: 21_017 });

    let outcome = call(&World::new().with_code(CONTRACT, INVALID), &to_contract()).unwrap();
    let reason = HaltReason::InvalidOpcode;
    assert_eq!(outcome, CallOutcome::Halt { reason, gas_used: 50_000_000 });

    // JUMPDEST, PUSH0, JUMP: for ever.
    let request = CallRequest { gas: Some(30_000), ..to_contract() };
    let outcome = call(&World::new().with_code(CONTRACT, [0x5b, 0x5f, 0x56]), &request).unwrap();
    assert_eq!(outcome, CallOutcome::Halt { reason: HaltReason::OutOfGas, gas_used: 30_000 });
}

#[test]
fn gas_is_free_unless_a_price_is_offered() {
    // BASEFEE reads as zero, then.
    assert_eq!(output(call(&returning(0x48), &to_contract()).unwrap()), U256::ZERO);
    let legacy = |price| CallRequest { fees: CallFees::Legacy(price), ..to_contract() };
    assert_eq!(output(call(&returning(0x48), &legacy(2_000)).unwrap()), U256::from(BASE_FEE));
    // GASPRICE of a dynamic offer is the base fee and the tip.
    let fees = CallFees::Dynamic { fee_cap: 5_000, tip_cap: 7 };
    let request = CallRequest { fees, ..to_contract() };
    assert_eq!(output(call(&returning(0x3a), &request).unwrap()), U256::from(BASE_FEE + 7));

    let error = call(&returning(0x48), &legacy(999)).unwrap_err();
    let expected = Rejection::FeeCapBelowBaseFee { fee_cap: 999, base_fee: BASE_FEE };
    assert!(matches!(error, CallError::Rejected(rejection) if rejection == expected));
}

#[test]
fn the_sender_pays_for_value_and_gas_but_not_for_data() {
    let all = CallRequest { value: U256::from(ETHER), ..to_contract() };
    assert_eq!(output(call(&returning(0x34), &all).unwrap()), U256::from(ETHER));
    let more = CallRequest { value: U256::from(ETHER + 1), ..to_contract() };
    let error = call(&returning(0x34), &more).unwrap_err();
    assert!(matches!(error, CallError::Rejected(Rejection::InsufficientFunds { .. })));
    let with_gas = CallRequest { fees: CallFees::Legacy(1_000), ..all };
    let error = call(&returning(0x34), &with_gas).unwrap_err();
    assert!(error.to_string().starts_with("insufficient funds for gas * price + value"));
}

#[test]
fn neither_nonce_nor_code_of_the_sender_matter() {
    let request = CallRequest { from: CONTRACT, ..to_contract() };
    assert_eq!(
        output(call(&returning(0x30).with_nonce(CONTRACT, 9), &request).unwrap()),
        U256::from_be_slice(CONTRACT.as_slice())
    );
}

#[test]
fn the_gas_is_capped() {
    let request = CallRequest { gas: Some(u64::MAX), ..to_contract() };
    // GAS, after the 21,000 and its own 2.
    let left = output(call(&returning(0x5a), &request).unwrap());
    assert_eq!(left, U256::from(50_000_000 - 21_000 - 2));
}

#[test]
fn state_can_be_pretended() {
    // Adds the slots 1 and 2 and the balance.
    let adds = code(&[&[0x60, 1, 0x54, 0x60, 2, 0x54, 0x01, 0x47, 0x01], RETURN]);
    let world = World::new()
        .with_code(CONTRACT, [0x00])
        .with_slot(CONTRACT, U256::from(1), U256::from(10))
        .with_slot(CONTRACT, U256::from(2), U256::from(100));
    let check = |storage, expected: u64| {
        let pretended = AccountOverride {
            balance: Some(U256::from(1)),
            code: Some(adds.clone().into()),
            storage,
            ..AccountOverride::default()
        };
        let overrides = StateOverrides::from_iter([(CONTRACT, pretended)]);
        let block = BlockContext::from(&attributes());
        let outcome = executor().call(world.view(), &block, &to_contract(), &overrides).unwrap();
        assert_eq!(output(outcome), U256::from(expected));
    };
    let seven = || vec![(U256::from(1), U256::from(7))];
    check(StorageOverride::None, 111);
    check(StorageOverride::Change(seven()), 108);
    check(StorageOverride::Replace(seven()), 8);
}

#[test]
fn the_block_can_be_pretended() {
    let overrides = BlockOverrides {
        number: Some(77),
        timestamp: Some(1_800_000_000),
        blob_base_fee: Some(13),
        beneficiary: Some(BOB),
        ..BlockOverrides::default()
    };
    let block = overrides.apply(&BlockContext::from(&attributes()));
    let read = |opcode| {
        let none = StateOverrides::default();
        output(executor().call(returning(opcode).view(), &block, &to_contract(), &none).unwrap())
    };
    assert_eq!(read(0x43), U256::from(77));
    assert_eq!(read(0x42), U256::from(1_800_000_000));
    assert_eq!(read(0x4a), U256::from(13));
    assert_eq!(read(0x41), U256::from_be_slice(BOB.as_slice()));
    assert_eq!(read(0x45), U256::from(GAS_LIMIT));
}

#[test]
fn blobs_cost_one_wei_on_a_rollup() {
    assert_eq!(output(call(&returning(0x4a), &to_contract()).unwrap()), U256::from(1));
}

/// `pending` is the state in the middle of a block.
#[test]
fn calls_see_what_a_block_has_done_so_far() {
    let counter = code(&[&[0x5f, 0x54, 0x60, 1, 0x01, 0x80], &store(0), RETURN]);
    let world = World::new().with_code(CONTRACT, counter);
    let mut block = world.open();
    let mut tx = transfer(0);
    tx.to = TxKind::Call(CONTRACT);
    let before = block.view();
    include(&mut block, candidate(tx));
    let ask = |view: LayeredView| {
        let view = Arc::new(view);
        let none = StateOverrides::default();
        output(executor().call(view, &block.context(), &to_contract(), &none).unwrap())
    };
    assert_eq!(ask(block.view()), U256::from(2));
    assert_eq!(ask(before), U256::from(1));
}
