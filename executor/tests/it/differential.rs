//! Made-up blocks on any number of threads, against the oracle.
//!
//! `MILLRACE_BLOCKS` says how many (10,000 by default, half of them on a rollup), `MILLRACE_SEED` where to begin: each
//! chain of blocks has a seed of its own, which a failure prints, and with which that chain comes first. Otherwise half of
//! the chains are always the same, and half are new each time.

mod corrupt;
mod crowd;
pub(crate) mod scene;
mod tally;

use std::sync::{Arc, LazyLock, Mutex};

use millrace_executor::{Executor, ExecutorConfig};
use millrace_protocol::{ChainSpec, EthereumForks};
use millrace_types::Waypoint;
use rand::Rng;

use self::{
    corrupt::corrupt,
    scene::{Plan, Scene},
    tally::Tally,
};
use crate::{
    oracle::{Family, build, check, check_replay},
    world::CHAIN_ID,
};

const BLOCKS: u64 = 10_000;
const CHAIN_LENGTH: u64 = 25;
const SEED: u64 = 0x4d69_6c6c_7261_6365;
pub(crate) const THREADS_MAX: usize = 8;

#[test]
fn random_blocks_equal_plain_revm() {
    run_chains(Family::Ethereum);
}

#[test]
fn random_rollup_blocks_equal_sequential_execution() {
    run_chains(Family::Rollup);
}

fn run_chains(family: Family) {
    let blocks = setting("MILLRACE_BLOCKS").unwrap_or(BLOCKS);
    let chains = (blocks / 2).div_ceil(CHAIN_LENGTH).max(1);
    let runs = match setting("MILLRACE_SEED") {
        Some(seed) => vec![(seed, chains)],
        None => vec![(SEED, chains.div_ceil(2)), (rand::random(), chains / 2)],
    };
    let mut tally = Tally::default();
    for (seed, chains) in runs {
        println!("{chains} chains of {CHAIN_LENGTH} blocks, the first with MILLRACE_SEED={seed}");
        for seed in (0..chains).map(|chain| seed.wrapping_add(chain)) {
            run_chain(family, seed, &mut tally);
        }
    }
    for threads in 1..=THREADS_MAX {
        tally.dismiss(&replayer(family, threads));
    }
    tally.check(family);
}

/// Builds blocks one after the other on executors that learn from them, and executes each again in three ways.
fn run_chain(family: Family, seed: u64, tally: &mut Tally) {
    let mut scene = Scene::new(family, seed);
    let builders = [(); 3].map(|()| {
        // As a rule, small blocks must meet threads whether that pays or not.
        let (threads, eager) =
            (scene.dice.random_range(1..=THREADS_MAX), scene.dice.random_bool(0.8));
        executor(family, ExecutorConfig { threads, eager, ..ExecutorConfig::default() })
    });
    let mut on_failure = Announcement { family, seed, block: 0 };
    for block in 0..CHAIN_LENGTH {
        on_failure.block = block;
        let Plan { attributes, deposits, groups } = scene.plan();
        let before = scene.state.clone();
        let builder = &builders[scene.dice.random_range(0..builders.len())];
        let built = build(builder, &attributes, before.clone(), &deposits, groups);
        let after = check(family, &before, &built);
        tally.add(&built);

        // As they were recorded, or as the journal keeps them.
        let waypoints = &built.executed.waypoints;
        let waypoints = match scene.dice.random_range(0..9) {
            0 => waypoints.clone(),
            stretches => Waypoint::coalesce(waypoints, &built.executed.receipts, stretches),
        };
        let corrupted = corrupt(&waypoints, &mut scene.dice);
        for waypoints in [waypoints, Vec::new(), corrupted] {
            let replayer = replayer(family, scene.dice.random_range(1..=THREADS_MAX));
            let transactions = &built.executed.transactions;
            let again = replayer
                .replay(attributes.clone(), transactions, &waypoints, before.clone())
                .unwrap();
            check_replay(&before, &built.executed, &after, &again);
        }
        // Equal accounts and slots make equal roots, so once a chain is enough.
        if block + 1 == CHAIN_LENGTH {
            let mut ours = (*before).clone();
            ours.apply(&built.executed.diff);
            assert_eq!(ours.root(), after.root());
        }
        scene.advance(&attributes, after);
    }
    builders.iter().for_each(|builder| tally.dismiss(builder));
}

/// An executor that has learnt nothing yet.
pub(crate) fn executor(family: Family, config: ExecutorConfig) -> Executor {
    let chain = match family {
        Family::Rollup => ChainSpec::dev(CHAIN_ID),
        Family::Ethereum => {
            let genesis = Some(0);
            let forks = EthereumForks {
                shanghai_time: genesis,
                cancun_time: genesis,
                prague_time: genesis,
                osaka_time: None,
            };
            ChainSpec::ethereum(CHAIN_ID, forks).unwrap()
        }
    };
    Executor::new(Arc::new(chain), config)
}

/// One of the executors that all chains share, so whatever they learn is of other chains, too.
fn replayer(family: Family, threads: usize) -> Executor {
    static ALL: LazyLock<Mutex<Vec<(Family, Executor)>>> = LazyLock::new(Mutex::default);
    let mut all = ALL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let known = all.iter().find(|(of, one)| *of == family && one.config().threads == threads);
    match known {
        Some((_, executor)) => executor.clone(),
        None => {
            let config = ExecutorConfig { threads, eager: true, ..ExecutorConfig::default() };
            let executor = executor(family, config);
            all.push((family, executor.clone()));
            executor
        }
    }
}

/// Says how to see a failure again. The order in which threads finish may have had its part in it.
struct Announcement {
    family: Family,
    seed: u64,
    block: u64,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { family, seed, block } = self;
            println!("{family:?}, block {block} of the chain with MILLRACE_SEED={seed}");
        }
    }
}

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's knobs are not the node's configuration"
    )]
    let value = std::env::var(name).ok();
    value.map(|value| value.parse().unwrap())
}
