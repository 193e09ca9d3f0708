//! Taking back the newest blocks, because the chain that L1 yields has others in their place.
//!
//! A block lies in three places on the disk, and a crash may come between any two of them. So they forget it in this
//! order:
//!
//! ```text
//! head          nobody is shown what is about to go; memory only
//! state         its checkpoint is at or below the target, on the disk, when the call returns
//! journal       one transaction: from here on the blocks never happened
//! index         not synced; catching up with the journal forgets what is too much
//! subscribers   hear of what is done and stays done
//! ```
//!
//! A crash before the journal's commit leaves a state that is behind the journal: recovery executes the blocks again, the
//! chain stands where it stood, and whoever wanted it rewound meets the same contradiction again. A crash after it leaves
//! an index that is ahead, which recovery mends. The other order, journal first, could leave a checkpoint of blocks that
//! are not journaled, which recovery must refuse: it cannot tell a rewinding from a journal that lost something.
//!
//! Many blocks go in steps, each of which is complete in itself, so that memory, the state's batch and the journal's
//! transaction stay bounded. A crash between two steps leaves a chain that went back part of the way.
//!
//! A journal that is out of room or out of reach for a while holds a rewinding up and does not end it: what is going is
//! remembered, and the same step is tried again.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc};

use alloy_primitives::BlockNumber;
use millrace_rpc::BlockEvent;
use millrace_state::{UnwindError, ViewError};
use millrace_types::{Block, Transaction};

use super::{Chain, EVENTS_MAX, Head, Served};
use crate::{
    blocking::off_the_runtime,
    index::IndexError,
    journal::{self, ReadError},
    l2_ref,
    view::ChainView,
};

/// How many blocks one step takes back at most: fewer than a subscriber may be behind.
const STEP_BLOCKS_MAX: usize = 128;
const _: () = assert!(STEP_BLOCKS_MAX < EVENTS_MAX);

/// About how much the blocks of one step may hold in memory. A step takes one block, whatever it holds.
const STEP_BYTES_MAX: usize = 256 << 20;

/// About how much all blocks that are handed back may hold in memory: as much as the pool could take in again.
const HANDED_BACK_BYTES_MAX: usize = 512 << 20;

/// Why blocks were not taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RewindError {
    /// They are final, or the journal failed.
    #[error("take back journaled blocks: {0}")]
    Journal(#[from] journal::RewindError),
    /// A block that should go could not be read.
    #[error("read a block to take back: {0}")]
    Read(#[from] ReadError),
    /// The state is not kept that far back. Nothing was changed on the disk.
    #[error("the state cannot go back to block {to}: it is kept from block {oldest} on")]
    TooDeep {
        /// The block asked for.
        to: BlockNumber,
        /// The oldest block whose state is kept.
        oldest: BlockNumber,
    },
    /// The state failed.
    #[error("take blocks back from the state: {0}")]
    State(#[from] UnwindError),
    /// The index failed.
    #[error("take blocks back from the index: {0}")]
    Index(#[from] IndexError),
}

impl RewindError {
    /// Whether the same may be tried again, and may well succeed: the journal was out of room or out of reach.
    pub(crate) const fn may_pass(&self) -> bool {
        match self {
            Self::Journal(journal::RewindError::Write(error)) => error.may_pass(),
            Self::Read(error) => error.may_pass(),
            Self::Journal(journal::RewindError::Final { .. })
            | Self::TooDeep { .. }
            | Self::State(_)
            | Self::Index(_) => false,
        }
    }
}

impl Chain {
    /// Withdraws the open block. What it had executed besides deposits comes back, in order: nobody else has it.
    pub(crate) fn withdraw_open(&self) -> Vec<Arc<Transaction>> {
        let Some(open) = self.open.swap(None) else { return Vec::new() };
        // Between two blocks the open one is the head itself.
        if open.attributes.number() <= self.head().block.block.number() {
            return Vec::new();
        }
        open.included().map(|(tx, _)| tx).filter(|tx| !tx.is_deposit()).cloned().collect()
    }

    /// Begins to make block `to` the head: later blocks, journaled or only on the state, never happened.
    ///
    /// For whoever makes the blocks, between two of them: nobody may seal one before it is done, and the open block is
    /// withdrawn ([`withdraw_open`](Self::withdraw_open) first saves what it had executed).
    pub(crate) fn rewinding(self: &Arc<Self>, to: BlockNumber) -> Result<Rewinding, RewindError> {
        if let Some(finalized) = self.journal.finalized()
            && to < finalized.l2.number
        {
            let finalized = finalized.l2.number;
            return Err(journal::RewindError::Final { to, finalized }.into());
        }
        let oldest = self.state.progress().oldest;
        if to < oldest {
            return Err(RewindError::TooDeep { to, oldest });
        }
        let (chain, handed_back) = (self.clone(), HandedBack::default());
        Ok(Rewinding { chain, to, step: None, handed_back })
    }

    /// The same at one go, without patience for a journal that fails.
    #[cfg(test)]
    async fn rewind(self: &Arc<Self>, to: BlockNumber) -> Result<Vec<Arc<Block>>, RewindError> {
        let mut rewinding = self.rewinding(to)?;
        rewinding.run().await?;
        Ok(rewinding.finish())
    }

    /// Journaled blocks from the tip downwards, as many as one step may take; none at or below `to`.
    async fn newest_above(
        &self,
        to: BlockNumber,
        tip: BlockNumber,
    ) -> Result<Vec<Arc<Served>>, ReadError> {
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        for number in (to.saturating_add(1)..=tip).rev().take(STEP_BLOCKS_MAX) {
            let block = self.stored(number).await?;
            bytes += block.bytes();
            if bytes > STEP_BYTES_MAX && !blocks.is_empty() {
                break;
            }
            blocks.push(block);
        }
        Ok(blocks)
    }

    /// A block that is journaled, whether it is shown or not.
    async fn stored(&self, number: BlockNumber) -> Result<Arc<Served>, ReadError> {
        if number == self.genesis().number {
            return Ok(self.genesis.clone());
        }
        if let Some(block) = self.recent.lock().get(number) {
            return Ok(block);
        }
        let stored = self.journal.block(number).await?.ok_or(ReadError::Missing(number))?;
        Ok(Arc::new(Served::from(stored)))
    }

    async fn rewind_step(&self, to: BlockNumber) -> Result<(), RewindError> {
        self.show_head(to).await?;
        let state = self.state.clone();
        off_the_runtime(move || state.unwind(to)).await.map_err(|error| match error {
            // A checkpoint came in between.
            UnwindError::Pruned { oldest } => RewindError::TooDeep { to, oldest },
            error => error.into(),
        })?;
        self.journal.rewind(to).await?;
        let index = self.index.clone();
        off_the_runtime(move || index.rewind(to)).await?;
        Ok(())
    }

    /// Lets readers see block `to` as the newest, unless they see an older one already.
    async fn show_head(&self, to: BlockNumber) -> Result<(), RewindError> {
        self.open.store(None);
        self.promised.store(None);
        if self.head().block.block.number() <= to {
            return Ok(());
        }
        let block = self.stored(to).await?;
        // The view stays good when what comes after it is unwound.
        let view = self.state.view_at(to).map_err(|error| match error {
            ViewError::Pruned { oldest } => RewindError::TooDeep { to, oldest },
            ViewError::NotYet { head } => UnwindError::NotYet { head }.into(),
        })?;
        let view = ChainView::new(view, self.hashes.clone());
        self.head.store(Arc::new(Head { block: block.clone(), view }));
        self.tip.send_replace(l2_ref::id(&block.block));
        self.recent.lock().rewind(block);
        self.hashes.rewind(to);
        Ok(())
    }
}

/// A chain that goes back, step by step.
///
/// Between an error and the next try the chain may be shown shorter than it is journaled, so whoever began ends it, or
/// ends the process.
pub(crate) struct Rewinding {
    chain: Arc<Chain>,
    to: BlockNumber,
    /// What is going. It is remembered over errors: after a commit of unknown fate nobody else may have it any more.
    step: Option<RewindingStep>,
    handed_back: HandedBack,
}

struct RewindingStep {
    target: BlockNumber,
    /// The newest first.
    going: Vec<Arc<Served>>,
}

impl Rewinding {
    /// Goes back all the way. After an error that [may pass](RewindError::may_pass) call it again: it goes on where it
    /// stopped. The future must not be dropped half-way.
    pub(crate) async fn run(&mut self) -> Result<(), RewindError> {
        let chain = self.chain.clone();
        loop {
            let step = match self.step.take() {
                Some(step) => step,
                None => self.next_step().await?,
            };
            if let Err(error) = chain.rewind_step(step.target).await {
                self.step = Some(step);
                return Err(match error {
                    // Whoever starts again has to go all the way, and not only as far as this step.
                    RewindError::TooDeep { oldest, .. } => {
                        RewindError::TooDeep { to: self.to, oldest }
                    }
                    error => error,
                });
            }
            let RewindingStep { target, going } = step;
            if !going.is_empty() {
                tracing::warn!(blocks = going.len(), to = target, "took back blocks");
            }
            for block in going {
                if chain.events.receiver_count() > 0 {
                    // Nobody listening any more is no error.
                    chain.events.send(BlockEvent::Removed(block.answer(&chain.spec))).ok();
                }
                self.handed_back.add(block);
            }
            if target <= self.to {
                return Ok(());
            }
        }
    }

    async fn next_step(&self) -> Result<RewindingStep, RewindError> {
        let tip = self.chain.journal.tip().map_or(self.chain.genesis().number, |tip| tip.number);
        let going = self.chain.newest_above(self.to, tip).await?;
        Ok(RewindingStep { target: tip - going.len() as u64, going })
    }

    /// The blocks that were journaled and are not any more, oldest first; of more than fit into memory the newest are left
    /// out.
    pub(crate) fn finish(self) -> Vec<Arc<Block>> {
        self.handed_back.finish()
    }
}

/// Collects blocks from the newest downwards, and keeps the oldest of them: they come first again.
#[derive(Default)]
struct HandedBack {
    /// With what each holds in memory, oldest first.
    blocks: VecDeque<(Arc<Block>, usize)>,
    bytes: usize,
    left_out: usize,
}

impl HandedBack {
    fn add(&mut self, block: Arc<Served>) {
        let bytes = block.bytes();
        self.bytes += bytes;
        self.blocks.push_front((block.block.clone(), bytes));
        while self.bytes > HANDED_BACK_BYTES_MAX
            && self.blocks.len() > 1
            && let Some((_, bytes)) = self.blocks.pop_back()
        {
            self.bytes -= bytes;
            self.left_out += 1;
        }
    }

    fn finish(self) -> Vec<Arc<Block>> {
        if self.left_out > 0 {
            let blocks = self.left_out;
            tracing::warn!(blocks, "too much was taken back: the newest transactions are gone");
        }
        self.blocks.into_iter().map(|(block, _)| block).collect()
    }
}
