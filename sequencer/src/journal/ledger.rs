//! The batcher's ledger, beside the blocks: its L1 transactions, written down before anybody sees them.
//!
//! It shares the journal's one writing connection and its rules for failures, with one difference: no watermark shows
//! whether a change of the ledger was made, so after a COMMIT of unknown fate the caller offers the same changes again.
//! All of them may be made twice.

use std::sync::Arc;

use alloy_primitives::{B256, Bytes};
use futures::{FutureExt as _, future::BoxFuture};
use millrace_batcher::{
    BlockRange, Change, FaceError, Fate, FrameRange, Kind, Ledger, Loaded, Record, TxFees,
};
use millrace_protocol::ChannelId;
use sqlx::{
    ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, Pool, Row as _, Type,
    migrate::Migrate,
};

use super::{
    AnyStore, Journal, WriteError,
    engine::{Connection, Engine},
    store::Store,
};

/// How many closed records of each fate are kept to look at, without their bytes.
const CLOSED_KEPT: i64 = 1_000;

/// How many more leave for each that is closed: enough to catch up, and too few to be felt.
const REMOVED_EACH: i64 = 2;

/// A record that was closed and comes again is open again: what the batcher writes is what it is about to send.
const INSERT: &str = "
    INSERT INTO l1_transactions
      (hash, fate, nonce, attempt, channel, first_block, last_block, last_block_hash, transaction_bytes,
       first_frame, frame_count, is_last, kind, tip, fee_cap, blob_fee_cap, raw)
    VALUES ($1, 0, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
    ON CONFLICT (hash) DO UPDATE SET fate = 0, raw = excluded.raw WHERE l1_transactions.fate <> 0";
const CLOSE: &str = "UPDATE l1_transactions SET fate = $2, raw = NULL WHERE hash = $1 AND fate = 0";
/// The newest always stays, so that it goes on saying how far settled ones reach.
const PRUNE: &str = "
    DELETE FROM l1_transactions WHERE hash IN
      (SELECT hash FROM l1_transactions WHERE fate = $1 ORDER BY last_block DESC LIMIT $2 OFFSET $3)";
const SELECT_OPEN: &str = "
    SELECT hash, nonce, attempt, channel, first_block, last_block, last_block_hash, transaction_bytes,
           first_frame, frame_count, is_last, kind, tip, fee_cap, blob_fee_cap, raw
    FROM l1_transactions WHERE fate = 0 ORDER BY nonce, attempt";
const SELECT_SETTLED: &str =
    "SELECT last_block FROM l1_transactions WHERE fate = 1 ORDER BY last_block DESC LIMIT 1";

/// Why the ledger was not read.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    /// It is unknown what it holds.
    #[error(transparent)]
    Unknown(#[from] WriteError),
    /// The database failed, or a column is not what was written.
    #[error("read the ledger: {0}")]
    Database(#[from] sqlx::Error),
}

/// The ledger in a journal, as the batcher sees it.
#[derive(Debug, Clone)]
pub struct JournalLedger(Arc<Journal>);

impl JournalLedger {
    /// The ledger of this journal.
    pub const fn new(journal: Arc<Journal>) -> Self {
        Self(journal)
    }
}

impl Ledger for JournalLedger {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, FaceError>> {
        async {
            let loaded = match &self.0.store {
                AnyStore::Sqlite(store) => store.load_ledger().await,
                AnyStore::Postgres(store) => store.load_ledger().await,
            };
            loaded.map_err(face_error)
        }
        .boxed()
    }

    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<(), FaceError>> {
        async move {
            let applied = match &self.0.store {
                AnyStore::Sqlite(store) => store.apply_to_ledger(&changes).await,
                AnyStore::Postgres(store) => store.apply_to_ledger(&changes).await,
            };
            applied.map_err(face_error)
        }
        .boxed()
    }
}

fn face_error(error: impl std::fmt::Display) -> FaceError {
    FaceError(error.to_string())
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
    async fn load_ledger(&self) -> Result<Loaded, LoadError> {
        // A change whose fate is unknown is decided first.
        let _writer = self.settled_writer().await?;
        let rows = sqlx::query(SELECT_OPEN).fetch_all(&self.readers).await?;
        let open = rows.iter().map(Self::record).collect::<Result<_, sqlx::Error>>()?;
        let settled = sqlx::query(SELECT_SETTLED).fetch_optional(&self.readers).await?;
        let settled = settled.map(|row| row.try_get::<i64, _>(0)).transpose()?;
        Ok(Loaded { open, settled: settled.map(i64::cast_unsigned) })
    }

    /// Makes the changes within a transaction of the caller's.
    pub(super) async fn change_ledger(
        connection: &mut Connection<E>,
        changes: &[Change],
    ) -> Result<(), sqlx::Error> {
        let mut closed = [0_i64; 2];
        for change in changes {
            match change {
                Change::Insert(record) => Self::insert(connection, record).await?,
                Change::Close { hash, fate } => {
                    let fate = fate_code(*fate);
                    sqlx::query(CLOSE)
                        .bind(hash.to_vec())
                        .bind(fate)
                        .execute(&mut *connection)
                        .await?;
                    closed[(fate - 1) as usize] += 1;
                }
            }
        }
        for (fate, closed) in (1_i64..).zip(closed).filter(|(_, closed)| *closed > 0) {
            sqlx::query(PRUNE)
                .bind(fate)
                .bind(closed * REMOVED_EACH)
                .bind(CLOSED_KEPT)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    async fn insert(connection: &mut Connection<E>, record: &Record) -> Result<(), sqlx::Error> {
        let Record { hash, nonce, attempt, channel, blocks, frames, kind, fees, raw } = record;
        sqlx::query(INSERT)
            .bind(hash.to_vec())
            .bind(nonce.cast_signed())
            .bind(i64::from(*attempt))
            .bind(channel.0.to_vec())
            .bind(blocks.first.cast_signed())
            .bind(blocks.last.cast_signed())
            .bind(blocks.last_hash.to_vec())
            .bind(blocks.transaction_bytes.cast_signed())
            .bind(i64::from(frames.first))
            .bind(i64::from(frames.count))
            .bind(i64::from(frames.is_last))
            .bind(match kind {
                Kind::Calldata => 0_i64,
                Kind::Blobs => 1,
            })
            .bind(fees.tip.to_be_bytes().to_vec())
            .bind(fees.fee_cap.to_be_bytes().to_vec())
            .bind(fees.blob_fee_cap.to_be_bytes().to_vec())
            .bind(raw.to_vec())
            .execute(connection)
            .await?;
        Ok(())
    }

    fn record(row: &<E::Database as Database>::Row) -> Result<Record, sqlx::Error> {
        let number = |index: usize| row.try_get::<i64, _>(index).map(i64::cast_unsigned);
        let hash = |index: usize| bytes::<E, 32>(row, index).map(B256::from);
        let fee = |index: usize| bytes::<E, 16>(row, index).map(u128::from_be_bytes);
        Ok(Record {
            hash: hash(0)?,
            nonce: number(1)?,
            attempt: narrow(number(2)?)?,
            channel: ChannelId(bytes::<E, 16>(row, 3)?),
            blocks: BlockRange {
                first: number(4)?,
                last: number(5)?,
                last_hash: hash(6)?,
                transaction_bytes: number(7)?,
            },
            frames: FrameRange {
                first: narrow(number(8)?)?,
                count: narrow(number(9)?)?,
                is_last: number(10)? == 1,
            },
            kind: if number(11)? == 1 { Kind::Blobs } else { Kind::Calldata },
            fees: TxFees { tip: fee(12)?, fee_cap: fee(13)?, blob_fee_cap: fee(14)? },
            raw: Bytes::from(row.try_get::<Vec<u8>, _>(15)?),
        })
    }
}

const fn fate_code(fate: Fate) -> i64 {
    match fate {
        Fate::Settled => 1,
        Fate::Abandoned => 2,
    }
}

/// A column of so many bytes.
fn bytes<E: Engine, const N: usize>(
    row: &<E::Database as Database>::Row,
    index: usize,
) -> Result<[u8; N], sqlx::Error>
where
    usize: ColumnIndex<<E::Database as Database>::Row>,
    Vec<u8>: Type<E::Database>,
    for<'q> Vec<u8>: Decode<'q, E::Database>,
{
    let bytes: Vec<u8> = row.try_get(index)?;
    <[u8; N]>::try_from(bytes.as_slice()).map_err(|source| sqlx::Error::Decode(Box::new(source)))
}

/// A number that was written from a smaller type.
fn narrow<T: TryFrom<u64, Error: std::error::Error + Send + Sync + 'static>>(
    number: u64,
) -> Result<T, sqlx::Error> {
    T::try_from(number).map_err(|source| sqlx::Error::Decode(Box::new(source)))
}
