//! Random chains with checkpoints, reopenings and unwindings, every view of them against the model.

use std::{sync::Arc, time::Duration};

use millrace_state::{ApplyError, Config, ReadError, State, UnwindError, View, ViewError};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::model::Model;

const HISTORY_BLOCKS: u64 = 8;

fn config() -> Config {
    Config {
        // Small caches, so that everything is evicted and loaded again all the time.
        cache_bytes: 64 << 10,
        store_cache_bytes: 1 << 20,
        trie_nodes_bytes: 4 << 10,
        history_blocks: HISTORY_BLOCKS,
        // The background thread takes part.
        checkpoint_blocks: 3,
        checkpoint_interval: Duration::from_millis(20),
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_view_is_that_of_a_plain_map(seed: u64) {
        run(seed, 120);
    }
}

/// A view that somebody keeps, what it must say, and whether its block was unwound since.
struct Kept {
    view: View,
    model: Arc<Model>,
    unwound: bool,
}

struct World {
    rng: StdRng,
    dir: tempfile::TempDir,
    state: State,
    /// By block.
    models: Vec<Arc<Model>>,
    kept: Vec<Kept>,
    allowed: u64,
    rooted: u64,
    /// The newest head ever: history stays short after an unwinding.
    highest: u64,
}

fn run(seed: u64, steps: usize) {
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut genesis = Model::default();
    let diff = genesis.random_block(&mut rng);
    genesis.apply(&diff);
    let (state, root) = State::create(dir.path(), config(), &diff).unwrap();
    assert_eq!(root.state_root, genesis.root());
    let models = vec![Arc::new(genesis)];
    let mut world =
        World { rng, dir, state, models, kept: Vec::new(), allowed: 0, rooted: 0, highest: 0 };
    for _ in 0..steps {
        world = world.step();
    }
    // Memory: once everything is durable, nothing is left of the blocks.
    let head = world.head();
    world.state.root(head).unwrap();
    world.state.allow_checkpoint(head);
    world.state.flush().unwrap();
    let progress = world.state.progress();
    assert_eq!((progress.checkpoint, progress.pending_bytes), (head, 0));
}

impl World {
    fn head(&self) -> u64 {
        self.models.len() as u64 - 1
    }

    fn step(mut self) -> Self {
        match self.rng.random_range(0..100) {
            0..63 => self.apply(),
            63..77 => self.allow(),
            77..80 => return self.reopen(),
            80..86 => self.unwind(),
            _ => self.check_block(),
        }
        self.check_kept();
        self
    }

    fn apply(&mut self) {
        let mut model = Model::clone(&self.models[self.head() as usize]);
        let diff = Arc::new(model.random_block(&mut self.rng));
        model.apply(&diff);
        let number = self.head() + 1;
        self.highest = self.highest.max(number);
        let wrong = self.state.apply(number + 1, diff.clone());
        assert!(matches!(wrong, Err(ApplyError::OutOfOrder { expected }) if expected == number));
        let view = self.state.apply(number, diff).unwrap();
        let model = Arc::new(model);
        self.models.push(model.clone());
        self.kept.push(Kept { view, model, unwound: false });
        if self.rng.random_ratio(2, 3) {
            // Roots that were put off come along.
            let root = self.state.root(number).unwrap();
            assert_eq!(root.state_root, self.models[number as usize].root(), "root of {number}");
            self.rooted = number;
        }
    }

    fn allow(&mut self) {
        self.allowed = self.rng.random_range(self.allowed..=self.head());
        self.state.allow_checkpoint(self.allowed);
        if self.rng.random() {
            self.state.flush().unwrap();
            assert_eq!(self.state.checkpoint_block(), self.allowed.min(self.rooted));
        }
    }

    /// As after a crash: the state is that of the checkpoint.
    fn reopen(mut self) -> Self {
        self.kept.clear();
        drop(self.state);
        self.state = State::open(self.dir.path(), config()).unwrap();
        let checkpoint = self.state.checkpoint_block();
        assert!(checkpoint <= self.allowed.min(self.rooted));
        self.models.truncate(checkpoint as usize + 1);
        (self.allowed, self.rooted) = (checkpoint, checkpoint);
        self.check_block();
        self
    }

    fn unwind(&mut self) {
        let to =
            self.rng.random_range(self.head().saturating_sub(HISTORY_BLOCKS + 2)..=self.head());
        match self.state.unwind(to) {
            Ok(()) => {
                self.models.truncate(to as usize + 1);
                (self.allowed, self.rooted) = (self.allowed.min(to), self.rooted.min(to));
                for kept in &mut self.kept {
                    kept.unwound |= kept.view.number() > to;
                }
                assert_eq!(self.state.head().number(), to);
                self.check(to);
            }
            Err(UnwindError::Pruned { oldest }) => assert!(to < oldest),
            Err(error) => panic!("{error}"),
        }
    }

    fn check_block(&mut self) {
        let number = self.rng.random_range(0..=self.head());
        self.check(number);
    }

    /// Whatever can be asked about a block.
    fn check(&mut self, number: u64) {
        let head = self.head();
        assert_eq!(self.state.view_at(head + 1).unwrap_err(), ViewError::NotYet { head });
        let view = match self.state.view_at(number) {
            Ok(view) => view,
            Err(error) => {
                let oldest = self.state.progress().oldest;
                assert_eq!(error, ViewError::Pruned { oldest });
                assert!(number < oldest && oldest <= self.highest.saturating_sub(HISTORY_BLOCKS));
                return;
            }
        };
        let model = &self.models[number as usize];
        // Checkpoints go on, and may prune the block now.
        if model.check(&view).is_err() {
            assert!(number < self.state.progress().oldest);
        } else if number <= self.rooted && number + HISTORY_BLOCKS >= head {
            assert_eq!(self.state.root(number).unwrap().state_root, model.root());
            model.check_proof(&self.state, number, self.rng.random());
        }
    }

    fn check_kept(&mut self) {
        if self.kept.len() > 40 {
            let at = self.rng.random_range(0..self.kept.len());
            self.kept.swap_remove(at);
        }
        for _ in 0..2.min(self.kept.len()) {
            let kept = &self.kept[self.rng.random_range(0..self.kept.len())];
            let number = kept.view.number();
            match kept.model.check(&kept.view) {
                Ok(()) => assert!(!kept.unwound, "block {number} was unwound"),
                Err(ReadError::Unwound { number: unwound }) => {
                    assert!(kept.unwound && unwound == number);
                }
                Err(ReadError::Pruned { .. }) => assert!(number < self.state.progress().oldest),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
