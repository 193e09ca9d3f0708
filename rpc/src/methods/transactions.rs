//! Transactions: taking them in, and finding them again with their receipts.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Bytes, TxHash};
use millrace_types::Transaction;

use crate::{
    args::Args,
    backend::{Backend, BlockRef, ChainBlock, Inclusion, Lookup},
    edge::Edge,
    error::RpcError,
    json::{
        executed,
        hex::{Data, Hash, Milliseconds, Uint64},
        receipt::ReceiptJson,
        transaction::TransactionJson,
    },
    methods::{
        Registry,
        blocks::{by_hash, by_number},
    },
    server::Preconfirmed,
};

pub(super) fn register<B: Backend>(methods: &mut Registry<B>) {
    methods.add("eth_sendRawTransaction", send_raw);
    methods.add("eth_sendRawTransactionSync", send_raw_and_wait);
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

/// EIP-7966: hands a transaction in, and answers with its receipt as soon as it is promised.
async fn send_raw_and_wait<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<ReceiptJson, RpcError> {
    let mut args = args.positional(2)?;
    let encoded: Data = args.required()?;
    let config = &edge.config;
    let patience = match args.optional::<Milliseconds>()? {
        None | Some(Milliseconds(0)) => config.sync_timeout,
        Some(asked) => Duration::from_millis(asked.0),
    };
    let _permit = edge.wait()?;
    let inclusion =
        edge.backend.submit_and_wait(encoded.0, patience.min(config.sync_timeout_max)).await?;
    receipt_of(&inclusion).ok_or_else(|| RpcError::failed("the receipt is gone"))
}

async fn transaction<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<TransactionJson>, RpcError> {
    let hash: Hash = args.positional(1)?.required()?;
    Ok(match edge.backend.transaction(hash.0).await? {
        None => None,
        Some(Lookup::Pooled(tx)) => Some(TransactionJson::pooled(&tx)),
        Some(Lookup::Included(Inclusion::Promised(run))) => {
            executed::of_run(&run).next().map(TransactionJson::unsealed)
        }
        Some(Lookup::Included(Inclusion::Sealed { block, index })) => {
            TransactionJson::included(&block, index)
        }
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
        Some(Lookup::Included(Inclusion::Promised(run))) => {
            run.transactions.first().map(|(tx, _)| tx.encoded().clone()).unwrap_or_default()
        }
        Some(Lookup::Included(Inclusion::Sealed { block, index })) => {
            encoded_at(Some(&block), index)
        }
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

/// The receipt of a transaction in a sealed block; of a promised one only to clients that said they know what that is,
/// because all others expect `latest` to show the effects of whatever has a receipt.
async fn receipt<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Option<ReceiptJson>, RpcError> {
    let hash: Hash = args.positional(1)?.required()?;
    Ok(match edge.backend.transaction(hash.0).await? {
        Some(Lookup::Included(inclusion))
            if matches!(inclusion, Inclusion::Sealed { .. })
                || args.attached::<Preconfirmed>().is_some() =>
        {
            receipt_of(&inclusion)
        }
        _ => None,
    })
}

fn receipt_of(inclusion: &Inclusion) -> Option<ReceiptJson> {
    match inclusion {
        Inclusion::Promised(run) => executed::of_run(run).next().map(ReceiptJson::new),
        Inclusion::Sealed { block, index } => ReceiptJson::included(block, *index),
    }
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
