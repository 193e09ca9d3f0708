//! Headers and blocks.

use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U64, U256};
use alloy_rlp::Encodable;
use millrace_types::{Block, SealedHeader, TxType};
use serde::Serialize;

use crate::{
    backend::ChainBlock,
    json::{hex::Quantity, transaction::TransactionJson},
};

/// A header, as subscribers to new heads get it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeaderJson {
    number: Quantity,
    hash: Option<B256>,
    parent_hash: B256,
    nonce: Option<B64>,
    mix_hash: B256,
    sha3_uncles: B256,
    logs_bloom: Bloom,
    state_root: B256,
    miner: Address,
    difficulty: U256,
    extra_data: Bytes,
    gas_limit: Quantity,
    gas_used: Quantity,
    timestamp: Quantity,
    transactions_root: B256,
    receipts_root: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_fee_per_gas: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawals_root: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_gas_used: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    excess_blob_gas: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_beacon_block_root: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_hash: Option<B256>,
}

/// A block.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BlockJson {
    #[serde(flatten)]
    header: HeaderJson,
    size: Quantity,
    transactions: Transactions,
    uncles: [B256; 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawals: Option<[u8; 0]>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Transactions {
    Hashes(Vec<B256>),
    Full(Vec<TransactionJson>),
}

impl HeaderJson {
    /// A header that is being built has neither hash nor nonce.
    pub(crate) fn new(header: &SealedHeader, pending: bool) -> Self {
        Self {
            number: U64::from(header.number),
            hash: (!pending).then(|| header.hash()),
            parent_hash: header.parent_hash,
            nonce: (!pending).then_some(header.nonce),
            mix_hash: header.mix_hash,
            sha3_uncles: header.ommers_hash,
            logs_bloom: header.logs_bloom,
            state_root: header.state_root,
            miner: header.beneficiary,
            difficulty: header.difficulty,
            extra_data: header.extra_data.clone(),
            gas_limit: U64::from(header.gas_limit),
            gas_used: U64::from(header.gas_used),
            timestamp: U64::from(header.timestamp),
            transactions_root: header.transactions_root,
            receipts_root: header.receipts_root,
            base_fee_per_gas: header.base_fee_per_gas.map(U64::from),
            withdrawals_root: header.withdrawals_root,
            blob_gas_used: header.blob_gas_used.map(U64::from),
            excess_blob_gas: header.excess_blob_gas.map(U64::from),
            parent_beacon_block_root: header.parent_beacon_block_root,
            requests_hash: header.requests_hash,
        }
    }
}

impl BlockJson {
    /// The block with its transactions in full, or only their hashes.
    pub(crate) fn new(chain_block: &ChainBlock, full: bool) -> Self {
        let block = &chain_block.block;
        let transactions = if full {
            let indexes = 0..block.transactions.len();
            Transactions::Full(
                indexes.filter_map(|index| TransactionJson::included(chain_block, index)).collect(),
            )
        } else {
            Transactions::Hashes(block.transactions.iter().map(|tx| tx.hash()).collect())
        };
        Self {
            header: HeaderJson::new(&block.header, chain_block.pending),
            size: Quantity::from(encoded_len(block)),
            transactions,
            uncles: [],
            withdrawals: block.header.withdrawals_root.map(|_| []),
        }
    }
}

/// The length of the block's RLP: header, transactions, no uncles and, where there are any, no withdrawals.
fn encoded_len(block: &Block) -> usize {
    let list = |payload: usize| payload + alloy_rlp::length_of_length(payload);
    let transactions: usize = block
        .transactions
        .iter()
        .map(|tx| match tx.tx_type() {
            TxType::Legacy => tx.encoded().len(),
            _ => tx.encoded().length(),
        })
        .sum();
    let withdrawals = usize::from(block.header.withdrawals_root.is_some());
    list(block.header.header().length() + list(transactions) + list(0) + withdrawals)
}
