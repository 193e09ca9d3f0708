//! Querying logs.

use std::sync::Arc;

use crate::{
    args::Args,
    backend::{Backend, BlockRef, LogFilter, LogQuery, LogScope, LogsError},
    edge::Edge,
    error::RpcError,
    json::{
        filter::{FilterArgs, FilterScope},
        log::{LogJson, logs_of_block},
    },
    methods::Registry,
};

pub(super) fn register<B: Backend>(methods: &mut Registry<B>) {
    methods.add("eth_getLogs", logs);
}

async fn logs<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<Vec<LogJson>, RpcError> {
    let (scope, filter) = args
        .positional(1)?
        .required::<FilterArgs>()?
        .into_filter(0, edge.config.filter_items_max)?;
    let worker = edge.clone();
    edge.run_heavy(async move {
        match scope {
            FilterScope::Block(hash) => query(&worker, LogScope::Block(hash), filter).await,
            FilterScope::Range(from, to) => range(&worker, from, to, filter).await,
        }
    })
    .await
}

async fn range<B: Backend>(
    edge: &Edge<B>,
    from: BlockRef,
    to: BlockRef,
    filter: LogFilter,
) -> Result<Vec<LogJson>, RpcError> {
    let heads = edge.backend.heads();
    let number = |at: BlockRef| match at {
        BlockRef::Number(number) => number,
        BlockRef::Safe => heads.safe,
        BlockRef::Finalized => heads.finalized,
        BlockRef::Earliest => heads.earliest,
        BlockRef::Pending => heads.latest.saturating_add(1),
        BlockRef::Latest | BlockRef::Hash(_) => heads.latest,
    };
    let (first, last) = (number(from), number(to));
    if first > last {
        // Between two numbers that is a mistake; with a tag it is a client that has seen everything up to here.
        return match (from, to) {
            (BlockRef::Number(_), BlockRef::Number(_)) => {
                Err(RpcError::invalid_params("invalid block range params"))
            }
            _ => Ok(Vec::new()),
        };
    }
    // What lies beyond the head has no logs yet, so it does not count as asked for.
    let sealed = first..=last.min(heads.latest);
    let mut found = Vec::new();
    if !sealed.is_empty() {
        let (first, last) = (*sealed.start(), *sealed.end());
        let max = edge.config.log_blocks_max.max(1);
        if last - first >= max {
            return Err(RpcError::invalid_params(format!(
                "query exceeds max block range {max}, retry with the range {first}-{}",
                first + max - 1
            )));
        }
        found = query(edge, LogScope::Range(first, last), filter.clone()).await?;
    }
    if to == BlockRef::Pending {
        // The block being built may have been sealed meanwhile; then the query above was too early for it, and the
        // next one will find it.
        if let Some(block) = edge.block(BlockRef::Pending).await?.filter(|block| block.pending) {
            found.extend(logs_of_block(&block, &filter).into_iter().map(LogJson::from));
        }
    }
    Ok(found)
}

async fn query<B: Backend>(
    edge: &Edge<B>,
    scope: LogScope,
    filter: LogFilter,
) -> Result<Vec<LogJson>, RpcError> {
    let results_max = edge.config.log_results_max;
    match edge.backend.logs(LogQuery { scope, filter, results_max }).await {
        Ok(hits) => Ok(hits.into_iter().map(LogJson::from).collect()),
        Err(LogsError::TooMany { last: fits }) if let LogScope::Range(first, last) = scope => {
            // Never the range that just failed, whatever the backend says.
            let end = fits.min(last.saturating_sub(1)).max(first);
            Err(RpcError::invalid_params(format!(
                "query exceeds max results {results_max}, retry with the range {first}-{end}"
            )))
        }
        Err(error) => Err(error.into()),
    }
}
