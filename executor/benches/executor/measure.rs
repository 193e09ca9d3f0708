//! Both sides, turn by turn in one process, on the same blocks.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use millrace_executor::{Executed, Executor};
use millrace_types::Waypoint;

use crate::{
    check::{Digest, Witness},
    clock,
    disk::ColdDisk,
    ledger::Ledger,
    ours::{self, Mode, Spent},
    plain::Plain,
    scene::{Block, Scene},
    simulate::Stages,
    view::{View, exclusive},
};

/// A workload ready to be measured.
pub(crate) struct Measured<'a> {
    pub(crate) scene: &'a Scene,
    pub(crate) mode: Mode,
    /// What to ask a nap of, for each cold read.
    pub(crate) nap: Option<Duration>,
    pub(crate) rounds: usize,
}

/// One round's figures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Round {
    pub(crate) plain: Duration,
    pub(crate) plain_cpu: Duration,
    pub(crate) ours: Spent,
    /// Of all threads together.
    pub(crate) ours_cpu: Duration,
}

impl Measured<'_> {
    /// Measures. A round before the others warms up, and is examined account by account.
    pub(crate) fn run(&self, executor: &Executor) -> (Vec<Round>, Stages) {
        let waypoints = self.waypoints();
        let mut sides = Sides::new(self, executor);
        let mut witness = Some(Witness::new(self.scene));
        let mut rounds = Vec::with_capacity(self.rounds);
        sides.round(0, &waypoints, &mut witness);
        let before = executor.stats();
        for index in 1..=self.rounds {
            rounds.push(sides.round(index, &waypoints, &mut None));
        }
        (rounds, Stages::between(&before, &executor.stats(), self.rounds))
    }

    /// Recorded where they are needed, in the order of the candidates.
    fn waypoints(&self) -> Vec<Vec<Waypoint>> {
        if self.mode != Mode::Replay {
            return vec![Vec::new(); self.scene.blocks.len()];
        }
        let mut memory = self.scene.memory.clone();
        let mut record = |block: &Block| {
            let view = Arc::new(View { memory: memory.clone(), disk: None });
            let waypoints = ours::record(self.scene.chain_id, block, view);
            if !self.scene.independent {
                waypoints.iter().for_each(|waypoint| memory.apply(&waypoint.diff));
            }
            waypoints
        };
        self.scene.blocks.iter().map(&mut record).collect()
    }
}

struct Sides<'a> {
    measured: &'a Measured<'a>,
    executor: &'a Executor,
    plain: Plain,
    plain_disk: Option<Arc<ColdDisk>>,
    view: Arc<View>,
    /// The view is no longer what the scene begins with.
    moved: bool,
}

impl<'a> Sides<'a> {
    fn new(measured: &'a Measured<'a>, executor: &'a Executor) -> Self {
        let scene = measured.scene;
        let plain_disk = measured.nap.map(ColdDisk::new).map(Arc::new);
        let ledger = Ledger::new(&scene.memory, plain_disk.clone());
        let disk = measured.nap.map(ColdDisk::new);
        Self {
            measured,
            executor,
            plain: Plain::new(scene.chain_id, ledger),
            plain_disk,
            view: Arc::new(View { memory: scene.memory.clone(), disk }),
            moved: false,
        }
    }

    fn round(
        &mut self,
        index: usize,
        waypoints: &[Vec<Waypoint>],
        witness: &mut Option<Witness>,
    ) -> Round {
        let scene = self.measured.scene;
        let mut round = Round::default();
        for (number, block) in scene.blocks.iter().enumerate() {
            if number == 0 || scene.independent {
                self.restore();
            }
            let waypoints = &waypoints[number];
            // Neither side always finds the caches as the other has left them.
            let (theirs, built) = if (index + number).is_multiple_of(2) {
                let theirs = self.run_plain(block, &mut round);
                (theirs, self.run_ours(block, waypoints, &mut round))
            } else {
                let built = self.run_ours(block, waypoints, &mut round);
                (self.run_plain(block, &mut round), built)
            };
            built.check_outcomes();
            match witness {
                Some(witness) => witness.examine(scene, block, &built.executed),
                None => agree(scene, block, &built.executed, theirs),
            }
            if scene.blocks.len() > 1 && !scene.independent {
                let diff = built.executed.diff.clone();
                drop(built);
                exclusive(&mut self.view).memory.apply(&diff);
                self.moved = true;
            }
        }
        round
    }

    /// Back to the state that the scene begins with, which nobody has read anything of.
    fn restore(&mut self) {
        let memory = &self.measured.scene.memory;
        self.plain.ledger().restore(memory);
        if let Some(disk) = &self.plain_disk {
            disk.cool();
        }
        if std::mem::take(&mut self.moved) {
            exclusive(&mut self.view).memory.clone_from(memory);
        }
        if let Some(disk) = &self.view.disk {
            disk.cool();
        }
    }

    fn run_plain(&mut self, block: &Block, round: &mut Round) -> Digest {
        let cpu = clock::thread();
        let start = Instant::now();
        self.plain.open(&block.attributes, block.envs.len());
        self.plain.run(&block.envs);
        let receipts = self.plain.close();
        round.plain += start.elapsed();
        round.plain_cpu += clock::thread() - cpu;
        Digest::of(&receipts)
    }

    fn run_ours(
        &mut self,
        block: &Block,
        waypoints: &[Waypoint],
        round: &mut Round,
    ) -> ours::Built {
        let cpu = clock::process();
        let mode = self.measured.mode;
        let built = ours::execute(self.executor, mode, block, waypoints, self.view.clone());
        round.ours_cpu += clock::process() - cpu;
        round.ours.run += built.spent.run;
        round.ours.open_finish += built.spent.open_finish;
        built
    }
}

/// Compares what can be compared at once. Where that differs, ours may have chosen an order that matters: then only
/// following it tells whether both agree.
fn agree(scene: &Scene, block: &Block, executed: &Executed, theirs: Digest) {
    let ours = Digest::of(&executed.receipts);
    if ours != theirs {
        assert!(scene.independent || scene.blocks.len() == 1, "{ours:?}, but {theirs:?}");
        Witness::new(scene).examine(scene, block, executed);
    }
}
