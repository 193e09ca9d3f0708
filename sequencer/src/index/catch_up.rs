//! Bringing the index to the journal's tip.

use super::{Index, IndexError};
use crate::journal::{Journal, ReadError};

/// Why the index did not catch up.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Index {
    /// Indexes what the journal has and the index lacks, and forgets what the journal doesn't have. Returns how many
    /// blocks were added.
    pub async fn catch_up(&self, journal: &Journal) -> Result<u64, CatchUpError> {
        let tip = journal.tip().map_or(0, |tip| tip.number);
        // The index is ahead if a crash came before it was rewound, or a power cut made it forget that it was; then their
        // newest blocks differ.
        let mut common = self.watermark()?.unwrap_or(0).min(tip);
        while common > 0
            && journal.header(common).await?.map(|header| header.hash()) != self.hash(common)?
        {
            common -= 1;
        }
        self.rewind(common)?;
        let mut blocks = journal.range(common + 1..=tip);
        let mut added = 0;
        while let Some(stored) = blocks.next().await? {
            self.add(&stored.block, &stored.receipts)?;
            added += 1;
        }
        Ok(added)
    }
}
