//! What the ledger holds: one record for each signed L1 transaction.

use alloy_primitives::{B256, Bytes, TxHash};
use millrace_protocol::ChannelId;

use crate::fees::TxFees;

/// How frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As the transaction's input.
    Calldata,
    /// In EIP-4844 blobs beside it.
    Blobs,
}

impl Kind {
    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Calldata => Self::Blobs,
            Self::Blobs => Self::Calldata,
        }
    }
}

/// Consecutive blocks that one channel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRange {
    /// The first one's number.
    pub first: u64,
    /// The last one's number.
    pub last: u64,
    /// The last one's hash, which vouches for the others.
    pub last_hash: B256,
    /// The bytes of their transactions, before encoding.
    pub transaction_bytes: u64,
}

/// Consecutive frames of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRange {
    /// The first one's number.
    pub first: u16,
    /// How many there are.
    pub count: u16,
    /// Whether the channel ends with them.
    pub is_last: bool,
}

/// A signed L1 transaction. It is written down before anybody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its hash, by which the ledger knows it.
    pub hash: TxHash,
    /// Its nonce. Several attempts at the same frames share one.
    pub nonce: u64,
    /// Which attempt at these frames it is, from zero; a later one pays more.
    pub attempt: u32,
    /// The channel.
    pub channel: ChannelId,
    /// The channel's blocks.
    pub blocks: BlockRange,
    /// The frames in this transaction.
    pub frames: FrameRange,
    /// How they travel.
    pub kind: Kind,
    /// What it offers.
    pub fees: TxFees,
    /// The signed transaction in its network form, blobs included.
    pub raw: Bytes,
}

/// Why a record needs no more attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It, or another attempt at the same frames, is deep in L1's chain, and the blocks are safe.
    Settled,
    /// Its channel was given up; its blocks travel in another one.
    Abandoned,
}

/// A change to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new, open record.
    Insert(Record),
    /// A record that needs no more attention. The ledger may keep it, or forget it.
    Close {
        /// Which one.
        hash: TxHash,
        /// Why.
        fate: Fate,
    },
}

/// What the ledger remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The open records, by nonce and attempt.
    pub open: Vec<Record>,
    /// The last block of all settled ones, if there is any.
    pub settled: Option<u64>,
}
