//! The binary: reads the command line, sets up logs and signals, and hands over to the library.

use std::{
    future::Future,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use millrace_protocol::RollupConfig;
use millrace_sequencer::{
    Cli, Command, Config, ConfigCommand, DeployArgs, Devnet, DevnetArgs, Listening, LogFormat,
    NodeArgs, RestartNeeded, Rollup, RollupArgs, Settings, VerifyArgs, banner, devnet_banner,
    keep_memory, replay, run_dev, run_devnet, run_node,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The executor and the trie allocate on every core at once, where the system's allocator is slow and fragments.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the process exits with when all that is wrong is mended by starting it again: `EX_TEMPFAIL` of `sysexits.h`.
const RESTART_NEEDED: u8 = 75;

fn main() -> ExitCode {
    keep_memory();
    let result = match Cli::parse().command {
        Command::Dev(args) => dev(*args),
        Command::Devnet(args) => devnet(*args),
        Command::Node(args) => node(*args),
        Command::Deploy(args) => deploy(&args),
        Command::Verify(args) => verify(*args),
        Command::Replay { files } => replay(&files, &mut io::stdout().lock()),
        Command::Config { command: ConfigCommand::Check { file } } => check(&file),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(io::stderr(), "millrace: {error:#}").ok();
            match error.downcast_ref::<RestartNeeded>() {
                Some(_) => ExitCode::from(RESTART_NEEDED),
                None => ExitCode::FAILURE,
            }
        }
    }
}

/// Runs a development chain until a signal ends it.
fn dev(args: NodeArgs) -> anyhow::Result<bool> {
    with_config(args, Settings::defaults(), async |config| {
        let announce = |listening: &_| drop(banner(&mut io::stdout().lock(), listening));
        run_dev(config, announce, signals()?).await.map(|()| true)
    })
}

/// Runs a rollup with everything around it until a signal ends it.
fn devnet(args: DevnetArgs) -> anyhow::Result<bool> {
    let DevnetArgs { anvil, l1_port, l1_block_time, node } = args;
    let devnet = Devnet { anvil, l1_port, l1_block_time_s: l1_block_time };
    let defaults = Settings::devnet().or(Settings::defaults());
    with_config(node, defaults, async |config| {
        let announce = |listening: &_| drop(devnet_banner(&mut io::stdout().lock(), listening));
        run_devnet(config, devnet, announce, signals()?).await.map(|()| true)
    })
}

/// Runs a node of a rollup until a signal ends it.
fn node(args: RollupArgs) -> anyhow::Result<bool> {
    let RollupArgs { role, rollup, node } = args;
    with_config(node, Settings::defaults(), async |config| {
        let rollup = Rollup::read(&rollup.rollup, rollup.genesis.as_deref())?;
        let announce = |listening: &Listening| {
            let Listening { rpc, ops, .. } = listening;
            writeln!(io::stdout(), "Ready. JSON-RPC http://{rpc}, metrics http://{ops}/metrics")
                .ok();
        };
        run_node(config, rollup, role, announce, signals()?).await.map(|()| true)
    })
}

/// Puts a rollup on L1.
fn deploy(args: &DeployArgs) -> anyhow::Result<bool> {
    start_logs(&Settings::defaults())?;
    let rollup = runtime()?.block_on(millrace_sequencer::deploy(args))?;
    let RollupConfig { deposit_contract, system_config_contract, batch_inbox, .. } =
        &*rollup.config;
    let mut out = io::stdout().lock();
    writeln!(out, "Portal         {deposit_contract}")?;
    writeln!(out, "System config  {system_config_contract}")?;
    writeln!(out, "Batch inbox    {batch_inbox}")?;
    writeln!(out, "Files          {}", args.out.display())?;
    Ok(true)
}

/// Derives a chain from L1 alone.
fn verify(args: VerifyArgs) -> anyhow::Result<bool> {
    let VerifyArgs { rollup, against, node } = args;
    with_config(node, Settings::defaults(), async |config| {
        let rollup = Rollup::read(&rollup.rollup, rollup.genesis.as_deref())?;
        millrace_sequencer::verify(config, rollup, against, &mut io::stdout()).await
    })
}

/// Puts the settings together, starts logs and the runtime, and does something with the configuration.
fn with_config(
    args: NodeArgs,
    defaults: Settings,
    work: impl AsyncFnOnce(Config) -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let file = args.config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
    let settings = args.settings.or(file).or(defaults);
    start_logs(&settings)?;
    match Config::from_settings(&settings) {
        Ok(config) => runtime()?.block_on(work(config)),
        Err(problems) => {
            for problem in problems {
                writeln!(io::stderr(), "millrace: {problem}")?;
            }
            Ok(false)
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("start the async runtime")
}

/// Resolves when the process is asked to end.
fn signals() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
        }
    })
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
        // Whoever read them may have gone: no reason to panic.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    match settings.log_format {
        Some(LogFormat::Json) => logs.json().flatten_event(true).init(),
        _ => logs.init(),
    }
    Ok(())
}
