//! Logs.

use alloy_primitives::{Address, B256, Bytes, Log};
use serde::Serialize;

use crate::{
    backend::{ChainBlock, LogFilter, LogHit},
    json::hex::Quantity,
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

/// The hash that a block is known by; zero while it has none.
pub(crate) fn known_hash(block: &ChainBlock) -> B256 {
    if block.pending { B256::ZERO } else { block.block.header.hash() }
}

/// The logs of one transaction, the first of which has index `first` in its block.
pub(crate) fn logs_of_transaction<'a>(
    block: &'a ChainBlock,
    index: usize,
    first: usize,
) -> impl Iterator<Item = LogHit> + 'a {
    let header = &block.block.header;
    let hash = block.block.transactions.get(index).map(|tx| tx.hash()).unwrap_or_default();
    let logs: &[Log] = block.receipts.get(index).map_or(&[], |receipt| &receipt.logs);
    let block_hash = known_hash(block);
    logs.iter().enumerate().map(move |(offset, log)| LogHit {
        log: log.clone(),
        block_hash,
        block_number: header.number,
        block_timestamp: header.timestamp,
        transaction_hash: hash,
        transaction_index: index as u64,
        log_index: (first + offset) as u64,
    })
}

/// The logs of a block that a filter wants.
pub(crate) fn logs_of_block(block: &ChainBlock, filter: &LogFilter) -> Vec<LogHit> {
    let mut first = 0;
    let mut hits = Vec::new();
    for (index, receipt) in block.receipts.iter().enumerate() {
        if receipt.logs.iter().any(|log| filter.matches(log)) {
            hits.extend(
                logs_of_transaction(block, index, first).filter(|hit| filter.matches(&hit.log)),
            );
        }
        first += receipt.logs.len();
    }
    hits
}
