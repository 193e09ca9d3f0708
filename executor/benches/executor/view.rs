//! What ours reads: the state in memory, behind a disk if there is one.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, U256};
use millrace_executor::{StateError, StateView};
use millrace_types::Account;
use revm::state::Bytecode;

use crate::{
    disk::{ColdDisk, Read},
    memory::Memory,
};

/// The state, and what reading something of it for the first time costs.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) memory: Memory,
    pub(crate) disk: Option<ColdDisk>,
}

impl View {
    fn read(&self, read: Read) {
        if let Some(disk) = &self.disk {
            disk.read(read);
        }
    }
}

impl StateView for View {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.read(Read::Account(*address));
        Ok(self.memory.account(address))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        self.read(Read::Slot(*address, *slot));
        Ok(self.memory.slot(address, slot))
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.read(Read::Code(*hash));
        let code = self.memory.codes.get(hash);
        code.map(Bytecode::original_bytes).ok_or_else(|| StateError::new("no such code"))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        let hash = self.memory.block_hashes.get(&number).copied();
        hash.ok_or_else(|| StateError::new("no such block"))
    }
}

/// The view, for changing it between blocks: by then the executor has let go of it, on all of its threads.
pub(crate) fn exclusive(view: &mut Arc<View>) -> &mut View {
    let deadline = Instant::now() + Duration::from_secs(1);
    while Arc::strong_count(view) > 1 {
        assert!(
            Instant::now() < deadline,
            "the executor holds on to a state that it does not need"
        );
        thread::yield_now();
    }
    Arc::get_mut(view).expect("there are no weak references")
}
