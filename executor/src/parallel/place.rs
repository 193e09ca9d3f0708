//! Names for accounts and slots that are cheap to compare: sixty-four bits in place of an address and a hash.
//!
//! Two places that share a name are only taken for one: their transactions come into one lane without need. Nothing is
//! ever proved by a name.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::LazyLock,
};

use alloy_primitives::{Address, U256};

/// The name of an account or slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place(u64);

/// A word that a slot's position is worked out from, folded.
pub(super) type Word = u64;

impl Place {
    /// The account itself: balance, nonce, code.
    pub(super) fn account(address: &Address) -> Self {
        let [a, b, c] = limbs(address);
        Self(mix(mix(a, b), c))
    }

    /// Something in the account's storage, by whatever tells it from the rest.
    pub(super) fn within(self, base: u64, word: Word) -> Self {
        Self(mix(mix(self.0, base.wrapping_add(1)), word))
    }

    /// The name as a number, well mixed.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }
}

/// A word of the EVM, folded.
pub(super) fn fold(word: U256) -> Word {
    let [a, b, c, d] = word.into_limbs();
    mix(mix(a, b), mix(c, d))
}

fn limbs(address: &Address) -> [u64; 3] {
    let [a, b, c] = [0, 8, 12].map(|start| {
        let mut limb = [0; 8];
        limb.copy_from_slice(&address[start..start + 8]);
        u64::from_le_bytes(limb)
    });
    [a, b, c]
}

/// Senders choose the words that names are made of: without keys of this process they could give many the same.
static KEYS: LazyLock<(u64, u64)> = LazyLock::new(|| {
    let key = || RandomState::new().build_hasher().finish();
    (key(), key())
});

/// Multiplies to twice the width and folds the halves: every bit of either number reaches every bit of the result.
fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ KEYS.0) * u128::from(other ^ KEYS.1);
    product as u64 ^ (product >> 64) as u64
}
