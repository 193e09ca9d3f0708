//! Our executor, on the same state and the same blocks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use millrace_executor::{Executed, Executor, ExecutorConfig, Group, Limits, Outcome, StateView};
use millrace_protocol::{ChainSpec, EthereumForks};
use millrace_types::Waypoint;

use crate::scene::Block;

/// An executor of a plain Ethereum chain under Prague's rules.
pub(crate) fn executor(chain_id: u64, threads: usize) -> Executor {
    let genesis = Some(0);
    let forks = EthereumForks {
        shanghai_time: genesis,
        cancun_time: genesis,
        prague_time: genesis,
        osaka_time: None,
    };
    let chain = ChainSpec::ethereum(chain_id, forks).unwrap();
    Executor::new(Arc::new(chain), ExecutorConfig { threads, ..ExecutorConfig::default() })
}

/// Which of the executor's ways to a block is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The executor chooses the order.
    Build,
    /// The order is fixed, and waypoints were recorded when the block was built.
    Replay,
    /// The order is fixed, and there is nothing else.
    ReplayBare,
}

/// How long a block took, in parts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) run: Duration,
    /// What comes before the first candidate and after the last.
    pub(crate) open_finish: Duration,
}

impl Spent {
    pub(crate) fn total(&self) -> Duration {
        self.run + self.open_finish
    }
}

/// A block that was executed, and what the candidates' group was told.
pub(crate) struct Built {
    pub(crate) executed: Executed,
    pub(crate) group: Option<Group>,
    pub(crate) spent: Spent,
}

impl Built {
    /// Whether each candidate was told what has become of it.
    pub(crate) fn check_outcomes(&self) {
        let Some(group) = &self.group else { return };
        let included = |outcome: &&Outcome| matches!(outcome, Outcome::Included(_));
        let included = group.outcomes.iter().filter(included).count();
        assert_eq!(included, self.executed.transactions.len());
    }
}

/// Executes a block.
pub(crate) fn execute(
    executor: &Executor,
    mode: Mode,
    block: &Block,
    waypoints: &[Waypoint],
    view: Arc<dyn StateView>,
) -> Built {
    let (attributes, candidates) = (block.attributes.clone(), block.candidates.clone());
    if mode != Mode::Build {
        let start = Instant::now();
        let executed = executor.replay(attributes, &block.transactions, waypoints, view).unwrap();
        let spent = Spent { run: start.elapsed(), open_finish: Duration::ZERO };
        return Built { executed, group: None, spent };
    }
    let start = Instant::now();
    let mut open = executor.open(attributes, view).unwrap();
    let opened = Instant::now();
    let group = open.run(candidates, Limits::NONE).unwrap();
    let ran = Instant::now();
    let executed = open.finish().unwrap();
    let finished = Instant::now();
    let spent = Spent { run: ran - opened, open_finish: (opened - start) + (finished - ran) };
    Built { executed, group: Some(group), spent }
}

/// The waypoints of a block, as building it sequentially in groups records them.
pub(crate) fn record(chain_id: u64, block: &Block, view: Arc<dyn StateView>) -> Vec<Waypoint> {
    /// Many enough for any number of threads, and large enough to be worth handing over.
    const WAYPOINTS: usize = 64;
    let mut open = executor(chain_id, 1).open(block.attributes.clone(), view).unwrap();
    for group in block.candidates.chunks(block.candidates.len().div_ceil(WAYPOINTS)) {
        open.run(group, Limits::NONE).unwrap();
    }
    open.finish().unwrap().waypoints
}

/// The places of a block's candidates in the block that ours has made of them.
pub(crate) fn order(block: &Block, executed: &Executed) -> Vec<usize> {
    let places: std::collections::HashMap<B256, usize> =
        block.transactions.iter().enumerate().map(|(place, tx)| (tx.hash(), place)).collect();
    executed.transactions.iter().map(|transaction| places[&transaction.hash()]).collect()
}
