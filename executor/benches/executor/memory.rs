//! The state in memory, as both sides have it: one hash map of accounts, small enough that a look at one costs one or two
//! lines of the cache, and beside it what only contracts have.

use alloy_primitives::{
    Address, B256, Bytes, U256, keccak256,
    map::{AddressMap, B256Map, HashMap, U256Map},
};
use millrace_types::{Account, AccountDiff, StateDiff};
use revm::{primitives::KECCAK_EMPTY, state::Bytecode};

/// Accounts, slots and analysed code.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) accounts: AddressMap<Held>,
    pub(crate) contracts: Vec<Contract>,
    pub(crate) codes: B256Map<Bytecode>,
    pub(crate) block_hashes: HashMap<u64, B256>,
}

/// An account.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) balance: U256,
    pub(crate) nonce: u64,
    /// Where its contract lies. Accounts without code have none.
    pub(crate) contract: Option<u32>,
}

/// What an account with code has besides.
#[derive(Debug, Clone)]
pub(crate) struct Contract {
    pub(crate) code_hash: B256,
    pub(crate) storage: U256Map<U256>,
}

impl Memory {
    /// Gives an account this balance.
    pub(crate) fn fund(&mut self, address: Address, balance: U256) {
        self.accounts.entry(address).or_default().balance = balance;
    }

    /// Puts code at an address, as if it had been deployed.
    pub(crate) fn deploy(&mut self, address: Address, code: &Bytes) {
        let hash = keccak256(code);
        self.codes.entry(hash).or_insert_with(|| Bytecode::new_raw(code.clone()));
        self.contract(address).code_hash = hash;
        let account = self.accounts.entry(address).or_default();
        account.nonce = account.nonce.max(1);
    }

    /// Sets slots.
    pub(crate) fn store(
        &mut self,
        address: Address,
        slots: impl IntoIterator<Item = (U256, U256)>,
    ) {
        self.contract(address).storage.extend(slots);
    }

    /// The account's contract, which is made where there is none.
    pub(crate) fn contract(&mut self, address: Address) -> &mut Contract {
        let account = self.accounts.entry(address).or_default();
        let place = *account.contract.get_or_insert_with(|| {
            self.contracts.push(Contract { code_hash: KECCAK_EMPTY, storage: U256Map::default() });
            self.contracts.len() as u32 - 1
        });
        &mut self.contracts[place as usize]
    }

    /// An account's contract, if it has one.
    pub(crate) fn contract_of(&self, held: &Held) -> Option<&Contract> {
        held.contract.map(|place| &self.contracts[place as usize])
    }

    /// The account as the executor's view tells it.
    pub(crate) fn account(&self, address: &Address) -> Option<Account> {
        let held = self.accounts.get(address)?;
        let code_hash = self.contract_of(held).map(|contract| contract.code_hash);
        Some(Account {
            nonce: held.nonce,
            balance: held.balance,
            bytecode_hash: code_hash.filter(|hash| *hash != KECCAK_EMPTY),
        })
    }

    /// A slot's value.
    pub(crate) fn slot(&self, address: &Address, slot: &U256) -> U256 {
        let contract = self.accounts.get(address).and_then(|held| self.contract_of(held));
        contract.and_then(|contract| contract.storage.get(slot)).copied().unwrap_or_default()
    }

    /// An account ceases to exist, and its storage with it.
    pub(crate) fn remove(&mut self, address: &Address) {
        if let Some(place) = self.accounts.remove(address).and_then(|held| held.contract) {
            self.contracts[place as usize].storage.clear();
        }
    }

    /// Moves on to the state that a difference leads to.
    pub(crate) fn apply(&mut self, diff: &StateDiff) {
        for (hash, code) in diff.codes() {
            self.codes.entry(*hash).or_insert_with(|| Bytecode::new_raw(code.clone()));
        }
        for (AccountDiff { address, account, wiped }, slots) in diff.accounts() {
            let Some(account) = account else {
                self.remove(address);
                continue;
            };
            let held = self.accounts.entry(*address).or_default();
            held.balance = account.balance;
            held.nonce = account.nonce;
            if held.contract.is_none() && account.bytecode_hash.is_none() && slots.is_empty() {
                continue;
            }
            let contract = self.contract(*address);
            contract.code_hash = account.bytecode_hash.unwrap_or(KECCAK_EMPTY);
            if *wiped {
                contract.storage.clear();
            }
            contract.storage.extend(slots.iter().copied());
        }
    }

    /// A copy that shares nothing with this one, not even the reference counts of code.
    pub(crate) fn detached(&self) -> Self {
        let detach =
            |code: &Bytecode| Bytecode::new_raw(code.original_byte_slice().to_vec().into());
        let codes = self.codes.iter().map(|(hash, code)| (*hash, detach(code))).collect();
        Self { codes, ..self.clone() }
    }
}
