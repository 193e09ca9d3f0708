//! Transactions.

use alloy_consensus::{Signed, Transaction as _, Typed2718};
use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, U64, U128, U256};
use millrace_types::{Receipt, Transaction, TxEnvelope};
use serde::Serialize;

use crate::{
    backend::ChainBlock,
    json::{executed::Executed, hex::Quantity},
};

/// A transaction, in a block or on its way. Fields that its type does not have are absent.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransactionJson {
    block_hash: Option<B256>,
    block_number: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_timestamp: Option<Quantity>,
    from: Address,
    gas: Quantity,
    gas_price: U128,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_gas: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_priority_fee_per_gas: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_fee_per_blob_gas: Option<U128>,
    hash: B256,
    input: Bytes,
    nonce: Quantity,
    to: Option<Address>,
    transaction_index: Option<Quantity>,
    value: U256,
    #[serde(rename = "type")]
    ty: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_list: Option<AccessList>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_id: Option<Quantity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_list: Option<Vec<SignedAuthorization>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob_versioned_hashes: Option<Vec<B256>>,
    v: U256,
    r: U256,
    s: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    y_parity: Option<Quantity>,
    #[serde(flatten)]
    deposit: Option<DepositJson>,
}

/// What a deposit has besides.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct DepositJson {
    source_hash: B256,
    #[serde(skip_serializing_if = "Option::is_none")]
    mint: Option<U128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_system_tx: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deposit_receipt_version: Option<Quantity>,
}

impl TransactionJson {
    /// A transaction that no block holds yet.
    pub(crate) fn pooled(tx: &Transaction) -> Self {
        Self::unplaced(tx, tx.max_fee_per_gas())
    }

    /// A transaction of the block being built, without its place: to clients, one that has a place is sealed.
    pub(crate) fn unsealed(executed: Executed<'_>) -> Self {
        let Executed { header, transaction, receipt, .. } = executed;
        let price = transaction.effective_gas_price(header.base_fee_per_gas);
        Self::unplaced(transaction, price).with_deposit_receipt(receipt)
    }

    /// A promised transaction: its place is known, and its block has no hash yet.
    pub(crate) fn promised(executed: Executed<'_>) -> Self {
        Self {
            block_number: Some(Quantity::from(executed.header.number)),
            block_timestamp: Some(Quantity::from(executed.header.timestamp)),
            transaction_index: Some(Quantity::from(executed.before.transactions)),
            ..Self::unsealed(executed)
        }
    }

    /// A block's transaction; `None` if it has no such index.
    pub(crate) fn included(block: &ChainBlock, index: usize) -> Option<Self> {
        let header = &block.block.header;
        let tx = block.block.transactions.get(index)?;
        let mut json = Self::unplaced(tx, tx.effective_gas_price(header.base_fee_per_gas));
        if let Some(receipt) = block.receipts.get(index) {
            json = json.with_deposit_receipt(receipt);
        }
        if !block.pending {
            json.block_hash = Some(header.hash());
            json.block_number = Some(Quantity::from(header.number));
            json.block_timestamp = Some(Quantity::from(header.timestamp));
            json.transaction_index = Some(Quantity::from(index));
        }
        Some(json)
    }

    /// A deposit's nonce is known when it has been executed.
    fn with_deposit_receipt(mut self, receipt: &Receipt) -> Self {
        if let (Some(deposit), Some(receipt)) = (&mut self.deposit, &receipt.deposit) {
            self.nonce = Quantity::from(receipt.nonce);
            deposit.deposit_receipt_version = Some(Quantity::from(receipt.version));
        }
        self
    }

    fn unplaced(tx: &Transaction, gas_price: u128) -> Self {
        let dynamic = tx.is_dynamic_fee() && !tx.is_deposit();
        let signature = signature(tx.envelope());
        let parity = signature.map_or(0, |signature| u64::from(signature.v()));
        let v = match tx.envelope() {
            TxEnvelope::Legacy(_) => tx.chain_id().map_or(27 + u128::from(parity), |chain_id| {
                u128::from(chain_id) * 2 + 35 + u128::from(parity)
            }),
            _ => u128::from(parity),
        };
        Self {
            block_hash: None,
            block_number: None,
            block_timestamp: None,
            transaction_index: None,
            from: tx.sender(),
            gas: Quantity::from(tx.gas_limit()),
            gas_price: U128::from(if tx.is_deposit() { 0 } else { gas_price }),
            max_fee_per_gas: dynamic.then(|| U128::from(tx.max_fee_per_gas())),
            max_priority_fee_per_gas: tx
                .max_priority_fee_per_gas()
                .filter(|_| dynamic)
                .map(U128::from),
            max_fee_per_blob_gas: tx.max_fee_per_blob_gas().map(U128::from),
            hash: tx.hash(),
            input: tx.input().clone(),
            nonce: Quantity::from(tx.nonce()),
            to: tx.to(),
            value: tx.value(),
            ty: U64::from(tx.envelope().ty()),
            access_list: tx.access_list().cloned(),
            chain_id: tx.chain_id().map(Quantity::from),
            authorization_list: tx.authorization_list().map(<[_]>::to_vec),
            blob_versioned_hashes: tx.blob_versioned_hashes().map(<[_]>::to_vec),
            v: U256::from(v),
            r: signature.map(Signature::r).unwrap_or_default(),
            s: signature.map(Signature::s).unwrap_or_default(),
            y_parity: match tx.envelope() {
                TxEnvelope::Legacy(_) | TxEnvelope::Deposit(_) => None,
                _ => Some(Quantity::from(parity)),
            },
            deposit: tx.as_deposit().map(|deposit| DepositJson {
                source_hash: deposit.source_hash,
                mint: (deposit.mint != 0).then(|| U128::from(deposit.mint)),
                is_system_tx: deposit.is_system_transaction.then_some(true),
                deposit_receipt_version: None,
            }),
        }
    }
}

fn signature(tx: &TxEnvelope) -> Option<&Signature> {
    match tx {
        TxEnvelope::Legacy(tx) => Some(Signed::signature(tx)),
        TxEnvelope::Eip2930(tx) => Some(tx.signature()),
        TxEnvelope::Eip1559(tx) => Some(tx.signature()),
        TxEnvelope::Eip4844(tx) => Some(tx.signature()),
        TxEnvelope::Eip7702(tx) => Some(tx.signature()),
        TxEnvelope::Deposit(_) => None,
    }
}
