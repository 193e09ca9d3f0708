//! What the batcher needs of its neighbours. The spine implements these; tests implement them with faults.
//!
//! The traits are used as objects and answer with boxed futures: a call is rare beside what it does.

use std::sync::Arc;

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip4844};
use alloy_primitives::{Address, B256, Bytes, Signature, TxHash, U256};
use futures::future::BoxFuture;
use millrace_protocol::BlockId;
use tokio::sync::watch;

use crate::{
    fees::Market,
    record::{Change, Loaded},
};

/// A sealed and journaled block, as far as a batch can say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBlock {
    /// Number and hash.
    pub id: BlockId,
    /// The parent's hash.
    pub parent_hash: B256,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// The L1 origin.
    pub epoch: BlockId,
    /// How many blocks of the same epoch came before.
    pub sequence_number: u64,
    /// The transactions that are not deposits, in order, as EIP-2718 encodes them.
    pub transactions: Vec<Bytes>,
}

impl SealedBlock {
    /// How many bytes its transactions have.
    pub fn transaction_bytes(&self) -> usize {
        self.transactions.iter().map(|transaction| transaction.len()).sum()
    }
}

/// The journal as the batcher reads it.
pub trait SealedBlocks: Send + Sync {
    /// The newest journaled block, whenever it changes. It may go back: the unsafe chain can be rolled back.
    fn tip(&self) -> watch::Receiver<BlockId>;

    /// The journaled blocks from this number on, in order, at most so many. None beyond the tip.
    fn blocks(
        &self,
        first: u64,
        count: u64,
    ) -> BoxFuture<'_, Result<Vec<Arc<SealedBlock>>, FaceError>>;

    /// The hash of the journaled block with this number.
    fn hash(&self, number: u64) -> BoxFuture<'_, Result<Option<B256>, FaceError>>;
}

/// L1, as the batcher sees it. All answers may be stale or contradict each other: the batcher gets along with that.
pub trait L1: Send + Sync {
    /// The newest block.
    fn head(&self) -> BoxFuture<'_, Result<BlockId, FaceError>>;

    /// What inclusion costs now.
    fn market(&self) -> BoxFuture<'_, Result<Market, FaceError>>;

    /// The account's next nonce and balance by the newest block.
    fn account(&self, address: Address) -> BoxFuture<'_, Result<Account, FaceError>>;

    /// Where a transaction is.
    fn find(&self, hash: TxHash) -> BoxFuture<'_, Result<Place, FaceError>>;

    /// Offers a signed transaction, in its network form (with the blobs).
    fn send(&self, raw: Bytes) -> BoxFuture<'_, Result<(), SendError>>;
}

/// Where the batcher's L1 transactions are written down before anybody else sees them.
///
/// A COMMIT that failed is unknown rather than absent, so the batcher offers the same changes again until one call
/// succeeds: to insert what is there, or to close what is closed, must do nothing.
pub trait Ledger: Send + Sync {
    /// Every open record, oldest nonce and attempt first, and how far settled ones reach.
    fn load(&self) -> BoxFuture<'_, Result<Loaded, FaceError>>;

    /// Makes the changes, all or none, durably.
    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), FaceError>>;
}

/// Who signs for the batcher's account: a key of ours or somebody else's.
pub trait Signer: Send + Sync {
    /// The batcher's account.
    fn address(&self) -> Address;

    /// Signs the transaction.
    fn sign(&self, transaction: UnsignedTx) -> BoxFuture<'_, Result<Signature, FaceError>>;
}

/// An L1 transaction to sign. Blobs are not part of what is signed, only their hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsignedTx {
    /// Carries frames as calldata.
    Calldata(TxEip1559),
    /// Carries frames in blobs.
    Blobs(TxEip4844),
}

impl UnsignedTx {
    /// What is to be signed.
    pub fn signature_hash(&self) -> B256 {
        match self {
            Self::Calldata(transaction) => transaction.signature_hash(),
            Self::Blobs(transaction) => transaction.signature_hash(),
        }
    }
}

/// The batcher's account on L1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// The nonce that its next included transaction has.
    pub nonce: u64,
    /// In wei.
    pub balance: U256,
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a block of the canonical chain.
    Block(Inclusion),
    /// In no block; perhaps in somebody's pool.
    Pool,
    /// In no block, and no node that was asked has it in its pool.
    Nowhere,
}

/// Where a transaction is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inclusion {
    /// The block.
    pub block: BlockId,
    /// What it cost altogether, in wei.
    pub cost: U256,
}

/// A neighbour could not do what it was asked for; it is asked again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FaceError(pub String);

/// Why a transaction was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It is in the pool (or in the chain) already, which is just as good.
    #[error("already known")]
    AlreadyKnown,
    /// Its nonce is used up: it is included, or another transaction is.
    #[error("nonce too low")]
    NonceTooLow,
    /// Another transaction with its nonce is in the pool, and pays too much to be replaced by this one.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The account has transactions of the other kind in the pool, which keeps the two kinds apart.
    #[error("the account's other kind of transaction is pending")]
    KindReserved,
    /// It offers less than nodes take these days.
    #[error("transaction underpriced")]
    Underpriced,
    /// The account cannot pay for it.
    #[error("insufficient funds")]
    InsufficientFunds,
    /// The node refused it for another reason.
    #[error("rejected: {0}")]
    Rejected(String),
    /// Nobody answered. It may have arrived.
    #[error("{0}")]
    Unavailable(String),
}

/// What derivation says about the chain that L1 yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Derived {
    /// Every L1 block up to this number was read and everything in it executed or dropped.
    pub l1_number: u64,
    /// The safe head.
    pub safe: u64,
    /// Whose transactions count as batches after that L1 block.
    pub batcher: Address,
}
