//! The index against a simple model, and against the journal.

use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, U256};
use millrace_sequencer::{
    index::{Index, IndexError},
    journal::Journal,
};
use millrace_types::{ExecutedBlock, Receipt};
use proptest::{collection::vec, prelude::*};

use super::fixture::{GENESIS, IDENTITY, block, chain, extend, log};

/// A log of small numbers, so that filters meet it.
type SmallLog = (u8, Vec<u8>);

#[derive(Debug, Clone)]
enum Step {
    /// A block with so many transfers and these logs.
    Add(usize, Vec<SmallLog>),
    /// So many blocks backwards.
    Rewind(usize),
    /// Close and open again.
    Reopen,
}

#[derive(Debug, Clone)]
struct Filter {
    from: u64,
    length: u64,
    addresses: Vec<u8>,
    topics: Vec<Vec<u8>>,
}

fn small_log() -> impl Strategy<Value = SmallLog> {
    (0..4_u8, vec(0..4_u8, 0..=4))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3_usize, vec(small_log(), 0..3)).prop_map(|(transfers, logs)| Step::Add(transfers, logs)),
        2 => (0..6_usize).prop_map(Step::Rewind),
        1 => Just(Step::Reopen),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    (0..40_u64, 0..40_u64, vec(0..4_u8, 0..3), vec(vec(0..4_u8, 0..3), 0..4))
        .prop_map(|(from, length, addresses, topics)| Filter { from, length, addresses, topics })
}

fn address(small: u8) -> Address {
    Address::with_last_byte(small)
}

fn topic(small: u8) -> B256 {
    // Some with zeros in front, some with zeros behind.
    if small.is_multiple_of(2) {
        B256::with_last_byte(small)
    } else {
        U256::from(small).wrapping_shl(248).into()
    }
}

impl Filter {
    fn matches(&self, (emitter, topics): &SmallLog) -> bool {
        let among = |wanted: &[u8], value: &u8| wanted.is_empty() || wanted.contains(value);
        among(&self.addresses, emitter)
            && self.topics.len() <= topics.len()
            && self.topics.iter().zip(topics).all(|(wanted, value)| among(wanted, value))
    }

    fn candidates(&self, index: &Index) -> Vec<u64> {
        let addresses: Vec<_> = self.addresses.iter().map(|small| address(*small)).collect();
        let topics: Vec<Vec<_>> = self
            .topics
            .iter()
            .map(|list| list.iter().map(|small| topic(*small)).collect())
            .collect();
        let range = self.from..=self.from + self.length;
        index.log_candidates(range, &addresses, &topics).unwrap().map(Result::unwrap).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn agrees_with_the_model(steps in vec(step(), 1..40), filters in vec(filter(), 12)) {
        let directory = tempfile::tempdir().unwrap();
        let mut index = Index::open(directory.path()).unwrap();
        let mut chain: Vec<(ExecutedBlock, Vec<SmallLog>)> = Vec::new();
        let mut gone: Vec<ExecutedBlock> = Vec::new();
        for (seed, step) in (0_u64..).zip(steps) {
            match step {
                Step::Add(transfers, logs) => {
                    let parent = chain.last().map_or(GENESIS, |(tip, _)| tip.block.header.num_hash());
                    let mut next = block(parent, seed, transfers);
                    let mut receipts: Vec<Receipt> = next.receipts.to_vec();
                    receipts[0].logs = logs.iter().map(|(emitter, topics)| {
                        log(address(*emitter), topics.iter().map(|small| topic(*small)).collect())
                    }).collect();
                    next.receipts = receipts.into();
                    // A transaction of a block that is gone comes back elsewhere.
                    if let Some(returning) = gone.iter().rev().flat_map(|gone| &gone.block.transactions[1..]).next() {
                        let mut block = (*next.block).clone();
                        block.transactions.push(returning.clone());
                        let mut receipts: Vec<Receipt> = next.receipts.to_vec();
                        receipts.push(Receipt { logs: Vec::new(), ..receipts[0].clone() });
                        next = ExecutedBlock { block: block.into(), receipts: receipts.into(), diff: next.diff, waypoints: next.waypoints };
                        gone.clear();
                    }
                    index.add(&next.block, &next.receipts).unwrap();
                    chain.push((next, logs));
                }
                Step::Rewind(depth) => {
                    let to = chain.len().saturating_sub(depth);
                    index.rewind(to as u64).unwrap();
                    gone.extend(chain.drain(to..).map(|(block, _)| block));
                }
                Step::Reopen => {
                    drop(index);
                    index = Index::open(directory.path()).unwrap();
                }
            }
            let tip = chain.last().map(|(tip, _)| tip.block.number());
            prop_assert_eq!(index.watermark().unwrap(), tip);
        }

        let mut known = alloy_primitives::map::B256Map::default();
        for (block, _) in &chain {
            let BlockNumHash { number, hash } = block.block.header.num_hash();
            prop_assert_eq!(index.block_number(&hash).unwrap(), Some(number));
            prop_assert_eq!(index.hash(number).unwrap(), Some(hash));
            known.extend(block.block.transactions.iter().enumerate().map(|(at, tx)| (tx.hash(), (number, at))));
        }
        for (hash, place) in &known {
            prop_assert_eq!(index.transaction(hash).unwrap(), Some(*place));
        }
        for gone in &gone {
            prop_assert_eq!(index.block_number(&gone.block.header.hash()).unwrap(), None);
            for tx in &gone.block.transactions {
                prop_assert_eq!(index.transaction(&tx.hash()).unwrap(), known.get(&tx.hash()).copied());
            }
        }
        for filter in filters {
            let candidates = filter.candidates(&index);
            prop_assert!(candidates.is_sorted_by(|a, b| a < b), "{:?}", candidates);
            let range = filter.from..=filter.from + filter.length;
            prop_assert!(candidates.iter().all(|number| range.contains(number)));
            for (block, logs) in &chain {
                let number = block.block.number();
                if range.contains(&number) && logs.iter().any(|log| filter.matches(log)) {
                    prop_assert!(candidates.contains(&number), "{filter:?} misses {number}");
                }
            }
        }
    }
}

/// A chain in which one log in a thousand blocks is rare, and one is everywhere.
#[test]
fn a_rare_topic_leads_straight_to_its_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let index = Index::open(directory.path()).unwrap();
    let (common, rare) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let emitter = Address::repeat_byte(3);
    let mut parent = GENESIS;
    for number in 1..=5000 {
        let mut next = block(parent, 0, 0);
        let mut receipts = next.receipts.to_vec();
        let topic = if number % 1000 == 7 { rare } else { common };
        receipts[0].logs = vec![log(emitter, vec![topic])];
        next.receipts = receipts.into();
        index.add(&next.block, &next.receipts).unwrap();
        parent = next.block.header.num_hash();
    }
    let candidates = |range, addresses: &[Address], topics: &[Vec<B256>]| {
        let found = index.log_candidates(range, addresses, topics).unwrap();
        found.collect::<Result<Vec<u64>, IndexError>>().unwrap()
    };
    let expected = vec![7, 1007, 2007, 3007, 4007];
    assert_eq!(candidates(0..=5000, &[], &[vec![rare]])[1..], expected);
    assert_eq!(candidates(1..=5000, &[emitter], &[vec![rare]]), expected);
    assert_eq!(candidates(1..=5000, &[], &[vec![], vec![rare]]), Vec::<u64>::new());
    assert_eq!(candidates(1..=5000, &[Address::ZERO], &[vec![rare]]), Vec::<u64>::new());
    assert_eq!(candidates(1..=5000, &[emitter], &[]), (1..=5000).collect::<Vec<_>>());
    assert_eq!(candidates(1000..=2000, &[], &[vec![rare, B256::ZERO]]), vec![1007]);
    // Genesis is not indexed, nor is what comes after the tip: these count as candidates.
    assert_eq!(candidates(0..=0, &[], &[vec![rare]]), vec![0]);
    assert_eq!(candidates(4990..=5002, &[], &[vec![rare]]), vec![5001, 5002]);
}

#[test]
fn refuses_a_block_that_does_not_follow() {
    let directory = tempfile::tempdir().unwrap();
    let index = Index::open(directory.path()).unwrap();
    let blocks = chain(3);
    index.add(&blocks[0].block, &blocks[0].receipts).unwrap();
    for wrong in [&blocks[0], &blocks[2], &block(BlockNumHash::new(1, B256::ZERO), 0, 0)] {
        let error = index.add(&wrong.block, &wrong.receipts).unwrap_err();
        assert!(matches!(error, IndexError::NotNext { .. }), "{error}");
    }
    index.add(&blocks[1].block, &blocks[1].receipts).unwrap();
    assert_eq!(index.watermark().unwrap(), Some(2));
}

#[tokio::test]
async fn catches_up_with_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let location = directory.path().join("journal.sqlite").into();
    let journal = Journal::open(&location, IDENTITY).await.unwrap();
    let mut blocks = chain(30);
    let open = |name: &str| Index::open(&directory.path().join(name)).unwrap();
    let check = |index: &Index, blocks: &[ExecutedBlock]| {
        assert_eq!(index.watermark().unwrap(), blocks.last().map(|tip| tip.block.number()));
        for block in blocks {
            for (at, tx) in block.block.transactions.iter().enumerate() {
                let place = Some((block.block.number(), at));
                assert_eq!(index.transaction(&tx.hash()).unwrap(), place);
            }
        }
    };
    let index = open("index");
    assert_eq!(index.catch_up(&journal).await.unwrap(), 0);
    journal.append_group(&blocks).await.unwrap();
    assert_eq!(index.catch_up(&journal).await.unwrap(), 30);
    assert_eq!(index.catch_up(&journal).await.unwrap(), 0);
    check(&index, &blocks);

    // The journal went another way while the index slept.
    journal.rewind(20).await.unwrap();
    let removed = blocks.split_off(20);
    blocks.extend(extend(blocks[19].block.header.num_hash(), 9, 15));
    journal.append_group(&blocks[20..]).await.unwrap();
    assert_eq!(index.catch_up(&journal).await.unwrap(), 15);
    check(&index, &blocks);
    assert_eq!(index.transaction(&removed[3].block.transactions[0].hash()).unwrap(), None);

    // The journal only became shorter.
    journal.rewind(5).await.unwrap();
    assert_eq!(index.catch_up(&journal).await.unwrap(), 0);
    check(&index, &blocks[..5]);

    // A lost directory costs the time to fill it again.
    let anew = open("anew");
    assert_eq!(anew.catch_up(&journal).await.unwrap(), 5);
    check(&anew, &blocks[..5]);
}
