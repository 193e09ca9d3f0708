//! What goes first when the pool is full.

use crate::mempool::{
    entry::{Entry, EntryId},
    heap::IndexedHeap,
    offers::Ranked,
};

/// Entries with the worst at hand, at whatever the base fee is.
///
/// The price is `min(tip + base fee, fee cap)`, and the least of minimums is the minimum of the two least: one heap by
/// tip and one by fee cap, every entry in both, answer exactly for every base fee without being touched when it moves.
#[derive(Debug, Default)]
pub(super) struct Worst {
    tips: IndexedHeap<Ranked>,
    caps: IndexedHeap<Ranked>,
}

impl Worst {
    pub(super) fn push(&mut self, entry: &Entry, id: EntryId) {
        self.tips.push(Ranked::new(entry.fees.tip, entry.arrival, id));
        self.caps.push(Ranked::new(entry.fees.max, entry.arrival, id));
    }

    pub(super) fn remove(&mut self, id: EntryId) {
        self.tips.remove(id);
        self.caps.remove(id);
    }

    /// The lowest price; the latest arrival among equals. Ranked by the price at this base fee.
    pub(super) fn peek(&self, base_fee: u64) -> Option<Ranked> {
        let by_tip = self.tips.top()?.raised(base_fee);
        let by_cap = *self.caps.top()?;
        Some(by_tip.min(by_cap))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.tips.len(), self.caps.len());
        self.tips.len()
    }
}
