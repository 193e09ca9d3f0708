//! The state's Merkle Patricia tries, kept incrementally: Ethereum's roots and proofs for a state larger than memory.
//!
//! The face, for the rest of the crate ([`StateTrie`] is the whole state; `S: NodeSource` is the store's side):
//!
//! ```text
//! StateTrie::new(state_root) -> Self                              EMPTY_ROOT_HASH for a new chain
//! apply(&mut self, &StateDiff, &S) -> Result<(), TrieError>       loads first, then changes: an error changes nothing
//! root(&mut self) -> B256                                         hashes what apply left dirty; needs no source
//! storage_root(&mut self, Address, &S) -> Result<B256, TrieError> EMPTY_ROOT_HASH without account or storage
//! take_changes(&mut self) -> TrieChanges                          what to persist, atomically, for the present root
//! changes_saved(&mut self)                                        they are durable: eviction may go on
//! evict(&mut self, bytes_max) -> usize                            clean, cold subtrees go; nothing between the two above
//! memory_bytes(&self) -> usize
//! scratch(&self, &S) -> Scratch<'_, S>                            a copy on demand: apply, root, prove at older blocks
//! Scratch: apply(&StateDiff) · root() · storage_root(Address) · prove(Address, &[B256]) -> AccountProof
//! ```
//!
//! `scratch` needs `root()` to have been asked for since the last `apply` (it panics otherwise).

mod arena;
mod batch;
mod collect;
mod hash;
mod load;
mod node;
mod path;
mod record;
mod rlp;
mod scratch;
mod source;
mod state_trie;
mod subtree;
#[cfg(test)]
mod tests;
mod tree;
mod update;
mod value;

pub use path::NibblePath;
pub use scratch::{AccountProof, Scratch, SlotProof};
pub use source::{NoSource, NodeSource, TrieChanges, TrieError, TrieId};
pub use state_trie::StateTrie;
