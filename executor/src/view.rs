//! What executing reads: the state before a block, and that state with the block's own changes on top.

use std::{error::Error, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256};
use millrace_types::{Account, StateDiff};

/// Reads of one state: that before a block, or before a call.
///
/// Reads may come from several threads at once and in any order; they must all see the same state.
pub trait StateView: Send + Sync {
    /// An account; nothing when it does not exist.
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError>;

    /// A storage slot; zero when it was never written.
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError>;

    /// The code with this hash. Only hashes that an account named are asked for.
    fn code(&self, hash: &B256) -> Result<Bytes, StateError>;

    /// The hash of one of the 256 blocks up to the state's own.
    fn block_hash(&self, number: u64) -> Result<B256, StateError>;
}

/// A read that failed. Whatever was being executed cannot go on: nothing is known about its outcome.
#[derive(Debug, Clone, thiserror::Error)]
#[error("read state: {0}")]
pub struct StateError(#[source] Arc<dyn Error + Send + Sync>);

impl StateError {
    /// Wraps the reason, which may be a message.
    pub fn new(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(reason.into()))
    }
}

/// A state with changes on top, oldest first. Immutable, and cheap to clone.
#[derive(Clone)]
pub struct LayeredView {
    base: Arc<dyn StateView>,
    layers: Arc<[Arc<StateDiff>]>,
}

impl LayeredView {
    /// Puts changes on top of a state, the oldest first.
    pub fn new(base: Arc<dyn StateView>, layers: impl Into<Arc<[Arc<StateDiff>]>>) -> Self {
        Self { base, layers: layers.into() }
    }
}

impl StateView for LayeredView {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        match self.layers.iter().rev().find_map(|layer| layer.account(address)) {
            Some((diff, _)) => Ok(diff.account),
            None => self.base.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        match self.layers.iter().rev().find_map(|layer| layer.storage(address, slot)) {
            Some(value) => Ok(value),
            None => self.base.storage(address, slot),
        }
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        match self.layers.iter().find_map(|layer| layer.codes().get(hash)) {
            Some(code) => Ok(code.clone()),
            None => self.base.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.base.block_hash(number)
    }
}

impl std::fmt::Debug for LayeredView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayeredView").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

/// The changes of a block under construction, kept in few layers so that looking something up stays cheap.
///
/// Each layer is at least twice as large as the next, so there are logarithmically many, and each change is merged
/// logarithmically often. Nothing is merged before somebody looks.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    merged: Vec<Arc<StateDiff>>,
    newest: Vec<Arc<StateDiff>>,
}

impl Layers {
    /// Adds the newest changes.
    pub(crate) fn push(&mut self, newest: Arc<StateDiff>) {
        if !newest.is_empty() {
            self.newest.push(newest);
        }
    }

    /// The layers so far, oldest first.
    pub(crate) fn snapshot(&mut self) -> Arc<[Arc<StateDiff>]> {
        let mut first = self.merged.len();
        let mut accounts: usize = self.newest.iter().map(|diff| diff.accounts().len()).sum();
        while let Some(older) =
            first.checked_sub(1).map(|place| self.merged[place].accounts().len())
            && older < 2 * accounts
        {
            first -= 1;
            accounts += older;
        }
        self.merged.append(&mut self.newest);
        if self.merged.len() > first + 1 {
            let smaller = self.merged.split_off(first);
            self.merged.push(Arc::new(StateDiff::merge(smaller.iter().map(|diff| &**diff))));
        }
        self.merged.as_slice().into()
    }
}
