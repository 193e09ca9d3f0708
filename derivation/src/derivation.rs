//! The machine: L1 blocks in, payload attributes out.

use std::sync::Arc;

use alloy_primitives::B256;
use millrace_protocol::{BlockId, L1Block, RollupConfig};
use tracing::{info, warn};

use crate::{
    attributes::{Attributes, Provenance},
    batch_source::BatchSource,
    batch_stage::{BatchStage, Wanted},
    epochs::Epochs,
    frontier::Frontier,
    safe_chain::{L2Ref, SafeChain},
    start::{Start, StartError},
};

/// Derives the safe chain from L1.
///
/// ```text
///          push(L1 block)            accept(block), or reject() and then accept
///         .--------------.          .------------------------------------------.
///         v              |          v                                          |
///   step: looks for the next block -+-> Attributes ----------------------------'
///         |              |
///         '-> NeedL1 ----'          (and NeedSafeBlock, when a span batch overlaps what is not at hand)
/// ```
///
/// After a reorg of L1 a new one is made, from a safe block whose origin is still there.
#[derive(Debug)]
pub struct Derivation {
    config: Arc<RollupConfig>,
    start: Start,
    /// The safe head.
    safe: L2Ref,
    /// The newest L1 block that was read.
    l1: Option<BlockId>,
    epochs: Epochs,
    source: BatchSource,
    stage: BatchStage,
    /// What has been offered, and neither accepted nor replaced.
    offered: Option<Arc<Attributes>>,
    /// Whether all of L1 that was read is used up. A block that came earlier would seem to include what is left.
    wants_l1: bool,
}

/// What derivation wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// All of L1 that was read is used up: [`push`](Derivation::push) the block of this number when it exists.
    ///
    /// Here [`Derivation::safe`] and [`Derivation::l1`] belong together, as [`Start::resumed`] wants them.
    NeedL1 {
        /// The next L1 block's number.
        number: u64,
    },
    /// A span batch has to be compared with this safe block: step again when the [`SafeChain`] has it at hand.
    NeedSafeBlock {
        /// The block's number.
        number: u64,
    },
    /// The next block is to be made of these: [`accept`](Derivation::accept) or [`reject`](Derivation::reject) it.
    Attributes(Arc<Attributes>),
}

/// Why an L1 block is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The one before is not used up: step first.
    #[error("an L1 block came before it was asked for")]
    Unasked,
    /// Not the number that was asked for.
    #[error("L1 block {actual} came instead of {expected}")]
    Number {
        /// The number that was asked for.
        expected: u64,
        /// The number of the block that came.
        actual: u64,
    },
    /// It does not belong to the L1 chain of what came before, or of the start: L1 was reorganized, and derivation has
    /// to begin anew from a safe block whose origin is still there.
    #[error("L1 was reorganized: block {number} is {actual} instead of {expected}")]
    Reorg {
        /// The number of the L1 block that is another one.
        number: u64,
        /// Its hash as it was known.
        expected: B256,
        /// Its hash now.
        actual: B256,
    },
}

/// A block of nothing but deposits was invalid. That cannot be, so the node must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("block {number} holds deposits only and was rejected all the same")]
pub struct DepositsRefused {
    /// The block's number.
    pub number: u64,
}

impl Derivation {
    /// Goes on from a safe block.
    pub fn new(config: Arc<RollupConfig>, start: Start) -> Result<Self, StartError> {
        start.check(&config)?;
        let source = BatchSource::new(&config);
        Ok(Self {
            config,
            start,
            safe: start.safe,
            l1: None,
            epochs: Epochs::default(),
            source,
            stage: BatchStage::default(),
            offered: None,
            wants_l1: true,
        })
    }

    /// The safe head.
    pub const fn safe(&self) -> &L2Ref {
        &self.safe
    }

    /// The newest L1 block that was read.
    pub const fn l1(&self) -> Option<BlockId> {
        self.l1
    }

    /// Takes the L1 block that [`step`](Self::step) asked for.
    pub fn push(&mut self, block: &L1Block) -> Result<(), PushError> {
        if !self.wants_l1 {
            return Err(PushError::Unasked);
        }
        self.check_order(block)?;
        self.wants_l1 = false;
        self.l1 = Some(block.header.id());
        if block.header.number >= self.safe.origin.number {
            self.epochs.push(block);
        }
        self.source.load(block);
        Ok(())
    }

    /// Looks for the next block, in as much of L1 as there is.
    ///
    /// After [`Step::Attributes`] the answer stays the same until they are accepted or rejected.
    pub fn step(&mut self, chain: &dyn SafeChain) -> Step {
        if self.offered.is_none() {
            match self.next_attributes(chain) {
                Ok(attributes) => self.offered = attributes.map(Arc::new),
                Err(Wanted(number)) => return Step::NeedSafeBlock { number },
            }
        }
        self.wants_l1 = self.offered.is_none();
        match &self.offered {
            Some(attributes) => Step::Attributes(attributes.clone()),
            None => Step::NeedL1 { number: self.next_l1() },
        }
    }

    /// The offered block was made: it is the safe head now.
    ///
    /// # Panics
    ///
    /// If no block was offered, or another one than this.
    pub fn accept(&mut self, block: L2Ref) {
        let offered = self.offered.take();
        assert!(
            offered.as_ref().is_some_and(|offered| offered.describe(&block)),
            "{block:?} was not made of what was offered: {offered:?}"
        );
        self.safe = block;
        self.epochs.forget_before(block.origin.number);
    }

    /// The offered block was invalid when it was executed. It is offered again with its deposits only, and the rest of
    /// its span and channel is dropped.
    ///
    /// # Panics
    ///
    /// If no block was offered.
    pub fn reject(&mut self) -> Result<(), DepositsRefused> {
        let offered = self.offered.as_ref().expect("a block was offered");
        let number = offered.number();
        if offered.transactions.is_empty() {
            return Err(DepositsRefused { number });
        }
        warn!(number, "the batch makes an invalid block: only its deposits are kept");
        self.offered = Some(Arc::new(offered.without_batch()));
        self.stage.flush(&mut self.source);
        Ok(())
    }

    /// The next block, if L1 so far decides about it.
    fn next_attributes(&mut self, chain: &dyn SafeChain) -> Result<Option<Attributes>, Wanted> {
        let Some(l1) = self.l1 else { return Ok(None) };
        // What was posted no later than the safe head's origin cannot know that origin, so it is all past.
        if l1.number <= self.start.read.number.max(self.safe.origin.number) {
            self.source.skip(l1.number);
            return Ok(None);
        }
        let (config, safe) = (&*self.config, &self.safe);
        let frontier = Frontier { config, safe, epochs: &self.epochs, l1 };
        let build = |epoch, transactions, provenance| {
            Some(Attributes::build(config, *safe, epoch, transactions, l1, provenance))
        };
        if let Some(next) = self.stage.next(&frontier, &mut self.source, chain)? {
            return Ok(build(next.epoch, next.transactions, Provenance::Batch));
        }
        let Some(epoch) = frontier.forced_epoch() else { return Ok(None) };
        info!(number = safe.id.number + 1, "no batch came in time: the block holds deposits only");
        Ok(build(epoch, Vec::new(), Provenance::WindowExpired))
    }

    fn next_l1(&self) -> u64 {
        self.l1.map_or_else(|| self.start.first_l1(&self.config), |l1| l1.number + 1)
    }

    /// Whether the block continues the L1 chain that was read, and contains what the start took for granted.
    fn check_order(&self, block: &L1Block) -> Result<(), PushError> {
        let header = &block.header;
        let expected = self.next_l1();
        if header.number != expected {
            return Err(PushError::Number { expected, actual: header.number });
        }
        if let Some(l1) = self.l1
            && l1.hash != header.parent_hash
        {
            let (number, expected, actual) = (l1.number, l1.hash, header.parent_hash);
            return Err(PushError::Reorg { number, expected, actual });
        }
        for known in [self.start.safe.origin, self.start.read, self.config.genesis.l1] {
            if known.number == header.number && known.hash != header.hash {
                let (number, expected, actual) = (known.number, known.hash, header.hash);
                return Err(PushError::Reorg { number, expected, actual });
            }
        }
        Ok(())
    }
}
