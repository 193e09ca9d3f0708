//! What each transaction costs the baseline, and what it has to do with the others: what the simulation starts from.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256};
use revm::{
    primitives::KECCAK_EMPTY,
    state::{Account, EvmState},
};

use crate::{
    ledger::Ledger,
    plain::Plain,
    scene::{Block, Scene},
};

/// Something that a transaction can touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Account(Address),
    Slot(Address, U256),
}

/// How a transaction touched it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    /// Only its balance grew, which does not depend on what it was.
    Credited,
    Changed,
}

/// One transaction of a block.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traced {
    pub(crate) cost: Duration,
    pub(crate) gas_limit: u64,
    pub(crate) gas_used: u64,
    /// Whether it does nothing but pay somebody.
    pub(crate) is_transfer: bool,
    pub(crate) touched: Vec<(Key, Access)>,
}

/// Executes every block of the scene and looks at each transaction.
pub(crate) fn trace(scene: &Scene) -> Vec<Vec<Traced>> {
    /// Anything may disturb one measurement of a microsecond; hardly all of them.
    const PASSES: usize = 5;
    let clock = clock_cost();
    let mut plain = Plain::new(scene.chain_id, Ledger::new(&scene.memory, None));
    let mut blocks: Vec<Vec<Traced>> = Vec::new();
    for pass in 0..=PASSES {
        for (number, block) in scene.blocks.iter().enumerate() {
            if number == 0 || scene.independent {
                plain.ledger().restore(&scene.memory);
            }
            plain.open(&block.attributes, block.envs.len());
            match pass {
                0 => blocks.push(look(&mut plain, block)),
                _ => time(&mut plain, block, clock, &mut blocks[number]),
            }
        }
    }
    blocks
}

fn look(plain: &mut Plain, block: &Block) -> Vec<Traced> {
    let beneficiary = block.attributes.beneficiary;
    let mut traced = Vec::with_capacity(block.envs.len());
    let mut gas_before = 0;
    for env in &block.envs {
        let mut touched = Vec::new();
        plain.run_one(env.clone(), |state| note(state, env.caller, beneficiary, &mut touched));
        let gas = plain.gas_used();
        traced.push(Traced {
            cost: Duration::MAX,
            gas_limit: env.gas_limit,
            gas_used: gas - gas_before,
            is_transfer: env.data.is_empty() && touched.len() <= 2,
            touched,
        });
        gas_before = gas;
    }
    traced
}

fn time(plain: &mut Plain, block: &Block, clock: Duration, traced: &mut [Traced]) {
    for (env, traced) in block.envs.iter().zip(traced) {
        let start = Instant::now();
        plain.run_one(env.clone(), |_| ());
        traced.cost = traced.cost.min(start.elapsed().saturating_sub(clock));
    }
}

fn note(state: &EvmState, caller: Address, beneficiary: Address, touched: &mut Vec<(Key, Access)>) {
    for (address, account) in state {
        // Fees are added up elsewhere, and meet nobody.
        if *address == beneficiary {
            continue;
        }
        touched.push((Key::Account(*address), access(account, *address == caller)));
        for (key, slot) in &account.storage {
            let access = if slot.is_changed() { Access::Changed } else { Access::Read };
            touched.push((Key::Slot(*address, *key), access));
        }
    }
}

fn access(account: &Account, is_caller: bool) -> Access {
    let (before, after) = (account.original_info(), &account.info);
    let unmoved = (before.balance, before.nonce, before.code_hash)
        == (after.balance, after.nonce, after.code_hash);
    let is_plain = after.code_hash == KECCAK_EMPTY && before.nonce == after.nonce;
    if is_plain && !is_caller && account.is_touched() && before.balance <= after.balance {
        Access::Credited
    } else if unmoved {
        Access::Read
    } else {
        Access::Changed
    }
}

/// What it takes to read the clock twice.
fn clock_cost() -> Duration {
    (0..10_000).map(|_| Instant::now().elapsed()).min().unwrap_or_default()
}
