//! The journal over one engine: the statements, and what happens when one fails.

use std::ops::RangeInclusive;

use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use futures::TryStreamExt as _;
use millrace_batcher::Change as LedgerChange;
use millrace_protocol::BlockId;
use millrace_types::ExecutedBlock;
use parking_lot::Mutex;
use sqlx::{
    ColumnIndex, Connection as _, Database, Decode, Encode, Executor, IntoArguments, Pool,
    Row as _, SqlSafeStr as _, Type,
    migrate::{Migrate, MigrateError},
};
use tokio::time::timeout;
use tracing::{error, warn};

use super::{
    ChainIdentity,
    engine::{ConnectError, Connection, Engine, Fault},
    error::{AppendError, FinalizeError, OpenError, ReadError, RewindError, WriteError},
    finalized::Finalized,
    promise::{PromiseMark, PromiseRow},
    row::Row,
};

/// Stores a block only on top of its parent, whatever this process believes the tip to be.
const INSERT: &str = "
    INSERT INTO blocks (number, hash, parent_hash, header, body, receipts)
    SELECT $1, $2, $3, $4, $5, $6
    WHERE $1 = 1 + COALESCE((SELECT max(number) FROM blocks), 0)
      AND $3 = COALESCE((SELECT hash FROM blocks ORDER BY number DESC LIMIT 1), (SELECT genesis_hash FROM meta))";
/// Removes nothing if some of it is final, whatever this process believes.
const DELETE_ABOVE: &str = "
    DELETE FROM blocks WHERE number > $1 AND NOT EXISTS (SELECT 1 FROM finalized WHERE number > $1)";
/// Whatever is there is of a block that was removed behind our back.
const INSERT_WAYPOINTS: &str = "
    INSERT INTO waypoints (number, stretches) VALUES ($1, $2)
    ON CONFLICT (number) DO UPDATE SET stretches = excluded.stretches";
const SELECT_WAYPOINTS: &str = "SELECT stretches FROM waypoints WHERE number = $1";
const DELETE_WAYPOINTS_ABOVE: &str = "DELETE FROM waypoints WHERE number > $1";
const DELETE_WAYPOINTS_UP_TO: &str = "
    DELETE FROM waypoints WHERE number IN
      (SELECT number FROM waypoints WHERE number <= $1 ORDER BY number LIMIT $2)";
/// Only what is journaled can be final, and finality never goes back.
const FINALIZE: &str = "
    INSERT INTO finalized (singleton, number, hash, l1_number, l1_hash)
    SELECT 1, $1, $2, $3, $4
    WHERE EXISTS (SELECT 1 FROM blocks WHERE number = $1 AND hash = $2)
       OR EXISTS (SELECT 1 FROM meta WHERE $1 = 0 AND genesis_hash = $2)
    ON CONFLICT (singleton) DO UPDATE SET
      number = excluded.number, hash = excluded.hash, l1_number = excluded.l1_number, l1_hash = excluded.l1_hash
    WHERE excluded.number >= finalized.number AND excluded.l1_number >= finalized.l1_number";
const SELECT_FINALIZED: &str = "SELECT number, hash, l1_number, l1_hash FROM finalized";
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
    pub(super) readers: Pool<E::Database>,
    writer: tokio::sync::Mutex<Writer<Connection<E>>>,
    watermarks: Mutex<Watermarks>,
}

/// `finalized ≤ tip < promised`: how far the journal has come, as far as it is known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watermarks {
    /// The newest block; `None` while there is only genesis.
    pub(super) tip: Option<BlockNumHash>,
    /// How far the block after it is promised.
    pub(super) promised: Option<PromiseMark>,
    /// Up to here nothing is ever removed; `None` until L1 has made anything final.
    pub(super) finalized: Option<Finalized>,
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
pub(super) enum Writer<C> {
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
pub(super) struct Batch<'a> {
    pub(super) blocks: &'a [ExecutedBlock],
    pub(super) rows: Vec<Row>,
    /// Encoded waypoints of those blocks that have any, by number.
    pub(super) waypoints: Vec<(u64, Vec<u8>)>,
    /// Up to this block, waypoints are of no use any more.
    pub(super) checkpoint: u64,
}

/// What a transaction changes.
pub(super) enum Change<'a> {
    Append(&'a Batch<'a>),
    Promise(PromiseRow),
    Withdraw,
    Rewind { to: u64 },
    Finalize(Finalized),
    Ledger(&'a [LedgerChange]),
}

/// Why a transaction failed.
pub(super) enum Failure {
    /// The stored watermarks were not those that we knew: somebody else wrote.
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
        let watermarks = Self::read_watermarks(&mut writer).await.map_err(open_error::<E>)?;
        Ok(Self {
            genesis: BlockNumHash::new(0, identity.genesis_hash),
            readers: engine.readers(),
            engine,
            writer: tokio::sync::Mutex::new(Writer::Ready(writer)),
            watermarks: Mutex::new(watermarks),
        })
    }

    pub(super) fn tip(&self) -> Option<BlockNumHash> {
        self.watermarks.lock().tip
    }

    pub(super) fn finalized(&self) -> Option<Finalized> {
        self.watermarks.lock().finalized
    }

    pub(super) const fn genesis(&self) -> BlockNumHash {
        self.genesis
    }

    pub(super) fn watermarks(&self) -> Watermarks {
        *self.watermarks.lock()
    }

    pub(super) async fn append(&self, batch: &Batch<'_>) -> Result<(), AppendError> {
        let rows = &batch.rows;
        let Some(last) = rows.last() else { return Ok(()) };
        let last = BlockNumHash::new(last.number, last.hash);
        let mut writer = self.settled_writer().await?;
        let known = *self.watermarks.lock();
        if known.tip == Some(last) {
            return Ok(());
        }
        let tip = known.tip;
        check_follows(tip.unwrap_or(self.genesis), rows)
            .map_err(|offered| AppendError::NotNext { tip, offered })?;
        if let Some((mark, first)) = known.promised.zip(batch.blocks.first())
            && mark.is_broken_by(&first.block)
        {
            let number = first.block.number();
            return Err(AppendError::BreaksPromise { number, promised: mark.transactions });
        }
        let after = Watermarks { tip: Some(last), promised: None, ..known };
        Ok(self.change(&mut writer, Change::Append(batch), Some(after)).await?)
    }

    pub(super) async fn rewind(&self, to: u64) -> Result<(), RewindError> {
        let mut writer = self.settled_writer().await?;
        let known = *self.watermarks.lock();
        if let Some(Finalized { l2, .. }) = known.finalized
            && to < l2.number
        {
            return Err(RewindError::Final { to, finalized: l2.number });
        }
        if known.tip.is_none_or(|tip| tip.number <= to) {
            return Ok(());
        }
        let tip = match to {
            0 => None,
            _ => Some(self.id(to).await?.ok_or(WriteError::NotStored(sqlx::Error::RowNotFound))?),
        };
        let after = Watermarks { tip, promised: None, ..known };
        Ok(self.change(&mut writer, Change::Rewind { to }, Some(after)).await?)
    }

    pub(super) async fn finalize(&self, finalized: Finalized) -> Result<(), FinalizeError> {
        let mut writer = self.settled_writer().await?;
        let before = *self.watermarks.lock();
        if let Some(known) = before.finalized {
            if finalized.contradicts(&known) {
                return Err(FinalizeError::OtherL1 { known: known.l1, found: finalized.l1 });
            }
            if finalized == known || finalized.is_older_than(&known) {
                return Ok(());
            }
        }
        let Finalized { l2, .. } = finalized;
        let stored = if l2.number == 0 { Some(self.genesis) } else { self.id(l2.number).await? };
        if stored != Some(BlockNumHash::new(l2.number, l2.hash)) {
            return Err(FinalizeError::NotJournaled(l2));
        }
        let after = Watermarks { finalized: Some(finalized), ..before };
        Ok(self.change(&mut writer, Change::Finalize(finalized), Some(after)).await?)
    }

    /// Makes changes that no watermark shows: after an error of unknown fate they may have been made.
    pub(super) async fn apply_to_ledger(&self, changes: &[LedgerChange]) -> Result<(), WriteError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut writer = self.settled_writer().await?;
        self.change(&mut writer, Change::Ledger(changes), None).await
    }

    /// Locks out other writers, with nothing in doubt.
    pub(super) async fn settled_writer(
        &self,
    ) -> Result<tokio::sync::MutexGuard<'_, Writer<Connection<E>>>, WriteError> {
        let mut writer = self.writer.lock().await;
        self.ready(&mut writer).await?;
        Ok(writer)
    }

    /// A journaled block's number with its hash, for a change that is about to be made.
    async fn id(&self, number: u64) -> Result<Option<BlockNumHash>, WriteError> {
        let header = self.header(number).await.map_err(WriteError::NotStored)?;
        Ok(header.map(|(hash, _)| BlockNumHash::new(number, hash)))
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

    /// What a failed look means for whoever looked.
    pub(super) fn unread(&self, error: sqlx::Error) -> ReadError {
        use sqlx::Error;

        match (&error, E::fault(&error)) {
            (Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_), _)
            | (_, Fault::Disk) => ReadError::Database(error),
            (_, Fault::Full | Fault::Other) => ReadError::Unavailable(error),
        }
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

    /// Finds out the watermarks, if they are in doubt.
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

    /// Makes a change that should lead to the watermarks `after`, and finds out whether it did. With `None` it leaves them
    /// alone, and cannot be found by them.
    pub(super) async fn change(
        &self,
        writer: &mut Writer<Connection<E>>,
        change: Change<'_>,
        after: Option<Watermarks>,
    ) -> Result<(), WriteError> {
        let mut connection = self.begin(writer).await?;
        let before = *self.watermarks.lock();
        let error =
            match timeout(E::TRANSACTION_TIMEOUT, Self::transact(&mut connection, change)).await {
                Ok(Ok(())) => {
                    *self.watermarks.lock() = after.unwrap_or(before);
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
        let found = *self.watermarks.lock();
        if Some(found) == after {
            warn!(%error, "a journal commit failed, but it is there");
            Ok(())
        } else if found != before {
            Err(halt(writer, &"another program has written to it"))
        } else if fault == Fault::Full {
            Err(WriteError::DiskFull)
        } else if after.is_some() {
            Err(WriteError::NotStored(error))
        } else {
            Err(WriteError::Unknown(error))
        }
    }

    async fn transact(connection: &mut Connection<E>, change: Change<'_>) -> Result<(), Failure> {
        // These are one statement, which needs no transaction around it.
        let change = match change {
            Change::Promise(row) => return Self::insert_promise(connection, row).await,
            Change::Withdraw => return Ok(Self::delete_promises(connection).await?),
            change => change,
        };
        let mut transaction = connection.begin_with(E::BEGIN.into_sql_str()).await?;
        match change {
            Change::Promise(_) | Change::Withdraw => {}
            Change::Append(Batch { blocks: _, rows, waypoints, checkpoint }) => {
                // First, so that the blocks take its room.
                Self::delete_promises(&mut transaction).await?;
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
            Change::Rewind { to } => {
                let to = to.cast_signed();
                let done = sqlx::query(DELETE_ABOVE).bind(to).execute(&mut *transaction).await?;
                if E::rows_affected(&done) == 0 {
                    return Err(Failure::Diverged);
                }
                sqlx::query(DELETE_WAYPOINTS_ABOVE).bind(to).execute(&mut *transaction).await?;
                Self::delete_promises(&mut transaction).await?;
            }
            Change::Finalize(Finalized { l2, l1 }) => {
                let done = sqlx::query(FINALIZE)
                    .bind(l2.number.cast_signed())
                    .bind(l2.hash.to_vec())
                    .bind(l1.number.cast_signed())
                    .bind(l1.hash.to_vec())
                    .execute(&mut *transaction)
                    .await?;
                if E::rows_affected(&done) != 1 {
                    return Err(Failure::Diverged);
                }
            }
            Change::Ledger(changes) => Self::change_ledger(&mut transaction, changes).await?,
        }
        Ok(transaction.commit().await?)
    }

    /// Connects anew and reads the watermarks, which nothing of ours can move any more.
    async fn settle(&self, failed: Option<Connection<E>>) -> Result<Connection<E>, sqlx::Error> {
        let mut connection =
            self.engine.connect_writer(failed).await.map_err(|error| match error {
                ConnectError::Database(error) => error,
                other => sqlx::Error::Io(std::io::Error::other(other)),
            })?;
        *self.watermarks.lock() = Self::read_watermarks(&mut connection).await?;
        Ok(connection)
    }

    async fn read_watermarks(connection: &mut Connection<E>) -> Result<Watermarks, sqlx::Error> {
        let tip = sqlx::query(SELECT_TIP).fetch_optional(&mut *connection).await?;
        let tip = tip.map(|row| Self::id_columns(&row, 0)).transpose()?;
        let finalized = sqlx::query(SELECT_FINALIZED).fetch_optional(&mut *connection).await?;
        let finalized = finalized
            .map(|row| {
                let id = |first| {
                    let BlockNumHash { number, hash } = Self::id_columns(&row, first)?;
                    Ok::<_, sqlx::Error>(BlockId { number, hash })
                };
                Ok::<_, sqlx::Error>(Finalized { l2: id(0)?, l1: id(2)? })
            })
            .transpose()?;
        let promised = Self::read_promise_mark(connection).await?;
        Ok(Watermarks { tip, promised, finalized })
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

    /// A number, and a hash beside it.
    fn id_columns(
        row: &<E::Database as Database>::Row,
        first: usize,
    ) -> Result<BlockNumHash, sqlx::Error> {
        let number = row.try_get::<i64, _>(first)?.cast_unsigned();
        Ok(BlockNumHash::new(number, Self::hash_column(row, first + 1)?))
    }

    pub(super) fn hash_column(
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
