//! Keccak-256 with a memory: contracts hash the same short messages over and over, and many can be told ahead.
//!
//! A quarter of a token transfer goes into hashing where balances lie: once to read each and once more to write it. A hash
//! that was asked for lately, or that [`habits`](super::habits) foresaw, costs a look into a small table.

use alloy_primitives::{Address, B256, keccak256, map::B256Map};
use millrace_keccak::Batcher;

/// The longest message that is remembered: what names a pair of tokens for CREATE2 fits, a key with its mapping anyway.
const MESSAGE_MAX: usize = 88;

/// How many are remembered. They should stay in the cache next to the core.
const ENTRIES: usize = 1 << 10;

/// Misses that are kept for whoever learns from them.
const MISSES_MAX: usize = 32;

/// The message that tells where a mapping keeps a value: the key, then the mapping's own position.
pub(crate) type Mapped = [u8; 64];

/// Hashes that were asked for lately, and which of them came unforeseen.
#[derive(Default)]
pub(crate) struct Hashes {
    table: Table,
    misses: Vec<Miss>,
    ahead: Batcher<usize>,
}

/// A value of a mapping, whose place had to be worked out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Miss {
    /// Whose code asked, and whose storage it will probably look into.
    pub(super) owner: Address,
    pub(super) message: Mapped,
    pub(super) hash: B256,
}

impl Miss {
    /// The key, and the position of the mapping.
    pub(super) fn parts(&self) -> (B256, B256) {
        split(&self.message)
    }
}

impl Hashes {
    /// The hash of a message that this contract's code asks for.
    pub(super) fn hash(&mut self, owner: Address, message: &[u8]) -> B256 {
        if message.len() > MESSAGE_MAX {
            return keccak256(message);
        }
        if let Some(known) = self.table.get(message) {
            return known;
        }
        let hash = keccak256(message);
        self.table.put(message, hash);
        if self.misses.len() < MISSES_MAX
            && let Some(message) = message.as_array()
        {
            self.misses.push(Miss { owner, message: *message, hash });
        }
        hash
    }

    /// Hashes messages together, for code that will ask for them.
    pub(super) fn hash_ahead(&mut self, messages: &[Mapped], hashes: &mut Vec<B256>) {
        let first = hashes.len();
        let Self { table, ahead, .. } = self;
        for (number, message) in messages.iter().enumerate() {
            let known = table.get(message);
            hashes.push(known.unwrap_or_default());
            if known.is_some() {
                continue;
            }
            ahead.message(message.len()).copy_from_slice(message);
            for (number, hash) in ahead.push(message.len(), number).unwrap_or_default() {
                hashes[first + number] = *hash;
                table.put(&messages[*number], *hash);
            }
        }
        while let Some(hashed) = ahead.drain() {
            for (number, hash) in hashed {
                hashes[first + number] = *hash;
                table.put(&messages[*number], *hash);
            }
        }
    }

    /// Hashes that nobody had foreseen since this was last emptied.
    pub(super) fn misses(&self) -> &[Miss] {
        &self.misses
    }

    pub(super) fn forget_misses(&mut self) {
        self.misses.clear();
    }

    /// What lately hashed to what.
    pub(super) fn preimages(&self) -> Preimages {
        let mut preimages = Preimages::default();
        for entry in &self.table.entries {
            if let Some(message) = entry.message.get(..entry.len.into())
                && let Some(message) = message.as_array()
            {
                preimages.add(entry.hash, *message);
            }
        }
        preimages
    }
}

/// The way back from hashes to what they are of, as far as it is remembered.
#[derive(Debug, Default)]
pub(crate) struct Preimages(B256Map<Mapped>);

impl Preimages {
    pub(crate) fn add(&mut self, hash: B256, message: Mapped) {
        self.0.insert(hash, message);
    }

    /// The key, and the position of the mapping, that a value lies here for.
    pub(crate) fn of(&self, hash: B256) -> Option<(B256, B256)> {
        self.0.get(&hash).map(split)
    }
}

fn split(message: &Mapped) -> (B256, B256) {
    let (key, position) = message.split_at(32);
    (B256::from_slice(key), B256::from_slice(position))
}

/// Each message has one place, where it makes room for whichever later one falls on it.
#[derive(Default)]
struct Table {
    /// Empty until the first message comes.
    entries: Vec<Entry>,
}

/// Two lines of the cache.
#[derive(Clone)]
#[repr(align(128))]
struct Entry {
    message: [u8; MESSAGE_MAX],
    len: u8,
    hash: B256,
}

impl Table {
    fn get(&self, message: &[u8]) -> Option<B256> {
        let entry = self.entries.get(place(message))?;
        (entry.message.get(..entry.len.into()) == Some(message)).then_some(entry.hash)
    }

    fn put(&mut self, message: &[u8], hash: B256) {
        if self.entries.is_empty() {
            // No message is that long.
            let nothing = Entry { message: [0; MESSAGE_MAX], len: u8::MAX, hash: B256::ZERO };
            self.entries.resize(ENTRIES, nothing);
        }
        let entry = &mut self.entries[place(message)];
        entry.message[..message.len()].copy_from_slice(message);
        (entry.len, entry.hash) = (message.len() as u8, hash);
    }
}

/// Where a message would lie. Whoever finds messages that fall on one place makes his own transactions slower.
fn place(message: &[u8]) -> usize {
    let (words, rest) = message.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let rest = rest.iter().map(|byte| u64::from(*byte));
    let mixed = words.chain(rest).fold(message.len() as u64, |mixed, word| {
        let product = u128::from(mixed ^ word) * 0x9e37_79b9_7f4a_7c15;
        product as u64 ^ (product >> 64) as u64
    });
    mixed as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn remembered_or_not_a_hash_is_the_hash() {
        let seed = rand::random::<u64>();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut hashes = Hashes::default();
        let messages: Vec<Vec<u8>> = (0..3 * ENTRIES)
            .map(|_| (0..rng.random_range(0..MESSAGE_MAX + 20)).map(|_| rng.random()).collect())
            .collect();
        for _ in 0..4 * messages.len() {
            // Some much more often than others.
            let index = rng.random_range(0..messages.len()) & rng.random_range(0..messages.len());
            let message = &messages[index];
            let hash = hashes.hash(Address::ZERO, message);
            assert_eq!(hash, keccak256(message), "seed {seed}");
        }
    }

    #[test]
    fn what_was_hashed_ahead_is_no_miss() {
        let mut hashes = Hashes::default();
        let messages: Vec<Mapped> = (0..20).map(|number| [number; 64]).collect();
        let mut answers = Vec::new();
        // Some are known already.
        hashes.hash_ahead(&messages[..5], &mut answers);
        hashes.hash_ahead(&messages, &mut answers);
        for (message, answer) in messages[..5].iter().chain(&messages).zip(&answers) {
            assert_eq!(*answer, keccak256(message));
            assert_eq!(hashes.hash(Address::ZERO, message), *answer);
        }
        assert!(hashes.misses().is_empty());
        hashes.hash(Address::ZERO, &[77; 64]);
        assert_eq!(hashes.misses().len(), 1);
    }
}
