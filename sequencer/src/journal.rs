//! The journal: the commit point of the sequencer.
//!
//! One row a block, in SQLite beside us or in a PostgreSQL elsewhere. What [`Journal::append`] has returned from is on
//! the disk, and only then may anybody be told of it: `journaled <= executed` in the chain of watermarks. Whoever
//! restarts after a crash finds a prefix of what was appended that holds everything acknowledged.
//!
//! Until L1 has made blocks final they can be removed again, from the newest downwards ([`Journal::rewind`]).
//!
//! Suggested reading order: this file, [`row`] (the encoding), `store` (transactions and failures), `engine` with
//! `sqlite` and `postgres` (what differs), `lock`, `blocks`, `finalized`, [`promise`] (the block after the newest),
//! [`waypoints`] (hints beside the rows), `ledger` (the batcher's L1 transactions).

mod blocks;
mod engine;
mod error;
mod finalized;
mod frame;
mod ledger;
mod location;
mod lock;
mod postgres;
pub mod promise;
pub mod row;
mod sqlite;
mod store;
pub mod waypoints;

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_eips::{BlockHashOrNumber, BlockNumHash};
use alloy_primitives::B256;
use millrace_types::{Block, ExecutedBlock, Receipt, SealedHeader, Transaction, Waypoint};
use tracing::warn;

pub use self::{
    blocks::Blocks,
    error::{
        AppendError, FinalizeError, OpenError, PromiseError, ReadError, RewindError, WriteError,
    },
    finalized::Finalized,
    frame::FrameError,
    ledger::JournalLedger,
    location::{Location, LocationError},
    lock::{DataDir, LockError},
    promise::{Promised, PromisedHead},
};
use crate::blocking::off_the_runtime;

use self::{
    postgres::PostgresEngine,
    row::{Row, decode_header},
    sqlite::SqliteEngine,
    store::{Batch, Store},
};

/// Which chain a journal belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainIdentity {
    /// The EIP-155 chain id.
    pub chain_id: u64,
    /// The hash of block 0, which the journal does not hold.
    pub genesis_hash: B256,
}

/// A block as the journal gives it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// The block.
    pub block: Arc<Block>,
    /// One receipt a transaction, in order.
    pub receipts: Arc<Vec<Receipt>>,
}

/// The sequencer's durable memory. One process has it at a time; any number of tasks may share it.
#[derive(Debug)]
pub struct Journal {
    store: AnyStore,
    /// Present if waypoints are kept.
    checkpoint: Option<Checkpoint>,
    waypoints_unusable: AtomicU64,
}

/// Asks the owner up to which block nobody will execute again what the journal holds.
struct Checkpoint(Box<dyn Fn() -> u64 + Send + Sync>);

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Checkpoint").field(&(self.0)()).finish()
    }
}

#[derive(Debug)]
enum AnyStore {
    Sqlite(Box<Store<SqliteEngine>>),
    Postgres(Box<Store<PostgresEngine>>),
}

/// Does the same on either engine.
macro_rules! on_store {
    ($journal:expr, $store:ident => $body:expr) => {
        match &$journal.store {
            AnyStore::Sqlite($store) => $body,
            AnyStore::Postgres($store) => $body,
        }
    };
}

impl Journal {
    /// Opens the journal, creating it if there is none, and locks out every other process until it is dropped.
    pub async fn open(location: &Location, identity: ChainIdentity) -> Result<Self, OpenError> {
        let store = match location {
            Location::Sqlite(path) => {
                let store = Store::open(SqliteEngine::new(path)?, identity).await?;
                AnyStore::Sqlite(Box::new(store))
            }
            Location::Postgres(options) => {
                let store = Store::open(PostgresEngine::new(options), identity).await?;
                AnyStore::Postgres(Box::new(store))
            }
        };
        Ok(Self { store, checkpoint: None, waypoints_unusable: AtomicU64::new(0) })
    }

    /// Keeps the waypoints of appended blocks from now on, until `checkpoint`, which is asked at each append, has come
    /// past them: what is at or below it needs no execution after a restart.
    #[must_use]
    pub fn keeping_waypoints(self, checkpoint: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { checkpoint: Some(Checkpoint(Box::new(checkpoint))), ..self }
    }

    /// Makes a block durable on top of the tip. What was promised of it has become true, and is forgotten.
    ///
    /// After any error the block must not be acknowledged; [`WriteError`] says whether trying again makes sense.
    /// Appending what is already the tip succeeds, so a block whose fate was unknown may simply be appended again.
    pub async fn append(&self, block: &ExecutedBlock) -> Result<(), AppendError> {
        self.append_group(std::slice::from_ref(block)).await
    }

    /// Makes several blocks durable in one transaction: all of them or none.
    pub async fn append_group(&self, blocks: &[ExecutedBlock]) -> Result<(), AppendError> {
        let batch = self.encode(blocks).await?;
        on_store!(self, store => store.append(&batch).await)
    }

    /// Encodes rows and waypoints at the same time: whoever appends waits for both.
    async fn encode<'a>(&self, blocks: &'a [ExecutedBlock]) -> Result<Batch<'a>, AppendError> {
        let rows = {
            let blocks = blocks.to_vec();
            off_the_runtime(move || {
                let encode = |block: &ExecutedBlock| {
                    let number = block.block.number();
                    Row::encode(block).map_err(|source| AppendError::Invalid { number, source })
                };
                blocks.iter().map(encode).collect::<Result<Vec<Row>, _>>()
            })
        };
        let Some(Checkpoint(checkpoint)) = &self.checkpoint else {
            return Ok(Batch { blocks, rows: rows.await?, waypoints: Vec::new(), checkpoint: 0 });
        };
        let waypoints = {
            let blocks = blocks.to_vec();
            off_the_runtime(move || {
                let encode =
                    |block: &ExecutedBlock| Some((block.block.number(), waypoints::encode(block)?));
                blocks.iter().filter_map(encode).collect()
            })
        };
        let (rows, waypoints) = tokio::join!(rows, waypoints);
        Ok(Batch { blocks, rows: rows?, waypoints, checkpoint: checkpoint() })
    }

    /// Makes a group of the open block durable, after those before it: from then on it may be shown as promised.
    ///
    /// `first_index` is how many transactions come before the group, deposits not counted. The first promise of a block
    /// brings its head; it may be the head alone. The block is the one after the tip, and every promise of it names the
    /// same head.
    ///
    /// After any error nothing of the group may be shown; [`WriteError`] says whether trying again makes sense. What is
    /// promised already is not written again, so a group whose fate was unknown may simply be promised again, alone or with
    /// what came after it.
    pub async fn promise(
        &self,
        head: &PromisedHead,
        first_index: u64,
        group: &[Arc<Transaction>],
    ) -> Result<(), PromiseError> {
        on_store!(self, store => store.promise(head, first_index, group).await)
    }

    /// What is promised of the block after the tip; nothing if a block was appended, or removed, since.
    pub async fn promised(&self) -> Result<Option<Promised>, ReadError> {
        on_store!(self, store => store.promised().await)
    }

    /// Forgets what is promised: L1 has decided that the block is not to be. Costs nothing if nothing is promised.
    pub async fn withdraw_promise(&self) -> Result<(), WriteError> {
        on_store!(self, store => store.withdraw_promise().await)
    }

    /// The newest block that is known to be durable; `None` while there is only genesis.
    pub fn tip(&self) -> Option<BlockNumHash> {
        on_store!(self, store => store.tip())
    }

    /// A block with its receipts, checked against its hash.
    pub async fn block(
        &self,
        id: impl Into<BlockHashOrNumber>,
    ) -> Result<Option<StoredBlock>, ReadError> {
        let number = match id.into() {
            BlockHashOrNumber::Number(number) => Some(number),
            BlockHashOrNumber::Hash(hash) => {
                on_store!(self, store => store.number(hash).await.map_err(|e| store.unread(e)))?
            }
        };
        let Some(number) = number else { return Ok(None) };
        match self.rows(number..=number, 1).await?.pop() {
            Some(row) => decode(row).await.map(Some),
            None => Ok(None),
        }
    }

    /// A header, checked against its hash.
    pub async fn header(&self, number: u64) -> Result<Option<SealedHeader>, ReadError> {
        match on_store!(self, store => store.header(number).await.map_err(|e| store.unread(e)))? {
            Some((hash, encoded)) => decode_header(&encoded, number, hash)
                .map(Some)
                .map_err(|source| ReadError::Corrupt { number, source }),
            None => Ok(None),
        }
    }

    /// Walks over a range of blocks, oldest first.
    pub fn range(&self, range: RangeInclusive<u64>) -> Blocks<'_> {
        Blocks::new(self, range)
    }

    /// What was recorded to execute a block again in less time: nothing if nothing was, or if it cannot be read, since a
    /// block executes to the same without.
    pub async fn waypoints(&self, block: &Block) -> Vec<Waypoint> {
        let number = block.number();
        if block.header.gas_used < waypoints::BLOCK_GAS_MIN {
            return Vec::new();
        }
        let decoded = match on_store!(self, store => store.waypoints(number).await) {
            Ok(None) => return Vec::new(),
            Ok(Some(stored)) => {
                let transactions = block.transactions.clone();
                off_the_runtime(move || waypoints::decode(&stored, &transactions))
                    .await
                    .map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        decoded.unwrap_or_else(|error| {
            self.waypoints_unusable.fetch_add(1, Ordering::Relaxed);
            warn!(block = number, error, "waypoints cannot be used: executing without them");
            Vec::new()
        })
    }

    /// How often waypoints were there and could not be used.
    pub fn waypoints_unusable(&self) -> u64 {
        self.waypoints_unusable.load(Ordering::Relaxed)
    }

    /// Removes every block above `to`, and what is promised, in one transaction: all of it or nothing. The state must not hold them on its
    /// disk any more, since recovery refuses a state that is ahead of the journal.
    ///
    /// After an error of the database the same may be tried again, as with [`append`](Self::append).
    pub async fn rewind(&self, to: u64) -> Result<(), RewindError> {
        on_store!(self, store => store.rewind(to).await)
    }

    /// How far finalized L1 holds the chain, as it was last written down; `None` until it was.
    pub fn finalized(&self) -> Option<Finalized> {
        on_store!(self, store => store.finalized())
    }

    /// Writes down how far finalized L1 holds the chain: from now on nothing up to there can be removed.
    ///
    /// To say less than what is known changes nothing: neither layer's finality goes back.
    pub async fn set_finalized(&self, finalized: Finalized) -> Result<(), FinalizeError> {
        on_store!(self, store => store.finalize(finalized).await)
    }

    /// Closes the database in an orderly way, so that the next start has nothing to recover. Dropping the journal is
    /// safe, too.
    pub async fn close(self) {
        on_store!(self, store => store.close().await);
    }

    async fn rows(
        &self,
        range: RangeInclusive<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Row>, ReadError> {
        on_store!(self, store => store.rows(range, bytes_max).await.map_err(|e| store.unread(e)))
    }
}

/// Decodes a row on a thread of its own: a large block takes milliseconds, which other tasks would feel.
async fn decode(row: Row) -> Result<StoredBlock, ReadError> {
    let number = row.number;
    off_the_runtime(move || row.decode())
        .await
        .map_err(|source| ReadError::Corrupt { number, source })
}
