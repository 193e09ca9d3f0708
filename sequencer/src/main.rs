//! The binary: reads the command line, sets up logs and signals, and hands over to the library.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use millrace_sequencer::{
    Cli, Command, Config, ConfigCommand, LogFormat, NodeArgs, Settings, banner, replay, run_dev,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The executor and the trie allocate on every core at once, where the system's allocator is slow and fragments.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Dev(args) => dev(*args),
        Command::Replay { files } => replay(&files, &mut io::stdout().lock()),
        Command::Config { command: ConfigCommand::Check { file } } => check(&file),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(io::stderr(), "millrace: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Runs a development chain until a signal ends it.
fn dev(args: NodeArgs) -> anyhow::Result<bool> {
    let file = args.config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
    let settings = args.settings.or(file).or(Settings::defaults());
    start_logs(&settings)?;
    let config = match Config::from_settings(&settings) {
        Ok(config) => config,
        Err(problems) => {
            for problem in problems {
                writeln!(io::stderr(), "millrace: {problem}")?;
            }
            return Ok(false);
        }
    };
    let runtime = tokio::runtime::Runtime::new().context("start the async runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
                _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
            }
        };
        // A closed stdout, as after `millrace dev | head`, is no reason to stop a chain.
        let announce = |listening: &_| drop(banner(&mut io::stdout().lock(), listening));
        run_dev(config, announce, shutdown).await
    })?;
    Ok(true)
}

/// Checks a configuration file and prints what would be in force.
fn check(file: &std::path::Path) -> anyhow::Result<bool> {
    let settings = Settings::from_file(file)?.or(Settings::defaults());
    let problems = Config::from_settings(&settings).err().unwrap_or_default();
    for problem in &problems {
        writeln!(io::stderr(), "{}: {problem}", file.display())?;
    }
    let effective = toml::to_string(&settings.redacted()).context("print the configuration")?;
    write!(io::stdout(), "{effective}")?;
    Ok(problems.is_empty())
}

fn start_logs(settings: &Settings) -> anyhow::Result<()> {
    let filter = settings.log.as_deref().unwrap_or("info");
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("log: {filter:?} is not a filter"))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match settings.log_format {
        Some(LogFormat::Json) => logs.json().flatten_event(true).init(),
        _ => logs.init(),
    }
    Ok(())
}
