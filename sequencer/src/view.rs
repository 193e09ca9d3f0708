//! The state as the executor reads it: a view of the world state, and the hashes of the blocks before it.

use std::{collections::VecDeque, sync::Arc};

use alloy_primitives::{Address, B256, BlockNumber, Bytes, U256};
use millrace_executor::{StateError, StateView};
use millrace_types::{Account, SealedHeader};
use parking_lot::RwLock;

use crate::index::{Index, IndexError};

/// How many hashes are kept in memory: as many as `BLOCKHASH` reaches back from the newest block, and then some.
const IN_MEMORY: usize = 1_024;

/// The hashes of all blocks: the newest from memory, where every block reads some, the others from the index.
#[derive(Debug)]
pub(crate) struct BlockHashes {
    genesis: (BlockNumber, B256),
    index: Arc<Index>,
    newest: RwLock<Newest>,
}

#[derive(Debug, Default)]
struct Newest {
    /// The number of the first one.
    first: BlockNumber,
    hashes: VecDeque<B256>,
}

impl BlockHashes {
    /// How many blocks before the newest have to be [pushed](Self::push) before anything is executed.
    pub(crate) const REACH: u64 = 256;

    pub(crate) fn new(genesis: &SealedHeader, index: Arc<Index>) -> Self {
        Self { genesis: (genesis.number, genesis.hash()), index, newest: RwLock::default() }
    }

    /// Adds the hash of the block after the newest one; of any block, if there is none yet.
    pub(crate) fn push(&self, number: BlockNumber, hash: B256) {
        self.newest.write().push(number, hash);
    }

    /// Forgets the hashes of blocks after `to`. What is missing afterwards before it comes from the index.
    pub(crate) fn rewind(&self, to: BlockNumber) {
        self.newest.write().rewind(to);
    }

    /// The hash of a block; `None` if there is no such block.
    pub(crate) fn get(&self, number: BlockNumber) -> Result<Option<B256>, IndexError> {
        if number == self.genesis.0 {
            return Ok(Some(self.genesis.1));
        }
        if let Some(hash) = self.newest.read().get(number) {
            return Ok(Some(hash));
        }
        self.index.hash(number)
    }
}

impl Newest {
    fn push(&mut self, number: BlockNumber, hash: B256) {
        if self.hashes.is_empty() {
            self.first = number;
        }
        assert_eq!(number, self.first + self.hashes.len() as u64, "block hashes have a gap");
        self.hashes.push_back(hash);
        if self.hashes.len() > IN_MEMORY {
            self.hashes.pop_front();
            self.first += 1;
        }
    }

    fn rewind(&mut self, to: BlockNumber) {
        let kept = to.checked_add(1).and_then(|end| end.checked_sub(self.first)).unwrap_or(0);
        self.hashes.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
    }

    fn get(&self, number: BlockNumber) -> Option<B256> {
        let offset = number.checked_sub(self.first)?;
        self.hashes.get(usize::try_from(offset).ok()?).copied()
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
        // A call that pretends to run in a later block asks for blocks that this state has not seen: they have none.
        if number > self.state.number() {
            return Ok(B256::ZERO);
        }
        let hash = self.hashes.get(number).map_err(StateError::new)?;
        hash.ok_or_else(|| StateError::new(format!("the hash of block {number} is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_hashes_are_found_by_number() {
        let mut newest = Newest::default();
        let last = 5 + IN_MEMORY as u64;
        for number in 5..=last {
            newest.push(number, B256::from(U256::from(number)));
        }
        assert_eq!(newest.get(5), None);
        assert_eq!(newest.get(6), Some(B256::from(U256::from(6))));
        assert_eq!(newest.get(last), Some(B256::from(U256::from(last))));
        assert_eq!(newest.get(last + 1), None);

        newest.rewind(last);
        assert_eq!(newest.get(last), Some(B256::from(U256::from(last))));
        newest.rewind(900);
        assert_eq!(newest.get(900), Some(B256::from(U256::from(900))));
        assert_eq!(newest.get(901), None);
        newest.push(901, B256::ZERO);
        assert_eq!(newest.get(901), Some(B256::ZERO));
        // Further back than memory reaches: what follows begins anew.
        newest.rewind(3);
        newest.push(4, B256::ZERO);
        assert_eq!((newest.get(3), newest.get(4), newest.get(5)), (None, Some(B256::ZERO), None));
    }
}
