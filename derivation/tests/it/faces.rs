//! What the caller sees: where reading begins, what is refused, and what a block is made of.

use std::sync::Arc;

use alloy_primitives::{B256, Bytes};
use millrace_derivation::{
    Derivation, L2Ref, Provenance, PushError, SafeBlock, SafeChain, Start, StartError, Step,
};
use millrace_protocol::{BlockId, ChainSpec, L1Block, OptimismSpec};

use crate::{
    batcher::Habits,
    execution::{Content, poison},
    world::World,
};

/// No batch in these tests overlaps anything.
struct NoChain;

impl SafeChain for NoChain {
    fn safe_block(&self, number: u64) -> Option<SafeBlock> {
        panic!("asked for block {number}")
    }
}

fn world() -> World {
    World::grown(1, Habits::GOOD, 40)
}

fn at_genesis(world: &World) -> Derivation {
    Derivation::new(Arc::new(world.config.clone()), Start::genesis(&world.config)).unwrap()
}

/// Pushes until there is a block to make.
fn first_attributes(
    world: &World,
    derivation: &mut Derivation,
) -> Arc<millrace_derivation::Attributes> {
    loop {
        match derivation.step(&NoChain) {
            Step::NeedL1 { number } => {
                derivation.push(l1_block(world, number)).unwrap();
            }
            Step::Attributes(attributes) => return attributes,
            Step::NeedSafeBlock { number } => panic!("asked for block {number}"),
        }
    }
}

fn l1_block(world: &World, number: u64) -> &L1Block {
    &world.l1[(number - world.config.genesis.l1.number) as usize]
}

#[test]
fn derivation_can_move_to_another_thread() {
    const fn check<T: Send>() {}
    check::<Derivation>();
}

#[test]
fn reading_begins_where_a_channel_may_have_been_opened() {
    let mut config = world().config;
    config.channel_timeout = 10;
    let genesis = config.genesis.l1.number;
    let check = |origin, read, first: u64| {
        let id = |number| BlockId { number, hash: B256::ZERO };
        let safe = L2Ref { origin: id(genesis + origin), ..Start::genesis(&config).safe };
        let start = Start::resumed(safe, id(genesis + read));
        assert_eq!(start.first_l1(&config), genesis + first);
        if origin == read {
            assert_eq!(Start::at(safe).first_l1(&config), genesis + first);
        }
    };
    assert_eq!(Start::genesis(&config).first_l1(&config), genesis);
    check(10, 10, 0);
    check(5, 5, 0);
    check(100, 100, 90);
    check(100, 105, 95);
    // The epochs are needed from the safe block's on.
    check(100, 200, 100);
}

#[test]
fn what_cannot_be_derived_is_refused() {
    let world = world();
    let start = Start::genesis(&world.config);
    let check = |config, start, expected: StartError| {
        let refused = Derivation::new(Arc::new(config), start).unwrap_err();
        assert_eq!(refused, expected);
    };
    let spec = world.config.spec.as_optimism().unwrap().clone();
    let late = OptimismSpec { isthmus_time: Some(world.config.genesis.l2_time + 1), ..spec };
    let late = ChainSpec::optimism(901, late).unwrap();
    check(
        millrace_protocol::RollupConfig { spec: late, ..world.config.clone() },
        start,
        StartError::Forks,
    );
    let mut still = world.config.clone();
    still.block_time = 0;
    check(still, start, StartError::BlockTime);
    let (number, timestamp) = (3, world.config.genesis.l2_time + 1);
    let id = BlockId { number, hash: B256::ZERO };
    let odd = Start::at(L2Ref { id, timestamp, ..start.safe });
    check(world.config, odd, StartError::SafeBlock { number, timestamp });
}

#[test]
fn l1_blocks_come_in_order_and_when_asked_for() {
    let world = world();
    let mut derivation = at_genesis(&world);
    let first = world.config.genesis.l1.number;
    assert_eq!(derivation.step(&NoChain), Step::NeedL1 { number: first });
    let wrong = PushError::Number { expected: first, actual: first + 1 };
    assert_eq!(derivation.push(l1_block(&world, first + 1)), Err(wrong));

    derivation.push(l1_block(&world, first)).unwrap();
    assert_eq!(derivation.step(&NoChain), Step::NeedL1 { number: first + 1 });
    let wrong = PushError::Number { expected: first + 1, actual: first };
    assert_eq!(derivation.push(l1_block(&world, first)), Err(wrong));

    let attributes = first_attributes(&world, &mut derivation);
    let next = derivation.l1().unwrap().number + 1;
    assert_eq!(derivation.push(l1_block(&world, next)), Err(PushError::Unasked));
    derivation.accept(Content::from(&*attributes).seal());
    assert_eq!(derivation.safe().id.number, 1);
}

#[test]
fn another_l1_is_noticed_by_every_block_that_is_known() {
    let world = world();
    let first = world.config.genesis.l1.number;
    let mut other = l1_block(&world, first).clone();
    other.header.hash = B256::ZERO;
    let reorg = |number: u64, expected, actual| Err(PushError::Reorg { number, expected, actual });
    let known = l1_block(&world, first).header.hash;
    assert_eq!(at_genesis(&world).push(&other), reorg(first, known, B256::ZERO));

    let mut derivation = at_genesis(&world);
    derivation.push(l1_block(&world, first)).unwrap();
    derivation.step(&NoChain);
    let mut other = l1_block(&world, first + 1).clone();
    other.header.parent_hash = B256::ZERO;
    assert_eq!(derivation.push(&other), reorg(first, known, B256::ZERO));

    // The block that had been read before, further on than the safe block's origin.
    let read = BlockId { number: first + 2, hash: B256::ZERO };
    let start = Start::resumed(Start::genesis(&world.config).safe, read);
    let mut derivation = Derivation::new(Arc::new(world.config.clone()), start).unwrap();
    for number in first..first + 2 {
        derivation.push(l1_block(&world, number)).unwrap();
        derivation.step(&NoChain);
    }
    let actual = l1_block(&world, first + 2).header.hash;
    let pushed = derivation.push(l1_block(&world, first + 2));
    assert_eq!(pushed, reorg(first + 2, B256::ZERO, actual));
}

#[test]
fn a_rejected_block_keeps_its_deposits_and_nothing_else() {
    let mut world = world();
    // One transaction more in the first batch, by hand: nobody can execute it.
    let mut derivation = at_genesis(&world);
    let attributes = first_attributes(&world, &mut derivation);
    assert_eq!(attributes.provenance, Provenance::Batch);
    let l1 = (attributes.derived_from.number - world.config.genesis.l1.number) as usize;
    let transactions = vec![poison(), Bytes::from_static(&[1])];
    world.l1[l1].inbox = vec![crate::batcher::one_batch(&attributes, transactions.clone())];

    let mut derivation = at_genesis(&world);
    let bad = first_attributes(&world, &mut derivation);
    assert_eq!(bad.transactions, transactions);
    derivation.reject().unwrap();
    let Step::Attributes(replacement) = derivation.step(&NoChain) else { panic!("no replacement") };
    assert_eq!(replacement.provenance, Provenance::Replacement);
    assert!(replacement.transactions.is_empty());
    let (mut same, bad) = ((*replacement).clone(), (*bad).clone());
    same.transactions = transactions;
    same.provenance = Provenance::Batch;
    assert_eq!(same, bad);
    assert_eq!(derivation.reject().unwrap_err().number, 1, "deposits are never invalid");
}

#[test]
#[should_panic(expected = "was not made of what was offered")]
fn another_block_than_the_offered_one_is_a_bug() {
    let world = world();
    let mut derivation = at_genesis(&world);
    let attributes = first_attributes(&world, &mut derivation);
    let mut block = Content::from(&*attributes).seal();
    block.timestamp += 1;
    derivation.accept(block);
}
