//! Swaps in constant-product markets of two tokens that all markets share.

use alloy_primitives::U256;
use rand::{
    Rng,
    distr::{Distribution, weighted::WeightedIndex},
    rngs::StdRng,
};

use super::contracts::deploy_pairs;
use crate::{
    scene::{Scene, call, rich, user},
    zoo::pair_swap,
};

pub(super) const GAS_LIMIT: u64 = 300_000;

/// Everybody has a market of his own.
pub(super) fn own_pool(count: usize, rng: &mut StdRng) -> Scene {
    scene(count, count, |index, _| index, rng)
}

/// Twenty markets, of which the second is half as popular as the first, the third a third, and so on.
pub(super) fn zipf(count: usize, rng: &mut StdRng) -> Scene {
    const POOLS: usize = 20;
    let popularity = WeightedIndex::new((1..=POOLS).map(|rank| 1.0 / rank as f64));
    let popularity = popularity.expect("the weights are positive");
    scene(count, POOLS, |_, rng| popularity.sample(rng), rng)
}

fn scene(
    count: usize,
    pools: usize,
    pool: impl Fn(usize, &mut StdRng) -> usize,
    rng: &mut StdRng,
) -> Scene {
    let mut memory = rich(count);
    let choices: Vec<_> = (0..count).map(|index| pool(index, rng)).collect();
    let traders = choices.iter().enumerate().map(|(index, pool)| (user(index), *pool));
    let pairs = deploy_pairs(&mut memory, pools, traders.clone());
    let swaps = traders.map(|(trader, pool)| {
        let input = pair_swap(rng.random(), U256::from(rng.random_range(1_000_000_u64..2_000_000)));
        call(trader, 0, pairs[pool], GAS_LIMIT, input)
    });
    Scene::one_block(memory, swaps.collect())
}
