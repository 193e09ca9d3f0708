//! Computing roots, and collecting what the trie changed.
//!
//! A root is what a block waits for; the trie records behind it only matter to checkpoints, proofs and eviction. So
//! a root is announced as soon as it is known, and a thread of its own collects the block's records into the overlay
//! afterwards. It is never more than one block behind: the trie holds all that was not collected, and the next block
//! may only change it once that is safe, so whoever comes first with the lock does the collecting.
//!
//! ```text
//! recorded ≤ rooted ≤ recorded + 1
//! ```

use std::sync::{Arc, atomic::Ordering};

use alloy_primitives::{BlockNumber, Bytes, map::HashSet};
use crossbeam_channel::{Receiver, select};

use crate::{
    RootError, StoreError,
    checkpoint::FailOnPanic,
    codec::node_prefix,
    nodes::{NodesAt, unless_passed},
    store::Table,
    trie::{NibblePath, TrieChanges, TrieId},
    world::{Base, ENTRY_BYTES, Layer, LayerRecords, TrieAtHead, World},
};

/// The recording thread: until `stop` disconnects, or collecting fails.
pub(crate) fn run(world: &Arc<World>, wake: &Receiver<()>, stop: &Receiver<()>) {
    let _guard = FailOnPanic { world, action: "collect trie records" };
    loop {
        select! {
            recv(stop) -> _ => return,
            recv(wake) -> _ => {}
        }
        if record(world).is_err() {
            return;
        }
        // A full channel is as good: a message is on its way.
        let _ = world.wake_checkpoint.try_send(());
    }
}

/// Brings the trie up to `number`, block by block.
pub(crate) fn compute_roots(world: &World, number: BlockNumber) -> Result<(), RootError> {
    let mut at_head = world.trie.lock();
    world.health()?;
    while at_head.number < number {
        at_head.record(world)?;
        let TrieAtHead { number: rooted, trie, unrecorded } = &mut *at_head;
        let next = *rooted + 1;
        let layer = world
            .layer(next)
            .ok_or_else(|| RootError::NotYet { head: world.head.load(Ordering::Acquire) })?;
        trie.apply(&layer.diff, &NodesAt { world, at: *rooted }).map_err(|error| {
            unless_passed(error).unwrap_or_else(|| unreachable!("the base never passes the roots"))
        })?;
        let fresh = layer.root.set(trie.root()).is_ok();
        assert!(fresh, "a block's root is computed once");
        *unrecorded = Some(layer);
        *rooted = next;
        // Release: who reads this number finds the block's root in the layer.
        world.rooted.store(next, Ordering::Release);
    }
    Ok(())
}

/// Collects the records of the newest block with a root, if nobody did yet.
pub(crate) fn record(world: &World) -> Result<(), StoreError> {
    world.trie.lock().record(world)
}

impl TrieAtHead {
    fn record(&mut self, world: &World) -> Result<(), StoreError> {
        let Some(layer) = self.unrecorded.take() else { return Ok(()) };
        // The changes would be lost to the checkpoint: an error cannot be mended by trying again.
        let nodes = all_records(world, self.trie.take_changes())
            .inspect_err(|error| world.fail(error.clone()))?;
        let mut bytes = 0;
        for (id, path, record) in &nodes {
            world.overlay.nodes.insert((*id, *path), layer.number, record.clone());
            bytes += 2 * ENTRY_BYTES + record.as_ref().map_or(0, |record| record.len());
        }
        // The overlay is the trie's source as much as the store is: what is in it can be evicted.
        self.trie.changes_saved();
        if self.trie.memory_bytes() > world.config.trie_nodes_bytes {
            self.trie.evict(world.config.trie_nodes_bytes);
        }
        let fresh = layer.records.set(LayerRecords { nodes, bytes }).is_ok();
        assert!(fresh, "a block's records are collected once");
        world.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        // Release: who reads this number finds the block's records in the overlay and in the layer.
        world.recorded.store(layer.number, Ordering::Release);
        Ok(())
    }
}

/// Trie records that a block sets or, with `None`, deletes.
type Records = Vec<(TrieId, NibblePath, Option<Bytes>)>;

/// The trie's changes with each record named that goes with a wiped storage trie.
fn all_records(world: &World, changes: TrieChanges) -> Result<Records, StoreError> {
    let mut records: Records = changes
        .records
        .into_iter()
        .map(|(id, path, record)| (id, path, record.map(Bytes::from)))
        .collect();
    if changes.wiped.is_empty() {
        return Ok(records);
    }
    // Under the lock, every layer after this base is in the chain.
    let (base, layers): (Arc<Base>, Vec<Arc<Layer>>) = {
        let chain = world.chain.lock();
        (world.base.load_full(), chain.iter().cloned().collect())
    };
    let named: HashSet<(TrieId, NibblePath)> =
        records.iter().map(|(id, path, _)| (*id, *path)).collect();
    for hashed in changes.wiped {
        let id = TrieId::Storage(hashed);
        let mut paths: HashSet<NibblePath> = HashSet::default();
        let prefix = node_prefix(id);
        for key in base.snapshot.keys(Table::Nodes, &prefix) {
            let path = NibblePath::from_key(&key?[prefix.len()..]);
            paths.insert(path.ok_or(StoreError::corrupt("a trie record has no path"))?);
        }
        for earlier in layers.iter().filter_map(|layer| layer.records.get()) {
            let here =
                earlier.nodes.iter().filter(|(trie, _, record)| *trie == id && record.is_some());
            paths.extend(here.map(|(_, path, _)| *path));
        }
        let unnamed = paths.into_iter().filter(|path| !named.contains(&(id, *path)));
        records.extend(unnamed.map(|path| (id, path, None)));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, U256};
    use millrace_types::{Account, AccountDiff, StateDiff};

    use super::*;
    use crate::{Config, State};

    const HOLDER: Address = Address::repeat_byte(7);

    fn block(number: u64) -> Arc<StateDiff> {
        let account = Account { nonce: number, balance: U256::from(number), bytecode_hash: None };
        let slot = (U256::from(number % 3), U256::from(number));
        let diff = AccountDiff { address: HOLDER, account: Some(account), wiped: number == 3 };
        Arc::new(StateDiff::from_iter([(diff, [slot])]))
    }

    /// With blocks up to `to`, the newest of which nobody collected.
    fn unrecorded(dir: &std::path::Path, to: u64) -> State {
        let (state, _) = State::create(dir, Config::default(), &block(0)).unwrap();
        for number in 1..=to {
            state.apply(number, block(number)).unwrap();
            // Past the face, so that the recording thread sleeps.
            compute_roots(&state.world, number).unwrap();
            assert_eq!(watermarks(&state), (number - 1, number));
        }
        state
    }

    fn watermarks(state: &State) -> (u64, u64) {
        let watermark = |at: &std::sync::atomic::AtomicU64| at.load(Ordering::Acquire);
        (watermark(&state.world.recorded), watermark(&state.world.rooted))
    }

    #[test]
    fn whoever_needs_records_that_were_not_collected_collects_them() {
        let slots: Vec<B256> = (0..3).map(|slot| B256::from(U256::from(slot))).collect();
        for to in 1..=5 {
            let dir = tempfile::tempdir().unwrap();
            let state = unrecorded(dir.path(), to);
            assert_eq!(state.root(to).unwrap().number, to, "a root needs none");
            let storage_root = state.storage_root(to, HOLDER).unwrap();
            assert_eq!(watermarks(&state), (to - 1, to), "a storage root needs none at the head");
            let proof = state.proof(HOLDER, &slots, to).unwrap();
            assert_eq!(proof.state_root, state.root(to).unwrap().state_root);
            assert_eq!(proof.account.storage_root, storage_root);
            assert_eq!(watermarks(&state), (to, to));

            let dir = tempfile::tempdir().unwrap();
            let state = unrecorded(dir.path(), to);
            state.allow_checkpoint(to);
            state.flush().unwrap();
            assert_eq!((state.checkpoint_block(), watermarks(&state)), (to, (to, to)));
            assert_eq!(state.progress().pending_bytes, 0);
            let after = state.proof(HOLDER, &slots, to).unwrap();
            assert_eq!(after, proof, "the store has what the trie had");
        }
    }

    #[test]
    fn unwinding_forgets_what_was_not_collected() {
        let dir = tempfile::tempdir().unwrap();
        let state = unrecorded(dir.path(), 4);
        let roots: Vec<_> = (0..=4).map(|number| state.root(number).unwrap()).collect();
        for to in (0..4).rev() {
            state.unwind(to).unwrap();
            assert_eq!(watermarks(&state), (to, to));
            state.apply(to + 1, block(to + 1)).unwrap();
            compute_roots(&state.world, to + 1).unwrap();
            assert_eq!(state.root(to + 1).unwrap(), roots[to as usize + 1]);
            assert_eq!(watermarks(&state), (to, to + 1));
        }
        state.unwind(0).unwrap();
        assert_eq!(state.progress().pending_bytes, 0);
    }
}
