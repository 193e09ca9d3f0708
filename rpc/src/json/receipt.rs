//! Receipts, with the fields that OP chains add.

use alloy_consensus::{Transaction as _, Typed2718};
use alloy_primitives::{Address, B256, Bloom, U64, U128, U256};
use serde::Serialize;

use crate::{
    backend::{ChainBlock, L1Fees, L1TxFee},
    json::{
        hex::Quantity,
        log::{LogJson, known_hash, logs_of_transaction},
    },
};

/// A receipt.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiptJson {
    block_hash: B256,
    block_number: Quantity,
    transaction_hash: B256,
    transaction_index: Quantity,
    from: Address,
    to: Option<Address>,
    contract_address: Option<Address>,
    cumulative_gas_used: Quantity,
    gas_used: Quantity,
    effective_gas_price: U128,
    logs: Vec<LogJson>,
    logs_bloom: Bloom,
    status: Quantity,
    #[serde(rename = "type")]
    ty: U64,
    #[serde(flatten)]
    l1: Option<L1FeeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit_nonce: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit_receipt_version: Option<Quantity>,
}

/// What L1 charged.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct L1FeeJson {
    l1_gas_price: U256,
    l1_gas_used: U256,
    l1_fee: U256,
    l1_base_fee_scalar: Quantity,
    l1_blob_base_fee: U256,
    l1_blob_base_fee_scalar: Quantity,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_fee_scalar: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_fee_constant: Option<Quantity>,
}

impl L1FeeJson {
    fn new(fees: &L1Fees, index: usize) -> Self {
        let L1TxFee { fee, gas_used } = fees.transactions.get(index).copied().unwrap_or_default();
        let operator = fees.operator_fee_scalar != 0 || fees.operator_fee_constant != 0;
        Self {
            l1_gas_price: fees.base_fee,
            l1_gas_used: gas_used,
            l1_fee: fee,
            l1_base_fee_scalar: Quantity::from(fees.base_fee_scalar),
            l1_blob_base_fee: fees.blob_base_fee,
            l1_blob_base_fee_scalar: Quantity::from(fees.blob_base_fee_scalar),
            operator_fee_scalar: operator.then(|| Quantity::from(fees.operator_fee_scalar)),
            operator_fee_constant: operator.then(|| Quantity::from(fees.operator_fee_constant)),
        }
    }
}

impl ReceiptJson {
    /// The receipt of a block's transaction; `None` if it has no such index.
    pub(crate) fn new(block: &ChainBlock, index: usize) -> Option<Self> {
        let first_log = block.receipts.iter().take(index).map(|receipt| receipt.logs.len()).sum();
        Self::with_first_log(block, index, first_log)
    }

    /// All receipts of a block.
    pub(crate) fn all(block: &ChainBlock) -> Vec<Self> {
        let mut first_log = 0;
        let mut all = Vec::with_capacity(block.receipts.len());
        for (index, receipt) in block.receipts.iter().enumerate() {
            all.extend(Self::with_first_log(block, index, first_log));
            first_log += receipt.logs.len();
        }
        all
    }

    fn with_first_log(block: &ChainBlock, index: usize, first_log: usize) -> Option<Self> {
        let header = &block.block.header;
        let tx = block.block.transactions.get(index)?;
        let receipt = block.receipts.get(index)?;
        let gas_before = match index.checked_sub(1) {
            Some(before) => block.receipts.get(before)?.cumulative_gas_used,
            None => 0,
        };
        let deposit = receipt.deposit.as_ref();
        let nonce = deposit.map_or_else(|| tx.nonce(), |deposit| deposit.nonce);
        let price =
            if tx.is_deposit() { 0 } else { tx.effective_gas_price(header.base_fee_per_gas) };
        Some(Self {
            block_hash: known_hash(block),
            block_number: Quantity::from(header.number),
            transaction_hash: tx.hash(),
            transaction_index: Quantity::from(index),
            from: tx.sender(),
            to: tx.to(),
            contract_address: tx.is_create().then(|| tx.sender().create(nonce)),
            cumulative_gas_used: Quantity::from(receipt.cumulative_gas_used),
            gas_used: Quantity::from(receipt.cumulative_gas_used.saturating_sub(gas_before)),
            effective_gas_price: U128::from(price),
            logs: logs_of_transaction(block, index, first_log).map(LogJson::from).collect(),
            logs_bloom: receipt.bloom(),
            status: Quantity::from(u64::from(receipt.success)),
            ty: U64::from(tx.envelope().ty()),
            l1: block.l1_fees.as_deref().map(|fees| L1FeeJson::new(fees, index)),
            deposit_nonce: deposit.map(|deposit| Quantity::from(deposit.nonce)),
            deposit_receipt_version: deposit.map(|deposit| Quantity::from(deposit.version)),
        })
    }
}
