use alloy_primitives::{B256, Bytes};

use super::*;
use crate::fixtures::{
    BLOCK_TIME, DRIFT, GENESIS_TIME, L1_GENESIS, Place, WINDOW, l1_hash, l2_hash,
};

const TX: Bytes = Bytes::from_static(&[2, 1, 1]);

/// The timestamp of the block of this number.
const fn time(number: u64) -> u64 {
    GENESIS_TIME + number * BLOCK_TIME
}

/// A batch for the block of this number that fits behind the one before.
fn batch(number: u64, origin: u64, transactions: &[Bytes]) -> SingularBatch {
    SingularBatch {
        parent_hash: l2_hash(number - 1),
        epoch: BlockId { number: origin, hash: l1_hash(origin) },
        timestamp: time(number),
        transactions: transactions.to_vec(),
    }
}

/// Judges the batch, and if its references to other blocks are right, the same block as part of a span too.
#[track_caller]
fn check(place: &Place, batch: &SingularBatch, expected: Result<Option<u64>, Invalid>) {
    let number = |validity| match validity {
        Validity::Next(epoch) => Some(epoch.header.number),
        Validity::Past => None,
    };
    assert_eq!(place.frontier().judge_singular(batch).map(number), expected);
    let element = SpanElement {
        l1_number: batch.epoch.number,
        timestamp: batch.timestamp,
        transactions: batch.transactions.clone(),
    };
    if batch.parent_hash == place.safe.id.hash && batch.epoch.hash == l1_hash(batch.epoch.number) {
        assert_eq!(place.frontier().judge_element(&element).map(number), expected);
    }
}

/// The safe head is block 5 of the first epoch; two more L1 blocks follow, the next one at the time of block 6.
fn place() -> Place {
    Place::new(5, L1_GENESIS, &[GENESIS_TIME, time(6), time(7)])
}

#[test]
fn the_next_block_may_stay_or_advance_by_one() {
    check(&place(), &batch(6, L1_GENESIS, &[TX]), Ok(Some(L1_GENESIS)));
    check(&place(), &batch(6, L1_GENESIS + 1, &[TX]), Ok(Some(L1_GENESIS + 1)));
    check(&place(), &batch(6, L1_GENESIS + 2, &[]), Err(Invalid::OriginAhead));
}

#[test]
fn the_origin_never_goes_back() {
    let place = Place::new(5, L1_GENESIS + 1, &[time(2), time(4)]);
    check(&place, &batch(6, L1_GENESIS, &[]), Err(Invalid::OriginBehind));
}

#[test]
fn past_batches_are_told_from_future_ones() {
    check(&place(), &batch(5, L1_GENESIS, &[]), Ok(None));
    check(&place(), &batch(1, L1_GENESIS, &[]), Ok(None));
    check(&place(), &batch(7, L1_GENESIS, &[]), Err(Invalid::Future));
    // Between two blocks: the rule looks at time alone.
    let odd = |timestamp| SingularBatch { timestamp, ..batch(6, L1_GENESIS, &[]) };
    check(&place(), &odd(time(6) - 1), Ok(None));
    check(&place(), &odd(time(6) + 1), Err(Invalid::Future));
    check(&place(), &odd(0), Ok(None));
    check(&place(), &odd(u64::MAX), Err(Invalid::Future));
    // What is past is skipped whatever else is wrong with it.
    let nonsense = SingularBatch { timestamp: time(5), ..SingularBatch::default() };
    check(&place(), &nonsense, Ok(None));
}

#[test]
fn parent_and_origin_are_named_by_hash() {
    let good = batch(6, L1_GENESIS + 1, &[]);
    let other_parent = SingularBatch { parent_hash: B256::ZERO, ..good.clone() };
    check(&place(), &other_parent, Err(Invalid::Parent));
    let epoch = BlockId { number: L1_GENESIS + 1, hash: l1_hash(L1_GENESIS) };
    check(&place(), &SingularBatch { epoch, ..good }, Err(Invalid::OriginHash));
}

#[test]
fn a_batch_has_until_the_end_of_its_epochs_window() {
    let times: Vec<u64> = (0..WINDOW + 2).map(|block| time(5 + block)).collect();
    let in_time = Place::new(5, L1_GENESIS, &times[..=WINDOW as usize]);
    check(&in_time, &batch(6, L1_GENESIS, &[]), Ok(Some(L1_GENESIS)));
    let late = Place::new(5, L1_GENESIS, &times);
    check(&late, &batch(6, L1_GENESIS, &[]), Err(Invalid::Late));
    check(&late, &batch(6, L1_GENESIS + 1, &[]), Ok(Some(L1_GENESIS + 1)));
}

#[test]
fn a_block_is_never_older_than_its_origin() {
    let place = Place::new(5, L1_GENESIS, &[GENESIS_TIME, time(6) + 1, time(9)]);
    check(&place, &batch(6, L1_GENESIS + 1, &[]), Err(Invalid::BeforeOrigin));
    check(&place, &batch(6, L1_GENESIS, &[]), Ok(Some(L1_GENESIS)));
}

#[test]
fn the_drift_is_limited() {
    const LAST: u64 = DRIFT / BLOCK_TIME;
    // On the last block of the allowed drift everything goes; behind it nothing does.
    let far = time(LAST + 50);
    let at = |safe| Place::new(safe, L1_GENESIS, &[GENESIS_TIME, far]);
    check(&at(LAST - 1), &batch(LAST, L1_GENESIS, &[TX]), Ok(Some(L1_GENESIS)));
    check(&at(LAST), &batch(LAST + 1, L1_GENESIS, &[TX]), Err(Invalid::Drift));
    // An empty block is right as long as there is no newer origin to take,
    check(&at(LAST), &batch(LAST + 1, L1_GENESIS, &[]), Ok(Some(L1_GENESIS)));
    check(&at(LAST + 48), &batch(LAST + 49, L1_GENESIS, &[]), Ok(Some(L1_GENESIS)));
    check(&at(LAST + 49), &batch(LAST + 50, L1_GENESIS, &[]), Err(Invalid::OriginNotAdvanced));
    check(&at(LAST + 49), &batch(LAST + 50, L1_GENESIS + 1, &[]), Ok(Some(L1_GENESIS + 1)));
    // and taking one brings transactions back, unless that is still too far behind.
    check(&at(LAST + 49), &batch(LAST + 50, L1_GENESIS + 1, &[TX]), Ok(Some(L1_GENESIS + 1)));
    let slow = Place::new(LAST + 5, L1_GENESIS, &[GENESIS_TIME, time(1), time(2), time(3)]);
    check(&slow, &batch(LAST + 6, L1_GENESIS + 1, &[TX]), Err(Invalid::Drift));
    check(&slow, &batch(LAST + 6, L1_GENESIS + 1, &[]), Ok(Some(L1_GENESIS + 1)));
}

#[test]
fn transactions_are_neither_empty_nor_deposits() {
    let first_bytes = |bytes: &[u8]| {
        let transactions = [TX, bytes.to_vec().into()];
        place().frontier().judge_singular(&batch(6, L1_GENESIS, &transactions)).err()
    };
    assert_eq!(first_bytes(&[]), Some(Invalid::EmptyTransaction));
    assert_eq!(first_bytes(&[0x7e]), Some(Invalid::Deposit));
    assert_eq!(first_bytes(&[0x7e, 1, 2]), Some(Invalid::Deposit));
    // Everything else is left to execution; type 4 came with Isthmus.
    for first in (0..=255).filter(|first| *first != 0x7e) {
        assert_eq!(first_bytes(&[first]), None, "{first:#x}");
    }
}

/// Which epoch an empty block would fall into, with so many L1 blocks read beyond the origin.
#[track_caller]
fn check_forced(safe: u64, l1_times: &[u64], expected: Option<u64>) {
    let place = Place::new(safe, L1_GENESIS, l1_times);
    let forced = place.frontier().forced_epoch().map(|epoch| epoch.header.number - L1_GENESIS);
    assert_eq!(forced, expected, "{} L1 blocks", l1_times.len());
}

#[test]
fn empty_blocks_come_when_the_window_of_their_epoch_is_over() {
    const END: usize = WINDOW as usize;
    // L1 blocks at every third block of L2; block 5 is the last that has to stay in the first epoch.
    let times: Vec<u64> = (0..10).map(|block| time(block * 3 + 3)).collect();
    for read in 1..END {
        check_forced(4, &times[..=read], None);
    }
    // The window ends with this L1 block, and the epoch is filled up to the next one's time,
    check_forced(4, &times[..=END], Some(0));
    // whose own first block has one more L1 block to wait.
    check_forced(5, &times[..=END], None);
    check_forced(5, &times[..=END + 1], Some(1));
    // Behind schedule the epoch is filled up all the same.
    check_forced(4, &times[..=END + 3], Some(0));
}
