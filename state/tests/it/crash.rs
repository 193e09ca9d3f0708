//! Killed at random moments, the state reopens at a block that was journaled, exactly.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use millrace_state::{Config, State};
use millrace_types::{DiffBuilder, StateDiff};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::model::Model;

const SEED: u64 = 0x6d69_6c6c;
const ROUNDS: u64 = 12;
const HISTORY_BLOCKS: u64 = 6;
const DIR: &str = "MILLRACE_TEST_CRASH_DIR";

fn config() -> Config {
    Config {
        store_cache_bytes: 1 << 20,
        history_blocks: HISTORY_BLOCKS,
        checkpoint_blocks: 2,
        checkpoint_interval: Duration::from_millis(3),
        ..Config::default()
    }
}

/// The chain that every child goes on with: each block depends on the seed and its number alone.
struct Chain {
    models: Vec<Model>,
}

impl Chain {
    fn genesis() -> (Self, StateDiff) {
        let mut model = Model::default();
        let diff = model.random_block(&mut StdRng::seed_from_u64(SEED));
        model.apply(&diff);
        (Self { models: vec![model] }, diff)
    }

    fn next(&mut self) -> StateDiff {
        let mut model = self.models[self.models.len() - 1].clone();
        let diff = model.random_block(&mut StdRng::seed_from_u64(SEED + self.models.len() as u64));
        model.apply(&diff);
        self.models.push(model);
        diff
    }

    fn at(&mut self, number: u64) -> &Model {
        while self.models.len() as u64 <= number {
            self.next();
        }
        &self.models[number as usize]
    }
}

#[test]
fn reopens_at_a_journaled_block_after_every_kill() {
    println!("seed {SEED:#x}");
    let dir = tempfile::tempdir().unwrap();
    let (state_dir, journal) = (dir.path().join("state"), dir.path().join("journal"));
    let (mut chain, genesis) = Chain::genesis();
    drop(State::create(&state_dir, config(), &genesis).unwrap());
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut checkpoints = Vec::new();
    for _ in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child", "--exact", "--ignored"])
            .env(DIR, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let before = journaled(&journal);
        while journaled(&journal) == before {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..60_000)));
        child.kill().unwrap();
        child.wait().unwrap();

        let journaled = journaled(&journal);
        let state = State::open(&state_dir, config()).unwrap();
        let checkpoint = state.checkpoint_block();
        assert!(checkpoint <= journaled, "checkpoint {checkpoint}, journaled {journaled}");
        assert!(checkpoints.last().is_none_or(|last| *last <= checkpoint));
        checkpoints.push(checkpoint);
        assert_eq!(state.root(checkpoint).unwrap().state_root, chain.at(checkpoint).root());
        for number in checkpoint.saturating_sub(HISTORY_BLOCKS)..=checkpoint {
            let model = chain.at(number);
            model.check(&state.view_at(number).unwrap()).unwrap();
            model.check_proof(&state, number, number);
        }
    }
    checkpoints.dedup();
    assert!(
        checkpoints.len() as u64 > ROUNDS / 2,
        "the children hardly got anywhere: {checkpoints:?}"
    );
}

/// A power failure while the last checkpoint was written: any suffix of what it wrote to the store's log may be missing,
/// and any page of it.
#[test]
fn a_torn_checkpoint_never_happened() {
    let dir = tempfile::tempdir().unwrap();
    let never = Config {
        checkpoint_blocks: u64::MAX,
        checkpoint_interval: Duration::from_secs(3600),
        ..config()
    };
    let (mut chain, genesis) = Chain::genesis();
    let (state, _) = State::create(dir.path(), never.clone(), &genesis).unwrap();
    let mut log_bytes = Vec::new();
    for number in 1..=2u64 {
        let mut diff = DiffBuilder::default();
        diff.extend(&chain.next());
        // Several pages in one value.
        let mut rng = StdRng::seed_from_u64(SEED ^ number);
        let code: Vec<u8> = (0..24_576).map(|_| rng.random()).collect();
        diff.deploy(alloy_primitives::keccak256(&code), code.into());
        state.commit(number, Arc::new(diff.build())).unwrap();
        state.allow_checkpoint(number);
        state.flush().unwrap();
        log_bytes.push(log(dir.path()).1);
    }
    drop(state);

    let (path, end) = log(dir.path());
    let whole = std::fs::read(&path).unwrap();
    let start = log_bytes[0];
    let page = |at: usize| at / 4096 * 4096;
    let truncated = (start..end).step_by((end - start) / 8).map(|at| at..end);
    let missing = (page(start)..end).step_by(4096).map(|at| at.max(start)..(at + 4096).min(end));
    let mut torn = 0;
    for hole in truncated.chain(missing) {
        let mut bytes = whole.clone();
        bytes[hole.clone()].fill(0);
        std::fs::write(&path, bytes).unwrap();
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        let state =
            State::open(copy.path(), never.clone()).unwrap_or_else(|e| panic!("{hole:?}: {e}"));
        assert_eq!(state.checkpoint_block(), 1, "{hole:?}");
        chain.at(1).check(&state.head()).unwrap();
        torn += 1;
    }
    assert!(torn > 12, "{torn} holes in {start}..{end}");
    std::fs::write(&path, whole).unwrap();
    assert_eq!(State::open(dir.path(), never).unwrap().checkpoint_block(), 2);
}

/// The store's newest log, and how much of it is in use.
fn log(dir: &Path) -> (std::path::PathBuf, usize) {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let path = files.filter(|path| path.extension().is_some_and(|e| e == "jnl")).max().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1))
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_dir(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// What the first test kills: goes on with the chain from the checkpoint, for ever.
#[test]
#[ignore = "runs as the child of another test"]
fn child() {
    #[expect(clippy::disallowed_methods, reason = "how the parent says where")]
    let dir = std::env::var(DIR).unwrap();
    let dir = Path::new(&dir);
    let state = State::open(&dir.join("state"), config()).unwrap();
    let mut journal =
        OpenOptions::new().append(true).create(true).open(dir.join("journal")).unwrap();
    let (mut chain, _) = Chain::genesis();
    let checkpoint = state.checkpoint_block();
    assert_eq!(state.root(checkpoint).unwrap().state_root, chain.at(checkpoint).root());
    for number in checkpoint + 1.. {
        let root = state.commit(number, Arc::new(chain.next())).unwrap();
        assert_eq!(root.state_root, chain.at(number).root());
        journal.write_all(&number.to_be_bytes()).unwrap();
        state.allow_checkpoint(number);
    }
}

/// The newest block that any child journaled.
fn journaled(journal: &Path) -> u64 {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(journal) {
        file.read_to_end(&mut bytes).unwrap();
    }
    bytes
        .chunks_exact(8)
        .map(|number| u64::from_be_bytes(number.try_into().unwrap()))
        .max()
        .unwrap_or(0)
}
