//! Runs derivation over a world, with interruptions, and compares what comes out with what should.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use alloy_primitives::Bytes;
use millrace_derivation::{
    Derivation, L2Ref, Provenance, PushError, SafeBlock, SafeChain, Start, Step,
};
use millrace_protocol::BlockId;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{execution::Content, world::World};

/// A derived block: which one, from which L1 block and why.
pub(crate) type Derived = (L2Ref, BlockId, Provenance);

/// The blocks that were derived, of which some are not at hand when they are asked for.
struct Chain {
    blocks: BTreeMap<u64, SafeBlock>,
    dice: RefCell<StdRng>,
}

impl SafeChain for Chain {
    fn safe_block(&self, number: u64) -> Option<SafeBlock> {
        let at_hand = self.dice.borrow_mut().random_ratio(3, 4);
        at_hand.then(|| self.blocks[&number].clone())
    }
}

/// A derivation at work.
pub(crate) struct Drive {
    derivation: Derivation,
    chain: Chain,
    pub(crate) derived: Vec<Derived>,
    /// What had been derived when an L1 block was used up.
    pub(crate) progress: BTreeMap<u64, Start>,
    dice: StdRng,
}

impl Drive {
    /// Begins here. The blocks up to the start are those of the world's model.
    pub(crate) fn new(world: &World, start: Start, seed: u64) -> Self {
        let blocks = world.model.chain.iter().take(start.safe.id.number as usize + 1);
        let blocks = blocks.map(|made| {
            (
                made.block.id.number,
                SafeBlock { block: made.block, transactions: made.transactions.clone() },
            )
        });
        Self::behind(world, blocks.collect(), start, seed)
    }

    /// Begins again here, with what this one has derived.
    pub(crate) fn again(&self, world: &World, start: Start, seed: u64) -> Self {
        Self::behind(world, self.chain.blocks.clone(), start, seed)
    }

    fn behind(world: &World, blocks: BTreeMap<u64, SafeBlock>, start: Start, seed: u64) -> Self {
        Self {
            derivation: Derivation::new(Arc::new(world.config.clone()), start).unwrap(),
            chain: Chain { blocks, dice: RefCell::new(StdRng::seed_from_u64(seed)) },
            derived: Vec::new(),
            progress: BTreeMap::new(),
            dice: StdRng::seed_from_u64(seed),
        }
    }

    /// Derives all that the world's L1 says.
    pub(crate) fn run(&mut self, world: &World) -> Result<(), PushError> {
        loop {
            let first = world.config.genesis.l1.number;
            match self.derivation.step(&self.chain) {
                Step::NeedSafeBlock { number } => {
                    assert!(number <= self.derivation.safe().id.number)
                }
                Step::NeedL1 { number } => {
                    if let Some(l1) = self.derivation.l1() {
                        let start = Start::resumed(*self.derivation.safe(), l1);
                        self.progress.insert(l1.number, start);
                    }
                    let Some(block) = world.l1.get((number - first) as usize) else {
                        return Ok(());
                    };
                    self.derivation.push(block)?;
                }
                Step::Attributes(attributes) => {
                    if self.dice.random_ratio(1, 5) {
                        let again = self.derivation.step(&self.chain);
                        assert_eq!(again, Step::Attributes(attributes.clone()));
                    }
                    let content = Content::from(&*attributes);
                    if content.is_valid() {
                        let block = content.seal();
                        let transactions: Vec<Bytes> = content.transactions;
                        let number = block.id.number;
                        self.derivation.accept(block);
                        self.chain.blocks.insert(number, SafeBlock { block, transactions });
                        self.derived.push((block, attributes.derived_from, attributes.provenance));
                    } else {
                        self.derivation.reject().unwrap();
                    }
                }
            }
        }
    }
}

/// What the model says comes behind this block.
pub(crate) fn expected(world: &World, safe: &L2Ref) -> Vec<Derived> {
    let behind = &world.model.chain[safe.id.number as usize + 1..];
    behind.iter().map(|made| made.from.map(|(l1, why)| (made.block, l1, why)).unwrap()).collect()
}

/// Derives the world from this start on and compares every block.
#[track_caller]
pub(crate) fn check(world: &World, start: Start, seed: u64) -> Drive {
    let mut drive = Drive::new(world, start, seed);
    drive.run(world).unwrap();
    let expected = expected(world, &start.safe);
    for (actual, expected) in drive.derived.iter().zip(&expected) {
        assert_eq!(actual, expected, "from {start:?}");
    }
    assert_eq!(drive.derived.len(), expected.len(), "from {start:?}");
    drive
}
