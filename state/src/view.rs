//! Reading the state as it was after one block.

use std::{fmt, sync::Arc};

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{Address, B256, BlockNumber, Bytes, U256};
use millrace_types::Account;

use crate::{ReadError, world::World};

/// The state after one block. It answers the same whatever is applied, written or unwound meanwhile, or says
/// that its block was [pruned](ReadError::Pruned) or [unwound](ReadError::Unwound).
///
/// It costs nothing to keep: it holds no lock and no memory besides the open state itself.
#[derive(Clone)]
pub struct View {
    world: Arc<World>,
    number: BlockNumber,
    epoch: u64,
}

impl View {
    /// A view at a block that is, or was in `epoch`, part of the chain.
    pub(crate) fn new(world: Arc<World>, number: BlockNumber, epoch: u64) -> Self {
        Self { world, number, epoch }
    }

    /// The block.
    pub fn number(&self) -> BlockNumber {
        self.number
    }

    /// An account; `None` if there is none.
    pub fn account(&self, address: &Address) -> Result<Option<Account>, ReadError> {
        self.checked(self.world.account(self.number, *address))
    }

    /// The value of a storage slot, zero unless it was set.
    pub fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ReadError> {
        self.checked(self.world.storage(self.number, *address, *slot))
    }

    /// Code by the hash that an account names; `None` if no block deployed it.
    pub fn code(&self, hash: &B256) -> Result<Option<Bytes>, ReadError> {
        if *hash == KECCAK_EMPTY {
            return Ok(Some(Bytes::new()));
        }
        self.checked(self.world.code(*hash))
    }

    /// What was read counts only if the block was still part of the chain afterwards.
    fn checked<T>(&self, read: Result<T, ReadError>) -> Result<T, ReadError> {
        self.world.check_epoch(self.epoch, self.number)?;
        read
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("number", &self.number).finish_non_exhaustive()
    }
}
