use std::{cell::RefCell, collections::BTreeMap};

use alloy_primitives::B256;
use millrace_protocol::{BlockId, SpanBlock, SpanBuilder};

use super::*;
use crate::fixtures::{
    BLOCK_TIME, DRIFT, GENESIS_TIME, L1_GENESIS, Place, WINDOW, channel, config, l1_block, l1_hash,
    l2_ref, singular, span, transaction,
};

const A: u64 = L1_GENESIS;
const B: u64 = L1_GENESIS + 1;
const C: u64 = L1_GENESIS + 2;

/// A chain with its blocks at hand, or only the one that was last asked for.
#[derive(Debug, Default)]
struct Chain {
    blocks: BTreeMap<u64, SafeBlock>,
    /// If there is anything in it, only this block is at hand.
    at_hand: Option<RefCell<u64>>,
}

impl SafeChain for Chain {
    fn safe_block(&self, number: u64) -> Option<SafeBlock> {
        if let Some(at_hand) = &self.at_hand
            && at_hand.replace(number) != number
        {
            return None;
        }
        Some(self.blocks[&number].clone())
    }
}

/// The stage with batches before it and a safe chain behind it.
struct Bench {
    place: Place,
    chain: Chain,
    source: BatchSource,
    stage: BatchStage,
    /// How often a safe block was not at hand.
    waits: usize,
}

impl Bench {
    /// The safe chain ends with block 5, whose origin is `B`, as is that of block 4; what came before has origin `A`.
    /// Block `n` holds one transaction of nonce `n`. L1 has been read up to the block behind `C`.
    fn new(inbox: Vec<Bytes>) -> Self {
        let time = |number| GENESIS_TIME + number * BLOCK_TIME;
        let place = Place::new(5, B, &[time(4), time(7), time(9)]);
        let mut source = BatchSource::new(&place.config);
        source.load(&l1_block(C + 1, time(9), inbox));
        let mut bench =
            Self { place, chain: Chain::default(), source, stage: BatchStage::default(), waits: 0 };
        for number in 0..=5 {
            bench.add(l2_ref(number, if number < 4 { A } else { B }), vec![transaction(number)]);
        }
        bench
    }

    fn add(&mut self, block: L2Ref, transactions: Vec<Bytes>) {
        self.chain.blocks.insert(block.id.number, SafeBlock { block, transactions });
        self.place.safe = block;
    }

    /// Makes blocks until there are no more: their origins and numbers of transactions.
    fn run(&mut self) -> Vec<(u64, usize)> {
        let mut made = Vec::new();
        loop {
            let next = self.stage.next(&self.place.frontier(), &mut self.source, &self.chain);
            let (origin, transactions) = match next {
                Ok(None) => return made,
                Ok(Some(next)) => (next.epoch.header.number, next.transactions),
                Err(Wanted(number)) => {
                    assert!(number <= self.place.safe.id.number);
                    self.waits += 1;
                    continue;
                }
            };
            made.push((origin, transactions.len()));
            self.add(l2_ref(self.place.safe.id.number + 1, origin), transactions);
        }
    }
}

/// What comes of one channel of batches, with the blocks at hand or not.
#[track_caller]
fn check(batches: &[Vec<u8>], expected: &[(u64, usize)]) {
    assert_eq!(Bench::new(vec![channel(1, batches)]).run(), expected);
    let mut slow = Bench::new(vec![channel(1, batches)]);
    slow.chain.at_hand = Some(RefCell::new(0));
    assert_eq!(slow.run(), expected, "with waiting");
}

/// A batch is invalid: the rest of its channel is dropped with it, and the next channel is read.
#[track_caller]
fn check_invalid(batch: Vec<u8>) {
    let good = singular(6, B, &[1]);
    let channels = vec![channel(1, &[batch, good.clone()]), channel(2, &[good])];
    assert_eq!(Bench::new(channels[..1].to_vec()).run(), []);
    assert_eq!(Bench::new(channels).run(), [(B, 1)]);
}

/// A batch is past: it is skipped and its channel is read on.
#[track_caller]
fn check_past(batch: Vec<u8>) {
    check(&[batch, singular(6, B, &[1])], &[(B, 1)]);
}

fn encode(span: &SpanBuilder) -> Vec<u8> {
    span.encode().unwrap()
}

#[test]
fn singular_batches_follow_upon_each_other() {
    check(&[], &[]);
    check(&[singular(6, B, &[1, 2]), singular(7, C, &[])], &[(B, 2), (C, 0)]);
    check_past(singular(5, B, &[]));
    check_invalid(singular(7, B, &[]));
    check_invalid(singular(6, A, &[]));
}

#[test]
fn unreadable_batches_end_their_channel() {
    for unreadable in [vec![], vec![2], vec![0], vec![0, 1], vec![1], vec![1, 2, 3], vec![0x7e]] {
        check_invalid(unreadable);
    }
}

#[test]
fn a_span_gives_its_blocks_one_by_one() {
    let blocks: &[(u64, &[u64])] = &[(B, &[6, 7]), (C, &[]), (C, &[8])];
    check(&[encode(&span(5, B, blocks))], &[(B, 2), (C, 0), (C, 1)]);
    // Whatever follows in the channel is read on.
    let last = singular(9, C, &[1]);
    check(&[encode(&span(5, B, blocks)), last], &[(B, 2), (C, 0), (C, 1), (C, 1)]);
}

#[test]
fn a_span_may_overlap_the_safe_chain() {
    let last: (u64, &[u64]) = (C, &[1, 2]);
    let blocks: &[(u64, &[u64])] = &[(A, &[2]), (A, &[3]), (B, &[4]), (B, &[5]), (B, &[]), last];
    for skipped in 0..5 {
        let parent = 1 + skipped as u64;
        let parent_origin = if parent < 4 { A } else { B };
        let span = encode(&span(parent, parent_origin, &blocks[skipped..]));
        check(&[span], &[(B, 0), (C, 2)]);
    }
}

#[test]
fn an_overlap_that_contradicts_the_safe_chain_is_invalid() {
    let blocks = |third: (u64, &'static [u64])| {
        let last: (u64, &[u64]) = (B, &[6]);
        encode(&span(2, A, &[third, (B, &[4]), (B, &[5]), last]))
    };
    check(&[blocks((A, &[3]))], &[(B, 1)]);
    check_invalid(blocks((A, &[])));
    check_invalid(blocks((A, &[4])));
    check_invalid(blocks((A, &[3, 3])));
    check_invalid(blocks((B, &[3])));
    let last: (u64, &[u64]) = (B, &[6]);
    check_invalid(encode(&span(4, B, &[(B, &[6]), last])));
}

#[test]
fn past_and_future_spans() {
    check_past(encode(&span(0, A, &[(A, &[1]), (A, &[2])])));
    check_past(encode(&span(4, B, &[(B, &[])])));
    // Whatever else it says.
    check_past(encode(&span(4, B, &[(C, &[9])])));
    check_invalid(encode(&span(6, B, &[(B, &[])])));
}

#[test]
fn a_span_must_hit_the_blocks_of_the_safe_chain() {
    let at = |timestamp: u64, blocks: u64| {
        let mut span = SpanBuilder::new(&config(), crate::fixtures::l2_hash(5));
        for block in 0..blocks {
            let timestamp = timestamp + block * BLOCK_TIME;
            let l1_origin = BlockId { number: B, hash: l1_hash(B) };
            let block = SpanBlock { timestamp, l1_origin, sequence_number: 1 };
            span.push::<Bytes>(block, &[]).unwrap();
        }
        encode(&span)
    };
    let next = GENESIS_TIME + 6 * BLOCK_TIME;
    check(&[at(next, 2)], &[(B, 0), (B, 0)]);
    check_invalid(at(next - 1, 2));
    check_invalid(at(next - 3, 3));
    // Genesis has no parent, so no batch can hold it.
    check_invalid(at(GENESIS_TIME, 8));
}

#[test]
fn parent_and_newest_origin_are_checked_by_hash() {
    check_invalid(encode(&span(4, B, &[(B, &[6]), (B, &[7])])));
    let with = |parent_hash, origin_hash| {
        let mut span = SpanBuilder::new(&config(), parent_hash);
        let timestamp = GENESIS_TIME + 6 * BLOCK_TIME;
        let l1_origin = BlockId { number: B, hash: origin_hash };
        span.push::<Bytes>(SpanBlock { timestamp, l1_origin, sequence_number: 1 }, &[]).unwrap();
        encode(&span)
    };
    let parent = crate::fixtures::l2_hash(5);
    check(&[with(parent, l1_hash(B))], &[(B, 0)]);
    check_invalid(with(B256::ZERO, l1_hash(B)));
    check_invalid(with(parent, B256::ZERO));
    // Only twenty bytes of each are there.
    let mut half = parent;
    half[20..].fill(0);
    check(&[with(half, l1_hash(B))], &[(B, 0)]);
    half[19] ^= 1;
    check_invalid(with(half, l1_hash(B)));
}

#[test]
fn origins_of_a_span_lie_between_its_parents_and_the_newest() {
    check_invalid(encode(&span(5, B, &[(A, &[]), (B, &[])])));
    check_invalid(encode(&span(5, B, &[(C, &[]), (C + 1, &[]), (C + 2, &[])])));
    check_invalid(encode(&span(5, C, &[(C + 1, &[])])));
}

#[test]
fn what_comes_before_an_invalid_block_stays() {
    // Block 7 is older than its origin.
    let blocks: &[(u64, &[u64])] = &[(B, &[6]), (C, &[7]), (C + 1, &[8]), (C + 1, &[9])];
    let good = singular(8, C, &[1, 2, 3]);
    let channels = [channel(1, &[encode(&span(5, B, blocks)), good.clone()]), channel(2, &[good])];
    assert_eq!(Bench::new(channels[..1].to_vec()).run(), [(B, 1), (C, 1)]);
    assert_eq!(Bench::new(channels.to_vec()).run(), [(B, 1), (C, 1), (C, 3)]);
}

#[test]
fn a_span_is_late_by_its_first_block() {
    let mut bench =
        Bench::new(vec![channel(1, &[encode(&span(3, A, &[(B, &[4]), (B, &[5]), (B, &[6])]))])]);
    bench.place.l1.number = B + WINDOW;
    assert_eq!(bench.run(), [(B, 1)]);
    let blocks: &[(u64, &[u64])] = &[(A, &[3]), (B, &[4]), (B, &[5]), (B, &[6])];
    let mut bench = Bench::new(vec![channel(1, &[encode(&span(2, A, blocks))])]);
    bench.place.l1.number = B + WINDOW;
    assert_eq!(bench.run(), []);
}

#[test]
fn waiting_for_a_safe_block_loses_nothing() {
    let blocks: &[(u64, &[u64])] = &[(A, &[2]), (A, &[3]), (B, &[4]), (B, &[5]), (B, &[6])];
    let mut bench = Bench::new(vec![channel(1, &[encode(&span(1, A, blocks))])]);
    bench.chain.at_hand = Some(RefCell::new(0));
    assert_eq!(bench.run(), [(B, 1)]);
    assert_eq!(bench.waits, 5, "the parent and four blocks, each once");
}

#[test]
fn a_huge_span_takes_no_more_room_than_can_be_valid() {
    let blocks = vec![(B, &[][..]); 200_000];
    let mut bench = Bench::new(vec![channel(1, &[encode(&span(5, B, &blocks))])]);
    let next = bench.stage.next(&bench.place.frontier(), &mut bench.source, &bench.chain);
    assert!(next.unwrap().is_some());
    let room = bench.stage.span.as_ref().unwrap().elements.len() as u64;
    assert!(room < DRIFT, "{room} blocks");
    // The origin could have been left at block 7, but that rule only holds once the drift is used up.
    let last_in_drift = 4 + DRIFT / BLOCK_TIME;
    let mut bench = Bench::new(vec![channel(1, &[encode(&span(5, B, &blocks))])]);
    assert_eq!(bench.run().len() as u64, last_in_drift - 5);
}
