//! Where the contracts of the zoo stand, and what they begin with.

use alloy_primitives::{Address, U256};

use crate::{
    memory::Memory,
    zoo::{Contract, pair_genesis, token_allowance_slot, token_genesis},
};

/// How many tokens everybody holds, and how many lie in a pair: enough for any number of swaps.
pub(super) const PLENTY: u128 = 1_000_000_000_000_000_000_000;

/// The address of one of several contracts of a kind.
pub(super) fn address(contract: Contract, index: usize) -> Address {
    let mut address = Address::repeat_byte(0xc0);
    address[11] = Contract::ALL.iter().position(|one| *one == contract).unwrap_or_default() as u8;
    address[12..].copy_from_slice(&(index as u64).to_be_bytes());
    address
}

/// A token that all of these hold.
pub(super) fn deploy_token(
    memory: &mut Memory,
    index: usize,
    holders: impl IntoIterator<Item = Address>,
) -> Address {
    let token = address(Contract::Token, index);
    memory.deploy(token, &Contract::Token.code());
    memory.store(token, token_genesis(holders.into_iter().map(|who| (who, U256::from(PLENTY)))));
    token
}

/// Somebody lets a contract take any number of his tokens.
pub(super) fn allow(memory: &mut Memory, token: Address, owner: Address, spender: Address) {
    memory.store(token, [(token_allowance_slot(owner, spender), U256::MAX)]);
}

/// Pairs of the first two tokens, which each holder may swap in the pair that is his.
pub(super) fn deploy_pairs(
    memory: &mut Memory,
    pairs: usize,
    traders: impl Iterator<Item = (Address, usize)> + Clone,
) -> Vec<Address> {
    let pairs: Vec<_> = (0..pairs).map(|index| address(Contract::Pair, index)).collect();
    let holders = || pairs.iter().copied().chain(traders.clone().map(|(trader, _)| trader));
    let tokens = [0, 1].map(|index| deploy_token(memory, index, holders()));
    let code = Contract::Pair.code();
    for pair in &pairs {
        memory.deploy(*pair, &code);
        memory.store(*pair, pair_genesis(tokens, [PLENTY; 2]));
    }
    for (trader, pair) in traders {
        for token in tokens {
            allow(memory, token, trader, pairs[pair]);
        }
    }
    pairs
}
