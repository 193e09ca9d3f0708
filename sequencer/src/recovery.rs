//! From what lies on the disk to where the chain stood: the state's checkpoint plus the journal's newer blocks, and the block
//! that was promised and not sealed.
//!
//! Nothing stored is believed where it can be recomputed: each block after the checkpoint is executed again and has to
//! come out with the hash that the journal has.

mod promise;

use std::sync::Arc;

use alloy_primitives::{B256, BlockNumber};
use millrace_executor::{BlockAttributes, ExecuteError, Executor, assemble};
use millrace_state::State;
use millrace_types::{SealedHeader, Waypoint};

pub(crate) use self::promise::{PromiseUnkept, Promises};
use crate::{
    index::{CatchUpError, Index},
    journal::{Journal, ReadError, StoredBlock},
    roots::{RootsError, apply_for_roots},
    view::{BlockHashes, ChainView},
};

/// Why the chain could not be brought back. Nothing was changed that a later attempt would miss.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoveryError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The state holds blocks that the journal does not: it belongs to another journal, or the journal was cut.
    #[error(
        "the state stands at block {state}, the journal ends at block {journal}: remove the state directory to \
         compute it again from the journal"
    )]
    StateAhead {
        /// The state's block.
        state: BlockNumber,
        /// The journal's newest.
        journal: BlockNumber,
    },
    /// The state is not the one that the journal's block leads to.
    #[error(
        "the state at block {number} has the root {found} and not {journaled}: remove the state directory to compute it \
         again from the journal"
    )]
    OtherState {
        /// The state's block.
        number: BlockNumber,
        /// The root that it has.
        found: B256,
        /// The root that the block's header names.
        journaled: B256,
    },
    /// Executing a journaled block failed.
    #[error("execute block {number} again: {source}")]
    Execute {
        /// The block.
        number: BlockNumber,
        /// Why.
        source: ExecuteError,
    },
    /// Executing a journaled block gave another block: the state is damaged, or the rules of this program differ.
    #[error(
        "block {number} came out as {computed} and not as {journaled}; if the state directory is damaged, remove it \
         and it is computed again from the journal"
    )]
    Diverged {
        /// The block.
        number: BlockNumber,
        /// The hash that it has now.
        computed: B256,
        /// The hash that it was acknowledged with.
        journaled: B256,
    },
    /// The state did not take a block.
    #[error(transparent)]
    State(#[from] RootsError),
    /// The state that was found has no root.
    #[error("compute the state root: {0}")]
    Root(#[from] millrace_state::RootError),
    /// What was promised is not in a block.
    #[error(transparent)]
    Promise(#[from] PromiseUnkept),
    /// The index failed.
    #[error("index blocks: {0}")]
    Index(#[from] CatchUpError),
}

/// What recovery works on.
pub(crate) struct Recovery<'a> {
    pub(crate) executor: &'a Executor,
    pub(crate) state: &'a State,
    pub(crate) journal: &'a Journal,
    pub(crate) index: &'a Arc<Index>,
    pub(crate) genesis: &'a SealedHeader,
    pub(crate) promises: Promises,
}

impl Recovery<'_> {
    /// Brings the state and the index to the journal's tip, which is a block further if one was promised. Returns the tip and
    /// the newest hashes.
    pub(crate) async fn run(
        self,
    ) -> Result<(Option<StoredBlock>, Arc<BlockHashes>), RecoveryError> {
        let tip = self.tip();
        let checkpoint = self.state.checkpoint_block();
        if checkpoint > tip {
            return Err(RecoveryError::StateAhead { state: checkpoint, journal: tip });
        }
        self.check_state(&self.header(checkpoint).await?)?;
        let hashes = self.load_hashes(checkpoint).await?;
        self.replay(checkpoint, tip, &hashes).await?;
        match self.promises {
            Promises::Keep => self.keep_promise(&hashes).await?,
            Promises::Leave => {}
        }
        let tip = self.tip();
        let indexed = self.index.catch_up(self.journal).await?;
        if indexed > 0 {
            tracing::info!(indexed, "indexed journaled blocks");
        }
        let newest =
            if tip == self.genesis.number { None } else { self.journal.block(tip).await? };
        Ok((newest, hashes))
    }

    /// The number of the newest journaled block.
    fn tip(&self) -> BlockNumber {
        self.journal.tip().map_or(self.genesis.number, |tip| tip.number)
    }

    /// The hashes that the block after `number` may ask for.
    async fn load_hashes(&self, number: BlockNumber) -> Result<Arc<BlockHashes>, RecoveryError> {
        let hashes = BlockHashes::new(self.genesis, self.index.clone());
        let first = number.saturating_sub(BlockHashes::REACH).max(self.genesis.number);
        for number in first..=number {
            hashes.push(number, self.header(number).await?.hash());
        }
        Ok(Arc::new(hashes))
    }

    /// A block's header: the genesis is not in the journal.
    async fn header(&self, number: BlockNumber) -> Result<SealedHeader, ReadError> {
        if number == self.genesis.number {
            return Ok(self.genesis.clone());
        }
        self.journal.header(number).await?.ok_or(ReadError::Missing(number))
    }

    /// The state on the disk must be the one that its block's header commits to.
    fn check_state(&self, header: &SealedHeader) -> Result<(), RecoveryError> {
        let number = header.number;
        let state_root = self.state.root(number)?.state_root;
        if state_root != header.state_root {
            return Err(RecoveryError::OtherState {
                number,
                found: state_root,
                journaled: header.state_root,
            });
        }
        Ok(())
    }

    /// Executes the blocks that the state does not hold.
    async fn replay(
        &self,
        checkpoint: BlockNumber,
        tip: BlockNumber,
        hashes: &Arc<BlockHashes>,
    ) -> Result<(), RecoveryError> {
        if checkpoint == tip {
            return Ok(());
        }
        tracing::info!(checkpoint, tip, "executing journaled blocks again");
        let mut parent = self.header(checkpoint).await?;
        let mut blocks = self.journal.range(checkpoint + 1..=tip);
        while let Some(stored) = blocks.next().await? {
            let waypoints = self.journal.waypoints(&stored.block).await;
            // Executing takes as long as it takes: the other tasks of the runtime go on meanwhile.
            parent = tokio::task::block_in_place(|| {
                self.replay_block(parent, &stored, &waypoints, hashes)
            })?;
        }
        Ok(())
    }

    fn replay_block(
        &self,
        parent: SealedHeader,
        stored: &StoredBlock,
        waypoints: &[Waypoint],
        hashes: &Arc<BlockHashes>,
    ) -> Result<SealedHeader, RecoveryError> {
        let header = &stored.block.header;
        let number = header.number;
        let view = Arc::new(ChainView::new(self.state.head(), hashes.clone()));
        let executed = self
            .executor
            .replay(
                BlockAttributes::of(header, parent),
                &stored.block.transactions,
                waypoints,
                view,
            )
            .map_err(|source| RecoveryError::Execute { number, source })?;
        let waiting =
            |error: &_| tracing::info!(block = number, %error, "waiting for a checkpoint");
        let (_, roots) = apply_for_roots(self.state, number, &executed.diff, waiting)?;
        let computed = assemble(executed, roots).block.header.hash();
        if computed != header.hash() {
            return Err(RecoveryError::Diverged { number, computed, journaled: header.hash() });
        }
        // It came from the journal, so the state may keep it.
        self.state.allow_checkpoint(number);
        hashes.push(number, computed);
        Ok(header.clone())
    }
}
