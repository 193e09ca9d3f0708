//! Blocks, their receipts and counts. A block that does not exist is `null`.

use std::sync::Arc;

use crate::{
    args::{Args, Positional},
    backend::{Backend, BlockRef},
    edge::Edge,
    error::RpcError,
    json::{
        block::BlockJson,
        block_ref::{BlockId, BlockNumber},
        hex::{Hash, Quantity, Uint64},
        receipt::ReceiptJson,
    },
    methods::Registry,
};

pub(super) fn register<B: Backend>(methods: &mut Registry<B>) {
    methods.add("eth_getBlockByHash", block_by_hash);
    methods.add("eth_getBlockByNumber", block_by_number);
    methods.add("eth_getBlockReceipts", receipts);
    methods.add("eth_getBlockTransactionCountByHash", transaction_count_by_hash);
    methods.add("eth_getBlockTransactionCountByNumber", transaction_count_by_number);
    methods.add("eth_getUncleCountByBlockHash", uncle_count_by_hash);
    methods.add("eth_getUncleCountByBlockNumber", uncle_count_by_number);
    methods.add("eth_getUncleByBlockHashAndIndex", uncle_by_hash);
    methods.add("eth_getUncleByBlockNumberAndIndex", uncle_by_number);
}

/// The next argument: a hash.
pub(super) fn by_hash(args: &mut Positional<'_>) -> Result<BlockRef, RpcError> {
    args.required::<Hash>().map(|hash| BlockRef::Hash(hash.0))
}

/// The next argument: a number or tag, the latest block when missing.
pub(super) fn by_number(args: &mut Positional<'_>) -> Result<BlockRef, RpcError> {
    Ok(args.optional::<BlockNumber>()?.map_or(BlockRef::Latest, |number| number.0))
}

async fn block<B: Backend>(
    edge: &Edge<B>,
    at: BlockRef,
    full: bool,
) -> Result<Option<BlockJson>, RpcError> {
    Ok(edge.block(at).await?.map(|block| BlockJson::new(&block, full)))
}

async fn block_by_hash<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<BlockJson>, RpcError> {
    let (at, full) = {
        let mut args = args.positional(2)?;
        (by_hash(&mut args)?, args.optional()?.unwrap_or(false))
    };
    block(&edge, at, full).await
}

async fn block_by_number<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<BlockJson>, RpcError> {
    let (at, full) = {
        let mut args = args.positional(2)?;
        (by_number(&mut args)?, args.optional()?.unwrap_or(false))
    };
    block(&edge, at, full).await
}

async fn receipts<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<Vec<ReceiptJson>>, RpcError> {
    let at = args.positional(1)?.optional::<BlockId>()?.map_or(BlockRef::Latest, |id| id.0);
    Ok(edge.block(at).await?.map(|block| ReceiptJson::all(&block)))
}

async fn transaction_count<B: Backend>(
    edge: &Edge<B>,
    at: BlockRef,
) -> Result<Option<Quantity>, RpcError> {
    Ok(edge.block(at).await?.map(|block| Quantity::from(block.block.transactions.len())))
}

async fn transaction_count_by_hash<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<Quantity>, RpcError> {
    let at = by_hash(&mut args.positional(1)?)?;
    transaction_count(&edge, at).await
}

async fn transaction_count_by_number<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<Quantity>, RpcError> {
    let at = by_number(&mut args.positional(1)?)?;
    transaction_count(&edge, at).await
}

/// No block here has uncles, but only a block that exists has none.
async fn uncle_count<B: Backend>(
    edge: &Edge<B>,
    at: BlockRef,
) -> Result<Option<Quantity>, RpcError> {
    Ok(edge.backend.header(at).await?.map(|_| Quantity::ZERO))
}

async fn uncle_count_by_hash<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<Quantity>, RpcError> {
    let at = by_hash(&mut args.positional(1)?)?;
    uncle_count(&edge, at).await
}

async fn uncle_count_by_number<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<Quantity>, RpcError> {
    let at = by_number(&mut args.positional(1)?)?;
    uncle_count(&edge, at).await
}

async fn uncle_by_hash<B: Backend>(_: Arc<Edge<B>>, args: Args) -> Result<Option<()>, RpcError> {
    let mut args = args.positional(2)?;
    by_hash(&mut args)?;
    args.required::<Uint64>()?;
    Ok(None)
}

async fn uncle_by_number<B: Backend>(_: Arc<Edge<B>>, args: Args) -> Result<Option<()>, RpcError> {
    let mut args = args.positional(2)?;
    by_number(&mut args)?;
    args.required::<Uint64>()?;
    Ok(None)
}
