//! Going back to an earlier block.

use std::sync::atomic::Ordering;

use alloy_primitives::{B256, BlockNumber};
use millrace_types::{DiffBuilder, StateDiff};

use crate::{
    State, UnwindError,
    checkpoint::{delete_history, put_account, put_checkpoint, put_node, put_slot},
    codec::{CheckpointRecord, node_prefix},
    nodes::store_error,
    store::{StoreError, Table},
    trie::{NibblePath, StateTrie, TrieChanges, TrieId},
    world::{Base, FlatCache, TrieAtHead, World},
};

impl State {
    /// Goes back to the state after block `to`: the blocks after it never happened, and views of them say so.
    ///
    /// Blocks that are not durable are forgotten at once; durable ones are undone on disk, which waits for a
    /// checkpoint under way, and takes time with all that they changed.
    pub fn unwind(&self, to: BlockNumber) -> Result<(), UnwindError> {
        let world = &*self.world;
        let _moving_base = world.checkpointing.lock();
        let mut trie = world.trie.lock();
        world.health()?;
        let head = world.head.load(Ordering::Acquire);
        let base = world.base.load_full();
        if to > head {
            return Err(UnwindError::NotYet { head });
        }
        if to < base.record.oldest {
            return Err(UnwindError::Pruned { oldest: base.record.oldest });
        }
        let undone =
            if to < base.record.number { Some(unwind_store(world, &base, to)?) } else { None };

        // The order matters: see `world`.
        let mut chain = world.chain.lock();
        // The head first: a new view remembers the epoch, then takes the head.
        world.head.store(to, Ordering::Release);
        world.begin_epoch(to);
        world.allowed.fetch_min(to, Ordering::AcqRel);
        if let Some(record) = undone {
            world.install(record, FlatCache::new(world.config.cache_bytes / 4 * 3));
        }
        while let Some(layer) = chain.pop_back_if(|layer| layer.number > to) {
            let mut bytes = layer.bytes;
            for (diff, _) in layer.diff.accounts() {
                world.overlay.accounts.forget_after(&diff.address, to);
            }
            for (key, _) in layer.slots() {
                world.overlay.storage.forget_after(&key, to);
            }
            for hash in layer.diff.codes().keys() {
                world.overlay.codes.forget_after(hash, to);
            }
            if let Some(records) = layer.records.get() {
                for (id, path, _) in &records.nodes {
                    world.overlay.nodes.forget_after(&(*id, *path), to);
                }
                bytes += records.bytes;
            }
            world.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        world.room.notify_all();
        drop(chain);
        if trie.number > to {
            let root = world.root_of(to).map_err(|_| {
                UnwindError::Store(StoreError::corrupt("the root of a block with a root is gone"))
            })?;
            *trie = TrieAtHead::new(to, StateTrie::new(root));
            world.rooted.store(to, Ordering::Release);
            world.recorded.fetch_min(to, Ordering::AcqRel);
        }
        Ok(())
    }
}

/// Takes the store back to block `to`, which is before its checkpoint.
fn unwind_store(
    world: &World,
    base: &Base,
    to: BlockNumber,
) -> Result<CheckpointRecord, UnwindError> {
    let mut batch = world.store.batch();
    let mut undo = DiffBuilder::default();
    let mut root = base.record.root;
    for block in (to + 1..=base.record.number).rev() {
        let (parent_root, earlier) = base.undo(block)?;
        delete_history(&mut batch, base, block, &earlier)?;
        undo.extend(&earlier);
        root = parent_root;
    }
    let record = CheckpointRecord { number: to, root, oldest: base.record.oldest };

    let undo = undo.build();
    for (diff, slots) in undo.accounts() {
        put_account(&mut batch, &diff.address, diff.account.as_ref());
        for (slot, value) in slots {
            put_slot(&mut batch, diff.address, *slot, *value);
        }
    }
    for (id, path, node) in undone_nodes(base, &undo, root)? {
        put_node(&mut batch, id, &path, node.as_deref());
    }
    put_checkpoint(&mut batch, &record);
    batch.commit().inspect_err(|error| world.fail(error.clone()))?;
    Ok(record)
}

/// Trie records that are set or, with `None`, deleted.
type Records = Vec<(TrieId, NibblePath, Option<Vec<u8>>)>;

/// The trie records that change when `undo` leads from the base to the state with `root`.
fn undone_nodes(base: &Base, undo: &StateDiff, root: B256) -> Result<Records, StoreError> {
    let mut trie = StateTrie::new(base.record.root);
    trie.apply(undo, base).map_err(store_error)?;
    if trie.root() != root {
        return Err(StoreError::corrupt("the history leads to another state root"));
    }
    let TrieChanges { wiped, mut records } = trie.take_changes();
    for hashed in wiped {
        let id = TrieId::Storage(hashed);
        let prefix = node_prefix(id);
        for key in base.snapshot.keys(Table::Nodes, &prefix) {
            let path = NibblePath::from_key(&key?[prefix.len()..])
                .ok_or(StoreError::corrupt("a trie record has no path"))?;
            if !records.iter().any(|(named, at, _)| *named == id && *at == path) {
                records.push((id, path, None));
            }
        }
    }
    Ok(records)
}
