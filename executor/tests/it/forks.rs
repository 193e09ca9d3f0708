//! What each fork brings: system contracts, precompiles, delegation.

use alloy_consensus::TxEip7702;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use millrace_executor::{
    BlockContext, CallOutcome, CallRequest, Candidate, Executor, Limits, Outcome, Rejection,
    StateOverrides, StateView,
};
use millrace_protocol::predeploys::{BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS};

use crate::world::*;

#[test]
fn the_beacon_root_is_kept() {
    for executor in [executor(), holocene()] {
        let block = World::new().open_on(&executor);
        let (view, attributes) = (block.view(), attributes());
        let place = attributes.timestamp % 8191;
        assert_eq!(slot(&view, BEACON_ROOTS_ADDRESS, place), U256::from(attributes.timestamp));
        let root = U256::from_be_bytes(attributes.parent_beacon_block_root.0);
        assert_eq!(slot(&view, BEACON_ROOTS_ADDRESS, place + 8191), root);
    }
}

#[test]
fn the_parents_hash_is_kept_from_isthmus_on() {
    let parent = U256::from_be_bytes(attributes().parent.hash().0);
    let kept = |executor: &Executor| {
        slot(&World::new().open_on(executor).view(), HISTORY_STORAGE_ADDRESS, 41)
    };
    assert_eq!(kept(&executor()), parent);
    assert_eq!(kept(&holocene()), U256::ZERO);
}

#[test]
fn an_empty_block_changes_nothing_else() {
    let executed = World::new().open().finish().unwrap();
    let mut changed: Vec<_> = executed.diff.accounts().map(|(diff, _)| diff.address).collect();
    changed.sort_unstable();
    assert_eq!(changed, [HISTORY_STORAGE_ADDRESS, BEACON_ROOTS_ADDRESS]);
    assert_eq!((executed.gas_used, executed.transactions.len()), (0, 0));

    // Where the contracts are missing, nothing changes at all.
    let bare = World::default().open().finish().unwrap();
    assert!(bare.diff.is_empty());
}

#[test]
fn code_reads_block_hashes() {
    // Stores the hashes of the parent and of the block before it.
    let reader = code(&[
        &[0x60, 41, 0x40],
        &store(0),
        &[0x60, 40, 0x40],
        &store(1),
        &[0x60, 42, 0x40],
        &store(2),
    ]);
    let mut world = World::new().with_code(CONTRACT, reader);
    world.block_hashes.insert(40, B256::repeat_byte(0x40));
    let mut block = world.open();
    let mut tx = transfer(0);
    tx.to = TxKind::Call(CONTRACT);
    let included = include(&mut block, candidate(tx));
    assert!(block.receipts()[included.index].success);
    let view = block.view();
    assert_eq!(slot(&view, CONTRACT, 0), U256::from_be_bytes(attributes().parent.hash().0));
    assert_eq!(slot(&view, CONTRACT, 1), U256::from_be_bytes([0x40; 32]));
    assert_eq!(slot(&view, CONTRACT, 2), U256::ZERO);
}

fn call_precompile(executor: &Executor, address: u16, input: impl Into<Bytes>) -> CallOutcome {
    let request = CallRequest {
        to: TxKind::Call(Address::from_word(B256::from(U256::from(address)))),
        input: input.into(),
        ..CallRequest::default()
    };
    let block = BlockContext::from(&attributes());
    executor.call(World::new().view(), &block, &request, &StateOverrides::default()).unwrap()
}

/// Zeros are points at infinity: cheap to compute with, and valid.
fn check_limit(executor: &Executor, address: u16, accepted: usize, refused: usize) {
    let outcome = call_precompile(executor, address, vec![0; accepted]);
    assert!(
        matches!(&outcome, CallOutcome::Success { output, .. } if !output.is_empty()),
        "{outcome:?}"
    );
    let outcome = call_precompile(executor, address, vec![0; refused]);
    assert!(matches!(outcome, CallOutcome::Halt { gas_used: 50_000_000, .. }), "{outcome:?}");
}

#[test]
fn pairings_of_bn254_are_limited() {
    // 112,687 bytes is no whole number of pairs.
    for executor in [executor(), holocene()] {
        check_limit(&executor, 8, 112_512, 112_704);
    }
}

#[test]
fn bls_operations_are_limited() {
    check_limit(&executor(), 0x0c, 513_760, 513_760 + 160);
    check_limit(&executor(), 0x0e, 488_448, 488_448 + 288);
    check_limit(&executor(), 0x0f, 235_008, 235_008 + 384);
    // Before Isthmus nobody answers at that address.
    let outcome = call_precompile(&holocene(), 0x0f, vec![0; 384]);
    assert!(matches!(&outcome, CallOutcome::Success { output, .. } if output.is_empty()));
}

#[test]
fn p256_signatures_are_verified_for_3450_gas() {
    let input = hex!(
        "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4d"
        "a73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d58468e8fb19086e8cac"
        "36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d60"
        "4aebd3099c618202fcfe16ae7770b0c49ab5eadf74b754204a3bb6060e44eff3"
        "7618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e"
    );
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    let calldata = 4 * zeros + 16 * (input.len() as u64 - zeros);
    let needed = 21_000 + calldata + 3_450;
    // Since Prague, so much calldata costs more than that.
    let floor = 21_000 + 10 * calldata / 4;
    for (executor, gas) in [(executor(), floor), (holocene(), needed)] {
        let outcome = call_precompile(&executor, 0x100, input);
        let CallOutcome::Success { output, gas_used, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(output.as_ref(), U256::from(1).to_be_bytes::<32>());
        assert_eq!(gas_used, gas);
        let mut wrong = input;
        wrong[0] ^= 1;
        let outcome = call_precompile(&executor, 0x100, wrong);
        assert!(matches!(&outcome, CallOutcome::Success { output, .. } if output.is_empty()));
    }
}

fn delegate(
    nonce: u64,
    authorizations: Vec<alloy_eips::eip7702::SignedAuthorization>,
) -> Candidate {
    let tx = TxEip7702 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 3_000,
        max_priority_fee_per_gas: 500,
        to: BOB,
        authorization_list: authorizations,
        ..TxEip7702::default()
    };
    Candidate::new(delegating(tx, ALICE))
}

#[test]
fn accounts_delegate_to_code_and_back() {
    // Stores the caller's marker in slot 0 of whoever runs it.
    let marker = code(&[&[0x60, 7], &store(0), &[0x00]]);
    let world = World::new().with_code(CONTRACT, marker);
    let mut block = world.open();
    let (authority, authorization) = authorize(9, CONTRACT, 0);
    let (_, replayed) = authorize(9, CONTRACT, 0);
    let group = block.run([delegate(0, vec![authorization, replayed])], Limits::NONE).unwrap();
    included(group.outcomes[0].clone());
    let delegated = account(&block.view(), authority);
    assert_eq!(delegated.nonce, 1);
    let code = block.view().code(&delegated.bytecode_hash.unwrap()).unwrap();
    assert_eq!(code, [&[0xef, 0x01, 0x00], CONTRACT.as_slice()].concat());

    // A call to it runs the code on its storage.
    let mut call = transfer(1);
    call.to = TxKind::Call(authority);
    include(&mut block, candidate(call));
    assert_eq!(slot(&block.view(), authority, 0), U256::from(7));

    let (_, revocation) = authorize(9, Address::ZERO, 1);
    let group = block.run([delegate(2, vec![revocation])], Limits::NONE).unwrap();
    included(group.outcomes[0].clone());
    let revoked = account(&block.view(), authority);
    assert_eq!((revoked.nonce, revoked.bytecode_hash), (2, None));
}

#[test]
fn a_delegated_account_still_sends() {
    let (authority, authorization) = authorize(9, CONTRACT, 0);
    let world = World::new().with_balance(authority, ETHER);
    let mut block = world.open();
    let transactions =
        [delegate(0, vec![authorization]), Candidate::new(signed(transfer(1), authority))];
    let group = block.run(transactions, Limits::NONE).unwrap();
    for outcome in group.outcomes {
        assert!(block.receipts()[included(outcome).index].success);
    }
    assert_eq!(account(&block.view(), authority).nonce, 2);
}

#[test]
fn delegation_begins_with_isthmus() {
    let (_, authorization) = authorize(9, CONTRACT, 0);
    let mut block = World::new().open_on(&holocene());
    let group = block.run([delegate(0, vec![authorization])], Limits::NONE).unwrap();
    assert!(matches!(group.outcomes[0], Outcome::Rejected(Rejection::Invalid(_))));
    let group = World::new().open().run([delegate(0, Vec::new())], Limits::NONE).unwrap();
    let Outcome::Rejected(rejection) = &group.outcomes[0] else { panic!("{group:?}") };
    assert_eq!(rejection.to_string(), "EIP-7702 transaction with empty auth list");
}
