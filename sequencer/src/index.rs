//! The index: where a transaction, a block or a log is, by hash, address or topic.
//!
//! It says nothing that the journal doesn't: it is written after the journal, is never synced on its own account, and
//! may be removed at any time, since [`Index::catch_up`] fills it again. It lies in a key-value store rather than beside
//! the journal's rows because its keys are many, small and random, and need no commit.
//!
//! ```text
//! numbers       block number                      -> block hash        the newest is the watermark
//! blocks        block hash                        -> block number
//! transactions  transaction hash                  -> block number, index, beginning of the block hash
//! postings      kind, digest of value, number     -> nothing           "a log in this block has that address or topic"
//! ```
//!
//! `numbers` alone says what counts. Rewinding cuts it short, and whatever the other three still say about blocks that
//! are gone is recognised by its hash and ignored; a stale posting only costs a look at a block without a match.

mod catch_up;
mod logs;

use std::path::Path;

use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use millrace_types::{Block, Receipt};

pub use self::{catch_up::CatchUpError, logs::LogCandidates};

/// Blocks of the store that are kept in memory.
const CACHE_BYTES: u64 = 64 << 20;

/// What each keyspace may collect in memory before it writes a table.
const MEMTABLE_BYTES_MAX: u64 = 16 << 20;

/// How much of a block's hash its transactions' entries repeat: enough to tell two blocks of one number apart.
const BLOCK_MARK_BYTES: usize = 8;

/// Where a transaction, a block or a log is.
pub struct Index {
    database: Database,
    numbers: Keyspace,
    blocks: Keyspace,
    transactions: Keyspace,
    postings: Keyspace,
}

/// Why the index did not answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The store failed. Its directory can be removed: it is filled again from the journal.
    #[error("the index: {0}")]
    Store(#[from] fjall::Error),
    /// An entry is not what was written. Its directory can be removed: it is filled again from the journal.
    #[error("the index is corrupt: {0}")]
    Corrupt(&'static str),
    /// The block doesn't follow the last indexed one: the caller's order is broken.
    #[error("block {} ({}) does not follow {watermark:?} in the index", offered.number, offered.hash)]
    NotNext {
        /// The last indexed block.
        watermark: Option<BlockNumHash>,
        /// The block that doesn't fit.
        offered: BlockNumHash,
    },
}

impl Index {
    /// Opens the index in a directory of its own, creating it if there is none.
    pub fn open(directory: &Path) -> Result<Self, IndexError> {
        // One worker: several keep a core busy with waiting.
        let database =
            Database::builder(directory).cache_size(CACHE_BYTES).worker_threads(1).open()?;
        // A change of layout takes new names, and so begins empty.
        let keyspace = |name| {
            database.keyspace(name, || {
                KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX)
            })
        };
        Ok(Self {
            numbers: keyspace("numbers")?,
            blocks: keyspace("blocks")?,
            transactions: keyspace("transactions")?,
            postings: keyspace("postings")?,
            database,
        })
    }

    /// The number of the last indexed block.
    pub fn watermark(&self) -> Result<Option<u64>, IndexError> {
        Ok(self.last()?.map(|last| last.number))
    }

    /// Adds the next block, whole or not at all. Survives the end of the process at once, a power cut eventually.
    pub fn add(&self, block: &Block, receipts: &[Receipt]) -> Result<(), IndexError> {
        let offered = block.header.num_hash();
        let watermark = self.last()?;
        if watermark.is_some_and(|last| {
            last.number.checked_add(1) != Some(offered.number)
                || last.hash != block.header.parent_hash
        }) {
            return Err(IndexError::NotNext { watermark, offered });
        }
        let number = offered.number.to_be_bytes();
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        batch.insert(&self.numbers, number, offered.hash.as_slice());
        batch.insert(&self.blocks, offered.hash.as_slice(), number);
        // In the order of their hashes, since the store keeps them so in memory: what was touched for one is at hand for the next.
        let mut transactions: Vec<_> =
            block.transactions.iter().zip(0_u32..).map(|(tx, index)| (tx.hash(), index)).collect();
        transactions.sort_unstable();
        for (hash, index) in transactions {
            let mut entry = [0; 12 + BLOCK_MARK_BYTES];
            entry[..8].copy_from_slice(&number);
            entry[8..12].copy_from_slice(&index.to_be_bytes());
            entry[12..].copy_from_slice(&offered.hash[..BLOCK_MARK_BYTES]);
            batch.insert(&self.transactions, hash.as_slice(), entry);
        }
        for posting in logs::postings(receipts) {
            batch.insert(&self.postings, posting.key(offered.number), []);
        }
        Ok(batch.commit()?)
    }

    /// Forgets every block above `to`.
    pub fn rewind(&self, to: u64) -> Result<(), IndexError> {
        let Some(first) = to.checked_add(1) else { return Ok(()) };
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for entry in self.numbers.range(first.to_be_bytes()..) {
            batch.remove(&self.numbers, entry.key()?);
        }
        Ok(batch.commit()?)
    }

    /// The block that holds a transaction, and its index in there.
    pub fn transaction(&self, hash: &B256) -> Result<Option<(u64, usize)>, IndexError> {
        let Some(entry) = self.transactions.get(hash)? else { return Ok(None) };
        let Some((number, rest)) = entry.split_first_chunk() else { return Err(BAD_TRANSACTION) };
        let Some((index, mark)) = rest.split_first_chunk() else { return Err(BAD_TRANSACTION) };
        if mark.len() != BLOCK_MARK_BYTES {
            return Err(BAD_TRANSACTION);
        }
        let number = u64::from_be_bytes(*number);
        let holds = self.hash(number)?.is_some_and(|hash| hash.starts_with(mark));
        Ok(holds.then_some((number, u32::from_be_bytes(*index) as usize)))
    }

    /// The number of the block with a hash.
    pub fn block_number(&self, hash: &B256) -> Result<Option<u64>, IndexError> {
        let Some(number) = self.blocks.get(hash)? else { return Ok(None) };
        let number = decode_number(&number)?;
        Ok((self.hash(number)? == Some(*hash)).then_some(number))
    }

    /// The hash of an indexed block.
    pub fn hash(&self, number: u64) -> Result<Option<B256>, IndexError> {
        self.numbers.get(number.to_be_bytes())?.map(|hash| decode_hash(&hash)).transpose()
    }

    fn last(&self) -> Result<Option<BlockNumHash>, IndexError> {
        let Some(last) = self.numbers.last_key_value() else { return Ok(None) };
        let (number, hash) = last.into_inner()?;
        Ok(Some(BlockNumHash::new(decode_number(&number)?, decode_hash(&hash)?)))
    }
}

const BAD_TRANSACTION: IndexError = IndexError::Corrupt("a transaction's entry has the wrong size");

fn decode_number(bytes: &[u8]) -> Result<u64, IndexError> {
    let bytes =
        bytes.try_into().map_err(|_| IndexError::Corrupt("a block number has no 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

fn decode_hash(bytes: &[u8]) -> Result<B256, IndexError> {
    B256::try_from(bytes).map_err(|_| IndexError::Corrupt("a hash has no 32 bytes"))
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}
