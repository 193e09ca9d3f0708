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
    /// The state is not kept that far back. Nothing was changed.
    #[error(
        "the state cannot go back to block {to}: it is kept from block {oldest} on; remove the state directory to compute \
         it again from the journal"
    )]
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

    /// Makes block `to` the head: later blocks, journaled or only on the state, never happened. Returns those that were
    /// journaled, oldest first; of more than fit into memory the newest are left out.
    ///
    /// For whoever makes the blocks, between two of them: nobody may seal one meanwhile, and the open block is withdrawn
    /// ([`withdraw_open`](Self::withdraw_open) first saves what it had executed). The future must not be dropped
    /// half-way. After an error of a database the chain may be shown shorter than it is journaled: call again with the
    /// same block until it succeeds, or end the process.
    pub(crate) async fn rewind(&self, to: BlockNumber) -> Result<Vec<Arc<Block>>, RewindError> {
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
        let mut handed_back = HandedBack::default();
        loop {
            let tip = self.journal.tip().map_or(self.genesis().number, |tip| tip.number);
            let going = self.newest_above(to, tip).await?;
            let target = tip - going.len() as u64;
            self.rewind_step(target).await?;
            if !going.is_empty() {
                tracing::warn!(from = tip, to = target, "took back blocks");
            }
            for block in going {
                if self.events.receiver_count() > 0 {
                    // Nobody listening any more is no error.
                    self.events.send(BlockEvent::Removed(block.answer(&self.spec))).ok();
                }
                handed_back.add(block);
            }
            if target <= to {
                return Ok(handed_back.finish());
            }
        }
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
        off_the_runtime(move || state.unwind(to)).await?;
        self.journal.rewind(to).await?;
        let index = self.index.clone();
        off_the_runtime(move || index.rewind(to)).await?;
        Ok(())
    }

    /// Lets readers see block `to` as the newest, unless they see an older one already.
    async fn show_head(&self, to: BlockNumber) -> Result<(), RewindError> {
        self.open.store(None);
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
