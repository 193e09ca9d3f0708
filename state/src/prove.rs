//! Computing proofs and storage roots, at the head and at older blocks.
//!
//! Neither disturbs the trie that the next root is computed with. From the base on, the trie after every block is there
//! to be read. Before the base, a scratch copy of the base's trie undoes the blocks in between.

use std::sync::{Arc, atomic::Ordering};

use alloy_primitives::{Address, B256, BlockNumber};
use millrace_types::{DiffBuilder, StateDiff};

use crate::{
    ProofError, RootError, State,
    nodes::{NodeError, NodesAt, unless_passed},
    roots::record,
    store::StoreError,
    trie::{AccountProof, NibblePath, NodeSource, Scratch, StateTrie, TrieError, TrieId},
    world::{Base, World},
};

/// What proves an account, and slots of it, after a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The block.
    pub number: BlockNumber,
    /// The state root that the proof leads to.
    pub state_root: B256,
    /// The account with its slots, in the order in which they were asked for.
    pub account: AccountProof,
}

impl State {
    /// Proves an account and slots of it after a block that has a root.
    pub fn proof(
        &self,
        address: Address,
        slots: &[B256],
        number: BlockNumber,
    ) -> Result<Proof, ProofError> {
        self.world.in_trie_at(number, |state_root, trie| {
            let account = trie.prove(address, slots)?;
            Ok(Proof { number, state_root, account })
        })
    }

    /// The root of an account's storage after a block that has a root. Cheap at the newest such block, where a
    /// header needs it; elsewhere it costs what a proof does.
    pub fn storage_root(&self, number: BlockNumber, address: Address) -> Result<B256, ProofError> {
        let world = &*self.world;
        {
            let mut at_head = world.trie.lock();
            if at_head.number == number {
                let source = NodesAt { world, at: number };
                return at_head.trie.storage_root(address, &source).map_err(|error| {
                    let error = unless_passed(error);
                    error.unwrap_or_else(|| unreachable!("the base never passes the roots")).into()
                });
            }
        }
        world.in_trie_at(number, |_, trie| trie.storage_root(address))
    }
}

/// The records that lead to a block's trie.
enum Records<'a> {
    AtBlock(NodesAt<'a>),
    AtBase(&'a Base),
}

impl NodeSource for Records<'_> {
    type Error = NodeError;

    fn node(&self, trie: TrieId, path: &NibblePath) -> Result<Option<Vec<u8>>, NodeError> {
        match self {
            Self::AtBlock(nodes) => nodes.node(trie, path),
            Self::AtBase(base) => base.node(trie, path).map_err(NodeError::Store),
        }
    }
}

impl World {
    /// Reads in the trie after a block: `read` gets the state root and the trie.
    fn in_trie_at<T>(
        &self,
        number: BlockNumber,
        read: impl Fn(B256, &mut Scratch<'_, Records<'_>>) -> Result<T, TrieError<NodeError>>,
    ) -> Result<T, ProofError> {
        let epoch = self.epoch();
        let rooted = self.rooted.load(Ordering::Acquire);
        let not_yet = ProofError::NotYet { newest: rooted };
        if number > rooted {
            return Err(not_yet);
        }
        if number > self.recorded.load(Ordering::Acquire) {
            record(self)?;
        }
        loop {
            let base: Arc<Base> = self.base.load_full();
            let root = self.root_of(number).map_err(|error| match error {
                RootError::NotYet { .. } => not_yet.clone(),
                RootError::Pruned { oldest } => ProofError::Pruned { oldest },
                RootError::Store(error) => error.into(),
            })?;
            let (records, base_root, undo) = if number >= base.record.number {
                (Records::AtBlock(NodesAt { world: self, at: number }), root, None)
            } else {
                let undo = self.undo_since(&base, number)?;
                (Records::AtBase(&base), base.record.root, Some(undo))
            };
            let mut trie = StateTrie::new(base_root);
            trie.root();
            let mut scratch = trie.scratch(&records);
            let result = match undo.map_or(Ok(()), |undo| scratch.apply(&undo)) {
                Ok(()) if scratch.root() != root => {
                    Err(Some(StoreError::corrupt("the history leads to another state root")))
                }
                Ok(()) => read(root, &mut scratch).map_err(unless_passed),
                Err(error) => Err(unless_passed(error)),
            };
            if self.check_epoch(epoch, number).is_err() {
                // The block was unwound meanwhile, and with it what this was about to say.
                return Err(not_yet);
            }
            match result {
                Ok(value) => return Ok(value),
                Err(Some(error)) => return Err(error.into()),
                // The base passed the block: now it takes the other way.
                Err(None) => {}
            }
        }
    }

    /// What leads from the base back to block `number`.
    fn undo_since(&self, base: &Base, number: BlockNumber) -> Result<StateDiff, ProofError> {
        if number < base.record.oldest {
            return Err(ProofError::Pruned { oldest: base.record.oldest });
        }
        let changes_max = self.config.proof_changes_max;
        let mut changes = 0;
        let mut undo = DiffBuilder::default();
        for block in (number + 1..=base.record.number).rev() {
            let (_, earlier) = base.undo(block)?;
            changes += earlier.accounts().map(|(_, slots)| 1 + slots.len()).sum::<usize>();
            if changes > changes_max {
                return Err(ProofError::TooFar { number, changes_max });
            }
            undo.extend(&earlier);
        }
        Ok(undo.build())
    }
}
