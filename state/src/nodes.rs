//! Where the trie's records come from.

use alloy_primitives::BlockNumber;

use crate::{
    store::StoreError,
    trie::{NibblePath, NodeSource, TrieError, TrieId},
    world::{Base, World},
};

/// The records after a block that has a root and is not before the base.
pub(crate) struct NodesAt<'a> {
    pub(crate) world: &'a World,
    pub(crate) at: BlockNumber,
}

/// Why [`NodesAt`] has no answer.
#[derive(Debug)]
pub(crate) enum NodeError {
    /// The base went past the block in the meantime.
    BasePassed,
    Store(StoreError),
}

impl NodeSource for NodesAt<'_> {
    type Error = NodeError;

    fn node(&self, trie: TrieId, path: &NibblePath) -> Result<Option<Vec<u8>>, NodeError> {
        self.world.node(self.at, trie, path).map_err(NodeError::Store)?.ok_or(NodeError::BasePassed)
    }
}

/// The records of one base, wherever the installed one has gone since.
impl NodeSource for Base {
    type Error = StoreError;

    fn node(&self, trie: TrieId, path: &NibblePath) -> Result<Option<Vec<u8>>, StoreError> {
        Base::node(self, trie, path)
    }
}

/// `None` when the base passed.
pub(crate) fn unless_passed(error: TrieError<NodeError>) -> Option<StoreError> {
    match error {
        TrieError::Source { source: NodeError::BasePassed, .. } => None,
        TrieError::Source { source: NodeError::Store(error), .. } => Some(error),
        error => Some(StoreError::Corrupt(error.to_string().into())),
    }
}

pub(crate) fn store_error(error: TrieError<StoreError>) -> StoreError {
    match error {
        TrieError::Source { source, .. } => source,
        error => StoreError::Corrupt(error.to_string().into()),
    }
}
