//! Values at small, stable numbers that are used again.

use std::marker::PhantomData;

/// The place of a `T` in its slab.
#[derive(Debug)]
pub(super) struct Id<T>(u32, PhantomData<fn() -> T>);

impl<T> Id<T> {
    #[cfg(test)]
    pub(super) const fn at(index: u32) -> Self {
        Self(index, PhantomData)
    }

    /// For arrays that run beside the slab.
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

// Derives would ask `T` for the same traits.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// A vector whose holes are filled first. Using the id of a removed value is a bug, and panics while the hole lasts.
#[derive(Debug)]
pub(super) struct Slab<T> {
    values: Vec<Option<T>>,
    free: Vec<Id<T>>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { values: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> Id<T> {
        if let Some(id) = self.free.pop() {
            self.values[id.index()] = Some(value);
            return id;
        }
        let index =
            u32::try_from(self.values.len()).expect("fewer than 2^32 values are bounded by Limits");
        self.values.push(Some(value));
        Id(index, PhantomData)
    }

    pub(super) fn remove(&mut self, id: Id<T>) -> T {
        self.free.push(id);
        self.values[id.index()].take().expect("the id is live")
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Id<T>> + '_ {
        (0u32..)
            .zip(&self.values)
            .filter(|(_, value)| value.is_some())
            .map(|(index, _)| Id(index, PhantomData))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }
}

impl<T> std::ops::Index<Id<T>> for Slab<T> {
    type Output = T;

    fn index(&self, id: Id<T>) -> &T {
        self.values[id.index()].as_ref().expect("the id is live")
    }
}

impl<T> std::ops::IndexMut<Id<T>> for Slab<T> {
    fn index_mut(&mut self, id: Id<T>) -> &mut T {
        self.values[id.index()].as_mut().expect("the id is live")
    }
}
