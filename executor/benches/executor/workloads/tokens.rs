//! Transfers of one ERC-20 token.

use alloy_primitives::{Address, U256};
use rand::{Rng, rngs::StdRng};

use super::{
    contracts::deploy_token,
    transfers::{HOT_ACCOUNTS, HOT_PERCENT},
};
use crate::{
    scene::{Scene, call, rich, user},
    zoo::token_transfer,
};

pub(super) const GAS_LIMIT: u64 = 100_000;

/// Nobody has anything to do with anybody else's.
pub(super) fn independent(count: usize, _: &mut StdRng) -> Scene {
    scene(count, 2 * count, |index| user(count + index))
}

/// Some pay a few accounts that everybody pays.
pub(super) fn hot(count: usize, rng: &mut StdRng) -> Scene {
    scene(count, 2 * count + HOT_ACCOUNTS, |index| {
        let hot = rng.random_ratio(HOT_PERCENT, 100);
        user(if hot { 2 * count + rng.random_range(0..HOT_ACCOUNTS) } else { count + index })
    })
}

/// Everybody pays the one who pays next.
pub(super) fn chained(count: usize, _: &mut StdRng) -> Scene {
    scene(count, count + 1, |index| user(index + 1))
}

fn scene(count: usize, users: usize, mut receiver: impl FnMut(usize) -> Address) -> Scene {
    let mut memory = rich(users);
    let token = deploy_token(&mut memory, 0, (0..users).map(user));
    let transfer = |index| {
        let input = token_transfer(receiver(index), U256::from(7));
        call(user(index), 0, token, GAS_LIMIT, input)
    };
    Scene::one_block(memory, (0..count).map(transfer).collect())
}
