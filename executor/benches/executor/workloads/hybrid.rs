//! What a chain might really see: transfers, tokens and swaps, some of them where everybody goes.

use alloy_primitives::U256;
use rand::{Rng, rngs::StdRng};

use super::{
    contracts::deploy_pairs,
    swaps, tokens,
    transfers::{HOT_ACCOUNTS, HOT_PERCENT, TINY},
};
use crate::{
    scene::{Scene, call, rich, transfer, user},
    zoo::{Contract, pair_swap, token_transfer},
};
use std::sync::Arc;

use super::contracts::address;
use crate::memory::Memory;
use millrace_types::Transaction;

/// In one block.
pub(super) fn one_block(count: usize, rng: &mut StdRng) -> Scene {
    let (memory, transactions) = mix(count, rng);
    Scene::one_block(memory, transactions)
}

/// In blocks too small to be worth any effort.
pub(super) fn tiny_blocks(count: usize, rng: &mut StdRng) -> Scene {
    let (memory, transactions) = mix(count, rng);
    Scene::chain(memory, transactions.chunks(TINY).map(<[_]>::to_vec).collect())
}

/// Sixty of a hundred transfer, twenty transfer a token, twenty swap; thirty of each hundred go to one of a few accounts
/// or markets, the others have theirs to themselves.
fn mix(count: usize, rng: &mut StdRng) -> (Memory, Vec<Arc<Transaction>>) {
    let users = 2 * count + HOT_ACCOUNTS;
    let mut memory = rich(users);
    // The first pairs are the hot ones.
    let choices: Vec<_> = (0..count)
        .map(|index| {
            let hot = rng.random_ratio(HOT_PERCENT, 100);
            let among_hot = rng.random_range(0..HOT_ACCOUNTS);
            let kind = rng.random_range(0..10);
            let receiver = user(if hot { 2 * count + among_hot } else { count + index });
            let pair = if hot { among_hot } else { HOT_ACCOUNTS + index };
            (kind, receiver, pair)
        })
        .collect();
    let traders = choices.iter().enumerate().map(|(index, (.., pair))| (user(index), *pair));
    let pairs = deploy_pairs(&mut memory, HOT_ACCOUNTS + count, traders);
    let token = address(Contract::Token, 0);
    let transactions = choices.into_iter().enumerate().map(|(index, (kind, receiver, pair))| {
        let from = user(index);
        match kind {
            0..6 => transfer(from, 0, receiver),
            6..8 => {
                let input = token_transfer(receiver, U256::from(7));
                call(from, 0, token, tokens::GAS_LIMIT, input)
            }
            _ => {
                let amount = U256::from(rng.random_range(1_000_000_u64..2_000_000));
                let input = pair_swap(rng.random(), amount);
                call(from, 0, pairs[pair], swaps::GAS_LIMIT, input)
            }
        }
    });
    let transactions = transactions.collect();
    (memory, transactions)
}
