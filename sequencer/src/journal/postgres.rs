//! PostgreSQL: a server, which may be elsewhere and may go away.

use std::time::Duration;

use sqlx::{
    ConnectOptions, Connection as _, PgConnection, Pool, Postgres,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    engine::{ConnectError, Engine, Fault},
    error::OpenError,
};

const READERS_MAX: u32 = 8;

/// The journal's advisory lock in its database: "millrace" in ASCII.
const LOCK_KEY: i64 = i64::from_be_bytes(*b"millrace");

/// How long to wait for the lock. A session that was cut off holds it until the server notices.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(50);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A PostgreSQL database.
#[derive(Debug)]
pub(super) struct PostgresEngine {
    options: PgConnectOptions,
}

impl PostgresEngine {
    pub(super) fn new(options: &PgConnectOptions) -> Self {
        let options = options
            .clone()
            .application_name("millrace")
            // A writer whose machine vanished must give up the lock in seconds, not in the kernel's two hours.
            .options([
                ("tcp_keepalives_idle", "10"),
                ("tcp_keepalives_interval", "5"),
                ("tcp_keepalives_count", "3"),
            ])
            .disable_statement_logging();
        Self { options }
    }
}

impl Engine for PostgresEngine {
    type Database = Postgres;

    const BEGIN: &'static str = "BEGIN";

    const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

    fn migrations() -> Migrator {
        sqlx::migrate!("../migrations/postgres")
    }

    /// The lock belongs to the session that writes, so a session without the lock cannot write, and whoever gets the
    /// lock knows that the sessions before it have ended, their commits decided.
    async fn connect_writer(
        &self,
        failed: Option<PgConnection>,
    ) -> Result<PgConnection, ConnectError> {
        // Its session holds the lock.
        drop(failed);
        let mut writer = timeout(CONNECT_TIMEOUT, self.options.connect())
            .await
            .map_err(|elapsed| sqlx::Error::Io(elapsed.into()))??;
        require_durability(&mut writer).await?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
                .bind(LOCK_KEY)
                .fetch_one(&mut writer)
                .await?;
            if locked {
                return Ok(writer);
            }
            if Instant::now() >= deadline {
                let _ = writer.close().await;
                return Err(ConnectError::Locked);
            }
            sleep(LOCK_RETRY_INTERVAL).await;
        }
    }

    /// The server's own affair: it crashes on a failed sync, and replays its log.
    async fn settle_disk(&self, _writer: &mut PgConnection) -> Result<(), OpenError> {
        Ok(())
    }

    fn readers(&self) -> Pool<Postgres> {
        PgPoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy_with(self.options.clone())
    }

    fn rows_affected(done: &PgQueryResult) -> u64 {
        done.rows_affected()
    }

    fn fault(error: &sqlx::Error) -> Fault {
        match error.as_database_error().and_then(|error| error.code()).as_deref() {
            Some("53100") => Fault::Full,
            _ => Fault::Other,
        }
    }
}

/// The server must write a commit to its disk before it answers.
async fn require_durability(writer: &mut PgConnection) -> Result<(), ConnectError> {
    let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(&mut *writer).await?;
    if fsync != "on" {
        return Err(OpenError::NotDurable("fsync").into());
    }
    // Stronger settings, which wait for standbys, are the operator's choice and stay.
    let commit: String =
        sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut *writer).await?;
    if commit == "off" {
        sqlx::query("SET synchronous_commit TO on").execute(writer).await?;
    }
    Ok(())
}
