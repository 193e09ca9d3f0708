//! What SQLite and PostgreSQL do differently.

use std::{fmt::Debug, future::Future, time::Duration};

use sqlx::{Database, Pool, migrate::Migrator};

use super::error::OpenError;

/// An engine's connection.
pub(super) type Connection<E> = <<E as Engine>::Database as Database>::Connection;

/// One of the two databases.
pub(super) trait Engine: Debug + Send + Sync + 'static {
    /// The driver.
    type Database: Database<Connection: Debug>;

    /// Starts a transaction that will write.
    const BEGIN: &'static str;

    /// How long a transaction may take before its fate counts as unknown.
    const TRANSACTION_TIMEOUT: Duration;

    /// The schema's history.
    fn migrations() -> Migrator;

    /// Opens the one connection that may write, in place of one that failed if there was one. When it returns, no
    /// earlier connection of ours can commit any more: what is read through this one is final.
    fn connect_writer(
        &self,
        failed: Option<Connection<Self>>,
    ) -> impl Future<Output = Result<Connection<Self>, ConnectError>> + Send;

    /// Makes sure that what can be read is on the disk, and not only in a cache that a failed sync left behind.
    fn settle_disk(
        &self,
        writer: &mut Connection<Self>,
    ) -> impl Future<Output = Result<(), OpenError>> + Send;

    /// Connections that only read, opened when they are needed.
    fn readers(&self) -> Pool<Self::Database>;

    /// How many rows a statement changed.
    fn rows_affected(done: &<Self::Database as Database>::QueryResult) -> u64;

    /// What an error says about the disk.
    fn fault(error: &sqlx::Error) -> Fault;
}

/// What a failed statement says about the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no room left; everything else is well.
    Full,
    /// Reading, writing or syncing failed. What the cache shows proves nothing any more.
    Disk,
    /// Anything else: the database or the way to it.
    Other,
}

/// Why there is no connection that may write.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("another process holds the journal's lock")]
    Locked,
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
