//! Building: what is included, what is rejected and why, and what does not fit.

use alloy_consensus::{SignableTransaction, TxEip4844};
use alloy_primitives::{B256, Signature, TxKind, U256};
use millrace_executor::{
    Candidate, ExecuteError, Full, Invalid, LayeredView, Limits, Outcome, Rejection, StateRoots,
    StateView, assemble,
};
use millrace_types::TxEnvelope;
use op_alloy_consensus::TxDeposit;

use crate::world::*;

fn rejection(outcome: &Outcome) -> &Rejection {
    match outcome {
        Outcome::Rejected(rejection) => rejection,
        other => panic!("not rejected: {other:?}"),
    }
}

#[test]
fn rejected_candidates_between_valid_ones_leave_no_trace() {
    let world = World::new().with_balance(BOB, 10);
    let mut block = world.open();
    let candidates = [
        candidate(transfer(0)),
        // Too early, too late, and too poor.
        candidate(transfer(5)),
        candidate(transfer(0)),
        Candidate::new(signed(transfer(0), BOB)),
        candidate(transfer(1)),
    ];
    let group = block.run(candidates.as_slice(), Limits::NONE).unwrap();
    let [first, high, low, poor, last] = &group.outcomes[..] else { panic!("{group:?}") };
    assert_eq!(included(first.clone()).index, 0);
    assert_eq!(*rejection(high), Rejection::NonceTooHigh { transaction: 5, state: 1 });
    assert_eq!(*rejection(low), Rejection::NonceTooLow { transaction: 0, state: 1 });
    assert!(matches!(rejection(poor), Rejection::InsufficientFunds { .. }));
    let last = included(last.clone());
    assert_eq!((last.index, block.receipts()[last.index].cumulative_gas_used), (1, 42_000));

    // The same two alone lead to the same state.
    let mut other = world.open();
    let alone = [candidates[0].clone(), candidates[4].clone()];
    assert_eq!(changes(&other.run(alone, Limits::NONE).unwrap()), changes(&group));
    assert_eq!(balance(&block.view(), BOB), U256::from(12));
}

#[test]
fn each_reason_is_told_apart() {
    let world = World::new().with_code(CONTRACT, [0x00]).with_balance(CONTRACT, ETHER);
    let check =
        |change: &dyn Fn(&mut alloy_consensus::TxEip1559), expected: Rejection, message: &str| {
            let mut tx = transfer(0);
            change(&mut tx);
            let group = world.open().run([candidate(tx)], Limits::NONE).unwrap();
            assert_eq!(*rejection(&group.outcomes[0]), expected);
            assert!(expected.to_string().starts_with(message), "{expected}");
            assert!(group.diffs.is_empty());
        };
    check(
        &|tx| (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (999, 0),
        Rejection::FeeCapBelowBaseFee { fee_cap: 999, base_fee: BASE_FEE },
        "max fee per gas less than block base fee",
    );
    check(
        &|tx| tx.max_priority_fee_per_gas = 3_001,
        Invalid::TipAboveFeeCap.into(),
        "max priority fee per gas higher than max fee per gas",
    );
    check(
        &|tx| tx.gas_limit = 20_999,
        Invalid::IntrinsicGas { gas_limit: 20_999, required: 21_000 }.into(),
        "intrinsic gas too low",
    );
    check(
        &|tx| {
            tx.input = vec![1; 1_000].into();
            tx.gas_limit = 60_999;
        },
        Invalid::FloorGas { gas_limit: 60_999, required: 61_000 }.into(),
        "insufficient gas for floor data gas cost",
    );
    check(&|tx| tx.gas_limit = GAS_LIMIT + 1, Invalid::GasLimit.into(), "exceeds block gas limit");
    check(&|tx| tx.chain_id = 1, Invalid::ChainId.into(), "invalid chain id for signer");
    check(&|tx| tx.nonce = u64::MAX, Invalid::NonceMax.into(), "nonce has max value");
    check(
        &|tx| {
            tx.to = TxKind::Create;
            tx.gas_limit = 10_000_000;
            tx.input = vec![0; 49_153].into();
        },
        Invalid::InitCodeSize.into(),
        "max initcode size exceeded",
    );
    // Fees past 128 bits are more than anybody has.
    check(
        &|tx| tx.max_fee_per_gas = u128::MAX,
        Rejection::InsufficientFunds { required: U256::MAX, balance: U256::from(ETHER) },
        "insufficient funds for gas * price + value",
    );

    let from_contract = Candidate::new(signed(transfer(0), CONTRACT));
    let group = world.open().run([from_contract], Limits::NONE).unwrap();
    assert_eq!(*rejection(&group.outcomes[0]), Rejection::SenderHasCode);
}

#[test]
fn deposits_and_blobs_are_no_candidates() {
    let blob = TxEip4844 {
        chain_id: CHAIN_ID,
        gas_limit: 100_000,
        max_fee_per_gas: 3_000,
        max_fee_per_blob_gas: 10,
        blob_versioned_hashes: vec![B256::with_last_byte(1)],
        ..TxEip4844::default()
    };
    let blob = TxEnvelope::Eip4844(blob.into_signed(Signature::test_signature()));
    let candidates = [
        Candidate::new(enveloped(blob, ALICE)),
        Candidate::new(deposit(TxDeposit { from: ALICE, ..TxDeposit::default() })),
    ];
    let group = World::new().open().run(candidates.as_slice(), Limits::NONE).unwrap();
    assert_eq!(*rejection(&group.outcomes[0]), Invalid::Type.into());
    assert_eq!(*rejection(&group.outcomes[1]), Invalid::Misplaced.into());
    assert!(!rejection(&group.outcomes[0]).is_temporary());
}

#[test]
fn gas_and_data_run_out() {
    let world = World::new();
    let gas_outcomes = |gas| {
        let limits = Limits { gas, ..Limits::NONE };
        let candidates = [candidate(transfer(0)), candidate(transfer(1))];
        world.open().run(candidates.as_slice(), limits).unwrap().outcomes
    };
    // The second needs its whole limit to be left, not only what it will use.
    let outcomes = gas_outcomes(120_999);
    assert!(matches!(outcomes[1], Outcome::DoesNotFit(Full::Gas)));
    included(gas_outcomes(121_000)[1].clone());

    let bytes = candidate(transfer(0)).data_size.bytes();
    let data_outcomes = |data_bytes| {
        let limits = Limits { data_bytes, ..Limits::NONE };
        let candidates = [candidate(transfer(0)), candidate(transfer(1))];
        world.open().run(candidates.as_slice(), limits).unwrap().outcomes
    };
    assert!(matches!(data_outcomes(2 * bytes - 1)[1], Outcome::DoesNotFit(Full::Data)));
    included(data_outcomes(2 * bytes)[1].clone());
}

#[test]
fn what_does_not_fit_leaves_room_for_smaller_ones() {
    let mut large = transfer(0);
    large.gas_limit = 200_000;
    let world = World::new();
    let limits = Limits { gas: 150_000, ..Limits::NONE };
    let group = world.open().run([candidate(large), candidate(transfer(0))], limits).unwrap();
    assert!(matches!(group.outcomes[0], Outcome::DoesNotFit(Full::Gas)));
    included(group.outcomes[1].clone());
}

/// Building and replaying are one: the same transactions in the same order are the same block, however they were
/// grouped.
#[test]
fn a_built_block_replays_to_itself() {
    let counter = code(&[&[0x5f, 0x54, 0x60, 1, 0x01], &store(0), &[0x00]]);
    let world = World::new().with_code(CONTRACT, counter);
    let mut block = world.open();
    let first = TxDeposit {
        from: BOB,
        to: TxKind::Call(CONTRACT),
        gas_limit: 100_000,
        ..TxDeposit::default()
    };
    block.include_deposits(&[deposit(first)]).unwrap();
    for nonce in 0..20 {
        let mut tx = transfer(nonce);
        if nonce % 3 == 0 {
            tx.to = TxKind::Call(CONTRACT);
        }
        block.run([candidate(tx), candidate(transfer(nonce + 7))], Limits::NONE).unwrap();
    }
    let view = block.view();
    assert_eq!(slot(&view, CONTRACT, 0), U256::from(8));
    let built = block.finish().unwrap();
    assert_eq!(built.transactions.len(), 21);

    let replayed = executor().replay(attributes(), &built.transactions, &[], world.view()).unwrap();
    assert_eq!(replayed.receipts, built.receipts);
    assert_eq!(replayed.diff, built.diff);
    assert_eq!((replayed.gas_used, replayed.data_bytes), (built.gas_used, built.data_bytes));

    // The snapshot of many layers says what the diff says.
    for (diff, _) in built.diff.accounts() {
        assert_eq!(view.account(&diff.address).unwrap(), diff.account);
    }
    let layered = LayeredView::new(world.view(), vec![built.diff.clone()]);
    assert_eq!(slot(&layered, CONTRACT, 0), U256::from(8));

    let roots = StateRoots {
        state_root: B256::repeat_byte(1),
        message_passer_storage_root: B256::repeat_byte(2),
    };
    let sealed = assemble(built, roots);
    let header = &sealed.block.header;
    assert_eq!((header.number, header.gas_used), (42, replayed.gas_used));
    assert_eq!(header.withdrawals_root, Some(B256::repeat_byte(2)));
    assert_eq!(header.requests_hash, Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH));
    assert_eq!(header.hash(), header.header().hash_slow());
}

#[test]
fn replay_names_the_transaction_that_cannot_be() {
    let world = World::new();
    let transactions = [signed(transfer(0), ALICE), signed(transfer(2), ALICE)];
    let error = executor().replay(attributes(), &transactions, &[], world.view()).unwrap_err();
    let ExecuteError::InvalidTransaction { index: 1, hash, reason } = error else {
        panic!("{error}")
    };
    assert_eq!(hash, transactions[1].hash());
    assert_eq!(*reason, Rejection::NonceTooHigh { transaction: 2, state: 1 });
}

#[test]
fn contracts_come_and_go() {
    // Init code that self-destructs to Bob at once, with the value it was sent.
    let input = [&[0x73], BOB.as_slice(), &[0xff]].concat();
    let mut tx = transfer(0);
    (tx.to, tx.value, tx.input) = (TxKind::Create, U256::from(5), input.into());
    let world = World::new();
    let mut block = world.open();
    assert!(include(&mut block, candidate(tx)).receipt.success);
    let view = block.view();
    assert_eq!(balance(&view, BOB), U256::from(5));
    let created = ALICE.create(0);
    assert_eq!(view.account(&created).unwrap(), None);
    // It was never there, so there is nothing to remove.
    assert!(block.finish().unwrap().diff.account(&created).is_none());
}

#[test]
fn a_block_can_change_threads() {
    fn check<T: Send>(_: &T) {}
    check(&World::new().open());
}
