//! Derives an OP Stack chain from L1 alone with kona's pipeline, and compares every payload with the block that a node
//! serves. None of our own code is in here: that is its point.
//!
//! Prints `number hash ok` for each block. Ends with 0 if every block agrees, with 1 if one differs or if L1 does not
//! say it, and with 2 if the question could not be answered.

mod check;
mod compare;
mod header;
mod l1;
mod l2;
mod rpc;

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use kona_genesis::RollupConfig;

use crate::{
    check::{CheckError, Summary, Task, check},
    l1::L1,
    l2::L2,
};

/// Derives an OP Stack chain from L1 alone, and compares every payload with the block that a node serves.
#[derive(Debug, Parser)]
#[command(name = "kona-check")]
struct Arguments {
    /// The L1 node: an anvil, as blobs are asked for by `anvil_getBlobByHash`.
    #[arg(long, value_name = "URL")]
    l1_url: String,
    /// The rollup's configuration, as op-node reads it.
    #[arg(long, value_name = "FILE")]
    rollup: PathBuf,
    /// The L2 node whose chain is compared.
    #[arg(long, value_name = "URL")]
    l2_url: String,
    /// The last block to compare; the node's safe head if absent.
    #[arg(long, value_name = "NUMBER")]
    until: Option<u64>,
    /// A block whose batch was made invalid on purpose, so that only its deposits may be in it. May be repeated.
    #[arg(long, value_name = "NUMBER")]
    invalid: Vec<u64>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not a rollup configuration: {source}", path = path.display())]
    Rollup { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Check(#[from] CheckError),
}

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let (code, last_words) = match run(Arguments::parse(), &mut out) {
        Ok(Summary { blocks, transactions, deposits }) => {
            let count = format!("{transactions} transactions, of them {deposits} user deposits");
            (0, format!("{blocks} blocks agree: {count}"))
        }
        Err(failure @ Failure::Check(CheckError::Different { .. })) => {
            // It belongs to the list of blocks, as its last line.
            let _ = writeln!(out, "{failure}");
            (1, "the chain that is served is not the one that L1 says".into())
        }
        Err(Failure::Check(error)) if error.is_verdict() => (1, error.to_string()),
        Err(failure) => (2, failure.to_string()),
    };
    let _ = writeln!(io::stderr(), "kona-check: {last_words}");
    ExitCode::from(code)
}

fn run(arguments: Arguments, out: &mut impl Write) -> Result<Summary, Failure> {
    let Arguments { l1_url, rollup: path, l2_url, until, invalid } = arguments;
    let config = match fs::read_to_string(&path) {
        Ok(config) => config,
        Err(source) => return Err(Failure::Read { path, source }),
    };
    let config: RollupConfig =
        serde_json::from_str(&config).map_err(|source| Failure::Rollup { path, source })?;
    let invalid = invalid.into_iter().collect();
    let task = Task { l1: L1::new(l1_url), l2: L2::new(l2_url), config, until, invalid };
    // A reader that has seen enough closes the pipe; the exit code is still asked for.
    let report = |block: &l2::L2Block| {
        let _ = writeln!(out, "{} {} ok", block.block.header.number, block.hash);
    };
    Ok(check(task, report)?)
}
