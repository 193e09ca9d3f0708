//! A block of Ethereum's mainnet under Prague's rules, from the shared data: the rules of the OP Stack are off.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use millrace_executor::{BlockAttributes, Candidate, Executor, ExecutorConfig, Limits};
use millrace_protocol::{ChainSpec, EthereumForks};
use millrace_types::{Header, SealedHeader, Transaction, TxEnvelope};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    oracle::{Family, Memory, build, check, check_replay},
    world::enveloped,
};

#[derive(Deserialize)]
struct Block {
    number: u64,
    coinbase: Address,
    timestamp: u64,
    gas_limit: u64,
    basefee: u64,
    prevrandao: B256,
    excess_blob_gas: u64,
    block_hashes: HashMap<u64, B256>,
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
struct PreAccount {
    balance: U256,
    nonce: u64,
    code: Option<Bytes>,
    storage: HashMap<U256, U256>,
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

impl Tx {
    /// The data names the sender and leaves the signature out.
    fn into_transaction(self) -> Arc<Transaction> {
        let signature = Signature::test_signature();
        let to = self.to.map_or(TxKind::Create, TxKind::Call);
        let Self { nonce, gas_limit, value, data: input, gas_price, .. } = self;
        let max_priority_fee_per_gas = self.gas_priority_fee.unwrap_or_default();
        let chain_id = 1;
        let item = |Access { address, storage_keys }| AccessListItem { address, storage_keys };
        let access_list = AccessList(self.access_list.into_iter().map(item).collect());
        let envelope = match self.tx_type {
            0 => TxEnvelope::Legacy(
                TxLegacy { chain_id: Some(1), nonce, gas_price, gas_limit, to, value, input }
                    .into_signed(signature),
            ),
            1 => TxEnvelope::Eip2930(
                TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input }
                    .into_signed(signature),
            ),
            2 => TxEnvelope::Eip1559(
                TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: gas_price,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list,
                    input,
                }
                .into_signed(signature),
            ),
            4 => {
                let sign = |one: Delegation| {
                    let Delegation { chain_id, address, nonce, y_parity, r, s } = one;
                    let authorization = Authorization { chain_id, address, nonce };
                    SignedAuthorization::new_unchecked(authorization, y_parity, r, s)
                };
                TxEnvelope::Eip7702(
                    TxEip7702 {
                        chain_id,
                        nonce,
                        gas_limit,
                        max_fee_per_gas: gas_price,
                        max_priority_fee_per_gas,
                        to: self.to.unwrap(),
                        value,
                        access_list,
                        authorization_list: self.authorization_list.into_iter().map(sign).collect(),
                        input,
                    }
                    .into_signed(signature),
                )
            }
            other => panic!("no transaction of type {other} in this block"),
        };
        enveloped(envelope, self.caller)
    }
}

/// Everything that the block needs of the world before it, and the block's transactions.
fn load() -> (Memory, BlockAttributes, Vec<Candidate>) {
    let block: Block = read("block.json");
    let transactions: Vec<Tx> = read("txs.json");
    let pre_state: HashMap<Address, PreAccount> = read("pre_state.json");

    let mut state = Memory::default();
    for (address, before) in pre_state {
        if let Some(code) = before.code {
            state.set_code(address, code);
        }
        state.set_balance(address, before.balance);
        state.set_nonce(address, before.nonce);
        for (slot, value) in before.storage {
            if !value.is_zero() {
                state.set_slot(address, slot, value);
            }
        }
    }
    for (number, hash) in &block.block_hashes {
        state.set_block_hash(*number, *hash);
    }
    let parent = Header { number: block.number - 1, ..Header::default() };
    let attributes = BlockAttributes {
        parent: SealedHeader::new(parent, block.block_hashes[&(block.number - 1)]),
        timestamp: block.timestamp,
        beneficiary: block.coinbase,
        gas_limit: block.gas_limit,
        base_fee: block.basefee,
        prev_randao: block.prevrandao,
        // Not in the data, and nothing in the block reads it.
        parent_beacon_block_root: B256::ZERO,
        extra_data: Bytes::new(),
        excess_blob_gas: block.excess_blob_gas,
    };
    let candidates = transactions.into_iter().map(Tx::into_transaction).map(Candidate::new);
    (state, attributes, candidates.collect())
}

fn executor(threads: usize) -> Executor {
    let genesis = Some(0);
    let forks = EthereumForks {
        shanghai_time: genesis,
        cancun_time: genesis,
        prague_time: genesis,
        osaka_time: None,
    };
    let chain = ChainSpec::ethereum(1, forks).unwrap();
    // This machine may be too busy for threads to pay, and they must be tried.
    let config = ExecutorConfig { threads, eager: true, ..ExecutorConfig::default() };
    Executor::new(Arc::new(chain), config)
}

#[test]
fn a_mainnet_block_executes() {
    let (before, attributes, candidates) = load();
    let before = Arc::new(before);
    // In groups, so that there are waypoints to replay by.
    let groups: Vec<_> =
        candidates.chunks(15).map(|group| (group.to_vec(), Limits::NONE)).collect();
    let built = build(&executor(1), &attributes, before.clone(), &[], groups);
    let executed = &built.executed;
    let succeeded = executed.receipts.iter().filter(|receipt| receipt.success).count();
    assert_eq!((executed.transactions.len(), succeeded, executed.gas_used), (180, 178, 13_664_078));
    let after = check(Family::Ethereum, &before, &built);

    for threads in 1..=8 {
        let replayer = executor(threads);
        for waypoints in [&executed.waypoints[..], &[]] {
            let again = replayer
                .replay(attributes.clone(), &executed.transactions, waypoints, before.clone())
                .unwrap();
            check_replay(&before, executed, &after, &again);
        }
        assert_eq!(replayer.stats().panics, 0);
    }
}

#[test]
fn a_mainnet_block_is_built_on_any_number_of_threads() {
    let (before, attributes, candidates) = load();
    let before = Arc::new(before);
    for threads in 1..=8 {
        for group_size in [candidates.len(), 20] {
            let groups = candidates.chunks(group_size).map(|group| (group.to_vec(), Limits::NONE));
            let builder = executor(threads);
            let built = build(&builder, &attributes, before.clone(), &[], groups.collect());
            check(Family::Ethereum, &before, &built);
            assert_eq!(builder.stats().panics, 0);
        }
    }
}
