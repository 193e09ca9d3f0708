//! A batch of changes in key order.

use std::borrow::Cow;

use alloy_primitives::B256;
use rayon::prelude::*;

/// Below this many changes, what another core would do is not worth telling it.
const PARALLEL_MIN: usize = 1024;

/// What belongs to a key of a trie.
pub(super) trait Keyed: Clone + Send + Sync {
    fn key(&self) -> &B256;
}

impl Keyed for B256 {
    fn key(&self) -> &B256 {
        self
    }
}

/// Changes sorted by key. Keys are unique.
#[derive(Debug)]
pub(super) enum Batch<C> {
    Small(Vec<C>),
    /// By first byte, as a large trie's shards are.
    Large(Vec<Vec<C>>),
}

/// Where a part's changes are, by first byte: beginnings of keys, and positions.
struct Order {
    places: Vec<(u64, u32)>,
    starts: [u32; 257],
}

impl<C: Keyed> Batch<C> {
    /// Sorts changes.
    pub(super) fn new(changes: Vec<C>) -> Self {
        Self::of_parts(vec![changes])
    }

    /// Sorts changes that were made in parts, by several cores.
    ///
    /// Each part is put in order by first byte, and each byte's changes, a few from each part, are sorted and copied
    /// together: what is compared and moved is small, and whoever applies the changes reads straight on.
    pub(super) fn of_parts(parts: Vec<Vec<C>>) -> Self {
        if parts.iter().map(Vec::len).sum::<usize>() < PARALLEL_MIN {
            let mut changes = parts.into_iter().flatten().collect::<Vec<C>>();
            changes.sort_unstable_by(|a, b| a.key().cmp(b.key()));
            return Self::Small(changes);
        }
        let orders: Vec<Order> = parts.par_iter().map(|part| Order::of(part)).collect();
        let shard = |byte: usize| {
            let mut places: Vec<(u64, &C)> = Vec::new();
            for (part, order) in parts.iter().zip(&orders) {
                let of_part = order.places(byte).iter();
                places.extend(of_part.map(|(prefix, at)| (*prefix, &part[*at as usize])));
            }
            places.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.key().cmp(b.1.key())));
            places.into_iter().map(|(_, change)| change.clone()).collect::<Vec<C>>()
        };
        Self::Large((0..256).into_par_iter().map(shard).collect())
    }

    /// All of it, in order.
    pub(super) fn all(&self) -> Cow<'_, [C]> {
        match self {
            Self::Small(changes) => Cow::Borrowed(changes),
            Self::Large(shards) => Cow::Owned(shards.concat()),
        }
    }

    /// The changes whose keys begin with this byte.
    pub(super) fn shard(&self, byte: usize) -> &[C] {
        match self {
            Self::Small(changes) => {
                let start = changes.partition_point(|change| usize::from(change.key()[0]) < byte);
                let rest = &changes[start..];
                let len = rest.partition_point(|change| usize::from(change.key()[0]) == byte);
                &rest[..len]
            }
            Self::Large(shards) => &shards[byte],
        }
    }

    /// Whether it is worth more than one core.
    pub(super) const fn is_large(&self) -> bool {
        matches!(self, Self::Large(_))
    }
}

impl Order {
    fn of<C: Keyed>(part: &[C]) -> Self {
        let mut starts = [0u32; 257];
        for change in part {
            starts[usize::from(change.key()[0]) + 1] += 1;
        }
        for byte in 0..256 {
            starts[byte + 1] += starts[byte];
        }
        let mut ends = starts;
        let mut places = vec![(0, 0); part.len()];
        for (at, change) in part.iter().enumerate() {
            let end = &mut ends[usize::from(change.key()[0])];
            places[*end as usize] = (prefix(change.key()), at as u32);
            *end += 1;
        }
        Self { places, starts }
    }

    fn places(&self, byte: usize) -> &[(u64, u32)] {
        &self.places[self.starts[byte] as usize..self.starts[byte + 1] as usize]
    }
}

/// The first eight bytes, to compare at once: almost always they differ.
#[inline]
fn prefix(key: &B256) -> u64 {
    u64::from_be_bytes(*key.first_chunk().expect("a key has 32 bytes"))
}
