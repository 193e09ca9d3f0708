//! What the machine allows: several baselines, each on a state of its own in a thread of its own, that have nothing to do
//! with each other. First one after the other, then all at once.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};

use crate::{
    check::Digest, clock, ledger::Ledger, measure::Round, ours::Spent, plain::Plain, scene::Scene,
};

/// One worker's figures for a round.
struct Turn {
    alone: Duration,
    alone_cpu: Duration,
    /// From when to when it ran with the others.
    together: (Instant, Instant),
    together_cpu: Duration,
}

/// Measures with so many workers, each of which makes its own scene.
pub(crate) fn run(
    workers: usize,
    rounds: usize,
    seed: u64,
    scene: impl Fn(&mut StdRng) -> Scene + Sync,
) -> Vec<Round> {
    let barrier = Barrier::new(workers);
    let work = |me: usize| {
        let scene = scene(&mut StdRng::seed_from_u64(seed + me as u64));
        let mut worker = Worker::new(&scene);
        // One round to warm up.
        let turns = (0..=rounds).map(|_| worker.round(me, workers, &barrier));
        turns.skip(1).collect::<Vec<_>>()
    };
    let turns: Vec<Vec<Turn>> = thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..workers).map(|me| scope.spawn(move || work(me))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    (0..rounds).map(|index| gather(turns.iter().map(|turns| &turns[index]))).collect()
}

fn gather<'a>(turns: impl Iterator<Item = &'a Turn> + Clone) -> Round {
    let began = turns.clone().map(|turn| turn.together.0).min().unwrap();
    let ended = turns.clone().map(|turn| turn.together.1).max().unwrap();
    let sum = |of: fn(&Turn) -> Duration| turns.clone().map(of).sum();
    Round {
        plain: sum(|turn| turn.alone),
        plain_cpu: sum(|turn| turn.alone_cpu),
        ours: Spent { run: ended - began, open_finish: Duration::ZERO },
        // Where this is more than the workers took alone, they have stood in each other's way.
        ours_cpu: sum(|turn| turn.together_cpu),
    }
}

struct Worker<'a> {
    scene: &'a Scene,
    plain: Plain,
}

impl<'a> Worker<'a> {
    fn new(scene: &'a Scene) -> Self {
        Self { scene, plain: Plain::new(scene.chain_id, Ledger::detached(&scene.memory)) }
    }

    fn round(&mut self, me: usize, workers: usize, barrier: &Barrier) -> Turn {
        let mut alone = None;
        for turn in 0..workers {
            self.restore();
            barrier.wait();
            if turn == me {
                alone = Some(self.execute());
            }
            barrier.wait();
        }
        self.restore();
        barrier.wait();
        let together = self.execute();
        barrier.wait();
        let alone = alone.expect("every worker has a turn");
        assert_eq!(alone.digest, together.digest, "the same transactions on the same state");
        Turn {
            alone: alone.ended - alone.began,
            alone_cpu: alone.cpu,
            together: (together.began, together.ended),
            together_cpu: together.cpu,
        }
    }

    fn restore(&mut self) {
        self.plain.ledger().restore(&self.scene.memory);
    }

    fn execute(&mut self) -> Execution {
        let mut digest = Digest::default();
        let cpu = clock::thread();
        let began = Instant::now();
        for block in &self.scene.blocks {
            self.plain.open(&block.attributes, block.envs.len());
            self.plain.run(&block.envs);
            digest += Digest::of(&self.plain.close());
        }
        Execution { began, ended: Instant::now(), cpu: clock::thread() - cpu, digest }
    }
}

/// One worker, once through all blocks.
struct Execution {
    began: Instant,
    ended: Instant,
    cpu: Duration,
    digest: Digest,
}
