//! A whole state in plain maps: small, obvious, and easy to compare.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256,
    map::{AddressMap, B256Map, HashMap},
};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use millrace_executor::{StateError, StateView};
use millrace_types::{Account, AccountDiff, StateDiff};
use revm::{
    Database,
    bytecode::Bytecode,
    state::{AccountInfo, EvmState},
};

#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// Shared between copies until one of them is changed, so that copying and comparing cost what differs.
    accounts: AddressMap<Arc<Holding>>,
    codes: B256Map<Bytes>,
    block_hashes: BTreeMap<u64, B256>,
}

/// An account and all of its slots that are not zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Holding {
    account: Account,
    storage: HashMap<U256, U256>,
}

impl Memory {
    pub(crate) fn set_balance(&mut self, address: Address, balance: U256) {
        self.holding(address).account.balance = balance;
    }

    pub(crate) fn set_nonce(&mut self, address: Address, nonce: u64) {
        self.holding(address).account.nonce = nonce;
    }

    /// Contracts begin with nonce one (EIP-161).
    pub(crate) fn set_code(&mut self, address: Address, code: impl Into<Bytes>) {
        let code = code.into();
        let hash = keccak256(&code);
        let account = &mut self.holding(address).account;
        (account.nonce, account.bytecode_hash) = (1, Some(hash));
        self.codes.insert(hash, code);
    }

    pub(crate) fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        self.holding(address).storage.insert(slot, value);
    }

    pub(crate) fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    pub(crate) fn account_at(&self, address: &Address) -> Option<Account> {
        self.accounts.get(address).map(|holding| holding.account)
    }

    pub(crate) fn slot_at(&self, address: &Address, slot: &U256) -> U256 {
        let holding = self.accounts.get(address);
        holding.and_then(|holding| holding.storage.get(slot)).copied().unwrap_or_default()
    }

    pub(crate) fn code_of(&self, account: &Account) -> Bytes {
        account.bytecode_hash.map(|hash| self.codes[&hash].clone()).unwrap_or_default()
    }

    /// Applies a difference as its documentation says, in the simplest way.
    pub(crate) fn apply(&mut self, diff: &StateDiff) {
        for (hash, code) in diff.codes() {
            assert_eq!(keccak256(code), *hash);
            self.codes.insert(*hash, code.clone());
        }
        for (AccountDiff { address, account, wiped }, slots) in diff.accounts() {
            let Some(account) = account else {
                self.accounts.remove(address);
                continue;
            };
            let holding = self.holding(*address);
            holding.account = *account;
            if *wiped {
                holding.storage.clear();
            }
            for (slot, value) in slots {
                holding.write(*slot, *value);
            }
        }
    }

    /// Takes over what plain revm says has changed.
    pub(super) fn commit(&mut self, changes: EvmState) {
        for (address, changed) in changes {
            if !changed.is_touched() {
                continue;
            }
            // Destroyed, or empty (EIP-161).
            if changed.is_selfdestructed() || changed.info.is_empty() {
                self.accounts.remove(&address);
                continue;
            }
            let holding = self.holding(address);
            if changed.is_created() {
                holding.storage.clear();
            }
            let AccountInfo { balance, nonce, code_hash, code, .. } = changed.info;
            let bytecode_hash = Some(code_hash).filter(|hash| *hash != KECCAK256_EMPTY);
            holding.account = Account { nonce, balance, bytecode_hash };
            for (slot, value) in changed.storage {
                holding.write(slot, value.present_value);
            }
            if let (Some(hash), Some(code)) = (bytecode_hash, code) {
                self.codes.insert(hash, code.original_bytes());
            }
        }
    }

    /// The state root.
    pub(crate) fn root(&self) -> B256 {
        state_root_unhashed(self.accounts.iter().map(|(address, holding)| {
            let Holding { account, storage } = &**holding;
            let slots = storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
            let account = TrieAccount {
                nonce: account.nonce,
                balance: account.balance,
                storage_root: storage_root_unhashed(slots),
                code_hash: account.bytecode_hash.unwrap_or(KECCAK256_EMPTY),
            };
            (*address, account)
        }))
    }

    /// Every account and slot must be the same, and every code must be there.
    pub(crate) fn assert_same(&self, expected: &Self, what: &str) {
        for address in self.accounts.keys().chain(expected.accounts.keys()) {
            let (ours, theirs) = (self.accounts.get(address), expected.accounts.get(address));
            if let (Some(ours), Some(theirs)) = (ours, theirs)
                && Arc::ptr_eq(ours, theirs)
            {
                continue;
            }
            let (ours, theirs) = (ours.cloned().unwrap_or_default(), theirs.cloned());
            let theirs = theirs.unwrap_or_default();
            let slots = ours.storage.keys().chain(theirs.storage.keys());
            let value = |of: &Holding, slot| of.storage.get(slot).copied().unwrap_or_default();
            for slot in slots {
                let (left, right) = (value(&ours, slot), value(&theirs, slot));
                assert_eq!(left, right, "{what}: {address}, slot {slot}, ours and the oracle's");
            }
            assert_eq!(ours.account, theirs.account, "{what}: {address}, ours and the oracle's");
            let exists = |state: &Self| state.accounts.contains_key(address);
            assert_eq!(exists(self), exists(expected), "{what}: whether {address} exists");
        }
        for holding in self.accounts.values() {
            if let Some(hash) = holding.account.bytecode_hash {
                assert!(self.codes.contains_key(&hash), "{what}: the code {hash} is missing");
            }
        }
    }

    fn holding(&mut self, address: Address) -> &mut Holding {
        Arc::make_mut(self.accounts.entry(address).or_default())
    }
}

impl Holding {
    fn write(&mut self, slot: U256, value: U256) {
        if value.is_zero() {
            self.storage.remove(&slot);
        } else {
            self.storage.insert(slot, value);
        }
    }
}

/// As the executor reads it.
impl StateView for Memory {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.account_at(address))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        Ok(self.slot_at(address, slot))
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.codes.get(hash).cloned().ok_or_else(|| StateError::new("no such code"))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        Ok(self.block_hashes.get(&number).copied().unwrap_or_default())
    }
}

/// As plain revm reads it.
impl Database for Memory {
    type Error = std::convert::Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Self::Error> {
        Ok(self.account_at(&address).map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.bytecode_hash.unwrap_or(KECCAK256_EMPTY),
            // To be asked for.
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Self::Error> {
        Ok(Bytecode::new_raw(self.codes[&hash].clone()))
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Self::Error> {
        Ok(self.slot_at(&address, &slot))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Self::Error> {
        Ok(self.block_hashes.get(&number).copied().unwrap_or_default())
    }
}
