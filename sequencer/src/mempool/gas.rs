//! The gas that inclusion alone costs.

use alloy_consensus::Transaction as _;
use alloy_eips::eip7623::{tokens_in_calldata, transaction_floor_cost};
use millrace_types::TxEnvelope;

const TRANSACTION: u64 = 21_000;
const CREATION: u64 = 32_000;
const DATA_TOKEN: u64 = 4;
const INIT_CODE_WORD: u64 = 2;
const ACCESS_LIST_ADDRESS: u64 = 2_400;
const ACCESS_LIST_SLOT: u64 = 1_900;
const AUTHORIZATION: u64 = 25_000;

/// What a transaction costs before its first instruction runs, by the rules up to Prague.
pub fn intrinsic_gas(tx: &TxEnvelope) -> u64 {
    let mut gas = TRANSACTION + DATA_TOKEN * tokens_in_calldata(tx.input());
    if tx.is_create() {
        gas += CREATION + INIT_CODE_WORD * tx.input().len().div_ceil(32) as u64;
    }
    for item in tx.access_list().into_iter().flat_map(|list| list.iter()) {
        gas += ACCESS_LIST_ADDRESS + ACCESS_LIST_SLOT * item.storage_keys.len() as u64;
    }
    gas + AUTHORIZATION * tx.authorization_count().unwrap_or(0)
}

/// The least that a transaction uses, whatever it does, because of its data (EIP-7623).
pub fn floor_gas(tx: &TxEnvelope) -> u64 {
    transaction_floor_cost(tokens_in_calldata(tx.input()))
}
