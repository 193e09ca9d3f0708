//! The binary: reads the command line, minds Ctrl-C and prints the report.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use millrace_load::{Cli, Config, Report, run};
use tokio::{runtime, signal, spawn};
use tokio_util::sync::CancellationToken;

/// Exits with 0 when everything that was sent was included, with 1 when something was not, with 2 when nothing could be
/// measured.
fn main() -> ExitCode {
    match report() {
        Ok(report) => {
            // A reader that is gone does not change what was found.
            let _ = writeln!(io::stdout(), "{report}");
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "millrace-load: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn report() -> anyhow::Result<Report> {
    let config = Config::try_from(Cli::parse())?;
    // One thread: the server needs the others.
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("start")?;
    let report = runtime.block_on(async {
        let interrupt = CancellationToken::new();
        let interrupted = interrupt.clone();
        spawn(async move {
            if signal::ctrl_c().await.is_ok() {
                interrupted.cancel();
            }
        });
        run(config, interrupt, |progress| {
            let _ = writeln!(io::stderr(), "{progress}");
        })
        .await
    });
    // Signing that was interrupted ends with the process.
    runtime.shutdown_background();
    Ok(report?)
}
