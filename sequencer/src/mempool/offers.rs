//! What the builder gets next: the best of the senders' next transactions, at whatever the base fee is.

use std::cmp::Reverse;

use crate::mempool::{
    entry::{Entries, Entry, EntryId, Fees},
    heap::{IndexedHeap, Item},
};

/// An entry in the order of a price; among equals the earlier arrival is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked {
    price: u128,
    arrival: Reverse<u64>,
    id: EntryId,
}

impl Ranked {
    pub(super) const fn new(price: u128, arrival: u64, id: EntryId) -> Self {
        Self { price, arrival: Reverse(arrival), id }
    }

    /// The price that it is ranked by.
    pub(super) const fn price(&self) -> u128 {
        self.price
    }

    /// From the order of tips to that of prices.
    pub(super) fn raised(self, base_fee: u64) -> Self {
        Self { price: self.price.saturating_add(base_fee.into()), ..self }
    }
}

/// The worst on top.
impl Item for Ranked {
    fn id(&self) -> EntryId {
        self.id
    }
}

/// The best on top.
impl Item for Reverse<Ranked> {
    fn id(&self) -> EntryId {
        self.0.id
    }
}

/// The next transaction of every sender that has one to offer, best first.
///
/// The price of a transaction, `min(tip + base fee, fee cap)`, moves with every block's base fee, and sorting a million
/// transactions every second is out of the question. Either side of the minimum alone orders the same at every base fee,
/// so there is a heap for each, and a transaction is in one of them. Its key there is never below its price, so it does
/// not matter that a moved base fee leaves some in the wrong heap: one that comes to the top where the *other* side is
/// the lesser moves over, and a top that is right is the best of its heap. A new base fee costs nothing by itself.
///
/// Parking needs no work either: the fee caps below the base fee are the end of the heap by fee cap.
#[derive(Debug)]
pub(super) struct Offers {
    /// By tip.
    tips: IndexedHeap<Reverse<Ranked>>,
    /// By fee cap.
    caps: IndexedHeap<Reverse<Ranked>>,
    /// What does not fit into the block that is being built, in no particular order.
    aside: IndexedHeap<Reverse<Ranked>>,
    /// Counts blocks, from one: an entry remembers in which it was passed over, and zero is none.
    block: u64,
}

/// Whether the tip, and not the fee cap, decides the price.
fn tip_decides(fees: Fees, base_fee: u64) -> bool {
    fees.tip.saturating_add(base_fee.into()) <= fees.max
}

impl Default for Offers {
    fn default() -> Self {
        Self {
            tips: IndexedHeap::default(),
            caps: IndexedHeap::default(),
            aside: IndexedHeap::default(),
            block: 1,
        }
    }
}

impl Offers {
    pub(super) fn push(&mut self, entry: &Entry, id: EntryId, base_fee: u64) {
        let (heap, key) = if entry.passed_over == self.block {
            (&mut self.aside, 0)
        } else if tip_decides(entry.fees, base_fee) {
            (&mut self.tips, entry.fees.tip)
        } else {
            (&mut self.caps, entry.fees.max)
        };
        heap.push(Reverse(Ranked::new(key, entry.arrival, id)));
    }

    pub(super) fn remove(&mut self, id: EntryId) {
        if !self.tips.remove(id) && !self.caps.remove(id) {
            self.aside.remove(id);
        }
    }

    /// Does not offer an entry again before the next block, whatever becomes of its sender meanwhile.
    pub(super) fn pass_over(&mut self, entry: &mut Entry, id: EntryId, base_fee: u64) {
        self.remove(id);
        entry.passed_over = self.block;
        self.push(entry, id, base_fee);
    }

    /// Offers again what did not fit into the block before.
    pub(super) fn open_block(&mut self, entries: &Entries, base_fee: u64) {
        self.block += 1;
        while let Some(id) = self.aside.top().map(Item::id) {
            self.aside.pop();
            self.push(&entries[id], id, base_fee);
        }
    }

    /// The best that the base fee allows.
    pub(super) fn best(&mut self, entries: &Entries, base_fee: u64) -> Option<EntryId> {
        while let Some(id) = self.tips.top().map(Item::id)
            && !tip_decides(entries[id].fees, base_fee)
        {
            self.tips.pop();
            self.push(&entries[id], id, base_fee);
        }
        while let Some(id) = self.caps.top().map(Item::id)
            && tip_decides(entries[id].fees, base_fee)
        {
            self.caps.pop();
            self.push(&entries[id], id, base_fee);
        }
        let by_tip = self.tips.top().map(|top| top.0.raised(base_fee));
        let by_cap = self.caps.top().map(|top| top.0).filter(|top| top.price >= base_fee.into());
        by_tip.max(by_cap).map(|best| best.id)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tips.len() + self.caps.len() + self.aside.len()
    }
}
