//! The journal over one engine: the statements, and what happens when one fails.

use std::ops::RangeInclusive;

use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use futures::TryStreamExt as _;
use parking_lot::Mutex;
use sqlx::{
    ColumnIndex, Connection as _, Database, Decode, Encode, Executor, IntoArguments, Pool,
    Row as _, Type,
    migrate::{Migrate, MigrateError},
};
use tokio::time::timeout;
use tracing::{error, warn};

use super::{
    ChainIdentity,
    engine::{ConnectError, Connection, Engine, Fault},
    error::{AppendError, OpenError, WriteError},
    row::Row,
};

/// Stores a block only on top of its parent, whatever this process believes the tip to be.
const INSERT: &str = "
    INSERT INTO blocks (number, hash, parent_hash, header, body, receipts)
    SELECT $1, $2, $3, $4, $5, $6
    WHERE $1 = 1 + COALESCE((SELECT max(number) FROM blocks), 0)
      AND $3 = COALESCE((SELECT hash FROM blocks ORDER BY number DESC LIMIT 1), (SELECT genesis_hash FROM meta))";
const DELETE_ABOVE: &str = "DELETE FROM blocks WHERE number > $1";
/// Whatever is there is of a block that was removed behind our back.
const INSERT_WAYPOINTS: &str = "
    INSERT INTO waypoints (number, stretches) VALUES ($1, $2)
    ON CONFLICT (number) DO UPDATE SET stretches = excluded.stretches";
const SELECT_WAYPOINTS: &str = "SELECT stretches FROM waypoints WHERE number = $1";
const DELETE_WAYPOINTS_ABOVE: &str = "DELETE FROM waypoints WHERE number > $1";
const DELETE_WAYPOINTS_UP_TO: &str = "
    DELETE FROM waypoints WHERE number IN
      (SELECT number FROM waypoints WHERE number <= $1 ORDER BY number LIMIT $2)";
const SELECT_TIP: &str = "SELECT number, hash FROM blocks ORDER BY number DESC LIMIT 1";
const SELECT_NUMBER: &str = "SELECT number FROM blocks WHERE hash = $1";
const SELECT_HEADER: &str = "SELECT hash, header FROM blocks WHERE number = $1";
const SELECT_RANGE: &str = "
    SELECT number, hash, parent_hash, header, body, receipts FROM blocks
    WHERE number BETWEEN $1 AND $2 ORDER BY number";
const CLAIM: &str = "
    INSERT INTO meta (singleton, chain_id, genesis_hash) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
const SELECT_IDENTITY: &str = "SELECT chain_id, genesis_hash FROM meta";

/// The journal over one engine.
#[derive(Debug)]
pub(super) struct Store<E: Engine> {
    engine: E,
    genesis: BlockNumHash,
    readers: Pool<E::Database>,
    writer: tokio::sync::Mutex<Writer<Connection<E>>>,
    /// The newest block that is known to be durable.
    tip: Mutex<Option<BlockNumHash>>,
}

/// ```text
///          a write begins               it ends well, or the tip could be read again
/// Ready ─────────────────────> InDoubt ─────────────────────────────────────────────> Ready
///                                 │ the disk failed
///                                 └───────────────> Halted
/// ```
///
/// A write that is abandoned half-way (its future dropped) therefore leaves the journal in doubt, not broken.
#[derive(Debug)]
enum Writer<C> {
    /// The tip is what we think it is.
    Ready(C),
    /// It may not be: connect and read it before anything else.
    InDoubt,
    /// For good, and why.
    Halted(String),
}

/// How many rows of old waypoints leave for each that comes: enough to catch up, and too few to be felt. Removing one
/// reads it.
const WAYPOINTS_REMOVED_EACH: usize = 2;

/// Blocks to be appended together, with what belongs to them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    /// Encoded waypoints of those blocks that have any, by number.
    pub(super) waypoints: Vec<(u64, Vec<u8>)>,
    /// Up to this block, waypoints are of no use any more.
    pub(super) checkpoint: u64,
}

/// What a transaction changes.
enum Change<'a> {
    Append(&'a Batch),
    Unwind { to: u64 },
}

/// Why a transaction failed.
enum Failure {
    /// The stored tip was not the one that we knew: somebody else wrote.
    Diverged,
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl<E: Engine> Store<E>
where
    Connection<E>: Migrate,
    for<'c> &'c mut Connection<E>: Executor<'c, Database = E::Database>,
    for<'c> &'c Pool<E::Database>: Executor<'c, Database = E::Database>,
    <E::Database as Database>::Arguments: IntoArguments<E::Database>,
    usize: ColumnIndex<<E::Database as Database>::Row>,
    i64: Type<E::Database>,
    for<'q> i64: Encode<'q, E::Database> + Decode<'q, E::Database>,
    Vec<u8>: Type<E::Database>,
    for<'q> Vec<u8>: Encode<'q, E::Database> + Decode<'q, E::Database>,
{
    pub(super) async fn open(engine: E, identity: ChainIdentity) -> Result<Self, OpenError> {
        let mut writer = engine.connect_writer(None).await.map_err(|error| match error {
            ConnectError::Locked => OpenError::Locked(error.to_string()),
            ConnectError::Open(error) => error,
            ConnectError::Database(error) => open_error::<E>(error),
        })?;
        engine.settle_disk(&mut writer).await?;
        E::migrations().run_direct(None, &mut writer, false).await.map_err(
            |error| match error {
                MigrateError::VersionMissing(version) => OpenError::NewerSchema(version),
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                    open_error::<E>(error)
                }
                error => OpenError::Migrate(error),
            },
        )?;
        Self::claim(&mut writer, identity).await?;
        let tip = Self::read_tip(&mut writer).await.map_err(open_error::<E>)?;
        Ok(Self {
            genesis: BlockNumHash::new(0, identity.genesis_hash),
            readers: engine.readers(),
            engine,
            writer: tokio::sync::Mutex::new(Writer::Ready(writer)),
            tip: Mutex::new(tip),
        })
    }

    pub(super) fn tip(&self) -> Option<BlockNumHash> {
        *self.tip.lock()
    }

    pub(super) async fn append(&self, batch: &Batch) -> Result<(), AppendError> {
        let rows = &batch.rows;
        let Some(last) = rows.last() else { return Ok(()) };
        let last = BlockNumHash::new(last.number, last.hash);
        let mut writer = self.writer.lock().await;
        self.ready(&mut writer).await?;
        let tip = self.tip();
        if tip == Some(last) {
            return Ok(());
        }
        check_follows(tip.unwrap_or(self.genesis), rows)
            .map_err(|offered| AppendError::NotNext { tip, offered })?;
        Ok(self.change(&mut writer, Change::Append(batch), Some(last)).await?)
    }

    pub(super) async fn unwind(&self, to: u64) -> Result<(), WriteError> {
        let mut writer = self.writer.lock().await;
        self.ready(&mut writer).await?;
        if self.tip().is_none_or(|tip| tip.number <= to) {
            return Ok(());
        }
        let header = self.header(to).await.map_err(WriteError::NotStored)?;
        let after = header.map(|(hash, _)| BlockNumHash::new(to, hash));
        self.change(&mut writer, Change::Unwind { to }, after).await
    }

    pub(super) async fn number(&self, hash: B256) -> Result<Option<u64>, sqlx::Error> {
        let row =
            sqlx::query(SELECT_NUMBER).bind(hash.to_vec()).fetch_optional(&self.readers).await?;
        row.map(|row| Ok(row.try_get::<i64, _>(0)?.cast_unsigned())).transpose()
    }

    /// A header's hash and encoding.
    pub(super) async fn header(&self, number: u64) -> Result<Option<(B256, Vec<u8>)>, sqlx::Error> {
        // A number past the signed range becomes a negative one, which no row has.
        let number = number.cast_signed();
        let row = sqlx::query(SELECT_HEADER).bind(number).fetch_optional(&self.readers).await?;
        row.map(|row| Ok((Self::hash_column(&row, 0)?, row.try_get(1)?))).transpose()
    }

    /// Rows from the beginning of a range, in order, until they weigh `bytes_max`; at least one if there is one.
    pub(super) async fn rows(
        &self,
        range: RangeInclusive<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut found = sqlx::query(SELECT_RANGE)
            .bind(signed(*range.start()))
            .bind(signed(*range.end()))
            .fetch(&self.readers);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max
            && let Some(row) = found.try_next().await?
        {
            let row = Row {
                number: row.try_get::<i64, _>(0)?.cast_unsigned(),
                hash: Self::hash_column(&row, 1)?,
                parent_hash: Self::hash_column(&row, 2)?,
                header: row.try_get(3)?,
                body: row.try_get(4)?,
                receipts: row.try_get(5)?,
            };
            bytes += row.header.len() + row.body.len() + row.receipts.len();
            rows.push(row);
        }
        Ok(rows)
    }

    /// A block's waypoints, encoded, if there are any.
    pub(super) async fn waypoints(&self, number: u64) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let query = sqlx::query(SELECT_WAYPOINTS).bind(number.cast_signed());
        query.fetch_optional(&self.readers).await?.map(|row| row.try_get(0)).transpose()
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        let writer = std::mem::replace(&mut *self.writer.lock().await, Writer::InDoubt);
        if let Writer::Ready(connection) = writer
            && let Err(error) = connection.close().await
        {
            // Everything acknowledged is committed already.
            warn!(%error, "close the journal");
        }
    }

    /// Finds out the tip, if it is in doubt.
    async fn ready(&self, writer: &mut Writer<Connection<E>>) -> Result<(), WriteError> {
        *writer = Writer::Ready(self.begin(writer).await?);
        Ok(())
    }

    /// Takes the connection out, leaving the journal in doubt until it is put back.
    async fn begin(&self, writer: &mut Writer<Connection<E>>) -> Result<Connection<E>, WriteError> {
        match std::mem::replace(writer, Writer::InDoubt) {
            Writer::Ready(connection) => Ok(connection),
            Writer::InDoubt => self.settle(None).await.map_err(|error| match E::fault(&error) {
                Fault::Disk => halt(writer, &error),
                Fault::Full | Fault::Other => WriteError::Unknown(error),
            }),
            Writer::Halted(why) => {
                *writer = Writer::Halted(why.clone());
                Err(WriteError::Halted(why))
            }
        }
    }

    /// Makes a change that should lead to the tip `after`, and finds out whether it did.
    async fn change(
        &self,
        writer: &mut Writer<Connection<E>>,
        change: Change<'_>,
        after: Option<BlockNumHash>,
    ) -> Result<(), WriteError> {
        let mut connection = self.begin(writer).await?;
        let before = self.tip();
        let error =
            match timeout(E::TRANSACTION_TIMEOUT, Self::transact(&mut connection, change)).await {
                Ok(Ok(())) => {
                    *self.tip.lock() = after;
                    *writer = Writer::Ready(connection);
                    return Ok(());
                }
                Ok(Err(Failure::Database(error))) => error,
                Ok(Err(Failure::Diverged)) => {
                    return Err(halt(writer, &"another program has written to it"));
                }
                Err(elapsed) => sqlx::Error::Io(elapsed.into()),
            };
        let fault = E::fault(&error);
        if fault == Fault::Disk {
            return Err(halt(writer, &error));
        }
        match self.settle(Some(connection)).await {
            Ok(connection) => *writer = Writer::Ready(connection),
            Err(settling) if E::fault(&settling) == Fault::Disk => {
                return Err(halt(writer, &settling));
            }
            Err(settling) => {
                warn!(%error, %settling, "the journal is in doubt");
                return Err(WriteError::Unknown(error));
            }
        }
        let tip = self.tip();
        if tip == after {
            warn!(%error, "a journal commit failed, but it is there");
            Ok(())
        } else if tip != before {
            Err(halt(writer, &"another program has written to it"))
        } else if fault == Fault::Full {
            Err(WriteError::DiskFull)
        } else {
            Err(WriteError::NotStored(error))
        }
    }

    async fn transact(connection: &mut Connection<E>, change: Change<'_>) -> Result<(), Failure> {
        let mut transaction = connection.begin_with(E::BEGIN).await?;
        match change {
            Change::Append(Batch { rows, waypoints, checkpoint }) => {
                for row in rows {
                    let done = sqlx::query(INSERT)
                        .bind(row.number.cast_signed())
                        .bind(row.hash.to_vec())
                        .bind(row.parent_hash.to_vec())
                        .bind(row.header.clone())
                        .bind(row.body.clone())
                        .bind(row.receipts.clone())
                        .execute(&mut *transaction)
                        .await?;
                    if E::rows_affected(&done) != 1 {
                        return Err(Failure::Diverged);
                    }
                }
                // First, so that what comes takes their room.
                if !waypoints.is_empty() {
                    sqlx::query(DELETE_WAYPOINTS_UP_TO)
                        .bind(checkpoint.cast_signed())
                        .bind((waypoints.len() * WAYPOINTS_REMOVED_EACH) as i64)
                        .execute(&mut *transaction)
                        .await?;
                }
                for (number, stretches) in waypoints {
                    sqlx::query(INSERT_WAYPOINTS)
                        .bind(number.cast_signed())
                        .bind(stretches.clone())
                        .execute(&mut *transaction)
                        .await?;
                }
            }
            Change::Unwind { to } => {
                for statement in [DELETE_ABOVE, DELETE_WAYPOINTS_ABOVE] {
                    sqlx::query(statement)
                        .bind(to.cast_signed())
                        .execute(&mut *transaction)
                        .await?;
                }
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Connects anew and reads the tip, which is final then.
    async fn settle(&self, failed: Option<Connection<E>>) -> Result<Connection<E>, sqlx::Error> {
        let mut connection =
            self.engine.connect_writer(failed).await.map_err(|error| match error {
                ConnectError::Database(error) => error,
                other => sqlx::Error::Io(std::io::Error::other(other)),
            })?;
        *self.tip.lock() = Self::read_tip(&mut connection).await?;
        Ok(connection)
    }

    async fn read_tip(connection: &mut Connection<E>) -> Result<Option<BlockNumHash>, sqlx::Error> {
        let row = sqlx::query(SELECT_TIP).fetch_optional(connection).await?;
        row.map(|row| {
            let number = row.try_get::<i64, _>(0)?.cast_unsigned();
            Ok(BlockNumHash::new(number, Self::hash_column(&row, 1)?))
        })
        .transpose()
    }

    /// Writes down which chain this is, or checks it.
    async fn claim(
        connection: &mut Connection<E>,
        expected: ChainIdentity,
    ) -> Result<(), OpenError> {
        sqlx::query(CLAIM)
            .bind(expected.chain_id.cast_signed())
            .bind(expected.genesis_hash.to_vec())
            .execute(&mut *connection)
            .await
            .map_err(open_error::<E>)?;
        let found = sqlx::query(SELECT_IDENTITY)
            .fetch_one(connection)
            .await
            .and_then(|row| {
                Ok(ChainIdentity {
                    chain_id: row.try_get::<i64, _>(0)?.cast_unsigned(),
                    genesis_hash: Self::hash_column(&row, 1)?,
                })
            })
            .map_err(open_error::<E>)?;
        if found.chain_id != expected.chain_id {
            let (expected, found) = (expected.chain_id, found.chain_id);
            return Err(OpenError::OtherChain { expected, found });
        }
        if found.genesis_hash != expected.genesis_hash {
            let (expected, found) = (expected.genesis_hash, found.genesis_hash);
            return Err(OpenError::OtherGenesis { expected, found });
        }
        Ok(())
    }

    fn hash_column(
        row: &<E::Database as Database>::Row,
        index: usize,
    ) -> Result<B256, sqlx::Error> {
        let bytes: Vec<u8> = row.try_get(index)?;
        B256::try_from(bytes.as_slice()).map_err(|source| sqlx::Error::Decode(Box::new(source)))
    }
}

/// Checks that rows continue a block one by one; if not, says which one doesn't.
fn check_follows(mut tip: BlockNumHash, rows: &[Row]) -> Result<(), BlockNumHash> {
    for row in rows {
        let id = BlockNumHash::new(row.number, row.hash);
        if tip.number.checked_add(1) != Some(row.number) || row.parent_hash != tip.hash {
            return Err(id);
        }
        tip = id;
    }
    Ok(())
}

fn open_error<E: Engine>(error: sqlx::Error) -> OpenError {
    match E::fault(&error) {
        Fault::Full => OpenError::DiskFull,
        Fault::Disk | Fault::Other => OpenError::Database(error),
    }
}

/// Stops the journal for good.
fn halt<C>(writer: &mut Writer<C>, why: &dyn std::fmt::Display) -> WriteError {
    let why = why.to_string();
    error!(why, "the journal stops for good: nothing is acknowledged until a restart");
    *writer = Writer::Halted(why.clone());
    WriteError::Halted(why)
}
