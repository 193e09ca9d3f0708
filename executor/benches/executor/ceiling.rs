//! What the machine allows: several baselines, each on a state of its own in a thread of its own, that have nothing to do
//! with each other. First one after the other, then all at once.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};

use crate::{
    check::Digest, ledger::Ledger, measure::Round, ours::Spent, plain::Plain, scene::Scene,
};

/// One worker's figures for a round.
struct Turn {
    alone: Duration,
    /// From when to when it ran with the others.
    together: (Instant, Instant),
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
    let plain = turns.map(|turn| turn.alone).sum();
    let ours = Spent { run: ended - began, open_finish: Duration::ZERO };
    Round { plain, ours, ..Round::default() }
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
        let mut alone = (Duration::ZERO, Digest::default());
        for turn in 0..workers {
            self.restore();
            barrier.wait();
            if turn == me {
                let start = Instant::now();
                let digest = self.execute();
                alone = (start.elapsed(), digest);
            }
            barrier.wait();
        }
        self.restore();
        barrier.wait();
        let start = Instant::now();
        let digest = self.execute();
        let together = (start, Instant::now());
        barrier.wait();
        assert_eq!(digest, alone.1, "the same transactions on the same state");
        Turn { alone: alone.0, together }
    }

    fn restore(&mut self) {
        self.plain.ledger().restore(&self.scene.memory);
    }

    fn execute(&mut self) -> Digest {
        let mut digest = Digest::default();
        for block in &self.scene.blocks {
            self.plain.open(&block.attributes, block.envs.len());
            self.plain.run(&block.envs);
            digest += Digest::of(&self.plain.close());
        }
        digest
    }
}
