//! What happened to transactions besides the answers that their senders got.

use alloy_primitives::{Address, TxHash};

use crate::mempool::SubmitError;

/// Something to count, log or tell subscribers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A transaction became executable: on arrival, or because its predecessor came.
    Pending(TxHash),
    /// A transaction left without having been included.
    Dropped {
        /// Which one.
        hash: TxHash,
        /// Whose.
        sender: Address,
        /// Its nonce.
        nonce: u64,
        /// Why.
        reason: DropReason,
    },
}

/// Why a pooled transaction was given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// Its sender sent a better-paying one with the same nonce.
    #[error("replaced by {0}")]
    Replaced(TxHash),
    /// The pool was full, and it was the worst.
    #[error("evicted from a full pool")]
    Evicted,
    /// Its predecessor did not come in time.
    #[error("expired waiting for its predecessor")]
    Expired,
    /// Its nonce was used by another transaction.
    #[error("nonce already used")]
    Stale,
    /// Its sender can no longer pay for it.
    #[error("sender can no longer pay for it")]
    Unaffordable,
    /// The builder could not execute it; the builder's words.
    #[error("rejected: {0}")]
    Rejected(Box<str>),
    /// It came back from a block that was rolled back, and is not valid any more.
    #[error("refused after a rollback: {0}")]
    Refused(SubmitError),
}
