//! A batch of changes in key order.

use alloy_primitives::B256;
use rayon::prelude::*;

use super::subtree::Item;

/// Below this many items, what another core would do is not worth telling it.
const PARALLEL_ITEMS_MIN: usize = 1024;

/// The positions of changes, sorted by key; those that share a first byte are one shard's.
#[derive(Debug)]
pub(super) struct Batch {
    items: Vec<Item>,
    /// Where each first byte's items end; empty for a small batch, which is searched instead.
    ends: Vec<u32>,
}

impl Batch {
    /// Sorts changes by key. Keys must be unique.
    pub(super) fn new<C: Sync>(changes: &[C], key: impl Fn(&C) -> &B256 + Sync) -> Self {
        let item = |at: usize| Item { key: *key(&changes[at]), change: at as u32 };
        if changes.len() < PARALLEL_ITEMS_MIN {
            let mut items: Vec<Item> = (0..changes.len()).map(item).collect();
            items.sort_unstable_by_key(|item| item.key);
            return Self { items, ends: Vec::new() };
        }
        // By the first byte in one pass each to count and to place; what is left is many small sorts.
        let mut starts = [0u32; 256];
        for change in changes {
            starts[usize::from(key(change)[0])] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        let mut items = vec![Item { key: B256::ZERO, change: 0 }; changes.len()];
        let mut ends = starts.to_vec();
        for at in 0..changes.len() {
            let item = item(at);
            let end = &mut ends[usize::from(item.key[0])];
            items[*end as usize] = item;
            *end += 1;
        }
        let mut batch = Self { items, ends };
        batch.shards_mut().into_par_iter().for_each(|shard| {
            shard.sort_unstable_by(|a, b| {
                prefix(&a.key).cmp(&prefix(&b.key)).then_with(|| a.key.cmp(&b.key))
            });
        });
        batch
    }

    /// The changes in key order, made by `make` of where they were; from now on these are what the batch refers to.
    ///
    /// Reading the originals here, each independent of the other, overlaps the waits for memory; the update that
    /// follows then reads straight on.
    pub(super) fn reorder<C: Send>(&mut self, make: impl Fn(&B256, usize) -> C + Sync) -> Vec<C> {
        let changes = (self.items.par_iter().with_min_len(PARALLEL_ITEMS_MIN / 4))
            .map(|item| make(&item.key, item.change as usize))
            .collect();
        self.items.iter_mut().enumerate().for_each(|(at, item)| item.change = at as u32);
        changes
    }

    /// All of it, in order.
    pub(super) fn items(&self) -> &[Item] {
        debug_assert!(self.items.is_sorted_by(|a, b| a.key < b.key), "keys are unique");
        &self.items
    }

    /// Those items whose keys begin with this byte.
    pub(super) fn shard(&self, byte: usize) -> &[Item] {
        if self.ends.is_empty() {
            let start = self.items.partition_point(|item| usize::from(item.key[0]) < byte);
            let len = self.items[start..].partition_point(|item| usize::from(item.key[0]) == byte);
            return &self.items[start..start + len];
        }
        let start = if byte == 0 { 0 } else { self.ends[byte - 1] as usize };
        &self.items[start..self.ends[byte] as usize]
    }

    /// Whether it is worth more than one core.
    pub(super) fn is_large(&self) -> bool {
        self.items.len() >= PARALLEL_ITEMS_MIN
    }

    fn shards_mut(&mut self) -> Vec<&mut [Item]> {
        let (mut rest, mut start) = (&mut self.items[..], 0);
        let mut shards = Vec::with_capacity(self.ends.len());
        for end in &self.ends {
            let (shard, after) = rest.split_at_mut((*end - start) as usize);
            (rest, start) = (after, *end);
            shards.push(shard);
        }
        shards
    }
}

/// The first eight bytes, to compare at once: almost always they differ.
#[inline]
fn prefix(key: &B256) -> u64 {
    u64::from_be_bytes(*key.first_chunk().expect("a key has 32 bytes"))
}
