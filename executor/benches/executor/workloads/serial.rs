//! Contracts that everybody changes in the same place: nothing here can run side by side.

use alloy_primitives::U256;
use rand::{Rng, rngs::StdRng};

use super::contracts::{address, allow, deploy_token};
use crate::{
    scene::{FIRST_BLOCK, Scene, call, rich, user},
    zoo::{
        Contract, lending_borrow, lending_deposit, lending_genesis, lending_repay,
        lending_withdraw, nft_mint,
    },
};

const GAS_LIMIT: u64 = 300_000;

/// All take the next number from one counter.
pub(super) fn mints(count: usize, _: &mut StdRng) -> Scene {
    let mut memory = rich(count);
    let nft = address(Contract::Nft, 0);
    memory.deploy(nft, &Contract::Nft.code());
    let mint = |index| call(user(index), 0, nft, GAS_LIMIT, nft_mint(user(index)));
    Scene::one_block(memory, (0..count).map(mint).collect())
}

/// One market. Each comes four times: deposits, borrows, pays back, takes out.
pub(super) fn lending(count: usize, rng: &mut StdRng) -> Scene {
    const VISITS: usize = 4;
    let users = count.div_ceil(VISITS);
    let mut memory = rich(users);
    let market = address(Contract::Lending, 0);
    let token = deploy_token(&mut memory, 0, (0..users).map(user));
    memory.deploy(market, &Contract::Lending.code());
    memory.store(market, lending_genesis(token, FIRST_BLOCK));
    for index in 0..users {
        allow(&mut memory, token, user(index), market);
    }
    let visit = |index: usize| {
        let (round, who) = (index / users, index % users);
        let amount = U256::from(rng.random_range(1_000_000_u64..2_000_000));
        let input = match round {
            0 => lending_deposit(amount * U256::from(10)),
            1 => lending_borrow(amount),
            2 => lending_repay(amount),
            _ => lending_withdraw(amount),
        };
        call(user(who), round as u64, market, GAS_LIMIT, input)
    };
    Scene::one_block(memory, (0..count).map(visit).collect())
}
