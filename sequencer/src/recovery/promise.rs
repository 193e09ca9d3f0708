//! The block that the last process had promised and not sealed.
//!
//! Somebody may have been shown what was promised of it, so it becomes the next block before anything else can: its
//! transactions in their order and no others. L1 may still decide against it, as against any block.

use std::sync::Arc;

use alloy_primitives::BlockNumber;
use millrace_executor::{ExecuteError, assemble};
use millrace_protocol::BaseFeeError;
use millrace_types::{ExecutedBlock, SealedHeader};

use super::{Recovery, RecoveryError};
use crate::{
    builder::{block_attributes, deposits},
    journal::{AppendError, Promised, WriteError},
    roots::apply_for_roots,
    view::{BlockHashes, ChainView},
};

/// What to do about a promise in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promises {
    /// Make the block of it.
    Keep,
    /// Nothing: whoever only follows L1 makes no blocks. It stays until a block is appended.
    Leave,
}

/// Why what was promised did not become a block. It is still promised.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PromiseUnkept {
    /// The newest block is not one that can have a child.
    #[error(transparent)]
    BaseFee(#[from] BaseFeeError),
    /// It cannot be executed: it never was, or the state or the rules of this program are others.
    #[error("block {number} was promised, and now it cannot be made: {source}")]
    Execute {
        /// The block.
        number: BlockNumber,
        /// Why.
        source: ExecuteError,
    },
    /// The block was made, and the journal did not take it.
    #[error("journal the block that was promised: {0}")]
    Append(#[from] AppendError),
    /// It has no place on this chain, and the journal did not let it go.
    #[error("withdraw a promise: {0}")]
    Withdraw(#[from] WriteError),
}

impl Recovery<'_> {
    /// Makes a block of what was promised, if anything was. The state has to be at the tip.
    pub(super) async fn keep_promise(
        &self,
        hashes: &Arc<BlockHashes>,
    ) -> Result<(), RecoveryError> {
        let Some(promised) = self.journal.promised().await? else { return Ok(()) };
        let parent = self.header(self.tip()).await?;
        let number = promised.head.number;
        if (parent.number + 1, parent.hash()) != (number, promised.head.parent_hash) {
            tracing::error!(
                block = number,
                tip = parent.number,
                "a promise is not of the block after the newest: somebody has changed the journal, and it cannot be kept"
            );
            return Ok(self.journal.withdraw_promise().await.map_err(PromiseUnkept::from)?);
        }
        // Executing takes as long as it takes: the other tasks of the runtime go on meanwhile.
        let block = tokio::task::block_in_place(|| self.make_promised(&promised, parent, hashes))?;
        self.journal.append(&block).await.map_err(PromiseUnkept::from)?;
        self.state.allow_checkpoint(number);
        let hash = block.block.header.hash();
        hashes.push(number, hash);
        let transactions = block.block.transactions.len();
        tracing::info!(block = number, %hash, transactions, "sealed the block that was promised");
        Ok(())
    }

    fn make_promised(
        &self,
        promised: &Promised,
        parent: SealedHeader,
        hashes: &Arc<BlockHashes>,
    ) -> Result<ExecutedBlock, RecoveryError> {
        let Promised { head, transactions } = promised;
        let attributes =
            block_attributes(self.executor.chain(), parent, head.timestamp, &head.prescribed)
                .map_err(PromiseUnkept::from)?;
        let mut fixed = deposits(&head.prescribed);
        fixed.extend_from_slice(transactions);
        let view = Arc::new(ChainView::new(self.state.head(), hashes.clone()));
        let number = head.number;
        let executed = self
            .executor
            .replay(attributes, &fixed, &[], view)
            .map_err(|source| PromiseUnkept::Execute { number, source })?;
        let waiting =
            |error: &_| tracing::info!(block = number, %error, "waiting for a checkpoint");
        let (_, roots) = apply_for_roots(self.state, number, &executed.diff, waiting)?;
        Ok(assemble(executed, roots))
    }
}
