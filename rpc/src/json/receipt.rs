//! Receipts, with the fields that OP chains add.

use alloy_consensus::{Transaction as _, Typed2718};
use alloy_primitives::{Address, B256, Bloom, U64, U128, U256};
use serde::Serialize;

use crate::{
    backend::{ChainBlock, L1Fees, L1TxFee},
    json::{
        executed::{self, Executed},
        hex::Quantity,
        log::LogJson,
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
    pub(crate) fn included(block: &ChainBlock, index: usize) -> Option<Self> {
        executed::of_block(block).nth(index).map(Self::new)
    }

    /// All receipts of a block.
    pub(crate) fn all(block: &ChainBlock) -> Vec<Self> {
        executed::of_block(block).map(Self::new).collect()
    }

    /// The receipt of an executed transaction.
    pub(crate) fn new(executed: Executed<'_>) -> Self {
        let Executed { header, transaction: tx, receipt, before, .. } = executed;
        let deposit = receipt.deposit.as_ref();
        let price =
            if tx.is_deposit() { 0 } else { tx.effective_gas_price(header.base_fee_per_gas) };
        Self {
            block_hash: executed.block_hash,
            block_number: Quantity::from(header.number),
            transaction_hash: tx.hash(),
            transaction_index: Quantity::from(before.transactions),
            from: tx.sender(),
            to: tx.to(),
            contract_address: created(executed),
            cumulative_gas_used: Quantity::from(receipt.cumulative_gas_used),
            gas_used: gas_used(executed),
            effective_gas_price: U128::from(price),
            logs: executed.logs().map(LogJson::from).collect(),
            logs_bloom: receipt.bloom(),
            status: Quantity::from(u64::from(receipt.success)),
            ty: U64::from(tx.envelope().ty()),
            l1: executed.l1_fees.map(|(fees, entry)| L1FeeJson::new(fees, entry)),
            deposit_nonce: deposit.map(|deposit| Quantity::from(deposit.nonce)),
            deposit_receipt_version: deposit.map(|deposit| Quantity::from(deposit.version)),
        }
    }
}

/// The contract that a transaction creates, if it is to create one.
pub(crate) fn created(executed: Executed<'_>) -> Option<Address> {
    let tx = executed.transaction;
    let deposit = executed.receipt.deposit.as_ref();
    let nonce = deposit.map_or_else(|| tx.nonce(), |deposit| deposit.nonce);
    tx.is_create().then(|| tx.sender().create(nonce))
}

/// What a transaction used by itself.
pub(crate) fn gas_used(executed: Executed<'_>) -> Quantity {
    Quantity::from(executed.receipt.cumulative_gas_used.saturating_sub(executed.before.gas))
}
