//! States that break or fail while they are read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
};

use alloy_primitives::{Address, B256, Bytes, U256};
use millrace_executor::{Candidate, ExecuteError, Limits, StateError, StateView};
use millrace_types::Account;

use super::arena::{Arena, USERS, user};
use crate::{
    oracle::{Family, Memory, build},
    zoo::*,
};

/// Panics when another thread than the test's reads it, but only once.
struct Fragile {
    state: Arc<Memory>,
    home: ThreadId,
    is_whole: AtomicBool,
}

impl Fragile {
    fn new(state: Arc<Memory>) -> Self {
        Self { state, home: thread::current().id(), is_whole: AtomicBool::new(true) }
    }

    fn touch(&self) -> &Memory {
        if thread::current().id() != self.home && self.is_whole.swap(false, Ordering::Relaxed) {
            panic!("this read was meant to panic");
        }
        &self.state
    }

    fn is_broken(&self) -> bool {
        !self.is_whole.load(Ordering::Relaxed)
    }
}

impl StateView for Fragile {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.touch().account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        StateView::storage(self.touch(), address, slot)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.touch().code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        StateView::block_hash(self.touch(), number)
    }
}

/// Fails for good after so many reads.
struct Failing {
    state: Arc<Memory>,
    left: AtomicU64,
}

impl Failing {
    fn after(reads: u64, state: Arc<Memory>) -> Arc<Self> {
        Arc::new(Self { state, left: AtomicU64::new(reads) })
    }

    fn touch(&self) -> Result<&Memory, StateError> {
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(|_| &*self.state).map_err(|_| StateError::new("this read was meant to fail"))
    }
}

impl StateView for Failing {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.touch()?.account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        StateView::storage(self.touch()?, address, slot)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.touch()?.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        StateView::block_hash(self.touch()?, number)
    }
}

/// How often a test tries to get another thread to read.
const ATTEMPTS_MAX: usize = 200;

/// Work that all threads get some of.
fn swarm(arena: &mut Arena) -> Vec<Candidate> {
    let one = |sender: usize| match sender % 3 {
        0 => token_transfer(user(sender + USERS), U256::from(3)),
        _ => token_approve(user(sender), U256::from(sender)),
    };
    (0..USERS).map(|sender| arena.call(sender, TOKENS[sender % 2], one(sender))).collect()
}

#[test]
fn a_panic_in_a_worker_costs_nothing_but_time() {
    for family in [Family::Ethereum, Family::Rollup] {
        // Often the test's own thread has done everything before another one wakes up.
        let (mut broken, mut counted) = (0, 0);
        for threads in [2, 4, 8].into_iter().cycle().take(ATTEMPTS_MAX) {
            if broken == 3 {
                break;
            }
            let mut arena = Arena::new(family, threads, true);
            let group = swarm(&mut arena);
            let before = arena.state.clone();
            let fragile = Arc::new(Fragile::new(before.clone()));
            let groups = vec![(group, Limits::NONE)];
            let built = build(&arena.executor, &arena.attributes, fragile.clone(), &[], groups);
            assert_eq!(built.executed.transactions.len(), USERS);
            broken += u64::from(fragile.is_broken());
            counted += arena.executor.stats().panics;
            arena.settle(&before, &built);

            // The next block finds all threads at work again.
            let group = swarm(&mut arena);
            let before = arena.state.clone();
            let groups = vec![(group, Limits::NONE)];
            let built = build(&arena.executor, &arena.attributes, before.clone(), &[], groups);
            arena.settle(&before, &built);
        }
        assert_eq!((broken, counted), (3, 3), "other threads read, and each panic is counted");
    }
}

#[test]
fn a_panic_while_stretches_are_replayed_costs_nothing_but_time() {
    let mut broken_ever = 0;
    for threads in [2, 4, 8].into_iter().cycle().take(ATTEMPTS_MAX) {
        if broken_ever >= 3 {
            break;
        }
        let mut broken = 0;
        let mut arena = Arena::new(Family::Rollup, threads, true);
        let groups = (0..6).map(|_| (swarm(&mut arena), Limits::NONE)).collect();
        let before = arena.state.clone();
        let built = build(&arena.executor, &arena.attributes, before.clone(), &[], groups);
        let executed = &built.executed;
        for waypoints in [&executed.waypoints[..], &[]] {
            let fragile = Arc::new(Fragile::new(before.clone()));
            let again = arena
                .executor
                .replay(
                    built.attributes.clone(),
                    &executed.transactions,
                    waypoints,
                    fragile.clone(),
                )
                .unwrap();
            assert_eq!(again.receipts, executed.receipts);
            assert_eq!(again.diff, executed.diff);
            broken += u64::from(fragile.is_broken());
        }
        assert_eq!(arena.executor.stats().panics, broken);
        broken_ever += broken;
    }
    assert!(broken_ever >= 3, "other threads read");
}

/// A block on a state that fails after so many reads: it fails with it, or did not need more.
fn build_on_failing(arena: &Arena, group: &[Candidate], reads: u64) -> Result<usize, ExecuteError> {
    let view = Failing::after(reads, arena.state.clone());
    let mut open = arena.executor.open(arena.attributes.clone(), view)?;
    open.run(group, Limits::NONE)?;
    Ok(open.finish()?.transactions.len())
}

#[test]
fn a_state_that_cannot_be_read_is_an_error() {
    for family in [Family::Ethereum, Family::Rollup] {
        for threads in [1, 2, 8] {
            let mut arena = Arena::new(family, threads, true);
            let group = swarm(&mut arena);
            let mut failed = 0;
            for reads in (0..300).step_by(7).chain([100_000]) {
                match build_on_failing(&arena, &group, reads) {
                    Ok(transactions) => assert_eq!(transactions, USERS),
                    Err(ExecuteError::State(_)) => failed += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            assert!(failed > 10, "only {failed} of the attempts have failed");
            assert_eq!(build_on_failing(&arena, &group, 100_000).unwrap(), USERS);
            assert_eq!(arena.executor.stats().panics, 0);
            // The executor is none the worse for it.
            let before = arena.state.clone();
            let built = arena.run(vec![group]);
            assert_eq!(built.executed.transactions.len(), USERS);

            let executed = &built.executed;
            for waypoints in [&executed.waypoints[..], &[]] {
                let view = Failing::after(20, before.clone());
                let again = arena.executor.replay(
                    built.attributes.clone(),
                    &executed.transactions,
                    waypoints,
                    view,
                );
                assert!(matches!(again, Err(ExecuteError::State(_))), "{again:?}");
            }
        }
    }
}
