//! What transactions looked at: enough to prove afterwards that two lanes had nothing to do with each other.

use std::ops::Range;

/// An account or a slot of one overlay, by its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(u32);

impl Key {
    pub(super) const fn account(place: u32) -> Self {
        Self(place << 1)
    }

    pub(super) const fn slot(index: u32) -> Self {
        Self(index << 1 | 1)
    }

    /// The place of an account, or of a slot.
    pub(super) const fn place(self) -> Result<usize, usize> {
        let place = (self.0 >> 1) as usize;
        if self.0 & 1 == 0 { Ok(place) } else { Err(place) }
    }
}

/// The most that was done to an account or slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Nothing yet.
    None,
    /// Plain transfers added to the balance: in any order, they come to the same.
    Credited,
    Read,
    Written,
}

impl Access {
    /// Whether others had better run in the same lane. Nothing: whatever was done here was left out, so they had.
    pub(super) fn matters(self) -> bool {
        matches!(self, Self::None | Self::Written)
    }

    /// Whether it matters in which order two lanes did this.
    pub(super) fn conflicts(self, other: Self) -> bool {
        let harmless = matches!(
            (self, other),
            (Self::None, _)
                | (_, Self::None)
                | (Self::Credited, Self::Credited)
                | (Self::Read, Self::Read)
        );
        !harmless
    }
}

/// The keys that each transaction of a lane touched.
///
/// revm's journal starts every transaction empty, so whatever a transaction depends on, it asks the database for: what
/// passes there is complete.
#[derive(Debug, Default)]
pub(crate) struct Touches {
    keys: Vec<Key>,
    ends: Vec<u32>,
    /// Keys whose value no lane can know, each once.
    unknowable: Vec<Key>,
}

impl Touches {
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.ends.clear();
        self.unknowable.clear();
    }

    pub(super) fn add(&mut self, key: Key) {
        self.keys.push(key);
    }

    pub(super) fn add_unknowable(&mut self, key: Key) {
        if !self.unknowable.contains(&key) {
            self.unknowable.push(key);
        }
    }

    pub(super) fn unknowable(&self) -> &[Key] {
        &self.unknowable
    }

    /// Everything from here on belongs to the next transaction.
    pub(crate) fn end_transaction(&mut self) {
        self.ends.push(self.keys.len() as u32);
    }

    /// How many transactions have ended.
    pub(super) fn transactions(&self) -> usize {
        self.ends.len()
    }

    /// What one transaction touched, in order, perhaps repeatedly.
    pub(super) fn of(&self, transaction: usize) -> &[Key] {
        &self.keys[self.range(transaction)]
    }

    fn range(&self, transaction: usize) -> Range<usize> {
        let start = transaction.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[transaction] as usize
    }
}
