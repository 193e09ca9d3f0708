//! What a block of L1 holds for the rollup. Pure: the rules of the specification on verified data.

use alloy_consensus::{ReceiptEnvelope, Transaction, TxType, transaction::SignerRecoverable};
use alloy_primitives::{Address, B256, Bytes, Log};
use millrace_protocol::{
    CONFIG_UPDATE, RollupConfig, SystemConfig, TRANSACTION_DEPOSITED, UserDeposit, UserDepositError,
};
use op_alloy_consensus::TxDeposit;

use crate::verify::L1Transaction;

/// What the batcher posted, before its blobs are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Posted {
    /// A transaction's calldata.
    Calldata(Bytes),
    /// A blob, by its versioned hash.
    Blob(B256),
}

/// The logs that count, with their numbers in the block: those of transactions that succeeded.
fn logs(receipts: &[ReceiptEnvelope<Log>]) -> impl Iterator<Item = (u64, &Log)> {
    let mut next = 0;
    receipts.iter().flat_map(move |receipt| {
        let first = next;
        next += receipt.logs().len() as u64;
        let logs = if receipt.status() { receipt.logs() } else { &[] };
        (first..).zip(logs)
    })
}

/// The deposits of users, in the order of their logs.
pub(super) fn deposits(
    rollup: &RollupConfig,
    block_hash: B256,
    receipts: &[ReceiptEnvelope<Log>],
) -> Result<Vec<TxDeposit>, (u64, UserDepositError)> {
    let is_deposit = |log: &Log| {
        log.address == rollup.deposit_contract
            && log.topics().first() == Some(&TRANSACTION_DEPOSITED)
    };
    logs(receipts)
        .filter(|(_, log)| is_deposit(log))
        .map(|(index, log)| {
            let deposit = UserDeposit::decode_log(&log.data).map_err(|error| (index, error))?;
            Ok(deposit.into_deposit(block_hash, index))
        })
        .collect()
}

/// The parent's system config with this block's updates. An update that can't be read changes nothing.
pub(super) fn system_config(
    rollup: &RollupConfig,
    parent: &SystemConfig,
    receipts: &[ReceiptEnvelope<Log>],
) -> SystemConfig {
    let mut config = *parent;
    for (index, log) in logs(receipts) {
        if log.address == rollup.system_config_contract
            && log.topics().first() == Some(&CONFIG_UPDATE)
            && let Err(error) = config.apply_log(&log.data)
        {
            tracing::warn!(log = index, %error, "a config update changes nothing");
        }
    }
    config
}

/// What the batcher posted, in order. Whether its transactions succeeded doesn't matter: their data is there.
pub(super) fn posted(
    rollup: &RollupConfig,
    batcher: Address,
    transactions: &[L1Transaction],
) -> Vec<Posted> {
    let mut posted = Vec::new();
    for transaction in transactions {
        // Senders are recovered only where it matters: anybody can send to the inbox, but few do.
        if transaction.to() != Some(rollup.batch_inbox) || !may_carry_batches(transaction.tx_type())
        {
            continue;
        }
        if transaction.recover_signer().ok() != Some(batcher) {
            continue;
        }
        match transaction.blob_versioned_hashes() {
            // Calldata of a blob transaction counts for nothing.
            Some(hashes) => posted.extend(hashes.iter().copied().map(Posted::Blob)),
            None => posted.push(Posted::Calldata(transaction.input().clone())),
        }
    }
    posted
}

/// Types that came after blobs carry none, by every implementation of derivation.
const fn may_carry_batches(kind: TxType) -> bool {
    matches!(kind, TxType::Legacy | TxType::Eip2930 | TxType::Eip1559 | TxType::Eip4844)
}

#[cfg(test)]
mod tests;
