//! Transactions: taking them in, and finding them again with their receipts.

use std::sync::Arc;

use alloy_primitives::{Bytes, TxHash};
use millrace_types::Transaction;

use crate::{
    args::Args,
    backend::{Backend, BlockRef, ChainBlock, Lookup},
    edge::Edge,
    error::RpcError,
    json::{
        hex::{Data, Hash, Uint64},
        receipt::ReceiptJson,
        transaction::TransactionJson,
    },
    methods::{
        Registry,
        blocks::{by_hash, by_number},
    },
};

pub(super) fn register<B: Backend>(methods: &mut Registry<B>) {
    methods.add("eth_sendRawTransaction", send_raw);
    methods.add("eth_getTransactionByHash", transaction);
    methods.add("eth_getTransactionByBlockHashAndIndex", transaction_by_block_hash);
    methods.add("eth_getTransactionByBlockNumberAndIndex", transaction_by_block_number);
    methods.add("eth_getRawTransactionByHash", raw);
    methods.add("eth_getRawTransactionByBlockHashAndIndex", raw_by_block_hash);
    methods.add("eth_getRawTransactionByBlockNumberAndIndex", raw_by_block_number);
    methods.add("eth_getTransactionReceipt", receipt);
}

async fn send_raw<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<TxHash, RpcError> {
    let encoded: Data = args.positional(1)?.required()?;
    Ok(edge.backend.submit(encoded.0).await?)
}

async fn transaction<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<TransactionJson>, RpcError> {
    let hash: Hash = args.positional(1)?.required()?;
    Ok(match edge.backend.transaction(hash.0).await? {
        None => None,
        Some(Lookup::Pooled(tx)) => Some(TransactionJson::pooled(&tx)),
        Some(Lookup::Included { block, index }) => TransactionJson::included(&block, index),
    })
}

async fn transaction_by_block_hash<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<TransactionJson>, RpcError> {
    let place = Place::by_hash(&args)?;
    let block = edge.block(place.at).await?;
    Ok(block.and_then(|block| TransactionJson::included(&block, place.index)))
}

async fn transaction_by_block_number<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<TransactionJson>, RpcError> {
    let place = Place::by_number(&args)?;
    let block = edge.block(place.at).await?;
    Ok(block.and_then(|block| TransactionJson::included(&block, place.index)))
}

/// The encoding, or no bytes at all, which is how geth says that there is no such transaction.
async fn raw<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<Bytes, RpcError> {
    let hash: Hash = args.positional(1)?.required()?;
    Ok(match edge.backend.transaction(hash.0).await? {
        None => Bytes::new(),
        Some(Lookup::Pooled(tx)) => tx.encoded().clone(),
        Some(Lookup::Included { block, index }) => encoded_at(Some(&block), index),
    })
}

async fn raw_by_block_hash<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<Bytes, RpcError> {
    let place = Place::by_hash(&args)?;
    Ok(encoded_at(edge.block(place.at).await?.as_deref(), place.index))
}

async fn raw_by_block_number<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Bytes, RpcError> {
    let place = Place::by_number(&args)?;
    Ok(encoded_at(edge.block(place.at).await?.as_deref(), place.index))
}

/// The receipt of a transaction in a sealed block; of one in the block being built only where that is wanted, because
/// whoever holds a receipt expects `latest` to show its effects.
async fn receipt<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<ReceiptJson>, RpcError> {
    let hash: Hash = args.positional(1)?.required()?;
    Ok(match edge.backend.transaction(hash.0).await? {
        Some(Lookup::Included { block, index })
            if !block.pending || edge.config.preconfirmed_receipts =>
        {
            ReceiptJson::new(&block, index)
        }
        _ => None,
    })
}

/// A place in a block.
struct Place {
    at: BlockRef,
    index: usize,
}

impl Place {
    fn by_hash(args: &Args) -> Result<Self, RpcError> {
        let mut args = args.positional(2)?;
        Ok(Self { at: by_hash(&mut args)?, index: index(args.required()?) })
    }

    fn by_number(args: &Args) -> Result<Self, RpcError> {
        let mut args = args.positional(2)?;
        Ok(Self { at: by_number(&mut args)?, index: index(args.required()?) })
    }
}

fn index(index: Uint64) -> usize {
    usize::try_from(index.0).unwrap_or(usize::MAX)
}

fn encoded_at(block: Option<&ChainBlock>, index: usize) -> Bytes {
    let tx: Option<&Arc<Transaction>> = block.and_then(|block| block.block.transactions.get(index));
    tx.map(|tx| tx.encoded().clone()).unwrap_or_default()
}
