//! Plain transfers between accounts without code.

use rand::{Rng, rngs::StdRng};

use crate::scene::{Scene, rich, transfer, user};

/// How many accounts the hot transfers go to.
pub(super) const HOT_ACCOUNTS: usize = 10;

/// How many of a hundred transactions go to hot accounts.
pub(super) const HOT_PERCENT: u32 = 30;

/// How many transactions a tiny block holds.
pub(super) const TINY: usize = 10;

/// Nobody has anything to do with anybody else's.
pub(super) fn independent(count: usize, _: &mut StdRng) -> Scene {
    let transactions =
        (0..count).map(|index| transfer(user(index), 0, user(count + index))).collect();
    Scene::one_block(rich(2 * count), transactions)
}

/// Some pay a few accounts that everybody pays.
pub(super) fn hot(count: usize, rng: &mut StdRng) -> Scene {
    let mut receiver = |index| {
        let hot = rng.random_ratio(HOT_PERCENT, 100);
        user(if hot { 2 * count + rng.random_range(0..HOT_ACCOUNTS) } else { count + index })
    };
    let transactions = (0..count).map(|index| transfer(user(index), 0, receiver(index))).collect();
    Scene::one_block(rich(2 * count + HOT_ACCOUNTS), transactions)
}

/// Everybody pays the one who pays next.
pub(super) fn chained(count: usize, _: &mut StdRng) -> Scene {
    let transactions = (0..count).map(|index| transfer(user(index), 0, user(index + 1))).collect();
    Scene::one_block(rich(count + 1), transactions)
}

/// The independent ones again, in blocks too small to be worth any effort.
pub(super) fn tiny_blocks(count: usize, _: &mut StdRng) -> Scene {
    let transactions: Vec<_> =
        (0..count).map(|index| transfer(user(index), 0, user(count + index))).collect();
    Scene::chain(rich(2 * count), transactions.chunks(TINY).map(<[_]>::to_vec).collect())
}
