//! What can go wrong, by what the caller has to decide.

use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, BlockNumber};
use millrace_protocol::BlockId;
use sqlx::migrate::MigrateError;

use super::{lock::LockError, row::RowError};

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the journal open.
    #[error("another process has the journal open: {0}")]
    Locked(String),
    /// The lock's file cannot be made.
    #[error(transparent)]
    Lock(LockError),
    /// It belongs to another chain.
    #[error("the journal belongs to chain {found}, not to chain {expected}")]
    OtherChain {
        /// The chain that was asked for.
        expected: u64,
        /// The chain that the journal is of.
        found: u64,
    },
    /// It belongs to a chain with the same id but another beginning.
    #[error("the journal begins at genesis {found}, not {expected}")]
    OtherGenesis {
        /// The genesis that was asked for.
        expected: B256,
        /// The genesis that the journal begins at.
        found: B256,
    },
    /// Its schema was written by a newer program.
    #[error(
        "the journal has schema version {0}, which this program does not know: use a newer one"
    )]
    NewerSchema(i64),
    /// Its schema cannot be brought up to date.
    #[error("bring the journal's schema up to date: {0}")]
    Migrate(#[source] MigrateError),
    /// The server would acknowledge what it has not written to its disk.
    #[error("the server's setting `{0}` gives up durability: the journal refuses it")]
    NotDurable(&'static str),
    /// There is no room on the disk.
    #[error("open the journal: the disk is full")]
    DiskFull,
    /// The database cannot be opened or read.
    #[error("open the journal: {0}")]
    Database(#[source] sqlx::Error),
}

/// Why a change was not made, or isn't known to have been made. Whichever it is, nothing of it may be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is full. The tip is where it was; once there is room, the same change may be tried again.
    #[error("the disk is full")]
    DiskFull,
    /// The database refused. The tip is where it was; the same change may be tried again.
    #[error("the change was not stored: {0}")]
    NotStored(#[source] sqlx::Error),
    /// The commit failed in a way that leaves open whether it happened, and reading the tip again failed too.
    /// Trying the same change again reads the tip first, and succeeds at once if the change turns out to be there.
    #[error("it is unknown whether the change was stored: {0}")]
    Unknown(#[source] sqlx::Error),
    /// Writing or syncing failed, so what this process reads back no longer proves what the disk holds. Only a restart
    /// helps: opening the journal reads and rewrites what is really there.
    #[error("the journal has stopped for good, restart to go on: {0}")]
    Halted(String),
}

/// Why blocks were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The blocks don't extend the tip one by one: the caller's own order is broken, and it has to stop.
    #[error("block {} ({}) does not extend {tip:?}", offered.number, offered.hash)]
    NotNext {
        /// The newest block in the journal.
        tip: Option<BlockNumHash>,
        /// The first block that doesn't fit.
        offered: BlockNumHash,
    },
    /// The first block is not what was promised of it: the caller has to stop, or to withdraw the promise first.
    #[error("block {number} breaks the promise of its first {promised} transactions")]
    BreaksPromise {
        /// The block's number.
        number: u64,
        /// How many transactions, deposits not counted, were promised.
        promised: u64,
    },
    /// A block that could not be read back: the caller made it wrongly, and has to stop.
    #[error("block {number} cannot be journaled: {source}")]
    Invalid {
        /// The block's number.
        number: u64,
        /// What is wrong.
        source: RowError,
    },
    /// The database failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why nothing was promised.
#[derive(Debug, thiserror::Error)]
pub enum PromiseError {
    /// It doesn't belong on the tip, or doesn't go on where the promise ends: the caller's own order is broken, and it has
    /// to stop.
    #[error(
        "a promise of block {} from transaction {} on does not follow {tip:?} with {promised:?}", offered.0, offered.1
    )]
    NotNext {
        /// The newest block in the journal.
        tip: Option<BlockNumHash>,
        /// The block that is promised, and how many transactions of it.
        promised: Option<(u64, u64)>,
        /// The block that was to be promised, and from which transaction on.
        offered: (u64, u64),
    },
    /// What could not be read back: the caller made it wrongly, and has to stop.
    #[error("block {number} cannot be promised: {source}")]
    Invalid {
        /// The block's number.
        number: u64,
        /// What is wrong.
        source: RowError,
    },
    /// The database failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why blocks were not removed.
#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    /// Finalized L1 holds some of them: whoever wants them gone is mistaken, and has to stop.
    #[error("block {finalized} is final: the journal does not go back to block {to}")]
    Final {
        /// Where the journal was asked to go.
        to: BlockNumber,
        /// The newest final block.
        finalized: BlockNumber,
    },
    /// The database failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why it was not written down how far the chain is final.
#[derive(Debug, thiserror::Error)]
pub enum FinalizeError {
    /// There is no such block: what L1 yields is not the chain that is journaled.
    #[error("block {} ({}) is not journaled and cannot be final", .0.number, .0.hash)]
    NotJournaled(BlockId),
    /// Another L1 block of that number was final before: one of the two answers came from another L1.
    #[error("L1 block {} is {} and was {} when it became final", found.number, found.hash, known.hash)]
    OtherL1 {
        /// The L1 block that is known.
        known: BlockId,
        /// The L1 block that contradicts it.
        found: BlockId,
    },
    /// The database failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why a block was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The row is not what was written.
    #[error("block {number} is corrupt in the journal: {source}")]
    Corrupt {
        /// The block's number.
        number: u64,
        /// What is wrong.
        source: RowError,
    },
    /// A block is missing between others.
    #[error("block {0} is missing in the journal")]
    Missing(u64),
    /// The database cannot be reached, or has no room to answer: that passes, and then the same can be read.
    #[error("the journal does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database's disk failed, or it holds what nobody wrote: to ask again is no use.
    #[error("read the journal: {0}")]
    Database(#[source] sqlx::Error),
}

impl WriteError {
    /// Whether the same may be tried again, and may well succeed.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::DiskFull | Self::NotStored(_) | Self::Unknown(_) => true,
            Self::Halted(_) => false,
        }
    }
}

impl AppendError {
    /// Whether the same may be tried again, and may well succeed.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Write(error) if error.may_pass())
    }
}

impl PromiseError {
    /// Whether the same may be tried again, and may well succeed.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Write(error) if error.may_pass())
    }
}

impl ReadError {
    /// Whether the same may be asked again, and may well be answered.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
