//! `eth_getLogs`: the index names the blocks that may hold what is asked for, and the blocks themselves decide.

use std::sync::Arc;

use alloy_primitives::BlockNumber;
use millrace_rpc::{LogFilter, LogHit, LogQuery, LogScope, LogsError};

use crate::chain::{Chain, Served};

/// Finds the logs of a query, in chain order.
pub(super) async fn find(chain: &Chain, query: LogQuery) -> Result<Vec<LogHit>, LogsError> {
    let mut hits = Vec::new();
    let (first, last) = match query.scope {
        LogScope::Range(first, last) => (first, last),
        LogScope::Block(hash) => {
            let block = match chain.number_of(&hash).map_err(broken)? {
                Some(number) => chain.block(number).await.map_err(broken)?,
                None => None,
            };
            // Another block may have come in its place meanwhile.
            let block = block.filter(|block| block.block.header.hash() == hash);
            collect(&block.ok_or(LogsError::UnknownBlock)?, &query.filter, &mut hits);
            return Ok(hits);
        }
    };
    let LogFilter { addresses, topics } = &query.filter;
    let candidates = chain.index.log_candidates(first..=last, addresses, topics).map_err(broken)?;
    for candidate in candidates {
        let number = candidate.map_err(broken)?;
        let Some(block) = chain.block(number).await.map_err(broken)? else { continue };
        collect(&block, &query.filter, &mut hits);
        if hits.len() > query.results_max {
            return Err(LogsError::TooMany { last: last_that_fits(number, first) });
        }
    }
    Ok(hits)
}

/// The block before the one that was too much; the first one asked for is always worth another try by itself.
fn last_that_fits(number: BlockNumber, first: BlockNumber) -> BlockNumber {
    number.saturating_sub(1).max(first)
}

fn collect(served: &Arc<Served>, filter: &LogFilter, hits: &mut Vec<LogHit>) {
    let header = &served.block.header;
    let mut log_index = 0;
    for (transaction_index, receipt) in (0..).zip(served.receipts.iter()) {
        for log in &receipt.logs {
            if filter.matches(log) {
                hits.push(LogHit {
                    log: log.clone(),
                    block_hash: header.hash(),
                    block_number: header.number,
                    block_timestamp: header.timestamp,
                    transaction_hash: served.block.transactions[transaction_index as usize].hash(),
                    transaction_index,
                    log_index,
                });
            }
            log_index += 1;
        }
    }
}

fn broken(error: impl std::fmt::Display) -> LogsError {
    LogsError::Internal(error.to_string())
}
