//! A bounded cache between the overlay and the store.

use std::hash::{BuildHasher, Hash};

use alloy_primitives::map::{DefaultHashBuilder, HashMap};
use parking_lot::Mutex;

/// A map of what was read lately, within a limit of bytes: what was not read again since the hand of the clock last
/// passed goes first. It grows as it is used and never past its limit.
pub(crate) struct ClockCache<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    hasher: DefaultHashBuilder,
}

const SHARDS: usize = 64;

/// What an entry costs besides its contents: its place in the index and in the ring.
const OVERHEAD_BYTES: usize = 24;

struct Shard<K, V> {
    index: HashMap<K, usize>,
    ring: Vec<Option<Entry<K, V>>>,
    free: Vec<usize>,
    hand: usize,
    bytes: usize,
    bytes_max: usize,
}

struct Entry<K, V> {
    key: K,
    value: V,
    bytes: usize,
    read: bool,
}

impl<K: Eq + Hash + Clone, V: Clone> ClockCache<K, V> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let shard = || Shard {
            index: HashMap::default(),
            ring: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
            bytes_max: bytes_max / SHARDS,
        };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut shard = self.shard(key).lock();
        let at = *shard.index.get(key)?;
        let entry = shard.ring[at].as_mut()?;
        entry.read = true;
        Some(entry.value.clone())
    }

    /// Adds an entry if `valid` says so while nobody else can touch the key. `heap_bytes` is what the value holds
    /// besides itself.
    pub(crate) fn insert_if(
        &self,
        key: &K,
        value: &V,
        heap_bytes: usize,
        valid: impl FnOnce() -> bool,
    ) {
        let mut shard = self.shard(key).lock();
        if valid() {
            shard.insert(key, value, heap_bytes);
        }
    }

    /// Replaces the value of an entry that is here.
    pub(crate) fn update(&self, key: &K, value: V) {
        let mut shard = self.shard(key).lock();
        let Some(&at) = shard.index.get(key) else { return };
        if let Some(entry) = shard.ring[at].as_mut() {
            entry.value = value;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }

    fn shard(&self, key: &K) -> &Mutex<Shard<K, V>> {
        &self.shards[(self.hasher.hash_one(key) >> 32) as usize % SHARDS]
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Shard<K, V> {
    fn insert(&mut self, key: &K, value: &V, heap_bytes: usize) {
        let bytes = size_of::<Option<Entry<K, V>>>()
            + size_of::<(K, usize)>()
            + OVERHEAD_BYTES
            + heap_bytes;
        if bytes > self.bytes_max || self.index.contains_key(key) {
            return;
        }
        while self.bytes + bytes > self.bytes_max {
            self.evict_one();
        }
        let entry = Some(Entry { key: key.clone(), value: value.clone(), bytes, read: false });
        let at = match self.free.pop() {
            Some(at) => {
                self.ring[at] = entry;
                at
            }
            None => {
                self.ring.push(entry);
                self.ring.len() - 1
            }
        };
        self.index.insert(key.clone(), at);
        self.bytes += bytes;
    }

    /// Removes the next entry that was not read since the hand last passed; there is at least one entry.
    fn evict_one(&mut self) {
        loop {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.ring.len();
            match &mut self.ring[at] {
                Some(entry) if entry.read => entry.read = false,
                slot => {
                    if let Some(entry) = slot.take() {
                        self.index.remove(&entry.key);
                        self.bytes -= entry.bytes;
                        self.free.push(at);
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_bytes_and_keeps_what_is_read() {
        let bytes_max = 1 << 20;
        let cache: ClockCache<u64, [u64; 4]> = ClockCache::new(bytes_max);
        for key in 0..100u64 {
            cache.insert_if(&key, &[key; 4], 0, || true);
        }
        for key in 100..50_000u64 {
            cache.insert_if(&key, &[key; 4], 0, || true);
            cache.get(&(key % 100));
            assert!(cache.bytes() <= bytes_max);
        }
        assert!(cache.bytes() > bytes_max / 2);
        let kept = (0..100).filter(|key| cache.get(key).is_some()).count();
        assert_eq!(kept, 100, "what is read all the time stays");
        for key in 0..50_000 {
            assert!(cache.get(&key).is_none_or(|value| value == [key; 4]));
        }
    }

    #[test]
    fn invalid_and_oversized_entries_stay_out() {
        let cache: ClockCache<u64, u64> = ClockCache::new(64 * 1024);
        cache.insert_if(&1, &1, 0, || false);
        cache.insert_if(&2, &2, 4096, || true);
        assert_eq!((cache.get(&1), cache.get(&2)), (None, None));
        cache.insert_if(&3, &3, 0, || true);
        cache.update(&3, 4);
        cache.update(&5, 5);
        assert_eq!((cache.get(&3), cache.get(&5)), (Some(4), None));
    }
}
