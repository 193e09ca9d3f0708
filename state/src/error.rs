//! Why each operation on the state can fail: what the caller may decide on.

use alloy_primitives::BlockNumber;

pub use crate::store::StoreError;

/// Why a state could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The directory holds a state.
    #[error("there is a state already")]
    Exists,
    /// Another process, or another part of this one, has it open.
    #[error("the state is open elsewhere")]
    Locked,
    /// The disk failed.
    #[error("create state")]
    Store(#[from] StoreError),
}

/// Why a state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory holds no state, or one whose creation was cut short: create it.
    #[error("there is no state")]
    Missing,
    /// Another process, or another part of this one, has it open.
    #[error("the state is open elsewhere")]
    Locked,
    /// It was written by another version of this program.
    #[error("the state has schema {found}, this program reads {expected}")]
    Schema {
        /// The schema of what is stored.
        found: u32,
        /// The schema of this program.
        expected: u32,
    },
    /// The disk failed, or what is stored makes no sense.
    #[error("open state")]
    Store(#[from] StoreError),
}

/// Why a block was not applied. The state is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Blocks are applied one after the other.
    #[error("block {expected} comes next")]
    OutOfOrder {
        /// The block after the head.
        expected: BlockNumber,
    },
    /// Checkpoints can't keep up: wait (see [`State::wait_for_room`](crate::State::wait_for_room)), and see to it that
    /// checkpoints are allowed.
    #[error("{pending_bytes} bytes of blocks wait for a checkpoint")]
    Full {
        /// What blocks that are not durable hold.
        pending_bytes: usize,
    },
    /// A checkpoint failed, now or earlier, or the disk could not be read.
    #[error("apply block")]
    Store(#[from] StoreError),
}

/// Why there is no view at a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// The block is older than the history that is kept.
    #[error("the state is kept from block {oldest} on")]
    Pruned {
        /// The oldest block with a state.
        oldest: BlockNumber,
    },
    /// The block was not applied yet.
    #[error("the newest state is that of block {head}")]
    NotYet {
        /// The newest block with a state.
        head: BlockNumber,
    },
}

/// Why a view could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The view's block became older than the history that is kept.
    #[error("the state is kept from block {oldest} on")]
    Pruned {
        /// The oldest block with a state.
        oldest: BlockNumber,
    },
    /// The view's block was unwound.
    #[error("block {number} was unwound")]
    Unwound {
        /// The view's block.
        number: BlockNumber,
    },
    /// The disk failed.
    #[error("read state")]
    Store(#[from] StoreError),
}

/// Why a block's root is not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RootError {
    /// The block is older than the history that is kept.
    #[error("the state is kept from block {oldest} on")]
    Pruned {
        /// The oldest block with a state.
        oldest: BlockNumber,
    },
    /// The block was not applied yet.
    #[error("the newest state is that of block {head}")]
    NotYet {
        /// The newest block with a state.
        head: BlockNumber,
    },
    /// The disk failed, or what is stored makes no sense. The block stays applied: its root can be asked for again.
    #[error("compute state root")]
    Store(#[from] StoreError),
}

/// Why a block was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It was not applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// It was applied, but has no root.
    #[error(transparent)]
    Root(#[from] RootError),
}

/// Why there is no proof at a block.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProofError {
    /// The block is older than the history that is kept.
    #[error("the state is kept from block {oldest} on")]
    Pruned {
        /// The oldest block with a state.
        oldest: BlockNumber,
    },
    /// The block was not applied yet, or its root was not asked for yet.
    #[error("the newest state root is that of block {newest}")]
    NotYet {
        /// The newest block with a root.
        newest: BlockNumber,
    },
    /// More changed since the block than a proof may undo.
    #[error("more than {changes_max} accounts and slots changed since block {number}")]
    TooFar {
        /// The block asked for.
        number: BlockNumber,
        /// The limit.
        changes_max: usize,
    },
    /// The disk failed, or what is stored makes no sense.
    #[error("read state trie")]
    Store(#[from] StoreError),
}

/// Why the state could not go back to a block. It is as it was before.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UnwindError {
    /// The block is older than the history that is kept.
    #[error("the state is kept from block {oldest} on")]
    Pruned {
        /// The oldest block with a state.
        oldest: BlockNumber,
    },
    /// The block was not applied yet.
    #[error("the newest state is that of block {head}")]
    NotYet {
        /// The newest block with a state.
        head: BlockNumber,
    },
    /// The disk failed, or what is stored makes no sense.
    #[error("unwind state")]
    Store(#[from] StoreError),
}
