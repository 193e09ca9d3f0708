//! The state before a block as its witness holds it, and the roots of the state afterwards.

use std::sync::Arc;

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use millrace_executor::{StateError, StateRoots, StateView};
use millrace_protocol::{OpFork, Rules, predeploys::L2_TO_L1_MESSAGE_PASSER};
use millrace_types::{Account, AccountDiff, Header, SlotDiff, StateDiff};

use super::partial_trie::{PartialTrie, Preimages, TrieError, get};

/// The state under one root, as far as the preimages reach.
#[derive(Debug, Clone)]
pub(super) struct WitnessState {
    preimages: Arc<Preimages>,
    state_root: B256,
    block_hash: B256,
}

impl WitnessState {
    /// The state after this block.
    pub(super) fn new(preimages: Arc<Preimages>, state_root: B256, block_hash: B256) -> Self {
        Self { preimages, state_root, block_hash }
    }

    /// The roots of the state once these changes are made, as far as the rules ask for them: a witness holds no more.
    pub(super) fn roots_after(
        &self,
        diff: &StateDiff,
        rules: Rules,
    ) -> Result<StateRoots, TrieError> {
        let mut trie = PartialTrie::new(&self.preimages, self.state_root);
        // First what stays: a branch that is filled before it is emptied needs not merge.
        let (kept, gone): (Vec<_>, Vec<_>) =
            diff.accounts().partition(|(diff, _)| diff.account.is_some());
        for (changed, slots) in kept {
            let AccountDiff { address, account: Some(account), .. } = changed else { continue };
            let storage_root = self.storage_root_after(address, Some((changed, slots)))?;
            let leaf = TrieAccount {
                nonce: account.nonce,
                balance: account.balance,
                storage_root,
                code_hash: account.bytecode_hash.unwrap_or(KECCAK_EMPTY),
            };
            trie.insert(keccak256(address), alloy_rlp::encode(leaf))?;
        }
        for (changed, _) in gone {
            trie.remove(keccak256(changed.address))?;
        }
        let passer = L2_TO_L1_MESSAGE_PASSER;
        let message_passer_storage_root = if rules.is_active(OpFork::Isthmus) {
            self.storage_root_after(&passer, diff.account(&passer))?
        } else {
            EMPTY_ROOT_HASH
        };
        Ok(StateRoots { state_root: trie.root(), message_passer_storage_root })
    }

    fn storage_root_after(
        &self,
        address: &Address,
        diff: Option<(&AccountDiff, &[SlotDiff])>,
    ) -> Result<B256, TrieError> {
        let before = self.leaf(address)?.map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage_root);
        let Some((diff, slots)) = diff else { return Ok(before) };
        let before = if diff.wiped { EMPTY_ROOT_HASH } else { before };
        let mut trie = PartialTrie::new(&self.preimages, before);
        let (gone, kept): (Vec<&SlotDiff>, Vec<_>) =
            slots.iter().partition(|(_, value)| value.is_zero());
        for (slot, value) in kept {
            trie.insert(keccak256(B256::from(*slot)), alloy_rlp::encode(value))?;
        }
        for (slot, _) in gone {
            trie.remove(keccak256(B256::from(*slot)))?;
        }
        Ok(trie.root())
    }

    fn leaf(&self, address: &Address) -> Result<Option<TrieAccount>, TrieError> {
        match get(&self.preimages, self.state_root, keccak256(address))? {
            Some(leaf) => Ok(Some(TrieAccount::decode(&mut leaf.as_slice())?)),
            None => Ok(None),
        }
    }

    fn preimage(&self, hash: &B256) -> Result<&Bytes, TrieError> {
        self.preimages.get(hash).ok_or(TrieError::Missing(*hash))
    }
}

impl StateView for WitnessState {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        let leaf = self.leaf(address).map_err(StateError::new)?;
        Ok(leaf.map(|leaf| Account {
            nonce: leaf.nonce,
            balance: leaf.balance,
            bytecode_hash: (leaf.code_hash != KECCAK_EMPTY).then_some(leaf.code_hash),
        }))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        let read = || {
            let Some(leaf) = self.leaf(address)? else { return Ok(U256::ZERO) };
            let key = keccak256(B256::from(*slot));
            match get(&self.preimages, leaf.storage_root, key)? {
                Some(value) => Ok(U256::decode(&mut value.as_slice())?),
                None => Ok(U256::ZERO),
            }
        };
        read().map_err(|error: TrieError| StateError::new(error))
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.preimage(hash).cloned().map_err(StateError::new)
    }

    /// Follows the headers back, as far as the witness has them.
    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        let mut hash = self.block_hash;
        loop {
            let header = self.preimage(&hash).map_err(StateError::new)?;
            let header = Header::decode(&mut header.as_ref()).map_err(StateError::new)?;
            if header.number <= number {
                return Ok(hash);
            }
            hash = header.parent_hash;
        }
    }
}
