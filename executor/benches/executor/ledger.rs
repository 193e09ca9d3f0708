//! The baseline's database: the state in memory, changed in place.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::{
    Database,
    bytecode::{JumpTable, opcode},
    database_interface::DBErrorMarker,
    primitives::KECCAK_EMPTY,
    state::{Account, AccountId, AccountInfo, AccountStatus, Bytecode, EvmState},
};

use crate::{
    disk::{ColdDisk, Read},
    memory::Memory,
};

/// The state that the baseline executes on.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) memory: Memory,
    disk: Option<Arc<ColdDisk>>,
    /// What accounts without code have for it. Where there is nothing here, revm takes its own, which all threads share:
    /// one thread gets along with it a little faster, and several get in each other's way.
    no_code: Option<Bytecode>,
}

/// Nothing in the workloads asks for what is not there.
#[derive(Debug, thiserror::Error)]
#[error("not in the state: {0}")]
pub(crate) struct Missing(&'static str);

impl DBErrorMarker for Missing {}

impl Ledger {
    pub(crate) fn new(memory: &Memory, disk: Option<Arc<ColdDisk>>) -> Self {
        Self { memory: memory.clone(), disk, no_code: None }
    }

    /// One that shares nothing with another thread.
    pub(crate) fn detached(memory: &Memory) -> Self {
        Self { memory: memory.detached(), disk: None, no_code: Some(empty_code()) }
    }

    /// Goes back to this state, from which it was made.
    pub(crate) fn restore(&mut self, memory: &Memory) {
        self.memory.accounts.clone_from(&memory.accounts);
        self.memory.contracts.clone_from(&memory.contracts);
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
        let info = account.info;
        // An account that was touched and is empty does not exist (EIP-161).
        if account.status.contains(AccountStatus::SelfDestructed) || info.is_empty() {
            self.memory.remove(&address);
            return;
        }
        let held = self.memory.accounts.entry(address).or_default();
        held.balance = info.balance;
        held.nonce = info.nonce;
        if held.contract.is_none() && info.code_hash == KECCAK_EMPTY {
            return;
        }
        let contract = self.memory.contract(address);
        contract.code_hash = info.code_hash;
        for (key, slot) in account.storage {
            if slot.is_changed() {
                contract.storage.insert(key, slot.present_value);
            }
        }
        if let Some(code) = info.code {
            self.memory.codes.entry(info.code_hash).or_insert(code);
        }
    }

    #[inline]
    fn read(&self, read: Read) {
        if let Some(disk) = &self.disk {
            disk.read(read);
        }
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
        let Some(held) = self.memory.accounts.get(&address) else { return Ok(None) };
        let mut info = AccountInfo {
            balance: held.balance,
            nonce: held.nonce,
            code_hash: KECCAK_EMPTY,
            account_id: None,
            code: None,
        };
        if let Some(place) = held.contract {
            // revm hands it back when it asks for storage.
            info.account_id = AccountId::new(place as usize);
            info.code_hash = self.memory.contracts[place as usize].code_hash;
        }
        if info.code_hash == KECCAK_EMPTY {
            info.code = self.no_code.clone();
        }
        Ok(Some(info))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Missing> {
        self.read(Read::Code(hash));
        self.memory.codes.get(&hash).cloned().ok_or(Missing("code"))
    }

    fn storage(&mut self, address: Address, key: U256) -> Result<U256, Missing> {
        self.read(Read::Slot(address, key));
        Ok(self.memory.slot(&address, &key))
    }

    fn storage_by_account_id(
        &mut self,
        address: Address,
        id: AccountId,
        key: U256,
    ) -> Result<U256, Missing> {
        self.read(Read::Slot(address, key));
        let storage = &self.memory.contracts[id.get()].storage;
        Ok(storage.get(&key).copied().unwrap_or_default())
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Missing> {
        self.memory.block_hashes.get(&number).copied().ok_or(Missing("block hash"))
    }
}
