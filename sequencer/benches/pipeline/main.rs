//! How many transactions a second become journaled blocks: from the pool's door, recovered, to the disk.
//!
//! ```text
//! make bench NAME=pipeline ARGS="--workload transfers,tokens,swaps --accounts 1000000 --seconds 60 --rounds 5"
//! ```
//!
//! Each measurement is a chain of its own in a process of its own, with blocks of a second, as a node opens it: pool, builder,
//! parallel executor, state root, receipts, SQLite with a sync a block, index. The feeder keeps the pool full. Transactions
//! are made ahead of time, by senders who take turns in no order of their addresses, to anybody. What counts is what was journaled
//! while the clock ran.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

#[path = "../../../executor/zoo/mod.rs"]
mod zoo;

mod args;
mod figures;
mod line;
mod workload;

use std::process::{Command, ExitCode};

use clap::Parser as _;

use crate::{args::Args, figures::Figures};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    millrace_sequencer::keep_memory();
    let args = Args::parse();
    if args.alone {
        println!("{}", line::measure(&args, args.workloads[0], args.accounts[0]).to_line());
        return ExitCode::SUCCESS;
    }
    for workload in &args.workloads {
        for accounts in &args.accounts {
            let rounds: Vec<_> = (0..args.rounds)
                .map(|round| in_a_process_of_its_own(&args, *workload, *accounts, round))
                .collect();
            Figures::report(*workload, *accounts, rounds);
        }
    }
    ExitCode::SUCCESS
}

/// Nothing that one measurement leaves in memory shall meet the next.
fn in_a_process_of_its_own(
    args: &Args,
    workload: workload::Workload,
    accounts: usize,
    round: usize,
) -> Figures {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(args.for_one(workload, accounts, round))
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "a measurement failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().last().expect("a measurement says something");
    println!("{line}");
    Figures::from_line(line)
}
