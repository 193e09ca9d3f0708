//! A priority queue from which anything can be removed.

use crate::mempool::entry::EntryId;

/// What a heap orders: the smallest is on top.
pub(super) trait Item: Ord + Copy {
    /// The entry meant; at most one item of an entry is in a heap.
    fn id(&self) -> EntryId;
}

/// A 4-ary heap that knows where each entry's item is.
///
/// Chosen over `BTreeSet` because nearly all traffic is insertion and removal somewhere in the middle, which a heap does
/// in constant time on average, in two dense arrays; and over a heap with lazy deletion because that grows without
/// bound while its top stays put.
#[derive(Debug)]
pub(super) struct IndexedHeap<T> {
    items: Vec<T>,
    /// By entry: the item's index plus one, or zero.
    positions: Vec<u32>,
}

const ARITY: usize = 4;

impl<T> Default for IndexedHeap<T> {
    fn default() -> Self {
        Self { items: Vec::new(), positions: Vec::new() }
    }
}

impl<T: Item> IndexedHeap<T> {
    pub(super) fn top(&self) -> Option<&T> {
        self.items.first()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Adds an item of an entry that has none here.
    pub(super) fn push(&mut self, item: T) {
        let entry = item.id().index();
        if self.positions.len() <= entry {
            self.positions.resize(entry + 1, 0);
        }
        debug_assert_eq!(self.positions[entry], 0, "one item an entry");
        self.items.push(item);
        self.sift_up(self.items.len() - 1);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let top = *self.items.first()?;
        self.remove_at(0);
        Some(top)
    }

    /// Removes the entry's item; says whether there was one.
    pub(super) fn remove(&mut self, id: EntryId) -> bool {
        match self.positions.get(id.index()) {
            None | Some(0) => false,
            Some(position) => {
                self.remove_at(*position as usize - 1);
                true
            }
        }
    }

    fn remove_at(&mut self, index: usize) {
        self.positions[self.items[index].id().index()] = 0;
        let last = self.items.pop().expect("the heap has an item at `index`");
        if index == self.items.len() {
            return;
        }
        self.items[index] = last;
        if index > 0 && last < self.items[(index - 1) / ARITY] {
            self.sift_up(index);
        } else {
            self.sift_down(index);
        }
    }

    fn sift_up(&mut self, mut index: usize) {
        let item = self.items[index];
        while index > 0 {
            let parent = (index - 1) / ARITY;
            if self.items[parent] <= item {
                break;
            }
            self.place(index, self.items[parent]);
            index = parent;
        }
        self.place(index, item);
    }

    fn sift_down(&mut self, mut index: usize) {
        let item = self.items[index];
        loop {
            let first = index * ARITY + 1;
            let children = first..(first + ARITY).min(self.items.len());
            let Some(least) = children.min_by_key(|child| self.items[*child]) else { break };
            if item <= self.items[least] {
                break;
            }
            self.place(index, self.items[least]);
            index = least;
        }
        self.place(index, item);
    }

    fn place(&mut self, index: usize, item: T) {
        self.items[index] = item;
        // Entries are numbered in 32 bits, so that there are never more items.
        self.positions[item.id().index()] = index as u32 + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::mempool::slab::Id;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Ticket(u8, EntryId);

    impl Item for Ticket {
        fn id(&self) -> EntryId {
            self.1
        }
    }

    #[test]
    fn agrees_with_a_sorted_set() {
        let seed: u64 = rand::rng().random();
        eprintln!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut heap, mut set) = (IndexedHeap::default(), BTreeSet::new());
        for _ in 0..20_000 {
            let id = Id::at(rng.random_range(0..200));
            match rng.random_range(0..3) {
                0 => assert_eq!(heap.pop(), set.pop_first()),
                1 => {
                    let known = set.iter().find(|ticket: &&Ticket| ticket.1 == id).copied();
                    assert_eq!(heap.remove(id), known.is_some_and(|ticket| set.remove(&ticket)));
                }
                _ if set.iter().all(|ticket| ticket.1 != id) => {
                    let ticket = Ticket(rng.random_range(0..20), id);
                    heap.push(ticket);
                    set.insert(ticket);
                }
                _ => {}
            }
            assert_eq!(heap.top(), set.first());
            assert_eq!(heap.len(), set.len());
        }
    }
}
