//! Everything that is measured, in the order of the table.

mod contracts;
mod hybrid;
mod mainnet;
mod serial;
mod swaps;
mod tokens;
mod transfers;

use std::time::Duration;

use rand::rngs::StdRng;

use crate::{ours::Mode, scene::Scene};

/// A row of the table.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Makes a scene with about this many transactions.
    pub(crate) scene: fn(usize, &mut StdRng) -> Scene,
    pub(crate) contest: Contest,
    /// What a cold read costs.
    pub(crate) latency: Option<Duration>,
    /// The numbers of threads that are of interest.
    pub(crate) threads: &'static [usize],
}

/// Who competes with the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contest {
    /// The baseline itself, on as many states as there are threads.
    Ceiling,
    /// Our executor.
    Executor(Mode),
}

impl Workload {
    fn ceiling(name: &'static str, scene: fn(usize, &mut StdRng) -> Scene) -> Self {
        Self { contest: Contest::Ceiling, threads: &[2], ..Self::build(name, scene) }
    }

    /// The executor chooses the order.
    fn build(name: &'static str, scene: fn(usize, &mut StdRng) -> Scene) -> Self {
        Self {
            name,
            scene,
            contest: Contest::Executor(Mode::Build),
            latency: None,
            threads: &[1, 2],
        }
    }

    /// The order is fixed, and waypoints were recorded.
    fn replay(name: &'static str, scene: fn(usize, &mut StdRng) -> Scene) -> Self {
        Self { contest: Contest::Executor(Mode::Replay), ..Self::build(name, scene) }
    }

    /// The order is fixed, and there are no waypoints.
    fn replay_bare(name: &'static str, scene: fn(usize, &mut StdRng) -> Scene) -> Self {
        Self { contest: Contest::Executor(Mode::ReplayBare), ..Self::build(name, scene) }
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Workload> {
    vec![
        Workload::ceiling("ceiling-transfers", transfers::independent),
        Workload::ceiling("ceiling-token", tokens::independent),
        Workload::build("transfers", transfers::independent),
        Workload::build("transfers-hot", transfers::hot),
        Workload::build("token", tokens::independent),
        Workload::build("token-hot", tokens::hot),
        Workload::build("swap-own-pool", swaps::own_pool),
        Workload::build("swap-zipf", swaps::zipf),
        Workload::build("nft-mints", serial::mints),
        Workload::build("lending", serial::lending),
        Workload::build("chained-transfers", transfers::chained),
        Workload::build("chained-token", tokens::chained),
        Workload::build("hybrid", hybrid::one_block),
        Workload::build("mainnet", mainnet::scene),
        Workload::replay("mainnet-replay", mainnet::scene),
        Workload::replay_bare("mainnet-replay-bare", mainnet::scene),
        Workload {
            latency: Some(Duration::from_micros(50)),
            threads: &[1, 2, 4, 8],
            ..Workload::build("latency-hybrid", hybrid::one_block)
        },
        Workload::build("tiny-transfers", transfers::tiny_blocks),
        Workload::build("tiny-hybrid", hybrid::tiny_blocks),
        Workload::replay("replay-transfers", transfers::independent),
        Workload::replay("replay-chained-transfers", transfers::chained),
        Workload::replay("replay-hybrid", hybrid::one_block),
        Workload::replay_bare("replay-bare-transfers", transfers::independent),
        Workload::replay_bare("replay-bare-hybrid", hybrid::one_block),
    ]
}
