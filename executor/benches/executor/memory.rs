//! The state that a workload begins with, in memory: what ours reads, and what the baseline's database is made of.

use alloy_primitives::{
    Address, B256, Bytes, U256, keccak256,
    map::{AddressMap, B256Map, HashMap, U256Map},
};
use millrace_executor::{StateError, StateView};
use millrace_types::{Account, StateDiff};

/// Accounts, slots and code in plain hash maps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) accounts: AddressMap<Held>,
    pub(crate) codes: B256Map<Bytes>,
    pub(crate) block_hashes: HashMap<u64, B256>,
}

/// An account with its storage.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    pub(crate) account: Account,
    pub(crate) storage: U256Map<U256>,
}

impl Memory {
    /// Gives an account this balance.
    pub(crate) fn fund(&mut self, address: Address, balance: U256) {
        self.accounts.entry(address).or_default().account.balance = balance;
    }

    /// Puts code at an address, as if it had been deployed.
    pub(crate) fn deploy(&mut self, address: Address, code: Bytes) {
        let hash = keccak256(&code);
        let account = &mut self.accounts.entry(address).or_default().account;
        account.nonce = account.nonce.max(1);
        account.bytecode_hash = Some(hash);
        self.codes.insert(hash, code);
    }

    /// Sets a slot.
    pub(crate) fn store(&mut self, address: Address, slot: U256, value: U256) {
        self.accounts.entry(address).or_default().storage.insert(slot, value);
    }

    /// Moves on to the state that a difference leads to.
    pub(crate) fn apply(&mut self, diff: &StateDiff) {
        for (address, change) in &diff.accounts {
            let Some(account) = change.account else {
                self.accounts.remove(address);
                continue;
            };
            let held = self.accounts.entry(*address).or_default();
            held.account = account;
            if change.wiped {
                held.storage.clear();
            }
            held.storage.extend(&change.storage);
        }
        self.codes.extend(diff.codes.iter().map(|(hash, code)| (*hash, code.clone())));
    }
}

impl StateView for Memory {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.accounts.get(address).map(|held| held.account))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        let held = self.accounts.get(address);
        Ok(held.and_then(|held| held.storage.get(slot)).copied().unwrap_or_default())
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.codes.get(hash).cloned().ok_or_else(|| StateError::new("no such code"))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.block_hashes.get(&number).copied().ok_or_else(|| StateError::new("no such block"))
    }
}
