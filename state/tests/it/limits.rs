//! What happens at the limits, and with directories that are not as they should be.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{B256, U256};
use millrace_state::{
    ApplyError, Config, CreateError, OpenError, ProofError, RootError, State, UnwindError,
    ViewError,
};
use millrace_types::{Account, AccountDiff, StateDiff};

use crate::model::address;

/// Checkpoints only when asked for.
fn config() -> Config {
    Config {
        checkpoint_blocks: u64::MAX,
        checkpoint_interval: Duration::from_secs(3600),
        ..Config::default()
    }
}

/// Sets the nonce of some accounts to the block's number.
fn block(number: u64, accounts: u64) -> Arc<StateDiff> {
    let account = Account { nonce: number, balance: U256::from(number), bytecode_hash: None };
    let changed = |index| {
        let diff = AccountDiff { address: address(index), account: Some(account), wiped: false };
        (diff, [])
    };
    Arc::new((0..accounts).map(changed).collect())
}

#[test]
fn a_directory_is_created_once_and_opened_once() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert!(matches!(State::open(&missing, config()), Err(OpenError::Missing)));
    assert!(!missing.exists(), "a failed open leaves nothing");

    let (state, root) = State::create(dir.path(), config(), &block(0, 5)).unwrap();
    assert!(matches!(State::open(dir.path(), config()), Err(OpenError::Locked)));
    assert!(matches!(State::create(dir.path(), config(), &block(0, 5)), Err(CreateError::Locked)));
    let view = state.head();
    drop(state);
    drop(view);
    assert!(matches!(State::create(dir.path(), config(), &block(0, 5)), Err(CreateError::Exists)));
    let state = State::open(dir.path(), config()).unwrap();
    assert_eq!(state.root(0).unwrap(), root);
}

#[test]
fn blocks_outside_the_window_are_refused_clearly() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { history_blocks: 5, ..config() };
    let (state, _) = State::create(dir.path(), config, &block(0, 5)).unwrap();
    for number in 1..=20 {
        state.commit(number, block(number, 5)).unwrap();
        state.allow_checkpoint(number);
        state.flush().unwrap();
    }
    let progress = state.progress();
    assert_eq!((progress.oldest, progress.checkpoint, progress.head), (15, 20, 20));
    assert_eq!(state.view_at(14).unwrap_err(), ViewError::Pruned { oldest: 15 });
    assert_eq!(state.view_at(21).unwrap_err(), ViewError::NotYet { head: 20 });
    assert!(matches!(state.root(14), Err(RootError::Pruned { oldest: 15 })));
    assert!(matches!(state.root(21), Err(RootError::NotYet { head: 20 })));
    let proof = |number| state.proof(address(0), &[B256::ZERO], number);
    assert!(matches!(proof(14), Err(ProofError::Pruned { oldest: 15 })));
    assert!(matches!(proof(21), Err(ProofError::NotYet { newest: 20 })));
    assert!(proof(15).is_ok());
    assert!(matches!(state.unwind(14), Err(UnwindError::Pruned { oldest: 15 })));
    assert!(matches!(state.unwind(21), Err(UnwindError::NotYet { head: 20 })));
    assert_eq!(state.view_at(15).unwrap().account(&address(1)).unwrap().unwrap().nonce, 15);
}

#[test]
fn a_window_that_became_shorter_is_caught_up_with() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _) = State::create(dir.path(), config(), &block(0, 3)).unwrap();
    for number in 1..=300 {
        state.commit(number, block(number, 3)).unwrap();
    }
    state.allow_checkpoint(300);
    state.flush().unwrap();
    assert_eq!(state.progress().oldest, 0);
    drop(state);
    let shorter = Config { history_blocks: 4, ..config() };
    let state = State::open(dir.path(), shorter).unwrap();
    for number in 301..=310 {
        state.commit(number, block(number, 3)).unwrap();
        state.allow_checkpoint(number);
        state.flush().unwrap();
    }
    assert_eq!(state.progress().oldest, 306);
    drop(state);
    let none = Config { history_blocks: 0, ..config() };
    let state = State::open(dir.path(), none).unwrap();
    let view = state.head();
    state.commit(311, block(311, 3)).unwrap();
    state.allow_checkpoint(311);
    state.flush().unwrap();
    assert_eq!(state.progress().oldest, 311);
    assert!(view.account(&address(0)).is_err(), "block 310 is gone");
    assert_eq!(state.head().account(&address(0)).unwrap().unwrap().nonce, 311);
}

#[test]
fn blocks_that_no_checkpoint_may_write_fill_the_memory_and_then_wait() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { pending_bytes_max: 400_000, ..config() };
    let (state, _) = State::create(dir.path(), config, &block(0, 5)).unwrap();
    let mut number = 0;
    let error = loop {
        if let Err(error) = state.commit(number + 1, block(number + 1, 50)) {
            break error;
        }
        number += 1;
    };
    let full = |error| matches!(error, Err(ApplyError::Full { pending_bytes }) if pending_bytes >= 400_000);
    assert!(full(state.apply(number + 1, block(number + 1, 50)).map(drop)), "{error}");
    assert!((3..100).contains(&number), "{number} blocks fit");
    assert!(!state.wait_for_room(Duration::from_millis(20)), "nothing is allowed to be written");

    state.allow_checkpoint(number);
    assert!(state.wait_for_room(Duration::from_secs(20)), "the background checkpoint makes room");
    state.commit(number + 1, block(number + 1, 50)).unwrap();
    assert_eq!(state.checkpoint_block(), number);
}

#[test]
fn a_proof_undoes_only_so_much() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { proof_changes_max: 100, ..config() };
    let (state, _) = State::create(dir.path(), config, &block(0, 30)).unwrap();
    for number in 1..=10 {
        state.commit(number, block(number, 30)).unwrap();
    }
    let proof = |number| state.proof(address(0), &[], number);
    assert!(proof(1).is_ok(), "before a checkpoint every block's trie is there");
    state.allow_checkpoint(10);
    state.flush().unwrap();
    assert!(proof(7).is_ok());
    assert!(matches!(proof(6), Err(ProofError::TooFar { number: 6, changes_max: 100 })));
}
