//! Readers at many blocks while blocks are applied, rooted, checkpointed and pruned on other threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::U256;
use millrace_state::{Config, ReadError, State, View};
use millrace_types::{Account, AccountDiff, DiffBuilder};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::model::address;

const HOLDERS: u64 = 48;
const EACH: u64 = 1_000;
const BLOCKS: u64 = 400;
const CLOCK: u64 = 1_000;

fn holder(index: u64, balance: u64) -> AccountDiff {
    let account = Account { balance: U256::from(balance), ..Default::default() };
    AccountDiff { address: address(index), account: Some(account), wiped: false }
}

/// An account whose nonce, and whose slot, is the number of the block.
fn set_clock(diff: &mut DiffBuilder, number: u64) {
    let account = Some(Account { nonce: number, ..Default::default() });
    let slot = (U256::ZERO, U256::from(number));
    diff.change(AccountDiff { address: address(CLOCK), account, wiped: false }, [slot]);
}

#[test]
fn money_is_constant_in_every_view() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        cache_bytes: 32 << 10,
        history_blocks: 20,
        checkpoint_blocks: 4,
        checkpoint_interval: Duration::from_millis(5),
        ..Config::default()
    };
    let mut genesis = DiffBuilder::default();
    (0..HOLDERS).for_each(|index| genesis.change(holder(index, EACH), []));
    set_clock(&mut genesis, 0);
    let (state, _) = State::create(dir.path(), config, &genesis.build()).unwrap();

    let done = AtomicBool::new(false);
    let applied = AtomicU64::new(0);
    let views: u64 = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3u64)
            .map(|seed| {
                let (state, done) = (&state, &done);
                scope.spawn(move || read_until(state, done, seed))
            })
            .collect();
        scope.spawn(|| {
            // Roots and the journal, behind the builder.
            while state.checkpoint_block() < BLOCKS {
                let number = applied.load(Ordering::Acquire);
                state.root(number).unwrap();
                state.allow_checkpoint(number);
                state.health().unwrap();
            }
        });
        let mut rng = StdRng::seed_from_u64(7);
        let mut balances = [EACH; HOLDERS as usize];
        for number in 1..=BLOCKS {
            let mut diff = DiffBuilder::default();
            for _ in 0..10 {
                let [from, to] = [0; 2].map(|_| rng.random_range(0..HOLDERS as usize));
                let amount = rng.random_range(0..=balances[from]);
                balances[from] -= amount;
                balances[to] += amount;
                diff.change(holder(from as u64, balances[from]), []);
                diff.change(holder(to as u64, balances[to]), []);
            }
            set_clock(&mut diff, number);
            assert_eq!(state.apply(number, Arc::new(diff.build())).unwrap().number(), number);
            applied.store(number, Ordering::Release);
            if rng.random_ratio(1, 8) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        while state.checkpoint_block() < BLOCKS {
            std::thread::sleep(Duration::from_millis(1));
        }
        done.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(views > 100, "only {views} views were read");
    // The checkpoint that made the last block durable is over once the next one, with nothing to do, is.
    state.flush().unwrap();
    assert_eq!(
        state.progress().pending_bytes,
        0,
        "everything is durable, nothing is left in memory"
    );
}

fn read_until(state: &State, done: &AtomicBool, seed: u64) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut views = 0;
    while !done.load(Ordering::Acquire) {
        let head = state.head();
        let back = rng.random_range(0..40);
        let view = if back < 20 {
            Ok(head)
        } else {
            state.view_at(head.number().saturating_sub(back - 20))
        };
        let result = view.map(|view| (0..3).try_for_each(|_| check(&view)));
        match result {
            Ok(Ok(())) => views += 1,
            // The window may pass by a reader that was not scheduled for a while.
            Ok(Err(ReadError::Pruned { .. })) | Err(_) => {}
            Ok(Err(error)) => panic!("{error}"),
        }
    }
    views
}

fn check(view: &View) -> Result<(), ReadError> {
    let clock = address(CLOCK);
    let number = view.number();
    assert_eq!(view.account(&clock)?.unwrap().nonce, number);
    let mut sum = U256::ZERO;
    for index in 0..HOLDERS {
        sum += view.account(&address(index))?.unwrap().balance;
    }
    assert_eq!(sum, U256::from(HOLDERS * EACH), "at block {number}");
    assert_eq!(view.storage(&clock, &U256::ZERO)?, U256::from(number));
    Ok(())
}
