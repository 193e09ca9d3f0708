//! Keeping promises in a database: they share the one writing connection, and the rules for failures.
//!
//! How far the promise goes is one of the watermarks. So after a COMMIT of unknown fate the same promise may be made again,
//! longer if it has grown meanwhile: what is there already is not written twice.
//!
//! A promise may come every other millisecond, so it is one statement, which is a transaction of its own: on PostgreSQL that
//! saves two of three round trips.

use std::sync::Arc;

use alloy_primitives::B256;
use futures::TryStreamExt as _;
use millrace_types::Transaction;
use sqlx::{
    ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, Pool, Row as _, Type,
    migrate::Migrate,
};

use super::{PromiseMark, Promised, PromisedHead, decode_head, encode_head};
use crate::{
    blocking::off_the_runtime,
    journal::{
        engine::{Connection, Engine},
        error::{PromiseError, ReadError, WriteError},
        row::{RowError, decode_body, encode_body},
        store::{Change, Failure, Store, Watermarks},
    },
};

/// Stores a group only on top of the newest block and of what is promised, whatever this process believes them to be.
const INSERT: &str = "
    INSERT INTO promises (end_index, number, last_hash, head, transactions)
    SELECT $1, $2, $3, $4, $5
    WHERE $2 = 1 + COALESCE((SELECT max(number) FROM blocks), 0)
      AND $6 = COALESCE((SELECT hash FROM blocks ORDER BY number DESC LIMIT 1), (SELECT genesis_hash FROM meta))
      AND $7 = COALESCE((SELECT max(end_index) FROM promises), -1)";
/// All of them are of one block.
const DELETE: &str = "DELETE FROM promises";
const SELECT_MARK: &str =
    "SELECT number, end_index, last_hash FROM promises ORDER BY end_index DESC LIMIT 1";
const SELECT: &str =
    "SELECT number, end_index, head, transactions FROM promises ORDER BY end_index";

/// Up to so many transactions are encoded where they are, in some ten microseconds: to hand them over would cost as much.
const ENCODED_AT_ONCE_MAX: usize = 64;

/// A group, encoded.
#[derive(Debug)]
pub(in crate::journal) struct PromiseRow {
    mark: PromiseMark,
    parent_hash: B256,
    /// The `end_index` before this row's; -1 if it is the first.
    before: i64,
    /// Empty but in the first row.
    head: Vec<u8>,
    transactions: Vec<u8>,
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
    pub(in crate::journal) async fn promise(
        &self,
        head: &PromisedHead,
        first_index: u64,
        group: &[Arc<Transaction>],
    ) -> Result<(), PromiseError> {
        let deposits = group.iter().filter(|transaction| transaction.is_deposit()).count();
        assert_eq!(deposits, 0, "deposits are promised by the head");
        let mut writer = self.settled_writer().await?;
        let known = self.watermarks();
        let (promised, parent) = (known.promised, known.tip.unwrap_or(self.genesis()));
        let belongs = parent.hash == head.parent_hash && parent.number + 1 == head.number;
        let rest = PromiseMark::rest(promised.as_ref(), head.number, first_index, group);
        let Some(rest) = rest.filter(|_| belongs) else {
            let promised = promised.map(|mark| (mark.number, mark.transactions));
            return Err(PromiseError::NotNext {
                tip: known.tip,
                promised,
                offered: (head.number, first_index),
            });
        };
        if rest.is_empty() && promised.is_some() {
            return Ok(());
        }
        let transactions = promised.map_or(0, |mark| mark.transactions) + rest.len() as u64;
        let last = rest.last().map_or(head.parent_hash, |transaction| transaction.hash());
        let mark = PromiseMark { number: head.number, transactions, last };
        let invalid = |source| PromiseError::Invalid { number: head.number, source };
        let row = PromiseRow {
            mark,
            parent_hash: parent.hash,
            before: promised.map_or(-1, |mark| mark.transactions.cast_signed()),
            head: match promised {
                None => encode_head(head).map_err(invalid)?,
                Some(_) => Vec::new(),
            },
            transactions: encode(rest).await.map_err(invalid)?,
        };
        let after = Watermarks { promised: Some(mark), ..known };
        Ok(self.change(&mut writer, Change::Promise(row), Some(after)).await?)
    }

    pub(in crate::journal) async fn withdraw_promise(&self) -> Result<(), WriteError> {
        let mut writer = self.settled_writer().await?;
        let known = self.watermarks();
        if known.promised.is_none() {
            return Ok(());
        }
        let after = Watermarks { promised: None, ..known };
        self.change(&mut writer, Change::Withdraw, Some(after)).await
    }

    pub(in crate::journal) async fn promised(&self) -> Result<Option<Promised>, ReadError> {
        // Held until it is read: nobody removes it meanwhile.
        let _writer = self.settled_writer().await.map_err(|error| match error {
            WriteError::NotStored(error) | WriteError::Unknown(error) => {
                ReadError::Unavailable(error)
            }
            WriteError::DiskFull => ReadError::Unavailable(unread(&error)),
            WriteError::Halted(_) => ReadError::Database(unread(&error)),
        })?;
        let Some(PromiseMark { number, transactions, .. }) = self.watermarks().promised else {
            return Ok(None);
        };
        let rows = self.promise_rows().await.map_err(|error| self.unread(error))?;
        let promised = off_the_runtime(move || decode(number, &rows)).await;
        match promised {
            Ok(promised) if promised.transactions.len() as u64 == transactions => {
                Ok(Some(promised))
            }
            Ok(_) => Err(ReadError::Corrupt { number, source: RowError::Gap }),
            Err(source) => Err(ReadError::Corrupt { number, source }),
        }
    }

    async fn promise_rows(&self) -> Result<Vec<StoredGroup>, sqlx::Error> {
        let mut rows = sqlx::query(SELECT).fetch(&self.readers);
        let mut groups = Vec::new();
        while let Some(row) = rows.try_next().await? {
            groups.push(StoredGroup {
                number: row.try_get::<i64, _>(0)?.cast_unsigned(),
                end_index: row.try_get::<i64, _>(1)?.cast_unsigned(),
                head: row.try_get(2)?,
                transactions: row.try_get(3)?,
            });
        }
        Ok(groups)
    }

    /// Stores a group, in a transaction of its own.
    pub(in crate::journal) async fn insert_promise(
        connection: &mut Connection<E>,
        row: PromiseRow,
    ) -> Result<(), Failure> {
        let PromiseRow { mark, parent_hash, before, head, transactions } = row;
        let done = sqlx::query(INSERT)
            .bind(mark.transactions.cast_signed())
            .bind(mark.number.cast_signed())
            .bind(mark.last.to_vec())
            .bind(head)
            .bind(transactions)
            .bind(parent_hash.to_vec())
            .bind(before)
            .execute(connection)
            .await?;
        if E::rows_affected(&done) == 1 { Ok(()) } else { Err(Failure::Diverged) }
    }

    /// Removes all that is promised, in the caller's transaction or in one of its own.
    pub(in crate::journal) async fn delete_promises(
        connection: &mut Connection<E>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(DELETE).execute(connection).await.map(drop)
    }

    pub(in crate::journal) async fn read_promise_mark(
        connection: &mut Connection<E>,
    ) -> Result<Option<PromiseMark>, sqlx::Error> {
        let row = sqlx::query(SELECT_MARK).fetch_optional(connection).await?;
        row.map(|row| {
            Ok(PromiseMark {
                number: row.try_get::<i64, _>(0)?.cast_unsigned(),
                transactions: row.try_get::<i64, _>(1)?.cast_unsigned(),
                last: Self::hash_column(&row, 2)?,
            })
        })
        .transpose()
    }
}

/// A row, as it is stored.
struct StoredGroup {
    number: u64,
    end_index: u64,
    head: Vec<u8>,
    transactions: Vec<u8>,
}

/// Puts the groups of the block of this number together.
fn decode(number: u64, groups: &[StoredGroup]) -> Result<Promised, RowError> {
    let head = decode_head(&groups.first().ok_or(RowError::Gap)?.head, number)?;
    let mut transactions = Vec::new();
    for group in groups {
        transactions.extend(decode_body(&group.transactions)?);
        if group.number != number || group.end_index != transactions.len() as u64 {
            return Err(RowError::Gap);
        }
    }
    Ok(Promised { head, transactions })
}

async fn encode(transactions: &[Arc<Transaction>]) -> Result<Vec<u8>, RowError> {
    if transactions.len() <= ENCODED_AT_ONCE_MAX {
        return encode_body(transactions);
    }
    let transactions = transactions.to_vec();
    off_the_runtime(move || encode_body(&transactions)).await
}

/// An error of the database's that says why it was not even asked.
fn unread(why: &WriteError) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(why.to_string()))
}
