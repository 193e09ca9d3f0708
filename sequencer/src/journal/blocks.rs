//! Reading many blocks in order without holding many.

use std::{collections::VecDeque, ops::RangeInclusive};

use super::{Journal, ReadError, StoredBlock, row::Row};

/// How much of the journal a reader of a range holds at a time, before decompression.
const CHUNK_BYTES_MAX: usize = 4 << 20;

/// A walk over a range of blocks, oldest first.
///
/// Rows are fetched a few megabytes at a time, in separate statements, so that a slow reader holds neither memory nor a
/// database snapshot.
#[derive(Debug)]
pub struct Blocks<'a> {
    journal: &'a Journal,
    rest: RangeInclusive<u64>,
    fetched: VecDeque<Row>,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(journal: &'a Journal, range: RangeInclusive<u64>) -> Self {
        Self { journal, rest: range, fetched: VecDeque::new() }
    }

    /// The next block; `None` at the end of the range or of the journal.
    pub async fn next(&mut self) -> Result<Option<StoredBlock>, ReadError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        if self.fetched.is_empty() {
            self.fetched = self.journal.rows(self.rest.clone(), CHUNK_BYTES_MAX).await?.into();
        }
        let Some(row) = self.fetched.pop_front() else { return Ok(None) };
        let expected = *self.rest.start();
        if row.number != expected {
            return Err(ReadError::Missing(expected));
        }
        self.rest.next();
        super::decode(row).await.map(Some)
    }
}
