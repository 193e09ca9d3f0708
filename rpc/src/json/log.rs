//! Logs.

use alloy_primitives::{Address, B256, Bytes};
use serde::Serialize;

use crate::{
    backend::{ChainBlock, LogFilter, LogHit},
    json::{executed, hex::Quantity},
};

/// A log and where it is.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogJson {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: Quantity,
    transaction_hash: B256,
    transaction_index: Quantity,
    block_hash: B256,
    block_timestamp: Quantity,
    log_index: Quantity,
    removed: bool,
}

impl From<LogHit> for LogJson {
    fn from(hit: LogHit) -> Self {
        let (topics, data) = hit.log.data.split();
        Self {
            address: hit.log.address,
            topics,
            data,
            block_number: Quantity::from(hit.block_number),
            transaction_hash: hit.transaction_hash,
            transaction_index: Quantity::from(hit.transaction_index),
            block_hash: hit.block_hash,
            block_timestamp: Quantity::from(hit.block_timestamp),
            log_index: Quantity::from(hit.log_index),
            removed: false,
        }
    }
}

impl LogJson {
    /// Marks a log whose block was taken back.
    pub(crate) fn removed(self) -> Self {
        Self { removed: true, ..self }
    }
}

/// The logs of a block that a filter wants.
pub(crate) fn logs_of_block(block: &ChainBlock, filter: &LogFilter) -> Vec<LogHit> {
    executed::of_block(block).flat_map(|executed| executed.logs_matching(filter)).collect()
}
