//! Entries in the order in which they joined, with the oldest at hand.

use crate::mempool::entry::EntryId;

/// A doubly linked list threaded through a dense array: joining, leaving and asking for the oldest cost the same few
/// nanoseconds however many there are.
#[derive(Debug, Default)]
pub(super) struct Ages {
    links: Vec<Links>,
    oldest: Option<EntryId>,
    youngest: Option<EntryId>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Links {
    older: Option<EntryId>,
    younger: Option<EntryId>,
}

impl Ages {
    /// Joins as the youngest.
    pub(super) fn push(&mut self, id: EntryId) {
        if self.links.len() <= id.index() {
            self.links.resize(id.index() + 1, Links::default());
        }
        self.links[id.index()] = Links { older: self.youngest, younger: None };
        match self.youngest.replace(id) {
            Some(older) => self.links[older.index()].younger = Some(id),
            None => self.oldest = Some(id),
        }
    }

    /// Leaves; `id` must have joined.
    pub(super) fn remove(&mut self, id: EntryId) {
        let Links { older, younger } = self.links[id.index()];
        match older {
            Some(older) => self.links[older.index()].younger = younger,
            None => self.oldest = younger,
        }
        match younger {
            Some(younger) => self.links[younger.index()].older = older,
            None => self.youngest = older,
        }
    }

    pub(super) const fn oldest(&self) -> Option<EntryId> {
        self.oldest
    }
}
