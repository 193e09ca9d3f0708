//! The seam to the store: where records come from when they are not in memory, and what a checkpoint must write.

use std::fmt::Debug;

use alloy_primitives::B256;

use super::path::NibblePath;

/// One of the tries that make up the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrieId {
    /// The trie of accounts.
    Account,
    /// The storage of the account with this hashed address.
    Storage(B256),
}

/// Records that were stored earlier, read on demand.
///
/// What a source returns is checked by hash, so it may be anything at all; but to be of use it holds exactly the
/// records of every [`TrieChanges`] so far.
pub trait NodeSource: Sync {
    /// Why a record could not be read.
    type Error: Debug + Send;

    /// The record at `path` in `trie`; `None` when there is none.
    fn node(&self, trie: TrieId, path: &NibblePath) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// Nothing stored: for a trie that lives in memory alone.
#[derive(Debug, Clone, Copy)]
pub struct NoSource;

impl NodeSource for NoSource {
    type Error = std::convert::Infallible;

    fn node(&self, _: TrieId, _: &NibblePath) -> Result<Option<Vec<u8>>, Self::Error> {
        Ok(None)
    }
}

/// Why a trie could not be read. The trie itself is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum TrieError<E> {
    /// The source failed: try again, or stop.
    #[error("read trie record {path:?} of {trie:?}")]
    Source {
        /// Which trie.
        trie: TrieId,
        /// Where in it.
        path: NibblePath,
        /// What the source said.
        source: E,
    },
    /// A node that the root commits to is not stored.
    #[error("trie record {path:?} of {trie:?} is missing")]
    Missing {
        /// Which trie.
        trie: TrieId,
        /// Where in it.
        path: NibblePath,
    },
    /// What is stored is not what the root commits to.
    #[error("trie record {path:?} of {trie:?} is corrupt: {reason}")]
    Corrupt {
        /// Which trie.
        trie: TrieId,
        /// Where in it.
        path: NibblePath,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What changed since the last checkpoint, to be written atomically: first every trie in `wiped` loses all its
/// records, then `records` apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrieChanges {
    /// Hashed addresses whose storage tries were cleared.
    pub wiped: Vec<B256>,
    /// New contents by trie and path; `None` deletes. Each pair occurs once.
    pub records: Vec<(TrieId, NibblePath, Option<Vec<u8>>)>,
}

impl TrieChanges {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.wiped.is_empty() && self.records.is_empty()
    }
}
