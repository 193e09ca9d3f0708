//! Merkle proofs.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use serde::Serialize;

use crate::{backend::AccountProof, json::hex::Quantity};

/// The answer of `eth_getProof`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProofJson {
    address: Address,
    account_proof: Vec<Bytes>,
    balance: U256,
    code_hash: B256,
    nonce: Quantity,
    storage_hash: B256,
    storage_proof: Vec<SlotProofJson>,
}

#[derive(Debug, Clone, Serialize)]
struct SlotProofJson {
    key: String,
    value: U256,
    proof: Vec<Bytes>,
}

impl ProofJson {
    /// `keys` are the slots as the client wrote them, which is how geth names them in its answer.
    pub(crate) fn new(address: Address, keys: Vec<String>, proof: AccountProof) -> Self {
        let account = proof.account.unwrap_or_default();
        Self {
            address,
            account_proof: proof.proof,
            balance: account.balance,
            code_hash: account.bytecode_hash.unwrap_or(KECCAK256_EMPTY),
            nonce: Quantity::from(account.nonce),
            storage_hash: proof.storage_root,
            storage_proof: keys
                .into_iter()
                .zip(proof.storage)
                .map(|(key, slot)| SlotProofJson { key, value: slot.value, proof: slot.proof })
                .collect(),
        }
    }
}
