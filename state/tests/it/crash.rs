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
    fn genesis() -> (Self, millrace_types::StateDiff) {
        let mut model = Model::default();
        let diff = model.random_block(&mut StdRng::seed_from_u64(SEED));
        model.apply(&diff);
        (Self { models: vec![model] }, diff)
    }

    fn next(&mut self) -> millrace_types::StateDiff {
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

/// What the test above kills: goes on with the chain from the checkpoint, for ever.
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
