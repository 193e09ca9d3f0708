//! Transactions and accounts to test with.

use std::{cell::Cell, sync::Arc};

use alloy_consensus::{SignableTransaction, Signed, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Signature, TxKind, U256, map::AddressMap};
use millrace_types::{Transaction, TxEnvelope};

use crate::mempool::{Accounts, AccountsUnavailable, Admitted, Rules, SenderState};

pub(super) const CHAIN_ID: u64 = 901;

pub(super) fn rules() -> Rules {
    Rules::new(CHAIN_ID, 30_000_000)
}

/// Signs with no particular key: recovery is not what is tested with it.
pub(super) fn signed<T: SignableTransaction<Signature>>(tx: T) -> Signed<T> {
    tx.into_signed(Signature::test_signature())
}

/// Encodes and decodes a transaction, for a given sender.
pub(super) fn wrapped(envelope: &TxEnvelope, sender: Address) -> Arc<Transaction> {
    Arc::new(Transaction::decode_with_sender(envelope.encoded_2718().into(), sender).unwrap())
}

/// A plain transfer's moving parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer {
    pub(super) sender: u8,
    pub(super) nonce: u64,
    pub(super) tip: u128,
    pub(super) max_fee: u128,
    pub(super) gas: u64,
    pub(super) value: u64,
}

impl Default for Transfer {
    fn default() -> Self {
        Self { sender: 1, nonce: 0, tip: 2, max_fee: 100, gas: 21_000, value: 0 }
    }
}

impl Transfer {
    pub(super) fn admitted(self) -> Admitted {
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.nonce,
            gas_limit: self.gas,
            max_fee_per_gas: self.max_fee,
            max_priority_fee_per_gas: self.tip,
            // To itself: all have the same signature, and would have the same hash otherwise.
            to: TxKind::Call(address(self.sender)),
            value: U256::from(self.value),
            ..Default::default()
        };
        let envelope = TxEnvelope::Eip1559(signed(tx));
        rules().admit(wrapped(&envelope, address(self.sender)), U256::ZERO).unwrap()
    }
}

pub(super) fn address(sender: u8) -> Address {
    Address::with_last_byte(sender)
}

/// Accounts that a test writes; unknown ones are rich.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) accounts: AddressMap<SenderState>,
    pub(super) unavailable: Cell<bool>,
}

pub(super) fn rich(nonce: u64) -> SenderState {
    SenderState { nonce, balance: U256::from(u64::MAX), ..Default::default() }
}

impl World {
    pub(super) fn get(&self, address: &Address) -> SenderState {
        self.accounts.get(address).copied().unwrap_or_else(|| rich(0))
    }
}

impl Accounts for World {
    fn account(&self, address: &Address) -> Result<SenderState, AccountsUnavailable> {
        if self.unavailable.get() {
            return Err(AccountsUnavailable("disk on fire".into()));
        }
        Ok(self.get(address))
    }
}
