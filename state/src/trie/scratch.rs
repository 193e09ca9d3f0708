//! A state to try things in, on top of one that must not notice: for proofs, now and at older blocks.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use millrace_types::{Account, StateDiff};

use super::{
    path::NibblePath,
    source::{NodeSource, TrieError, TrieId},
    state_trie::StateTrie,
};

/// A copy of a [`StateTrie`], made node by node as they are needed: the live trie, with the store below it, is nothing
/// but a source to it. So it costs what it touches, and what it is changed by stays in it.
#[derive(Debug)]
pub struct Scratch<'a, S> {
    trie: StateTrie,
    source: Layered<'a, S>,
}

/// An account and some of its slots, with proofs as `eth_getProof` has them: the nodes from the root on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountProof {
    /// Whose.
    pub address: Address,
    /// The account; `None` when it is proven that there is none.
    pub account: Option<Account>,
    /// The root that the slots are proven against.
    pub storage_root: B256,
    /// From the state root to the account.
    pub proof: Vec<Bytes>,
    /// The slots that were asked for, in that order.
    pub storage: Vec<SlotProof>,
}

/// One slot, with its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotProof {
    /// Which.
    pub slot: B256,
    /// What it holds; zero when it is proven to hold nothing.
    pub value: U256,
    /// From the storage root to the slot.
    pub proof: Vec<Bytes>,
}

/// The records that a live trie has in memory, and a source for the others.
#[derive(Debug)]
struct Layered<'a, S> {
    live: &'a StateTrie,
    source: &'a S,
}

impl<S: NodeSource> NodeSource for Layered<'_, S> {
    type Error = S::Error;

    fn node(&self, trie: TrieId, path: &NibblePath) -> Result<Option<Vec<u8>>, S::Error> {
        let tree = match trie {
            TrieId::Account => Some(self.live.accounts()),
            TrieId::Storage(address) => self.live.storage(&address),
        };
        match tree.and_then(|tree| tree.record_at(path)) {
            Some(record) => Ok(Some(record)),
            None => self.source.node(trie, path),
        }
    }
}

impl<'a, S: NodeSource> Scratch<'a, S> {
    pub(super) fn new(live: &'a StateTrie, source: &'a S) -> Self {
        let trie = StateTrie::new(live.accounts().root());
        Self { trie, source: Layered { live, source } }
    }

    /// Applies a difference, here alone: what leads back to an older block, for instance.
    pub fn apply(&mut self, diff: &StateDiff) -> Result<(), TrieError<S::Error>> {
        self.trie.apply(diff, &self.source)
    }

    /// The root of the state.
    pub fn root(&mut self) -> B256 {
        self.trie.root()
    }

    /// The storage root of an account; that of the empty trie when there is no account.
    pub fn storage_root(&mut self, address: Address) -> Result<B256, TrieError<S::Error>> {
        self.trie.root();
        self.trie.storage_root(address, &self.source)
    }

    /// Proves an account and some of its slots, whether they exist or not.
    pub fn prove(
        &mut self,
        address: Address,
        slots: &[B256],
    ) -> Result<AccountProof, TrieError<S::Error>> {
        self.trie.root();
        let key = keccak256(address);
        let slot_keys: Vec<B256> = slots.iter().map(keccak256).collect();
        let mut unique = slot_keys.clone();
        unique.sort_unstable();
        unique.dedup();
        let (accounts, storage) = self.trie.load_account(&key, &unique, &self.source)?;
        let account = accounts.leaf(&key).map(|leaf| {
            TrieAccount::decode(&mut &leaf.value.to_rlp()[..]).expect("a leaf holds an account")
        });
        let prove_slot = |(slot, key): (&B256, &B256)| SlotProof {
            slot: *slot,
            value: storage.and_then(|storage| storage.leaf(key)).map_or(U256::ZERO, |mut leaf| {
                U256::decode(&mut leaf.value.payload).expect("a leaf holds a value")
            }),
            proof: storage.map_or_else(Vec::new, |storage| storage.prove(key)),
        };
        Ok(AccountProof {
            address,
            account: account.map(|account| Account {
                nonce: account.nonce,
                balance: account.balance,
                bytecode_hash: (account.code_hash != alloy_primitives::KECCAK256_EMPTY)
                    .then_some(account.code_hash),
            }),
            storage_root: account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root),
            proof: accounts.prove(&key),
            storage: slots.iter().zip(&slot_keys).map(prove_slot).collect(),
        })
    }
}
