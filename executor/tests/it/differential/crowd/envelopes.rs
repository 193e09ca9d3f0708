//! Transactions of every type around what they are about, with figures that are mostly sensible.

use std::sync::Arc;

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, b256};
use millrace_types::{Transaction, TxEnvelope};
use rand::{Rng, seq::IndexedRandom};

use super::{super::scene::KEYS, Crowd, errands::Errand};
use crate::{
    world::{CHAIN_ID, authorize, enveloped},
    zoo::*,
};

/// A versioned hash of a blob that nobody needs to have seen.
const BLOB: B256 = b256!("0100000000000000000000000000000000000000000000000000000000000007");

impl Crowd<'_> {
    /// Wraps the errand into a transaction of any type, with figures that are mostly sensible.
    pub(super) fn transaction(
        &mut self,
        sender: Address,
        nonce: u64,
        errand: Errand,
    ) -> Arc<Transaction> {
        let Errand { to, value, input } = errand;
        let gas_limit = self.gas_limit();
        let max_fee_per_gas = if self.slip(0.1) { self.dice.random_range(0..1_500) } else { 3_000 };
        let max_priority_fee_per_gas = match self.dice.random_range(0..4) {
            0 => 0,
            _ if self.slip(0.05) => 5_000,
            _ => self.dice.random_range(0..=max_fee_per_gas.min(700)),
        };
        let chain_id = if self.slip(0.03) { 1 } else { CHAIN_ID };
        let gas_price = max_fee_per_gas;
        let signature = Signature::test_signature();
        let envelope = match (self.dice.random_range(0..20), to) {
            (0..3, _) => TxEnvelope::Legacy(
                TxLegacy {
                    chain_id: Some(chain_id),
                    nonce,
                    gas_price,
                    gas_limit,
                    to,
                    value,
                    input,
                }
                .into_signed(signature),
            ),
            (3..5, _) => {
                let access_list = self.access_list();
                TxEnvelope::Eip2930(
                    TxEip2930 {
                        chain_id,
                        nonce,
                        gas_price,
                        gas_limit,
                        to,
                        value,
                        access_list,
                        input,
                    }
                    .into_signed(signature),
                )
            }
            (5, TxKind::Call(to)) if self.knows_blobs || self.slip(0.3) => TxEnvelope::Eip4844(
                TxEip4844 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list: AccessList::default(),
                    blob_versioned_hashes: vec![BLOB],
                    max_fee_per_blob_gas: 1,
                    input,
                }
                .into_signed(signature),
            ),
            (kind, _) => {
                let access_list =
                    if kind == 6 { self.access_list() } else { AccessList::default() };
                TxEnvelope::Eip1559(
                    TxEip1559 {
                        chain_id,
                        nonce,
                        gas_limit,
                        max_fee_per_gas,
                        max_priority_fee_per_gas,
                        to,
                        value,
                        access_list,
                        input,
                    }
                    .into_signed(signature),
                )
            }
        };
        enveloped(envelope, sender)
    }

    /// Enough, or anything from too little to too much.
    fn gas_limit(&mut self) -> u64 {
        match self.dice.random_range(0..20) {
            0 if self.slip(0.3) => self.dice.random_range(15_000..30_000),
            1..4 => self.dice.random_range(21_000..150_000),
            4 if self.slip(0.3) => 40_000_000,
            _ => self.dice.random_range(200_000..500_000),
        }
    }

    fn access_list(&mut self) -> AccessList {
        let places = [TOKENS[0], PAIR, NFT, THRASHER, self.user(), self.beneficiary];
        let dice = &mut *self.dice;
        let items = (0..dice.random_range(0..3)).map(|_| AccessListItem {
            address: *places.choose(dice).unwrap(),
            storage_keys: vec![B256::with_last_byte(dice.random_range(0..4)); 2],
        });
        AccessList(items.collect())
    }

    /// Somebody, perhaps the sender, delegates to something (EIP-7702), perhaps twice, perhaps with a wrong nonce.
    pub(super) fn delegation(&mut self, sender: Address, nonce: u64) -> Arc<Transaction> {
        let mut authorization_list = Vec::new();
        for _ in 0..self.dice.random_range(1..3) {
            let key = self.dice.random_range(1..=KEYS);
            let authority = authorize(key, Address::ZERO, 0).0;
            let target = *[WALLET, WALLET, WALLET, Address::ZERO, REVERTER, VAULT_READER]
                .choose(self.dice)
                .unwrap();
            let mut its_nonce = self.next_nonce(authority);
            if self.slip(0.3) {
                its_nonce += 1;
            } else {
                self.nonces.insert(authority, its_nonce + 1);
            }
            authorization_list.push(authorize(key, target, its_nonce).1);
        }
        if self.slip(0.05) {
            authorization_list.clear();
        }
        let to = if self.chance(0.5) { self.keyed() } else { self.user() };
        let inner = self.inner_call(sender);
        let input = if self.chance(0.5) {
            wallet_execute(inner.0, U256::from(self.small()), &inner.1)
        } else {
            Bytes::new()
        };
        let tx = TxEip7702 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: self.gas_limit(),
            max_fee_per_gas: 3_000,
            max_priority_fee_per_gas: 500,
            to,
            value: U256::from(self.small()),
            access_list: AccessList::default(),
            authorization_list,
            input,
        };
        enveloped(TxEnvelope::Eip7702(tx.into_signed(Signature::test_signature())), sender)
    }
}
