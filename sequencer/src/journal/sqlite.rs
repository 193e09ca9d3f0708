//! SQLite: a file beside us.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection as _, Pool, Row as _, SqlSafeStr as _, Sqlite, SqliteConnection,
    migrate::Migrator,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteQueryResult,
        SqliteSynchronous,
    },
};

use super::{
    engine::{ConnectError, Engine, Fault},
    error::OpenError,
    lock::{FileLock, LockError},
};

/// Reading never waits for writing in WAL mode; more readers than this only compete for the same two disks' worth of
/// work.
const READERS_MAX: u32 = 4;

/// What the writer keeps in memory, in KiB: enough for the pages that a large block was promised in. Removing 13 MB of them
/// costs 1 ms then, and 20 to 60 ms with SQLite's default of 2 MB, because it reads each page again.
const WRITER_CACHE_KIB: &str = "-32768";

/// Rows that a reader's thread may run ahead of its consumer. A row holds a whole block.
const ROWS_AHEAD_MAX: usize = 2;

/// The embedded database.
#[derive(Debug)]
pub(super) struct SqliteEngine {
    path: PathBuf,
    /// SQLite's own locks let processes take turns; a sequencer must be alone.
    _lock: FileLock,
}

impl SqliteEngine {
    pub(super) fn new(path: &Path) -> Result<Self, OpenError> {
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock = FileLock::take(Path::new(&lock_path)).map_err(|error| match error {
            LockError::Held { .. } => OpenError::Locked(error.to_string()),
            LockError::Io { .. } => OpenError::Lock(error),
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging()
    }
}

impl Engine for SqliteEngine {
    type Database = Sqlite;

    // The write lock from the start: a transaction that reads first could fail to get it later.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    // The disk answers or fails; there is nobody else to wait for.
    const TRANSACTION_TIMEOUT: Duration = Duration::MAX;

    fn migrations() -> Migrator {
        sqlx::migrate!("../migrations/sqlite")
    }

    async fn connect_writer(
        &self,
        failed: Option<SqliteConnection>,
    ) -> Result<SqliteConnection, ConnectError> {
        // In WAL mode the usual `synchronous=NORMAL` syncs the log only at checkpoints, so that a power cut forgets the
        // newest commits. FULL syncs it at every commit, before COMMIT returns: that is what an acknowledgement means.
        let mut writer = self
            .options()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // macOS: make a sync reach the platters; no effect elsewhere.
            .pragma("fullfsync", "ON")
            .pragma("cache_size", WRITER_CACHE_KIB)
            .connect()
            .await?;
        // Waits for a transaction that an abandoned connection may still be finishing.
        writer.begin_with(Self::BEGIN.into_sql_str()).await?.rollback().await?;
        // Not earlier: the last connection to close takes the log's index with it, and on a full disk there would be no
        // room to make another.
        drop(failed);
        Ok(writer)
    }

    /// After a failed sync the kernel keeps showing pages that never reached the disk, and a later sync succeeds without
    /// them. A process that restarts over such a log would build on sand. So everything in the log is copied into
    /// the database and synced before the first block is added to it; a log that cannot be copied cannot be trusted.
    async fn settle_disk(&self, writer: &mut SqliteConnection) -> Result<(), OpenError> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *writer)
            .await
            .map_err(|error| match Self::fault(&error) {
                Fault::Full => OpenError::DiskFull,
                Fault::Disk | Fault::Other => OpenError::Database(error),
            })?;
        let busy: i64 = row.try_get(0).map_err(OpenError::Database)?;
        if busy != 0 {
            return Err(OpenError::Locked(format!("{} is being read", self.path.display())));
        }
        // The files' own names have to survive as well.
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| OpenError::Database(error.into()))
    }

    fn readers(&self) -> Pool<Sqlite> {
        SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_lazy_with(self.options().read_only(true).row_buffer_size(ROWS_AHEAD_MAX))
    }

    fn rows_affected(done: &SqliteQueryResult) -> u64 {
        done.rows_affected()
    }

    fn fault(error: &sqlx::Error) -> Fault {
        // The primary result codes of SQLite's C interface; the extended code's low byte.
        const IOERR: i64 = 10;
        // No room for the log's index, which lies in memory that other processes share, and proves nothing anyway.
        const IOERR_SHMSIZE: i64 = IOERR | 19 << 8;
        const CORRUPT: i64 = 11;
        const FULL: i64 = 13;
        const NOTADB: i64 = 26;
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<i64>().ok());
        match code.map(|code| (code & 0xff, code)) {
            Some((FULL, _) | (_, IOERR_SHMSIZE)) => Fault::Full,
            Some((IOERR | CORRUPT | NOTADB, _)) => Fault::Disk,
            _ => Fault::Other,
        }
    }
}
