//! Where reading L1 begins.

use millrace_protocol::{BlockId, OpFork, RollupConfig};

use crate::safe_chain::L2Ref;

/// A safe block to go on from, and how far L1 had been read when nothing more followed upon it.
///
/// L1 up to [`read`](Self::read) is read again as far as a channel may still be open, without producing anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The block to build on.
    pub safe: L2Ref,
    /// The L1 block whose batches are the last that count as taken into account.
    pub read: BlockId,
}

/// Why derivation can't begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Only chains that follow Isthmus' rules from genesis on can be derived.
    #[error("the chain does not follow Isthmus' rules from genesis on")]
    Forks,
    /// The time between two blocks is zero.
    #[error("the block time is zero")]
    BlockTime,
    /// The safe block's number and time contradict each other or genesis.
    #[error("block {number} at {timestamp} does not belong to this rollup")]
    SafeBlock {
        /// The number of the block to begin with.
        number: u64,
        /// Its timestamp.
        timestamp: u64,
    },
}

impl Start {
    /// From the very beginning.
    pub fn genesis(config: &RollupConfig) -> Self {
        let genesis = &config.genesis;
        Self::at(L2Ref {
            id: genesis.l2,
            // Nobody builds beside genesis, so nobody asks.
            parent_hash: Default::default(),
            timestamp: genesis.l2_time,
            origin: genesis.l1,
            sequence_number: 0,
        })
    }

    /// From a safe block of which nothing else is known.
    ///
    /// Whatever L1 says from its origin on is judged as if this block had been safe all the time. The specification
    /// asks for no more, but it is not exact: a batch that was invalid in its time can seem past now, and what follows
    /// it in its channel, dropped then, can seem valid. It is right as long as no batch was dropped within a sequencing
    /// window. Where what [`Self::resumed`] wants is known, that is always right.
    pub const fn at(safe: L2Ref) -> Self {
        Self { safe, read: safe.origin }
    }

    /// From where derivation stood when it asked for more of L1: the safe head and the newest L1 block then.
    ///
    /// This is exact: derivation goes on as if it had never stopped. A node keeps the two together, for the last L1
    /// blocks at least that may be reorganized.
    pub const fn resumed(safe: L2Ref, read: BlockId) -> Self {
        Self { safe, read }
    }

    /// The first L1 block to read.
    ///
    /// Going on needs the safe block's origin, and what is left of a channel that was open when it became safe. Such a
    /// channel was opened no longer than a channel timeout before.
    pub fn first_l1(&self, config: &RollupConfig) -> u64 {
        let channel_opened = self.read.number.saturating_sub(config.channel_timeout);
        self.safe.origin.number.min(channel_opened).max(config.genesis.l1.number)
    }

    pub(crate) fn check(&self, config: &RollupConfig) -> Result<(), StartError> {
        let genesis = &config.genesis;
        if !config.spec.rules(genesis.l2_time).is_active(OpFork::Isthmus) {
            return Err(StartError::Forks);
        }
        if config.block_time == 0 {
            return Err(StartError::BlockTime);
        }
        let (number, timestamp) = (self.safe.id.number, self.safe.timestamp);
        let expected = number
            .checked_sub(genesis.l2.number)
            .and_then(|blocks| blocks.checked_mul(config.block_time))
            .and_then(|seconds| seconds.checked_add(genesis.l2_time));
        if expected != Some(timestamp) {
            return Err(StartError::SafeBlock { number, timestamp });
        }
        Ok(())
    }
}
