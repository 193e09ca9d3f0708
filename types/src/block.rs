//! Blocks: what is sealed, and what executing it produced.

use std::sync::Arc;

use crate::{Receipt, SealedHeader, StateDiff, Transaction, Waypoint};

/// An L2 block: a header with its hash, and the transactions that it commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The header and its hash.
    pub header: SealedHeader,
    /// The transactions, deposits first.
    pub transactions: Vec<Arc<Transaction>>,
}

impl Block {
    /// The block's number.
    pub fn number(&self) -> u64 {
        self.header.number
    }
}

/// A sealed block together with what its execution produced, as it travels from the builder to the journal.
#[derive(Debug, Clone)]
pub struct ExecutedBlock {
    /// The block itself.
    pub block: Arc<Block>,
    /// One receipt a transaction, in order.
    pub receipts: Arc<Vec<Receipt>>,
    /// Every account, slot and code that the block changed.
    pub diff: Arc<StateDiff>,
    /// What it changed stretch by stretch, if that was recorded.
    pub waypoints: Vec<Waypoint>,
}
