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
mod ceiling;
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
mod simulate;
mod trace;
mod view;
mod workloads;
#[path = "../../zoo/mod.rs"]
mod zoo;

use rand::{SeedableRng, rngs::StdRng};

use crate::{
    args::Args,
    check::Digest,
    ledger::Ledger,
    measure::Measured,
    ours::Mode,
    plain::Plain,
    report::Row,
    scene::Scene,
    simulate::{Figures, Simulation, Stages},
    workloads::{Contest, Workload},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As the sequencer has it: what a block has freed, the next one takes, without asking the system in between.
#[expect(unsafe_code, reason = "the allocator is written in C")]
fn keep_memory() {
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: it sets a number, which may be done at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 10_000) };
}

fn main() {
    keep_memory();
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
    let transactions = count(workload, args);
    let threads = args.threads.as_deref().unwrap_or(workload.threads);
    match workload.contest {
        Contest::Ceiling => {
            threads.iter().for_each(|threads| ceiling(workload, args, transactions, *threads));
        }
        Contest::Executor(mode) => executor(workload, args, mode, transactions, threads),
    }
}

fn ceiling(workload: &Workload, args: &Args, transactions: usize, threads: usize) {
    let each = transactions.div_ceil(threads);
    let rounds = ceiling::run(threads, args.rounds, args.seed, |rng| (workload.scene)(each, rng));
    let transactions = threads * each;
    let row =
        Row { workload: workload.name, threads, transactions, blocks: threads, rounds: &rounds };
    report::print(row, "");
}

fn executor(workload: &Workload, args: &Args, mode: Mode, transactions: usize, threads: &[usize]) {
    let scene = (workload.scene)(transactions, &mut StdRng::seed_from_u64(args.seed));
    let (transactions, blocks) = (scene.transactions(), scene.blocks.len());
    let mut figures = [None; 2];
    for threads in threads.iter().copied() {
        let nap = workload.latency.map(disk::calibrate);
        let disk = nap.map(|(nap, _)| nap);
        let measured = Measured { scene: &scene, mode, nap: disk, rounds: args.rounds };
        let (rounds, stages) = measured.run(&ours::executor(scene.chain_id, threads));
        let row = Row { workload: workload.name, threads, transactions, blocks, rounds: &rounds };
        let cold_read = nap.map(|(_, real)| real);
        report::print(row, &report::stages(&stages, transactions, cold_read));
        if let Some(figure) = figures.get_mut(threads - 1) {
            *figure = Some((report::medians(&rounds), stages));
        }
    }
    if let ([Some((_, _)), Some(_)], Mode::Build, None) = (figures, mode, workload.latency) {
        simulate(workload, &scene, figures.map(Option::unwrap));
    }
}

/// What more cores would bring, if the figures for one and two threads are known.
fn simulate(workload: &Workload, scene: &Scene, figures: [((f64, f64), Stages); 2]) {
    let [((plain_then, one), _), ((plain, two), stages)] = figures;
    // The machine may have been busier when one was measured than when the other was.
    let figures = Figures { plain, one: one * plain / plain_then, two, stages };
    let blocks = trace::trace(scene);
    let simulation = Simulation::new(&blocks, &figures);
    for threads in [2, 4, 8, 16, 32] {
        let simulated = simulation.run(threads);
        report::print_simulated(workload.name, threads, scene.transactions(), &figures, simulated);
    }
}

/// How many transactions use as much gas as was asked for: a small scene tells.
fn count(workload: &Workload, args: &Args) -> usize {
    const SAMPLE: usize = 200;
    let sample = (workload.scene)(SAMPLE, &mut StdRng::seed_from_u64(args.seed));
    let mut plain = Plain::new(sample.chain_id, Ledger::new(&sample.memory, None));
    let mut digest = Digest::default();
    for block in &sample.blocks {
        plain.ledger().restore(&sample.memory);
        plain.open(&block.attributes, block.envs.len());
        plain.run(&block.envs);
        digest += Digest::of(&plain.close());
    }
    let most = digest.included - digest.included / 50;
    assert!(digest.succeeded >= most && most > 0, "{} fails: {digest:?}", workload.name);
    let gas_per_tx = digest.gas as f64 / digest.included as f64;
    (args.mgas as f64 * 1e6 / gas_per_tx).ceil() as usize
}
