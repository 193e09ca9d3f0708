//! Transactions that are promised: executed in the block being built, and journaled. They will be in the sealed block, in
//! this order and with these receipts; only the block's hash is not known yet.

use std::{sync::Arc, time::Duration};

use alloy_primitives::TxHash;
use millrace_types::{Receipt, SealedHeader, Transaction};

use crate::backend::{L1Fees, ReadError, SubmitError};

/// Promised transactions that follow each other in a block.
#[derive(Debug, Clone)]
pub struct PromisedRun {
    /// The block's header as far as it is known. Its hash means nothing and is not shown.
    pub header: SealedHeader,
    /// What comes before them in the block.
    pub before: Before,
    /// The transactions with their receipts.
    pub transactions: Vec<(Arc<Transaction>, Receipt)>,
    /// What L1 charged, with one entry for each of these transactions; `None` on a chain without L1 fees, and where nobody
    /// asks for it.
    pub l1_fees: Option<Arc<L1Fees>>,
}

/// What a block holds before some place in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// So many transactions.
    pub transactions: usize,
    /// So many logs.
    pub logs: usize,
    /// They used so much gas.
    pub gas: u64,
}

/// Why a transaction that was handed in has no receipt yet.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// It was not taken.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// It could not be looked up.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is in the pool, and was not executed in time. It may still be.
    #[error("the transaction is in the pool, and was not executed within {waited:?}")]
    TimedOut {
        /// Which one.
        hash: TxHash,
        /// How long it was waited for.
        waited: Duration,
    },
    /// It is in the pool, and waited in vain for one of its sender's that comes before it.
    #[error(
        "the transaction is in the pool, and was not executed within {waited:?}: \
         nonce too high: next nonce {expected}, tx nonce {nonce}"
    )]
    Gapped {
        /// Which one.
        hash: TxHash,
        /// How long it was waited for.
        waited: Duration,
        /// The nonce that has to come first.
        expected: u64,
        /// Its own.
        nonce: u64,
    },
    /// It was taken, and left the pool again without having been executed.
    #[error("the transaction was dropped from the pool: {reason}")]
    Dropped {
        /// Which one.
        hash: TxHash,
        /// Why, for the client.
        reason: String,
    },
}
