//! The waypoints' encoding: what comes back is what went in, and nothing makes it panic or grow.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use millrace_sequencer::journal::{
    FrameError,
    waypoints::{WaypointsError, decode, encode},
};
use millrace_types::{
    Account, AccountDiff, DiffBuilder, ExecutedBlock, SlotDiff, StateDiff, Transaction, Waypoint,
};
use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::fixture::{GENESIS, block, with_waypoints};

/// Numbers of every length, since that is what the encoding depends on.
fn numbers() -> impl Strategy<Value = U256> {
    (any::<[u8; 32]>(), 0..=256_usize).prop_map(|(bytes, shift)| {
        U256::from_be_bytes(bytes).checked_shr(shift).unwrap_or_default()
    })
}

fn accounts() -> impl Strategy<Value = (AccountDiff, Vec<SlotDiff>)> {
    let address = any::<[u8; 20]>().prop_map(Address::from);
    let account = (any::<u64>(), numbers(), option::of(any::<[u8; 32]>()));
    let account = account.prop_map(|(nonce, balance, code_hash)| Account {
        nonce,
        balance,
        bytecode_hash: code_hash.map(B256::from),
    });
    (address, option::of(account), any::<bool>(), vec((numbers(), numbers()), 0..5)).prop_map(
        |(address, account, wiped, slots)| (AccountDiff { address, account, wiped }, slots),
    )
}

fn diffs() -> impl Strategy<Value = StateDiff> {
    let codes = vec(vec(any::<u8>(), 0..100).prop_map(Bytes::from), 0..3);
    (vec(accounts(), 0..12), codes).prop_map(|(accounts, codes)| {
        let mut diff = DiffBuilder::default();
        accounts.into_iter().for_each(|(account, slots)| diff.change(account, slots));
        codes.into_iter().for_each(|code| diff.deploy(keccak256(&code), code));
        diff.build()
    })
}

/// A block with enough gas, in stretches that end at these places and at its end.
fn blocks() -> impl Strategy<Value = ExecutedBlock> {
    (50..80_usize, vec((any::<Index>(), diffs()), 1..40), diffs()).prop_map(
        |(transfers, stretches, last)| {
            let mut executed = block(GENESIS, 0, transfers);
            let length = executed.receipts.len();
            let mut ends: Vec<_> = stretches.iter().map(|(end, _)| end.index(length)).collect();
            ends.sort_unstable();
            ends.push(length);
            // Parties of the block, who are told by their places, beside strangers.
            let parties = |end: &usize, diff: &mut StateDiff| {
                let party = &executed.block.transactions[end.saturating_sub(1)];
                let addresses = [party.sender(), party.to().unwrap_or_default()];
                let changed = addresses.into_iter().zip(diff.accounts());
                let changed = changed.map(|(address, (account, slots))| {
                    (AccountDiff { address, ..*account }, slots.iter().copied())
                });
                *diff = StateDiff::merge([&*diff, &changed.collect()]);
            };
            let mut diffs: Vec<_> =
                stretches.into_iter().map(|(_, diff)| diff).chain([last]).collect();
            ends.iter().zip(&mut diffs).for_each(|(end, diff)| parties(end, diff));
            let waypoint = |(transactions, diff)| Waypoint { transactions, diff: Arc::new(diff) };
            executed.waypoints = ends.into_iter().zip(diffs).map(waypoint).collect();
            executed
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn waypoints_come_back_as_they_were(executed in blocks()) {
        let coalesced = Waypoint::coalesce(&executed.waypoints, &executed.receipts, 16);
        match encode(&executed) {
            Some(stored) => prop_assert_eq!(decode(&stored, &executed.block.transactions).unwrap(), coalesced),
            None => prop_assert_eq!(coalesced.len(), 1),
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read_but_never_panic(
        bytes in vec(any::<u8>(), 0..300), wrapped in any::<bool>(), transfers in 0..200_usize,
    ) {
        let transactions = block(GENESIS, 0, transfers).block.transactions.clone();
        // Random bytes hardly ever pass for a zstd frame, so every other time they get a real one.
        let bytes = if wrapped { frame(&bytes) } else { bytes };
        if let Ok(waypoints) = decode(&bytes, &transactions) {
            let end = waypoints.last().map_or(0, |waypoint| waypoint.transactions);
            prop_assert_eq!(end, transactions.len());
        }
    }

    #[test]
    fn a_flipped_byte_is_noticed(executed in blocks(), at in any::<Index>(), flip in 1..=255_u8) {
        if let Some(mut stored) = encode(&executed) {
            let transactions = &executed.block.transactions;
            let written = decode(&stored, transactions).unwrap();
            let at = at.index(stored.len());
            stored[at] ^= flip;
            // A few bits of a zstd frame mean nothing; what matters is that no other waypoints come out.
            if let Ok(read) = decode(&stored, transactions) {
                prop_assert_eq!(read, written);
            }
        }
    }

    /// As an encoder with a mistake would write it: the checksum is right, the content is not.
    #[test]
    fn a_flipped_byte_inside_never_panics(executed in blocks(), at in any::<Index>(), flip in 1..=255_u8) {
        if let Some(stored) = encode(&executed) {
            let mut payload = zstd::decode_all(&stored[1..]).unwrap();
            let at = at.index(payload.len());
            payload[at] ^= flip;
            let transactions = &executed.block.transactions;
            if let Ok(read) = decode(&frame(&payload), transactions) {
                prop_assert!(read.is_sorted_by_key(|waypoint| waypoint.transactions));
                prop_assert_eq!(read.last().unwrap().transactions, transactions.len());
            }
        }
    }
}

/// The version byte and a frame around some content.
fn frame(content: &[u8]) -> Vec<u8> {
    [&[1], zstd::encode_all(content, 1).unwrap().as_slice()].concat()
}

#[test]
fn only_blocks_that_gain_by_it_have_any() {
    let recorded = with_waypoints(block(GENESIS, 0, 60), 20);
    assert_eq!(decode(&encode(&recorded).unwrap(), &recorded.block.transactions).unwrap().len(), 4);

    let check_none = |why: &str, change: &dyn Fn(&mut ExecutedBlock)| {
        let mut changed = recorded.clone();
        change(&mut changed);
        assert_eq!(encode(&changed), None, "{why}");
    };
    check_none("little gas", &|block| {
        Arc::make_mut(&mut block.receipts).last_mut().unwrap().cumulative_gas_used = 999_999;
    });
    check_none("none recorded", &|block| block.waypoints.clear());
    check_none("one stretch", &|block| drop(block.waypoints.drain(..4)));
    check_none("a part of the block", &|block| drop(block.waypoints.pop()));
    check_none("no receipts", &|block| block.receipts = Arc::default());
}

#[test]
fn many_stretches_become_few() {
    let recorded = with_waypoints(block(GENESIS, 0, 500), 1);
    assert_eq!(recorded.waypoints.len(), 502);
    let read = decode(&encode(&recorded).unwrap(), &recorded.block.transactions).unwrap();
    assert_eq!(read.len(), 16);
}

#[test]
fn refuses_what_would_grow() {
    let transactions = block(GENESIS, 0, 16).block.transactions.clone();
    // One more byte than a frame may hold.
    let zeros = std::io::Read::take(std::io::repeat(0), (32 << 20) + 1);
    let bomb = [&[1], zstd::encode_all(zeros, 1).unwrap().as_slice()].concat();
    assert!(bomb.len() < 100_000, "{} bytes are no bomb", bomb.len());
    assert!(matches!(
        decode(&bomb, &transactions),
        Err(WaypointsError::Frame(FrameError::TooLarge(_)))
    ));

    // Stretches without end, each of one transaction and no change: 1, no accounts, no codes.
    let many = frame(&[1, 0x80, 0x80].repeat(17));
    assert!(matches!(decode(&many, &transactions), Err(WaypointsError::TooMany)));
    assert_eq!(decode(&frame(&[1, 0x80, 0x80].repeat(16)), &transactions[..16]).unwrap().len(), 16);

    // A number of accounts that is not there must not be made room for.
    let lying = frame(&[&[1, 0x88], [0xff; 8].as_slice()].concat());
    assert!(matches!(decode(&lying, &transactions), Err(WaypointsError::Malformed(_))));
}

#[test]
fn refuses_waypoints_of_another_block() {
    let executed = with_waypoints(block(GENESIS, 0, 60), 20);
    let stored = encode(&executed).unwrap();
    let refused = |transactions: &[Arc<Transaction>]| decode(&stored, transactions).unwrap_err();
    // Somebody who is named by his place is not there.
    assert!(matches!(refused(&executed.block.transactions[..60]), WaypointsError::Malformed(_)));
    assert!(matches!(refused(&[]), WaypointsError::Malformed(_)));
    let longer = block(GENESIS, 0, 61).block.transactions.clone();
    assert!(matches!(refused(&longer), WaypointsError::OtherLength));
}

/// What an account with so many wei and nothing else adds before compression.
fn check_size(address: Address, expected: usize) {
    let account = Account { nonce: 7, balance: U256::from(1_u64) << 79, bytecode_hash: None };
    let diff = AccountDiff { address, account: Some(account), wiped: false };
    let mut executed = with_waypoints(block(GENESIS, 0, 60), 20);
    let payload =
        |executed: &ExecutedBlock| zstd::decode_all(&encode(executed).unwrap()[1..]).unwrap().len();
    let before = payload(&executed);
    let last = Arc::make_mut(&mut executed.waypoints[4].diff);
    *last = StateDiff::merge([&*last, &StateDiff::from_iter([(diff, [])])]);
    assert_eq!(payload(&executed) - before, expected);
}

#[test]
fn an_account_takes_few_bytes() {
    let (flags, nonce, balance) = (1, 1, 11);
    // A stranger takes his address; a party of an early transfer a place of one byte.
    check_size(Address::repeat_byte(0xaa), 1 + 20 + flags + nonce + balance);
    let transactions = block(GENESIS, 0, 60).block.transactions.clone();
    check_size(transactions[5].sender(), 1 + flags + nonce + balance);
}
