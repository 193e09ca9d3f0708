//! Sequential plain revm and ours on the same blocks: `make bench NAME=executor`.
//!
//! State in memory, no signatures, no root. Both sides take turns in one process; a row is the median of several rounds.
//! Candidates, and what the baseline reads instead, are made before the clock starts; the book-keeping at a block's
//! beginning counts on both sides. Outside the timing both sides are compared: gas and success in every round, in
//! the first also every receipt, account and slot.
//!
//! Suggested reading order: `workloads` and `scene` (what is executed), `memory`, `view`, `disk` (on what), `plain` with
//! its `ledger` and `ours` (by whom), `measure`, `check`, `report`.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

mod args;
mod check;
mod clock;
mod disk;
mod ledger;
mod measure;
mod memory;
mod ours;
mod plain;
mod report;
mod scene;
mod view;
mod workloads;

use rand::{SeedableRng, rngs::StdRng};

use crate::{
    args::Args, check::Digest, ledger::Ledger, measure::Contest, plain::Plain, scene::Scene,
    workloads::Workload,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args = Args::parse();
    println!("# seed {}", args.seed);
    for workload in workloads::all().iter().filter(|workload| args.wants(workload.name)) {
        if args.list {
            println!("{}", workload.name);
        } else {
            run(workload, &args);
        }
    }
}

fn run(workload: &Workload, args: &Args) {
    let scene = sized(workload, args);
    let (nap, more) = match workload.latency.map(disk::calibrate) {
        Some((nap, real)) => (Some(nap), format!(" cold_read_us={:.1}", real.as_secs_f64() * 1e6)),
        None => (None, String::new()),
    };
    let contest = Contest { scene: &scene, mode: workload.mode, nap, rounds: args.rounds };
    for threads in args.threads.as_deref().unwrap_or(workload.threads) {
        let executor = ours::executor(scene.chain_id, *threads);
        let rounds = contest.run(&executor);
        report::print(workload.name, *threads, &scene, &rounds, &more);
    }
}

/// A scene that uses as much gas as was asked for: a small one tells how many transactions that takes.
fn sized(workload: &Workload, args: &Args) -> Scene {
    const SAMPLE: usize = 200;
    let scene = |count| (workload.scene)(count, &mut StdRng::seed_from_u64(args.seed));
    let sample = scene(SAMPLE);
    let mut plain = Plain::new(sample.chain_id, Ledger::new(&sample.memory, None));
    let mut digest = Digest::default();
    for block in &sample.blocks {
        plain.open(&block.attributes, block.envs.len());
        plain.run(block.envs.clone());
        digest += Digest::of(&plain.close());
    }
    assert!(digest.included > 0, "{} executes nothing", workload.name);
    let gas_per_tx = digest.gas as f64 / digest.included as f64;
    scene((args.mgas as f64 * 1e6 / gas_per_tx).ceil() as usize)
}
