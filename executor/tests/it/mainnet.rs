//! A block of Ethereum's mainnet under Prague's rules, from the shared data: the rules of the OP Stack are off.

use std::sync::Arc;

use millrace_executor::{BlockAttributes, Candidate, Executor, ExecutorConfig, Limits};
use millrace_protocol::{ChainSpec, EthereumForks};

use crate::{
    oracle::{Family, Memory, build, check, check_replay},
    zoo::mainnet::MainnetBlock,
};

/// Everything that the block needs of the world before it, and the block's transactions.
fn load() -> (Memory, BlockAttributes, Vec<Candidate>) {
    let MainnetBlock { attributes, transactions, accounts, block_hashes } = MainnetBlock::load();
    let mut state = Memory::default();
    for (address, before) in accounts {
        if let Some(code) = before.code {
            state.set_code(address, code);
        }
        state.set_balance(address, before.balance);
        state.set_nonce(address, before.nonce);
        for (slot, value) in before.storage {
            if !value.is_zero() {
                state.set_slot(address, slot, value);
            }
        }
    }
    for (number, hash) in block_hashes {
        state.set_block_hash(number, hash);
    }
    let candidates = transactions.into_iter().map(Candidate::new);
    (state, attributes, candidates.collect())
}

fn executor(threads: usize) -> Executor {
    let genesis = Some(0);
    let forks = EthereumForks {
        shanghai_time: genesis,
        cancun_time: genesis,
        prague_time: genesis,
        osaka_time: None,
    };
    let chain = ChainSpec::ethereum(1, forks).unwrap();
    // This machine may be too busy for threads to pay, and they must be tried.
    let config = ExecutorConfig { threads, eager: true, ..ExecutorConfig::default() };
    Executor::new(Arc::new(chain), config)
}

#[test]
fn a_mainnet_block_executes() {
    let (before, attributes, candidates) = load();
    let before = Arc::new(before);
    // In groups, so that there are waypoints to replay by.
    let groups: Vec<_> =
        candidates.chunks(15).map(|group| (group.to_vec(), Limits::NONE)).collect();
    let built = build(&executor(1), &attributes, before.clone(), &[], groups);
    let executed = &built.executed;
    let succeeded = executed.receipts.iter().filter(|receipt| receipt.success).count();
    assert_eq!((executed.transactions.len(), succeeded, executed.gas_used), (180, 178, 13_664_078));
    let after = check(Family::Ethereum, &before, &built);

    for threads in 1..=8 {
        let replayer = executor(threads);
        for waypoints in [&executed.waypoints[..], &[]] {
            let again = replayer
                .replay(attributes.clone(), &executed.transactions, waypoints, before.clone())
                .unwrap();
            check_replay(&before, executed, &after, &again);
        }
        assert_eq!(replayer.stats().panics, 0);
    }
}

#[test]
fn a_mainnet_block_is_built_on_any_number_of_threads() {
    let (before, attributes, candidates) = load();
    let before = Arc::new(before);
    for threads in 1..=8 {
        for group_size in [candidates.len(), 20] {
            let groups = candidates.chunks(group_size).map(|group| (group.to_vec(), Limits::NONE));
            let builder = executor(threads);
            let built = build(&builder, &attributes, before.clone(), &[], groups.collect());
            check(Family::Ethereum, &before, &built);
            assert_eq!(builder.stats().panics, 0);
        }
    }
}
