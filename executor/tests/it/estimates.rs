//! Estimates: the smallest limit with which a transaction succeeds, to the unit.

use alloy_primitives::{Bytes, TxKind, U256};
use millrace_executor::{
    BlockContext, CallFees, CallOutcome, CallRequest, EstimateError, HaltReason, StateOverrides,
};

use crate::world::*;

fn to_contract() -> CallRequest {
    CallRequest { from: ALICE, to: TxKind::Call(CONTRACT), ..CallRequest::default() }
}

fn estimate(world: &World, request: &CallRequest) -> Result<u64, EstimateError> {
    let block = BlockContext::from(&attributes());
    let estimate =
        executor().estimate_gas(world.view(), &block, request, &StateOverrides::default());
    estimate.map(|estimate| estimate.gas)
}

/// The estimate must be enough, and one unit less must not be.
fn check(world: &World, request: CallRequest) -> u64 {
    let gas = estimate(world, &request).unwrap();
    let succeeds = |gas| {
        let request = CallRequest { gas: Some(gas), ..request.clone() };
        let block = BlockContext::from(&attributes());
        let outcome = executor().call(world.view(), &block, &request, &StateOverrides::default());
        matches!(outcome, Ok(CallOutcome::Success { .. }))
    };
    assert!(succeeds(gas), "{gas}");
    assert!(!succeeds(gas - 1), "{gas}");
    gas
}

#[test]
fn transfers_take_21000() {
    let request = CallRequest { to: TxKind::Call(BOB), value: U256::from(1), ..to_contract() };
    assert_eq!(check(&World::new(), request), 21_000);
}

#[test]
fn what_is_used_is_enough_where_nothing_is_held_back() {
    let world = World::new().with_code(CONTRACT, code(&[&[0x60, 7], &store(0), &[0x00]]));
    // Two pushes and a cold, fresh slot.
    assert_eq!(check(&world, to_contract()), 21_000 + 6 + 22_100);
}

#[test]
fn refunds_come_too_late_to_count() {
    // Clears a slot: 5,000 gas, of which 4,800 are given back at the end.
    let world = World::new().with_code(CONTRACT, code(&[&[0x5f], &store(0), &[0x00]])).with_slot(
        CONTRACT,
        U256::ZERO,
        U256::from(1),
    );
    assert_eq!(check(&world, to_contract()), 21_000 + 5 + 5_000);
}

#[test]
fn calls_hold_back_a_64th() {
    // Calls Bob's code, which burns gas in a loop of storage writes, and reverts when that fails.
    let inner =
        code(&[&[0x60, 1], &store(0), &[0x60, 2], &store(1), &[0x60, 3], &store(2), &[0x00]]);
    let call_inner =
        [&[0x5f, 0x5f, 0x5f, 0x5f, 0x5f, 0x73], BOB.as_slice(), &[0x5a, 0xf1]].concat();
    // PUSH1 37, JUMPI over the revert.
    let target = (call_inner.len() + 3 + 3) as u8;
    let outer = code(&[&call_inner, &[0x60, target, 0x57], &[0x5f, 0x5f, 0xfd], &[0x5b, 0x00]]);
    let world = World::new().with_code(CONTRACT, outer).with_code(BOB, inner);
    let gas = check(&world, to_contract());
    assert!(gas > 21_000 + 3 * 22_100 + 66_000 / 64, "{gas}");
}

#[test]
fn calldata_costs_at_least_its_floor() {
    let world = World::new().with_code(CONTRACT, [0x00]);
    let request = CallRequest { input: vec![1; 1_000].into(), ..to_contract() };
    assert_eq!(check(&world, request), 61_000);
}

#[test]
fn reverts_come_with_their_reason() {
    let error = estimate(&World::new().with_code(CONTRACT, REVERT), &to_contract()).unwrap_err();
    assert_eq!(error.to_string(), "execution reverted");
    let EstimateError::Reverted { output } = error else { panic!("{error}") };
    assert_eq!(output, Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef]));

    let error = estimate(&World::new().with_code(CONTRACT, INVALID), &to_contract()).unwrap_err();
    assert!(matches!(error, EstimateError::Halted(HaltReason::InvalidOpcode)));
}

#[test]
fn the_allowance_is_the_smallest_limit() {
    // JUMPDEST, PUSH0, JUMP: no limit is enough.
    let endless = World::new().with_code(CONTRACT, [0x5b, 0x5f, 0x56]);
    let check = |request: CallRequest, allowance: u64| {
        let error = estimate(&endless, &request).unwrap_err();
        assert_eq!(error.to_string(), format!("gas required exceeds allowance ({allowance})"));
    };
    check(to_contract(), GAS_LIMIT);
    check(CallRequest { gas: Some(100_000), ..to_contract() }, 100_000);
    // Less than any transaction needs is no limit.
    check(CallRequest { gas: Some(20_000), ..to_contract() }, GAS_LIMIT);
    check(CallRequest { gas: Some(u64::MAX), ..to_contract() }, 50_000_000);
    // An ether buys 40,000 units at this price.
    let fees = CallFees::Legacy(ETHER / 40_000);
    check(CallRequest { fees, ..to_contract() }, 40_000);
    let half = U256::from(ETHER / 2);
    check(CallRequest { fees, value: half, ..to_contract() }, 20_000);

    let request = CallRequest { fees, value: U256::from(ETHER), ..to_contract() };
    let error = estimate(&endless, &request).unwrap_err();
    assert!(matches!(error, EstimateError::InsufficientFunds));
}
