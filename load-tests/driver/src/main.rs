//! The binary: reads the command line, minds Ctrl-C and prints the report.

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use millrace_load::{Cli, Progress, Task, reads, run};
use tokio::{runtime, signal, spawn};
use tokio_util::sync::CancellationToken;

/// Exits with 0 when everything that was sent was included and everything that was read was there, with 1 when something
/// was not, with 2 when nothing could be measured.
fn main() -> ExitCode {
    match report() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "millrace-load: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing went wrong with what was measured.
fn report() -> anyhow::Result<bool> {
    let task = Task::try_from(Cli::parse())?;
    // One thread: the server needs the others.
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("start")?;
    let clean = runtime.block_on(async {
        let interrupt = CancellationToken::new();
        let interrupted = interrupt.clone();
        spawn(async move {
            if signal::ctrl_c().await.is_ok() {
                interrupted.cancel();
            }
        });
        match task {
            Task::Load(config) => run(*config, interrupt, hear).await.map(|report| {
                print(&report);
                report.is_clean()
            }),
            Task::Reads(config) => reads(*config, interrupt, hear).await.map(|report| {
                print(&report);
                report.is_clean()
            }),
        }
    });
    // Signing that was interrupted ends with the process.
    runtime.shutdown_background();
    Ok(clean?)
}

/// What belongs to the result goes where the result goes.
fn hear(progress: Progress<'_>) {
    match progress {
        Progress::Step(step) => {
            let _ = writeln!(io::stderr(), "{step}");
        }
        Progress::Interval(interval) => print(interval),
    }
}

fn print(what: &impl Display) {
    // A reader that is gone does not change what was found.
    let _ = writeln!(io::stdout(), "{what}");
}
