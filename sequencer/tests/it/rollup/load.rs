//! Transactions of every kind that a chain carries, from many accounts.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_network::TxSignerSync;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use rand::{Rng, rngs::StdRng};
use serde_json::{Value, json};

use super::{deposits::creation, fixture::number};
use crate::support::{
    node::{Rpc, quantity, wait_for},
    wallet::{CHAIN_ID, GWEI, dev_account},
};

/// Accounts that send. The node takes no more than 1,024 waiting transactions of each.
const SENDERS: u32 = 8;

/// Stores its second word of input under the first.
const STORE: [u8; 7] = hex!("6020355f355500");
/// Fails, whatever it is asked.
const FAIL: [u8; 3] = hex!("5f5ffd");
/// Wrapped ether is there from genesis on.
const WETH: Address = Address::new(hex!("4200000000000000000000000000000000000006"));

/// Accounts, how far they are, and contracts to call.
pub(super) struct Load {
    senders: Vec<(PrivateKeySigner, u64)>,
    rng: StdRng,
    store: Address,
    fail: Address,
}

impl Load {
    /// Looks how far the accounts are. The first two transactions put the contracts on the chain.
    pub(super) fn new(rpc: &Rpc, rng: StdRng) -> Self {
        let sender = |index| {
            let key = dev_account(index);
            let nonce = rpc.quantity("eth_getTransactionCount", json!([key.address(), "pending"]));
            (key, nonce)
        };
        let senders: Vec<_> = (0..SENDERS).map(sender).collect();
        let (first, nonce) = &senders[0];
        let (store, fail) = (first.address().create(*nonce), first.address().create(nonce + 1));
        let mut load = Self { senders, rng, store, fail };
        for runtime in [&STORE[..], &FAIL] {
            let raw = load.sign_next(0, |nonce| TxEip1559 {
                chain_id: CHAIN_ID,
                nonce,
                gas_limit: 200_000,
                max_fee_per_gas: 100 * GWEI,
                max_priority_fee_per_gas: GWEI,
                to: TxKind::Create,
                input: creation(runtime).into(),
                ..Default::default()
            });
            rpc.call("eth_sendRawTransaction", json!([hex::encode_prefixed(raw)]));
        }
        load
    }

    /// Sends this many transactions, and waits until they are all in blocks. The number of the newest of these.
    pub(super) fn send(&mut self, rpc: &Rpc, count: usize) -> u64 {
        self.post(rpc, count);
        self.settle(rpc);
        rpc.block_number()
    }

    /// Sends this many transactions.
    pub(super) fn post(&mut self, rpc: &Rpc, count: usize) {
        let raws: Vec<Bytes> = (0..count).map(|_| self.next()).collect();
        for raws in raws.chunks(500) {
            let request = |(id, raw): (usize, &Bytes)| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_sendRawTransaction", "params": [raw] });
            let batch: Vec<Value> = raws.iter().enumerate().map(request).collect();
            let (_, answers) = rpc.post(json!(batch).to_string().as_bytes()).expect("an answer");
            let answers: Vec<Value> = serde_json::from_str(&answers).expect("answers");
            for answer in answers {
                assert!(answer.get("result").is_some(), "{answer}");
            }
        }
    }

    /// Waits until everything that was sent is in blocks.
    pub(super) fn settle(&self, rpc: &Rpc) {
        self.settle_at(rpc, "latest");
    }

    /// Waits until everything that was sent is in blocks up to the one of this name. Its number.
    pub(super) fn settle_at(&self, rpc: &Rpc, name: &str) -> u64 {
        for (key, nonce) in &self.senders {
            wait_for(&format!("the transactions' blocks to be {name}"), || {
                let count = rpc.call("eth_getTransactionCount", json!([key.address(), name]));
                (quantity(&count) >= *nonce).then_some(())
            });
        }
        number(rpc, name)
    }

    /// One more transaction: of any account, of any kind.
    fn next(&mut self) -> Bytes {
        let index = self.rng.random_range(0..self.senders.len());
        let to = Address::from(self.rng.random::<[u8; 20]>());
        let known = Address::repeat_byte(self.rng.random_range(1..200));
        let value = U256::from(self.rng.random_range(1..1_000_000_u64));
        let (slot, word): (B256, B256) = (self.rng.random::<[u8; 32]>().into(), value.into());
        let (store, fail) = (self.store, self.fail);
        let fees = |nonce| TxEip1559 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 100_000,
            max_fee_per_gas: 100 * GWEI,
            max_priority_fee_per_gas: GWEI,
            to: TxKind::Call(known),
            ..Default::default()
        };
        let stored: Bytes = [slot, word].concat().into();
        match self.rng.random_range(0..10) {
            0 => self.sign_next(index, |nonce| TxLegacy {
                chain_id: Some(CHAIN_ID),
                nonce,
                gas_price: 100 * GWEI,
                gas_limit: 21_000,
                to: TxKind::Call(to),
                value,
                input: Bytes::new(),
            }),
            1 => self.sign_next(index, |nonce| TxEip2930 {
                chain_id: CHAIN_ID,
                nonce,
                gas_price: 100 * GWEI,
                gas_limit: 100_000,
                to: TxKind::Call(store),
                value: U256::ZERO,
                access_list: AccessList(vec![AccessListItem {
                    address: store,
                    storage_keys: vec![slot],
                }]),
                input: stored,
            }),
            2 | 3 => self.sign_next(index, |nonce| TxEip1559 {
                to: TxKind::Call(store),
                input: stored,
                ..fees(nonce)
            }),
            4 => self.sign_next(index, |nonce| TxEip1559 { to: TxKind::Call(fail), ..fees(nonce) }),
            5 => self.sign_next(index, |nonce| TxEip1559 {
                to: TxKind::Create,
                input: creation(&[&STORE[..], &slot[..]].concat()).into(),
                ..fees(nonce)
            }),
            6 => self.sign_next(index, |nonce| TxEip1559 {
                to: TxKind::Call(WETH),
                value,
                ..fees(nonce)
            }),
            7 => {
                // Somebody without ether lets an account's code be a contract's.
                let stranger = PrivateKeySigner::from_bytes(&slot).expect("a key");
                let authorization =
                    Authorization { chain_id: U256::from(CHAIN_ID), address: store, nonce: 0 };
                let signature = stranger.sign_hash_sync(&authorization.signature_hash());
                let authorization = authorization.into_signed(signature.expect("sign"));
                self.sign_next(index, |nonce| TxEip7702 {
                    chain_id: CHAIN_ID,
                    nonce,
                    gas_limit: 200_000,
                    max_fee_per_gas: 100 * GWEI,
                    max_priority_fee_per_gas: GWEI,
                    to: stranger.address(),
                    value: U256::ZERO,
                    access_list: AccessList::default(),
                    authorization_list: vec![authorization],
                    input: stored,
                })
            }
            _ => {
                self.sign_next(index, |nonce| TxEip1559 { gas_limit: 21_000, value, ..fees(nonce) })
            }
        }
    }

    fn sign_next<T>(&mut self, index: usize, transaction: impl FnOnce(u64) -> T) -> Bytes
    where
        T: SignableTransaction<Signature>,
        alloy_consensus::Signed<T>: Encodable2718,
    {
        let (key, nonce) = &mut self.senders[index];
        let mut transaction = transaction(*nonce);
        *nonce += 1;
        let signature = key.sign_transaction_sync(&mut transaction).expect("sign");
        transaction.into_signed(signature).encoded_2718().into()
    }
}
