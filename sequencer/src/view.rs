//! The state as the executor reads it: a view of the world state, and the hashes of the blocks before it.

use std::{collections::VecDeque, sync::Arc};

use alloy_primitives::{Address, B256, BlockNumber, Bytes, U256};
use millrace_executor::{StateError, StateView};
use millrace_types::Account;
use parking_lot::RwLock;

/// The hashes of the newest blocks, in memory: `BLOCKHASH` and history ask for them by number.
#[derive(Debug)]
pub(crate) struct BlockHashes {
    /// How many are kept.
    capacity: usize,
    window: RwLock<Window>,
}

#[derive(Debug, Default)]
struct Window {
    /// The number of the first one.
    first: BlockNumber,
    hashes: VecDeque<B256>,
}

impl BlockHashes {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, window: RwLock::default() }
    }

    /// Adds the hash of the block after the newest one; of any block, if there is none yet.
    pub(crate) fn push(&self, number: BlockNumber, hash: B256) {
        let mut window = self.window.write();
        if window.hashes.is_empty() {
            window.first = number;
        }
        assert_eq!(number, window.first + window.hashes.len() as u64, "block hashes have a gap");
        window.hashes.push_back(hash);
        if window.hashes.len() > self.capacity {
            window.hashes.pop_front();
            window.first += 1;
        }
    }

    /// The hash of a block, if it is among those kept.
    pub(crate) fn get(&self, number: BlockNumber) -> Option<B256> {
        let window = self.window.read();
        let offset = number.checked_sub(window.first)?;
        window.hashes.get(usize::try_from(offset).ok()?).copied()
    }
}

/// The state after one block, as the executor's calls and blocks read it.
#[derive(Debug, Clone)]
pub(crate) struct ChainView {
    state: millrace_state::View,
    hashes: Arc<BlockHashes>,
}

impl ChainView {
    pub(crate) fn new(state: millrace_state::View, hashes: Arc<BlockHashes>) -> Self {
        Self { state, hashes }
    }
}

impl StateView for ChainView {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.state.account(address).map_err(StateError::new)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        self.state.storage(address, slot).map_err(StateError::new)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        let code = self.state.code(hash).map_err(StateError::new)?;
        code.ok_or_else(|| StateError::new(format!("code {hash} is missing")))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.hashes
            .get(number)
            .ok_or_else(|| StateError::new(format!("hash of block {number} is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_found_by_number_while_they_are_kept() {
        let hashes = BlockHashes::new(3);
        for number in 5..10 {
            hashes.push(number, B256::with_last_byte(number as u8));
        }
        let kept: Vec<_> = (0..12).filter(|number| hashes.get(*number).is_some()).collect();
        assert_eq!(kept, [7, 8, 9]);
        assert_eq!(hashes.get(8), Some(B256::with_last_byte(8)));
    }
}
