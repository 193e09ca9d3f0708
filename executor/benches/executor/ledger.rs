//! The baseline's database: one flat list of accounts behind a hash map, changed in place.
//!
//! revm lets a database give each account an id, hands it back when it asks for storage and leaves it in what it wants
//! committed. With it, an account is looked up by its address once a transaction, when it is loaded.

use std::sync::Arc;

use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, B256Map, HashMap, U256Map},
};
use revm::{
    Database,
    bytecode::{JumpTable, opcode},
    database_interface::DBErrorMarker,
    primitives::KECCAK_EMPTY,
    state::{Account, AccountId, AccountInfo, Bytecode, EvmState},
};

use crate::{
    disk::{ColdDisk, Read},
    memory::Memory,
};

/// The state that the baseline executes on.
#[derive(Debug)]
pub(crate) struct Ledger {
    places: AddressMap<u32>,
    entries: Vec<Entry>,
    codes: B256Map<Bytecode>,
    block_hashes: HashMap<u64, B256>,
    /// Shared by all accounts without code, and by nobody else: revm's own is shared by all threads, and counting its
    /// references makes them wait for each other.
    no_code: Bytecode,
    disk: Option<Arc<ColdDisk>>,
}

#[derive(Debug)]
struct Entry {
    /// Without code, which most transactions do not need.
    info: AccountInfo,
    exists: bool,
    storage: U256Map<U256>,
}

/// Nothing in the workloads asks for what is not there.
#[derive(Debug, thiserror::Error)]
#[error("not in the state: {0}")]
pub(crate) struct Missing(&'static str);

impl DBErrorMarker for Missing {}

impl Ledger {
    pub(crate) fn new(memory: &Memory, disk: Option<Arc<ColdDisk>>) -> Self {
        let mut ledger = Self {
            places: AddressMap::with_capacity_and_hasher(memory.accounts.len(), Default::default()),
            entries: Vec::with_capacity(memory.accounts.len()),
            codes: B256Map::default(),
            block_hashes: memory.block_hashes.clone(),
            no_code: empty_code(),
            disk,
        };
        for (hash, code) in &memory.codes {
            // A copy: this thread alone counts its references.
            let code = Bytecode::new_raw(code.to_vec().into());
            ledger.codes.insert(*hash, code);
        }
        ledger.restore(memory);
        ledger
    }

    /// Goes back to this state, from which it was made.
    pub(crate) fn restore(&mut self, memory: &Memory) {
        for entry in &mut self.entries {
            entry.exists = false;
            entry.storage.clear();
        }
        for (address, held) in &memory.accounts {
            let place = self.place(*address);
            let entry = &mut self.entries[place as usize];
            entry.exists = true;
            entry.info.balance = held.account.balance;
            entry.info.nonce = held.account.nonce;
            entry.info.code_hash = held.account.bytecode_hash.unwrap_or(KECCAK_EMPTY);
            entry.info.code = held.account.bytecode_hash.is_none().then(|| self.no_code.clone());
            entry.storage.extend(&held.storage);
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

    fn commit_account(&mut self, address: Address, account: Account) {
        let place = match account.info.account_id {
            Some(id) => id.get() as u32,
            None => self.place(address),
        };
        let entry = &mut self.entries[place as usize];
        // An account that was touched and is empty does not exist (EIP-161).
        if account.is_selfdestructed() || account.info.is_empty() {
            entry.exists = false;
            entry.storage.clear();
            return;
        }
        entry.exists = true;
        entry.info.balance = account.info.balance;
        entry.info.nonce = account.info.nonce;
        if entry.info.code_hash != account.info.code_hash {
            entry.info.code_hash = account.info.code_hash;
            entry.info.code =
                (account.info.code_hash == KECCAK_EMPTY).then(|| self.no_code.clone());
            if let Some(code) = account.info.code {
                self.codes.entry(account.info.code_hash).or_insert(code);
            }
        }
        for (key, slot) in account.storage {
            if slot.is_changed() {
                entry.storage.insert(key, slot.present_value);
            }
        }
    }

    /// Where the account lies, or will.
    fn place(&mut self, address: Address) -> u32 {
        *self.places.entry(address).or_insert_with(|| {
            let place = self.entries.len() as u32;
            let info = AccountInfo {
                account_id: AccountId::new(place as usize),
                code: Some(self.no_code.clone()),
                ..AccountInfo::default()
            };
            self.entries.push(Entry { info, exists: false, storage: U256Map::default() });
            place
        })
    }

    #[inline]
    fn read(&self, read: Read) {
        if let Some(disk) = &self.disk {
            disk.read(read);
        }
    }

    /// The account as it is now, for comparing.
    pub(crate) fn account(&self, address: &Address) -> Option<millrace_types::Account> {
        let entry = &self.entries[*self.places.get(address)? as usize];
        entry.exists.then(|| millrace_types::Account {
            nonce: entry.info.nonce,
            balance: entry.info.balance,
            bytecode_hash: (entry.info.code_hash != KECCAK_EMPTY).then_some(entry.info.code_hash),
        })
    }

    /// All accounts, for comparing.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.places.keys()
    }

    /// An account's slots, for comparing.
    pub(crate) fn slots(&self, address: &Address) -> Option<&U256Map<U256>> {
        Some(&self.entries[*self.places.get(address)? as usize].storage)
    }
}

/// No code, in an allocation of its own.
#[expect(unsafe_code, reason = "the only other empty code is the one that all threads share")]
fn empty_code() -> Bytecode {
    let padding = Bytes::from_static(&[opcode::STOP]);
    // SAFETY: code must end with a STOP after the last operand that it reads. This code is that STOP alone.
    unsafe { Bytecode::new_analyzed(padding, 0, JumpTable::default()) }
}

impl Database for Ledger {
    type Error = Missing;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Missing> {
        self.read(Read::Account(address));
        let Some(place) = self.places.get(&address) else { return Ok(None) };
        let entry = &self.entries[*place as usize];
        Ok(entry.exists.then(|| entry.info.clone()))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Missing> {
        self.read(Read::Code(hash));
        self.codes.get(&hash).cloned().ok_or(Missing("code"))
    }

    fn storage(&mut self, address: Address, key: U256) -> Result<U256, Missing> {
        self.read(Read::Slot(address, key));
        let Some(place) = self.places.get(&address) else { return Ok(U256::ZERO) };
        Ok(self.entries[*place as usize].storage.get(&key).copied().unwrap_or_default())
    }

    fn storage_by_account_id(
        &mut self,
        address: Address,
        id: AccountId,
        key: U256,
    ) -> Result<U256, Missing> {
        self.read(Read::Slot(address, key));
        Ok(self.entries[id.get()].storage.get(&key).copied().unwrap_or_default())
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Missing> {
        self.block_hashes.get(&number).copied().ok_or(Missing("block hash"))
    }
}
