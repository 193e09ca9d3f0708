//! The rules that make a batch valid, where derivation stands now.

use std::cmp::Ordering;

use millrace_protocol::{BlockId, Epoch, RollupConfig, SingularBatch, SpanBatchError, SpanElement};

use crate::{epochs::Epochs, safe_chain::L2Ref};

/// Where derivation stands: what is safe, and how far L1 has been read.
///
/// Batches are only judged when L1 has been read beyond the safe head's origin, so that the next origin is known too.
/// Hence nothing here is ever undecided for want of L1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frontier<'a> {
    pub(crate) config: &'a RollupConfig,
    /// The block to build on.
    pub(crate) safe: &'a L2Ref,
    /// The L1 blocks from its origin to the newest one read.
    pub(crate) epochs: &'a Epochs,
    /// The newest L1 block that was read: a batch that appears now was included there.
    pub(crate) l1: BlockId,
}

/// What becomes of a batch that is not invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity<'a> {
    /// It makes the next block, in this epoch.
    Next(&'a Epoch),
    /// It says nothing about blocks to come: skipped, and what follows it is read on.
    Past,
}

/// Why a batch is invalid. It is dropped then, and so is the rest of its span and of its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("it leaves a gap behind the safe head")]
    Future,
    #[error("it is not built on the safe head")]
    Parent,
    #[error("its sequencing window has expired")]
    Late,
    #[error("its origin is older than its parent's")]
    OriginBehind,
    #[error("its origin is more than one L1 block ahead of its parent's")]
    OriginAhead,
    #[error("its origin is on another L1 chain")]
    OriginHash,
    #[error("its time is before its origin's")]
    BeforeOrigin,
    #[error("it holds transactions, too far ahead of its origin")]
    Drift,
    #[error("it is too far ahead of its origin, and could have moved on to the next one")]
    OriginNotAdvanced,
    #[error("it holds an empty transaction")]
    EmptyTransaction,
    #[error("it holds a deposit")]
    Deposit,
    #[error("its blocks fall between those of the safe chain")]
    Misaligned,
    #[error("it begins before there was a block to build on")]
    BeforeGenesis,
    #[error("the safe chain has another block where it overlaps")]
    Overlap,
    #[error("it is malformed: {0}")]
    Malformed(SpanBatchError),
}

/// The type byte of deposits.
const DEPOSIT_TYPE: u8 = 0x7e;

impl<'a> Frontier<'a> {
    /// The timestamp of the next block.
    pub(crate) fn next_timestamp(&self) -> u64 {
        self.safe.timestamp + self.config.block_time
    }

    /// The epoch that an empty block falls into, if it is time to generate one.
    ///
    /// The block stays in the safe head's epoch until the next one has begun, and it is generated once the window of
    /// its *own* epoch is over: no batch for it can come any more. So every epoch gets its first block not before its
    /// last chance of a batch has passed.
    pub(crate) fn forced_epoch(&self) -> Option<&'a Epoch> {
        let next = self.epochs.get(self.safe.origin.number + 1)?;
        let epoch = if self.next_timestamp() < next.header.timestamp {
            self.epochs.get(self.safe.origin.number)?
        } else {
            next
        };
        (self.window_end(epoch.header.number) <= self.l1.number).then_some(epoch)
    }

    /// How many blocks a span from this time on can have before one of them is invalid, and that one.
    ///
    /// As the next origin is always known, a block may be further ahead than the newest L1 block and the drift only if
    /// it takes a new origin, of which there are but so many.
    pub(crate) fn span_len_max(&self, start: u64) -> usize {
        let newest = self.epochs.get(self.l1.number).map_or(0, |epoch| epoch.header.timestamp);
        let latest =
            newest.saturating_add(self.config.max_sequencer_drift).max(self.safe.timestamp);
        let in_time = latest.saturating_sub(start) / self.config.block_time;
        let origins = self.l1.number - self.safe.origin.number;
        usize::try_from(in_time + origins + 2).unwrap_or(usize::MAX)
    }

    /// Judges a batch of one block.
    pub(crate) fn judge_singular(&self, batch: &SingularBatch) -> Result<Validity<'a>, Invalid> {
        if self.is_past(batch.timestamp)? {
            return Ok(Validity::Past);
        }
        if batch.parent_hash != self.safe.id.hash {
            return Err(Invalid::Parent);
        }
        let epoch = self.judge_block(batch.epoch.number, batch.timestamp, &batch.transactions)?;
        if batch.epoch.hash != epoch.header.hash {
            return Err(Invalid::OriginHash);
        }
        Ok(Validity::Next(epoch))
    }

    /// Judges the next block of a span whose parent and last origin have been checked.
    pub(crate) fn judge_element(&self, element: &SpanElement) -> Result<Validity<'a>, Invalid> {
        if self.is_past(element.timestamp)? {
            return Ok(Validity::Past);
        }
        self.judge_block(element.l1_number, element.timestamp, &element.transactions)
            .map(Validity::Next)
    }

    /// Whether there is a safe block of this time already. If there is not, the next one must have this time.
    fn is_past(&self, timestamp: u64) -> Result<bool, Invalid> {
        match timestamp.cmp(&self.next_timestamp()) {
            Ordering::Less => Ok(true),
            Ordering::Equal => Ok(false),
            Ordering::Greater => Err(Invalid::Future),
        }
    }

    /// What holds for the next block, whichever batch it comes from. Gives its epoch.
    fn judge_block<T: AsRef<[u8]>>(
        &self,
        origin: u64,
        timestamp: u64,
        transactions: &[T],
    ) -> Result<&'a Epoch, Invalid> {
        self.judge_window(origin)?;
        let parent_origin = self.safe.origin.number;
        if origin < parent_origin {
            return Err(Invalid::OriginBehind);
        }
        if origin > parent_origin + 1 {
            return Err(Invalid::OriginAhead);
        }
        let epoch = self.epochs.get(origin).ok_or(Invalid::OriginHash)?;
        if timestamp < epoch.header.timestamp {
            return Err(Invalid::BeforeOrigin);
        }
        let drift_end = epoch.header.timestamp.saturating_add(self.config.max_sequencer_drift);
        if timestamp > drift_end {
            self.judge_drifted(origin, timestamp, transactions)?;
        }
        for transaction in transactions {
            match transaction.as_ref().first() {
                None => return Err(Invalid::EmptyTransaction),
                Some(&DEPOSIT_TYPE) => return Err(Invalid::Deposit),
                // Whether the rest is a transaction at all shows when the block is executed.
                Some(_) => {}
            }
        }
        Ok(epoch)
    }

    /// Too far ahead of its origin, a block must be empty, and must have had no newer origin to take. One that does
    /// take a new origin is on its way back.
    fn judge_drifted<T>(
        &self,
        origin: u64,
        timestamp: u64,
        transactions: &[T],
    ) -> Result<(), Invalid> {
        if !transactions.is_empty() {
            return Err(Invalid::Drift);
        }
        let stays = origin == self.safe.origin.number;
        let next = self.epochs.get(origin + 1);
        if stays && next.is_some_and(|next| timestamp >= next.header.timestamp) {
            return Err(Invalid::OriginNotAdvanced);
        }
        Ok(())
    }

    /// Whether a batch that begins with this epoch is in time.
    pub(crate) fn judge_window(&self, origin: u64) -> Result<(), Invalid> {
        if self.window_end(origin) < self.l1.number {
            return Err(Invalid::Late);
        }
        Ok(())
    }

    /// The last L1 block that may include batches of this epoch.
    fn window_end(&self, origin: u64) -> u64 {
        origin.saturating_add(self.config.seq_window_size)
    }
}

#[cfg(test)]
mod tests;
