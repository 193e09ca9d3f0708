//! The newest blocks in memory: for each key that they changed, its value after each block that changed it.
//!
//! One map over all blocks, rather than one a block, so that a read costs one probe however many blocks wait for a
//! checkpoint, and so that readers at different blocks share it. What a reader at block n sees never depends on
//! blocks after n, nor on how far old versions were forgotten: versions go from the oldest, so the newest at or
//! before n is there or everything at or before n is in the store.

use std::hash::{BuildHasher, Hash};

use alloy_primitives::{
    Address, B256, BlockNumber, Bytes, U256,
    map::{DefaultHashBuilder, HashMap},
};
use millrace_types::Account;
use parking_lot::RwLock;

use crate::trie::{NibblePath, TrieId};

/// Everything that blocks after the checkpoint changed.
#[derive(Default)]
pub(crate) struct Overlay {
    pub(crate) accounts: VersionedMap<Address, Option<Account>>,
    pub(crate) storage: VersionedMap<(Address, U256), U256>,
    pub(crate) codes: VersionedMap<B256, Bytes>,
    pub(crate) nodes: VersionedMap<(TrieId, NibblePath), Option<Bytes>>,
}

/// A map that remembers the value of a key at every block that set it.
pub(crate) struct VersionedMap<K, V> {
    shards: Box<[RwLock<Shard<K, V>>]>,
    hasher: DefaultHashBuilder,
}

type Shard<K, V> = HashMap<K, Versions<V>>;

/// Enough that a writer and readers seldom meet.
const SHARDS: usize = 128;

/// The versions of one key; most have one, which then costs no allocation.
struct Versions<V> {
    newest: (BlockNumber, V),
    /// Oldest first.
    older: Vec<(BlockNumber, V)>,
}

impl<K, V> Default for VersionedMap<K, V> {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<K: Eq + Hash, V: Clone> VersionedMap<K, V> {
    /// The value after block `at`, if a block at or before it set one that was not forgotten.
    pub(crate) fn get(&self, key: &K, at: BlockNumber) -> Option<V> {
        let shard = self.shard(key).read();
        let versions = shard.get(key)?;
        if versions.newest.0 <= at {
            return Some(versions.newest.1.clone());
        }
        let after = versions.older.partition_point(|(block, _)| *block <= at);
        Some(versions.older[after.checked_sub(1)?].1.clone())
    }

    /// Sets the value after `block`, which is none before the newest that set this key.
    pub(crate) fn insert(&self, key: K, block: BlockNumber, value: V) {
        let mut shard = self.shard(&key).write();
        match shard.entry(key) {
            alloy_primitives::map::Entry::Vacant(entry) => {
                entry.insert(Versions { newest: (block, value), older: Vec::new() });
            }
            alloy_primitives::map::Entry::Occupied(mut entry) => {
                let versions = entry.get_mut();
                assert!(versions.newest.0 <= block, "blocks are applied in order");
                if versions.newest.0 == block {
                    versions.newest.1 = value;
                } else {
                    let older = std::mem::replace(&mut versions.newest, (block, value));
                    versions.older.push(older);
                }
            }
        }
    }

    /// Forgets the values that `key` had up to and including `block`.
    pub(crate) fn forget_through(&self, key: &K, block: BlockNumber) {
        let mut shard = self.shard(key).write();
        let Some(versions) = shard.get_mut(key) else { return };
        if versions.newest.0 <= block {
            shard.remove(key);
        } else if !versions.older.is_empty() {
            versions.older.retain(|(version, _)| *version > block);
            versions.older.shrink_to_fit();
        }
    }

    /// Forgets the values that `key` had after `block`.
    pub(crate) fn forget_after(&self, key: &K, block: BlockNumber) {
        let mut shard = self.shard(key).write();
        let Some(versions) = shard.get_mut(key) else { return };
        while versions.newest.0 > block {
            match versions.older.pop() {
                Some(older) => versions.newest = older,
                None => {
                    shard.remove(key);
                    return;
                }
            }
        }
    }

    /// How many keys have a value.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    fn shard(&self, key: &K) -> &RwLock<Shard<K, V>> {
        // The map inside uses the low and the top bits of its own hash; any bits will do here.
        &self.shards[(self.hasher.hash_one(key) >> 32) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a plain map a block: whatever was forgotten is absent, everything else is exact.
        #[test]
        fn reads_are_those_of_a_map_a_block(steps in prop::collection::vec((0u8..4, 0u8..6, any::<u16>()), 1..60)) {
            let map = VersionedMap::default();
            let mut model: BTreeMap<u8, BTreeMap<u64, u16>> = BTreeMap::new();
            let (mut block, mut forgotten) = (1, 0);
            for (step, key, value) in steps {
                match step {
                    0 | 1 => {
                        map.insert(key, block, value);
                        model.entry(key).or_default().insert(block, value);
                        block += u64::from(value % 2);
                    }
                    2 => {
                        forgotten = forgotten.max(u64::from(value) % (block + 1));
                        for (key, versions) in &mut model {
                            map.forget_through(key, forgotten);
                            *versions = versions.split_off(&(forgotten + 1));
                        }
                    }
                    _ => {
                        let to = forgotten + u64::from(value) % (block + 1);
                        for (key, versions) in &mut model {
                            map.forget_after(key, to);
                            versions.split_off(&(to + 1));
                        }
                        block = block.min(to + 1);
                    }
                }
                for key in 0..6 {
                    for at in 0..=block {
                        let expected = model.get(&key).and_then(|versions| versions.range(..=at).next_back());
                        prop_assert_eq!(map.get(&key, at), expected.map(|(_, value)| *value));
                    }
                }
            }
            prop_assert_eq!(map.len(), model.values().filter(|versions| !versions.is_empty()).count());
        }
    }
}
