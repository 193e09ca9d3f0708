//! The key-value store beneath the state. This file alone knows which one it is (see
//! `docs/decisions/0004-key-value-store.md`).
//!
//! What the rest of the crate relies on: a [`Batch`] is atomic over all tables and durable once
//! [`commit`](Batch::commit) returns; a [`Snapshot`] never changes, whatever is committed after it; keys are ordered.

use std::{borrow::Cow, fmt, path::Path, time::Duration};

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, UserKey, UserValue,
    config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry},
};

/// One ordered map of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// The schema and the checkpoint.
    Meta,
    /// Address to account.
    Accounts,
    /// Address and slot to value.
    Storage,
    /// Hash to code, in pieces.
    Codes,
    /// Trie and path to the trie's record.
    Nodes,
    /// Key and block to what the key held before that block.
    History,
    /// Block to what undoes it, in pieces.
    Undo,
}

const TABLES: [(Table, &str); 7] = [
    (Table::Meta, "meta"),
    (Table::Accounts, "accounts"),
    (Table::Storage, "storage"),
    (Table::Codes, "codes"),
    (Table::Nodes, "nodes"),
    (Table::History, "history"),
    (Table::Undo, "undo"),
];

/// What a table may hold in memory before it is sorted to disk.
const MEMTABLE_BYTES: u64 = 32 << 20;
/// See [`Batch::put_long`].
const PIECE_BYTES: usize = 2048;
/// Threads that sort tables. Of several, the store's library lets one wait for new tables, which it does by handing itself back,
/// again and again, what the others have not come to yet: a core is lost for as long as tables are merged.
const WORKERS: usize = 1;
/// The store's log, kept until the tables behind it are on disk.
const LOG_BYTES_MAX: u64 = 512 << 20;

/// An open store: cheap to clone, closed when the last clone and the last snapshot are gone.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
    tables: [Keyspace; TABLES.len()],
    /// Makes commits fail, as a full or dying disk does.
    #[cfg(test)]
    pub(crate) fail_commits: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

/// Why the store could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk or the store's files failed. Writes stay refused until the state is opened anew.
    #[error("{action}: {reason}")]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// What the store said.
        reason: String,
    },
    /// The store holds something that this code did not write.
    #[error("the store is corrupt: {0}")]
    Corrupt(Cow<'static, str>),
}

/// Why the store could not be opened.
#[derive(Debug)]
pub(crate) enum StoreOpenError {
    Locked,
    Missing,
    Failed(StoreError),
}

impl Store {
    /// Opens the store in `dir`, which must hold one, unless `create` allows a new one. A store from a creation that was
    /// cut short may hold anything: see [`clear`](Self::clear).
    pub(crate) fn open(
        dir: &Path,
        cache_bytes: usize,
        create: bool,
    ) -> Result<Self, StoreOpenError> {
        let failed = |action| move |error| StoreOpenError::Failed(failure(action, error));
        let exists = dir
            .join("version")
            .try_exists()
            .map_err(|error| failed("look for a store")(error.into()))?;
        if !exists && !create {
            return Err(StoreOpenError::Missing);
        }
        let database = Database::builder(dir)
            .cache_size(cache_bytes as u64)
            .max_journaling_size(LOG_BYTES_MAX)
            .worker_threads(WORKERS)
            .open()
            .map_err(|error| match error {
                fjall::Error::Locked => StoreOpenError::Locked,
                error => failed("open store")(error),
            })?;
        let mut tables = Vec::with_capacity(TABLES.len());
        for (table, name) in TABLES {
            let keyspace =
                database.keyspace(name, || options(table)).map_err(failed("open table"))?;
            tables.push(keyspace);
        }
        let Ok(tables) = tables.try_into() else { unreachable!("one keyspace a table") };
        Ok(Self {
            database,
            tables,
            #[cfg(test)]
            fail_commits: std::sync::Arc::default(),
        })
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { store: self, writes: Vec::new() }
    }

    /// Removes everything there is.
    pub(crate) fn clear(&self) -> Result<(), StoreError> {
        let snapshot = self.snapshot();
        if TABLES.iter().all(|(table, _)| snapshot.keys(*table, &[]).next().is_none()) {
            return Ok(());
        }
        self.tables
            .iter()
            .try_for_each(|table| table.clear())
            .map_err(|e| failure("clear store", e))
    }

    /// The state of the store now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot { inner: self.database.snapshot(), tables: self.tables.clone() }
    }

    fn table(&self, table: Table) -> &Keyspace {
        &self.tables[table as usize]
    }

    /// Waits while tables wait to be sorted to disk, so that a commit never meets the store's own throttle: that one
    /// waits for ever when the background work it waits for has failed, while here the failure comes back.
    fn wait_for_flushes(&self) -> Result<(), fjall::Error> {
        while self.tables.iter().any(|table| table.sealed_memtable_count() > 1) {
            // Fails once background work has.
            self.database.persist(PersistMode::Buffer)?;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

fn options(table: Table) -> KeyspaceCreateOptions {
    let options = KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
    match table {
        // Only ever read in ranges: filters would cost memory for nothing.
        Table::Codes | Table::History | Table::Undo => {
            options.filter_policy(FilterPolicy::disabled())
        }
        _ => options.filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(
            BloomConstructionPolicy::BitsPerKey(10.0),
        ))),
    }
}

fn failure(action: &'static str, error: fjall::Error) -> StoreError {
    StoreError::Failed { action, reason: describe(error) }
}

fn describe(error: fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::Poisoned => "an earlier write failed".to_owned(),
        error => error.to_string(),
    }
}

impl StoreError {
    pub(crate) const fn corrupt(what: &'static str) -> Self {
        Self::Corrupt(Cow::Borrowed(what))
    }
}

/// Writes that happen together or not at all. A key occurs at most once: which of two writes wins is not defined.
pub(crate) struct Batch<'a> {
    store: &'a Store,
    writes: Vec<Write>,
}

struct Write {
    table: Table,
    key: UserKey,
    /// Nothing: the key is deleted.
    value: Option<UserValue>,
}

impl Batch<'_> {
    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.writes.push(Write { table, key: key.into(), value: Some(value.into()) });
    }

    /// A value of any length, for [`Snapshot::get_long`].
    ///
    /// It is stored in pieces shorter than a page of memory. The store's log is written page by page, and a power
    /// failure may leave out any page of a batch that was not yet durable. Such a hole that also swallows the end of a
    /// value is recognised as a torn batch, which is dropped; a hole within a single value reads as corruption, and the
    /// store refuses to open.
    pub(crate) fn put_long(&mut self, table: Table, key: &[u8], value: &[u8]) {
        for (index, piece) in value.chunks(PIECE_BYTES).enumerate() {
            self.put(table, &[key, &(index as u32).to_be_bytes()].concat(), piece);
        }
    }

    /// Deletes what [`put_long`](Self::put_long) wrote, and `snapshot` has.
    pub(crate) fn delete_long(
        &mut self,
        snapshot: &Snapshot,
        table: Table,
        key: &[u8],
    ) -> Result<(), StoreError> {
        for piece in snapshot.keys(table, key) {
            self.delete(table, &piece?);
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, table: Table, key: &[u8]) {
        self.writes.push(Write { table, key: key.into(), value: None });
    }

    pub(crate) fn len(&self) -> usize {
        self.writes.len()
    }

    /// Writes the batch and waits until it is on disk. After an error it may or may not be there.
    ///
    /// In the order of the keys: each then has its place in the table's memory close to that of the one before, which is in
    /// the processor's cache.
    pub(crate) fn commit(mut self) -> Result<(), StoreError> {
        #[cfg(test)]
        if self.store.fail_commits.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(failure("write to the store", std::io::Error::other("injected").into()));
        }
        self.writes.sort_unstable_by(|a, b| (a.table, &a.key).cmp(&(b.table, &b.key)));
        let mut batch = self.store.database.batch().durability(Some(PersistMode::SyncData));
        for Write { table, key, value } in self.writes {
            match value {
                Some(value) => batch.insert(self.store.table(table), key, value),
                None => batch.remove(self.store.table(table), key),
            }
        }
        self.store
            .wait_for_flushes()
            .and_then(|()| batch.commit())
            .map_err(|error| failure("write to the store", error))
    }
}

/// The store at one moment.
pub(crate) struct Snapshot {
    inner: fjall::Snapshot,
    tables: [Keyspace; TABLES.len()],
}

impl Snapshot {
    pub(crate) fn get(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, StoreError> {
        self.inner
            .get(&self.tables[table as usize], key)
            .map_err(|error| failure("read from the store", error))
    }

    /// A value that [`Batch::put_long`] wrote; `None` if there is none or it is empty. Keys of one table must have one
    /// length.
    pub(crate) fn get_long(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut value = Vec::new();
        for piece in self.inner.prefix(&self.tables[table as usize], key) {
            let piece = piece.value().map_err(|error| failure("read from the store", error))?;
            value.extend_from_slice(&piece);
        }
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    /// The value of the first key in the range from `from` up to and including `through`.
    pub(crate) fn first(
        &self,
        table: Table,
        from: &[u8],
        through: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner
            .range(&self.tables[table as usize], from..=through)
            .next()
            .map(|entry| entry.value().map(|value| value.to_vec()))
            .transpose()
            .map_err(|error| failure("read from the store", error))
    }

    /// The keys that start with `prefix`, in order.
    pub(crate) fn keys(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<Vec<u8>, StoreError>> + use<> {
        self.inner.prefix(&self.tables[table as usize], prefix).map(|entry| {
            entry
                .key()
                .map(|key| key.to_vec())
                .map_err(|error| failure("read from the store", error))
        })
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}
