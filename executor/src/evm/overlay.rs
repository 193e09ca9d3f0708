//! The state that a block's transactions see: the view before the block, and on top what they changed.

use std::{collections::hash_map::Entry as MapEntry, sync::Arc};

use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, B256Map, Entry, HashMap},
};
use millrace_types::{Account, AccountDiff, StateDiff, StorageMap};
use revm::{
    Database,
    primitives::KECCAK_EMPTY,
    state::{AccountInfo, Bytecode, EvmState},
};

use crate::{StateError, StateView};

/// The EVM's database. It remembers what it read, and what of that changed since the changes were last taken.
///
/// Accounts lie here without their code. Code is kept by hash, analysed, one cache an overlay: the reference count of a
/// shared one would bounce between cores.
pub(crate) struct Overlay {
    view: Arc<dyn StateView>,
    /// Where in the list each account lies. The list itself would make a large map, with a cache miss for every look.
    places: AddressMap<u32>,
    accounts: Vec<Cached>,
    codes: B256Map<Bytecode>,
    block_hashes: HashMap<u64, B256>,
    /// Places of accounts whose changes were not taken yet, each once.
    dirty: Vec<u32>,
    /// Code deployed since changes were last taken.
    deployed: Vec<(B256, Bytes)>,
    /// Fees that accrue to accounts which nobody looks at: folded in when somebody does.
    credits: Vec<Credit>,
}

/// An account that somebody asked for.
#[derive(Debug)]
struct Cached {
    address: Address,
    account: Option<Account>,
    /// It is in the list of dirty accounts.
    dirty: bool,
    /// It was wiped since changes were last taken.
    newly_wiped: bool,
    /// Most accounts have none.
    storage: Option<Box<Storage>>,
}

/// The storage of an account that somebody asked for.
#[derive(Debug, Default)]
struct Storage {
    slots: HashMap<U256, Slot>,
    /// The view's storage of this account is gone.
    wiped: bool,
    /// Slots whose changes were not taken yet, each once.
    dirty_slots: Vec<U256>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    value: U256,
    dirty: bool,
}

#[derive(Debug)]
struct Credit {
    recipient: Address,
    amount: U256,
}

impl Overlay {
    pub(crate) fn new(view: Arc<dyn StateView>) -> Self {
        Self {
            view,
            places: AddressMap::default(),
            accounts: Vec::new(),
            codes: B256Map::default(),
            block_hashes: HashMap::default(),
            dirty: Vec::new(),
            deployed: Vec::new(),
            credits: Vec::new(),
        }
    }

    /// Makes a block's hash known that the view may not know yet: the parent's.
    pub(crate) fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// Adds to an account's balance some time before anybody can tell. The transaction that is running must not have
    /// loaded the account.
    pub(crate) fn credit(&mut self, recipient: Address, amount: U256) {
        match self.credits.iter_mut().find(|credit| credit.recipient == recipient) {
            Some(credit) => credit.amount += amount,
            None => self.credits.push(Credit { recipient, amount }),
        }
    }

    /// Takes over what a transaction did, and leaves the map empty for the next one.
    pub(crate) fn commit(&mut self, state: &mut EvmState) {
        for (address, account) in state.drain() {
            if account.is_touched() {
                self.commit_account(address, account);
            }
        }
    }

    fn commit_account(&mut self, address: Address, account: revm::state::Account) {
        // A transaction touches only what it loaded, and loading it gave it a place.
        let place = self.places[&address];
        let cached = &mut self.accounts[place as usize];
        // An account that was touched and is empty does not exist (EIP-161), as if it had destroyed itself.
        if account.is_selfdestructed() || account.info.is_empty() {
            if cached.account.is_some() {
                cached.account = None;
                cached.newly_wiped = true;
                *cached.storage() = Storage { wiped: true, ..Storage::default() };
                mark(&mut self.dirty, cached, place);
            }
            return;
        }
        let info = account.info;
        let after = Some(Account {
            nonce: info.nonce,
            balance: info.balance,
            bytecode_hash: (info.code_hash != KECCAK_EMPTY).then_some(info.code_hash),
        });
        let mut changed = cached.account != after;
        if changed
            && let Some(hash) = after.and_then(|account| account.bytecode_hash)
            && cached.account.and_then(|before| before.bytecode_hash) != Some(hash)
            && let Some(code) = info.code
        {
            self.deployed.push((hash, code.original_bytes()));
            self.codes.entry(hash).or_insert(code);
        }
        cached.account = after;
        for (key, slot) in account.storage {
            if slot.is_changed() {
                changed = true;
                cached.storage().change(key, slot.present_value);
            }
        }
        if changed {
            mark(&mut self.dirty, cached, place);
        }
    }

    /// What changed since this was last asked.
    pub(crate) fn take_changes(&mut self) -> Result<StateDiff, StateError> {
        for index in 0..self.credits.len() {
            self.load(self.credits[index].recipient)?;
        }
        let mut diff = StateDiff::default();
        diff.accounts.reserve(self.dirty.len());
        for place in self.dirty.drain(..) {
            let cached = &mut self.accounts[place as usize];
            cached.dirty = false;
            let wiped = std::mem::take(&mut cached.newly_wiped);
            let storage = cached.storage.as_mut().map(|storage| storage.take_changes());
            let storage = storage.unwrap_or_default();
            diff.accounts
                .insert(cached.address, AccountDiff { account: cached.account, wiped, storage });
        }
        diff.codes.extend(self.deployed.drain(..));
        Ok(diff)
    }

    /// Lets a caller pretend: replaces an account, or some of its storage.
    pub(crate) fn override_account(
        &mut self,
        address: Address,
        change: impl FnOnce(&mut Account),
        code: Option<Bytecode>,
    ) -> Result<(), StateError> {
        let mut account = self.load(address)?.account.unwrap_or_default();
        change(&mut account);
        if let Some(code) = code {
            let hash = code.hash_slow();
            account.bytecode_hash = (hash != KECCAK_EMPTY).then_some(hash);
            self.codes.insert(hash, code);
        }
        self.load(address)?.account = Some(account);
        Ok(())
    }

    /// Lets a caller pretend that slots have other values, and when `wipe` is set, that there are no others.
    pub(crate) fn override_storage(
        &mut self,
        address: Address,
        slots: impl IntoIterator<Item = (U256, U256)>,
        wipe: bool,
    ) -> Result<(), StateError> {
        let storage = self.load(address)?.storage();
        if wipe {
            *storage = Storage { wiped: true, ..Storage::default() };
        }
        let slots = slots.into_iter().map(|(key, value)| (key, Slot { value, dirty: false }));
        storage.slots.extend(slots);
        Ok(())
    }

    /// The account with all that it is owed.
    fn load(&mut self, address: Address) -> Result<&mut Cached, StateError> {
        let place = self.place(address)?;
        let cached = &mut self.accounts[place as usize];
        for credit in &mut self.credits {
            if credit.recipient == address && !credit.amount.is_zero() {
                let amount = std::mem::take(&mut credit.amount);
                let account = cached.account.get_or_insert_default();
                account.balance = account.balance.saturating_add(amount);
                mark(&mut self.dirty, cached, place);
            }
        }
        Ok(cached)
    }

    fn place(&mut self, address: Address) -> Result<u32, StateError> {
        match self.places.entry(address) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(entry) => {
                let account = self.view.account(&address)?;
                // Each costs gas: a block cannot touch so many accounts that 32 bits do not suffice.
                let place = self.accounts.len() as u32;
                self.accounts.push(Cached {
                    address,
                    account,
                    dirty: false,
                    newly_wiped: false,
                    storage: None,
                });
                Ok(*entry.insert(place))
            }
        }
    }
}

impl Cached {
    fn storage(&mut self) -> &mut Storage {
        self.storage.get_or_insert_default()
    }
}

impl Storage {
    fn change(&mut self, key: U256, value: U256) {
        let slot = self.slots.entry(key).or_insert(Slot { value, dirty: false });
        slot.value = value;
        if !slot.dirty {
            slot.dirty = true;
            self.dirty_slots.push(key);
        }
    }

    fn take_changes(&mut self) -> StorageMap {
        let mut changes =
            StorageMap::with_capacity_and_hasher(self.dirty_slots.len(), Default::default());
        for key in self.dirty_slots.drain(..) {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.dirty = false;
                changes.insert(key, slot.value);
            }
        }
        changes
    }
}

fn mark(dirty: &mut Vec<u32>, cached: &mut Cached, place: u32) {
    if !cached.dirty {
        cached.dirty = true;
        dirty.push(place);
    }
}

impl Database for Overlay {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        Ok(self.load(address)?.account.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.bytecode_hash.unwrap_or(KECCAK_EMPTY),
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        match self.codes.entry(hash) {
            Entry::Occupied(entry) => Ok(entry.get().clone()),
            Entry::Vacant(entry) => {
                let code = self.view.code(&hash)?;
                let code = Bytecode::new_raw_checked(code).map_err(StateError::new)?;
                Ok(entry.insert(code).clone())
            }
        }
    }

    fn storage(&mut self, address: Address, key: U256) -> Result<U256, StateError> {
        let place = self.place(address)?;
        let storage = self.accounts[place as usize].storage();
        match storage.slots.entry(key) {
            Entry::Occupied(entry) => Ok(entry.get().value),
            Entry::Vacant(entry) => {
                let value =
                    if storage.wiped { U256::ZERO } else { self.view.storage(&address, &key)? };
                entry.insert(Slot { value, dirty: false });
                Ok(value)
            }
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        match self.block_hashes.entry(number) {
            MapEntry::Occupied(entry) => Ok(*entry.get()),
            MapEntry::Vacant(entry) => Ok(*entry.insert(self.view.block_hash(number)?)),
        }
    }
}

impl std::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("accounts", &self.accounts.len()).finish_non_exhaustive()
    }
}
