//! A block of Ethereum's mainnet, from the shared data beside the repository.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use millrace_executor::BlockAttributes;
use millrace_types::{Header, SealedHeader, Transaction, TxEnvelope};
use serde::{Deserialize, de::DeserializeOwned};

/// Block 22546209, and all that executing it needs of the world before it.
pub(crate) struct MainnetBlock {
    pub(crate) attributes: BlockAttributes,
    pub(crate) transactions: Vec<Arc<Transaction>>,
    pub(crate) accounts: HashMap<Address, PreAccount>,
    pub(crate) block_hashes: HashMap<u64, B256>,
}

impl MainnetBlock {
    pub(crate) fn load() -> Self {
        let env: Env = read("block.json");
        let transactions: Vec<Tx> = read("txs.json");
        Self {
            attributes: env.attributes(),
            transactions: transactions.into_iter().map(Tx::into_transaction).collect(),
            accounts: read("pre_state.json"),
            block_hashes: env.block_hashes,
        }
    }
}

fn read<T: DeserializeOwned>(file: &str) -> T {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/mainnet-22546209")
        .join(file);
    let json = fs::read(&path).unwrap_or_else(|error| {
        panic!("the shared data must lie beside the repository: {}: {error}", path.display())
    });
    serde_json::from_slice(&json).unwrap()
}

#[derive(Deserialize)]
struct Env {
    number: u64,
    coinbase: Address,
    timestamp: u64,
    gas_limit: u64,
    basefee: u64,
    prevrandao: B256,
    excess_blob_gas: u64,
    block_hashes: HashMap<u64, B256>,
}

impl Env {
    fn attributes(&self) -> BlockAttributes {
        let parent = Header { number: self.number - 1, ..Header::default() };
        BlockAttributes {
            parent: SealedHeader::new(parent, self.block_hashes[&(self.number - 1)]),
            timestamp: self.timestamp,
            beneficiary: self.coinbase,
            gas_limit: self.gas_limit,
            base_fee: self.basefee,
            prev_randao: self.prevrandao,
            // Not in the data, and nothing in the block reads it.
            parent_beacon_block_root: B256::ZERO,
            extra_data: Bytes::new(),
            excess_blob_gas: self.excess_blob_gas,
        }
    }
}

/// An account that the block touches, as it was before.
#[derive(Deserialize)]
pub(crate) struct PreAccount {
    pub(crate) balance: U256,
    pub(crate) nonce: u64,
    pub(crate) code: Option<Bytes>,
    pub(crate) storage: HashMap<U256, U256>,
}

#[derive(Deserialize)]
struct Access {
    address: Address,
    storage_keys: Vec<B256>,
}

#[derive(Deserialize)]
struct Delegation {
    chain_id: U256,
    address: Address,
    nonce: u64,
    y_parity: u8,
    r: U256,
    s: U256,
}

#[derive(Deserialize)]
struct Tx {
    tx_type: u8,
    caller: Address,
    to: Option<Address>,
    nonce: u64,
    value: U256,
    data: Bytes,
    gas_limit: u64,
    gas_price: u128,
    gas_priority_fee: Option<u128>,
    access_list: Vec<Access>,
    authorization_list: Vec<Delegation>,
}

impl Tx {
    /// The data names the sender and leaves the signature out.
    fn into_transaction(self) -> Arc<Transaction> {
        let signature = Signature::new(self.caller.into_word().into(), U256::from(1), false);
        let item = |Access { address, storage_keys }| AccessListItem { address, storage_keys };
        let access_list = AccessList(self.access_list.into_iter().map(item).collect());
        let delegation = |one: Delegation| {
            let Delegation { chain_id, address, nonce, y_parity, r, s } = one;
            let authorization = Authorization { chain_id, address, nonce };
            SignedAuthorization::new_unchecked(authorization, y_parity, r, s)
        };
        let authorization_list = self.authorization_list.into_iter().map(delegation).collect();
        let to = self.to.map_or(TxKind::Create, TxKind::Call);
        let Self { nonce, gas_limit, value, data: input, gas_price, .. } = self;
        let (chain_id, max_fee_per_gas) = (1, gas_price);
        let max_priority_fee_per_gas = self.gas_priority_fee.unwrap_or_default();
        let envelope = match self.tx_type {
            0 => {
                let chain_id = Some(chain_id);
                let tx = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input };
                TxEnvelope::Legacy(tx.into_signed(signature))
            }
            1 => {
                let tx = TxEip2930 {
                    chain_id,
                    nonce,
                    gas_price,
                    gas_limit,
                    to,
                    value,
                    access_list,
                    input,
                };
                TxEnvelope::Eip2930(tx.into_signed(signature))
            }
            2 => {
                let tx = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list,
                    input,
                };
                TxEnvelope::Eip1559(tx.into_signed(signature))
            }
            4 => {
                let tx = TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: self.to.unwrap(),
                    value,
                    access_list,
                    authorization_list,
                    input,
                };
                TxEnvelope::Eip7702(tx.into_signed(signature))
            }
            other => panic!("no transaction of type {other} in this block"),
        };
        let encoded = envelope.encoded_2718().into();
        Arc::new(Transaction::decode_with_sender(encoded, self.caller).unwrap())
    }
}
