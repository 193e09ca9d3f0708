//! Everything that is measured, in the order of the table.

mod transfers;

use std::time::Duration;

use rand::rngs::StdRng;

use crate::{ours::Mode, scene::Scene};

/// A row of the table.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Makes a scene with about this many transactions.
    pub(crate) scene: fn(usize, &mut StdRng) -> Scene,
    pub(crate) mode: Mode,
    /// What a cold read costs.
    pub(crate) latency: Option<Duration>,
    pub(crate) threads: &'static [usize],
}

impl Workload {
    const fn new(name: &'static str, scene: fn(usize, &mut StdRng) -> Scene) -> Self {
        Self { name, scene, mode: Mode::Build, latency: None, threads: &[1, 2] }
    }

    const fn replayed(self, name: &'static str, mode: Mode) -> Self {
        Self { name, mode, ..self }
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Workload> {
    let transfers = || Workload::new("transfers", transfers::independent);
    let chained = || Workload::new("chained-transfers", transfers::chained);
    vec![
        transfers(),
        Workload::new("transfers-hot", transfers::hot),
        chained(),
        Workload::new("tiny-blocks", transfers::tiny_blocks),
        transfers().replayed("replay-transfers", Mode::Replay),
        transfers().replayed("replay-bare-transfers", Mode::ReplayBare),
        chained().replayed("replay-chained-transfers", Mode::Replay),
    ]
}
