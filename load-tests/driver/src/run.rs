//! A run from its preparation to its report.

use std::{sync::Arc, thread, time::Duration};

use alloy_primitives::map::B256HashMap;
use tokio::{runtime, task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::{Config, Pace},
    drive::{Ends, Sent, drive},
    interval::{Interval, Intervals},
    limits, process,
    report::Report,
    rpc::{Rpc, RpcError},
    setup::{self, Ready, SetupError},
    watch::{Included, Watcher},
    workload::{self, Load},
};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The chain could not be prepared.
    #[error("preparing the chain: {0}")]
    Setup(#[from] SetupError),
    /// The chain's height could not be read.
    #[error("reading the chain's height: {0}")]
    Height(RpcError),
    /// It was interrupted before it began to measure.
    #[error("interrupted before the first transaction of the run")]
    Interrupted,
    /// A thread could not be started.
    #[error("starting a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// What is to be read is not there.
    #[error("before reading: {0}")]
    Reads(String),
}

/// What is heard of a run before its end.
#[derive(Debug)]
pub enum Progress<'a> {
    /// It has come to its next step.
    Step(&'a str),
    /// A stretch of it is over.
    Interval(&'a Interval),
}

/// Runs until everything is included, the time is over, or `interrupt` is cancelled, and reports what happened till then.
/// Expects a runtime of one thread. `hear` is told how far it is, from two threads.
pub async fn run(
    config: Config,
    interrupt: CancellationToken,
    hear: impl Fn(Progress<'_>) + Send + Sync + 'static,
) -> Result<Report, RunError> {
    let (config, hear) = (Arc::new(config), Arc::new(hear));
    let (_, load) = prepare(&config, &interrupt, &*hear).await?;
    let run = send(&config, load, interrupt, &hear).await?;
    Ok(Report::new(&config, run))
}

/// A prepared chain, and what is to be sent.
pub(crate) async fn prepare(
    config: &Arc<Config>,
    interrupt: &CancellationToken,
    hear: &impl Fn(Progress<'_>),
) -> Result<(Ready, Load), RunError> {
    let mut rpc = Rpc::new(config.endpoint.clone());
    hear(Progress::Step(&format!(
        "seed {}: preparing the chain for {} senders",
        config.seed, config.senders
    )));
    let ready = tokio::select! {
        ready = setup::prepare(config, &mut rpc) => ready?,
        () = interrupt.cancelled() => return Err(RunError::Interrupted),
    };
    hear(Progress::Step(&format!("signing {} transactions", config.count)));
    let signing = {
        let config = config.clone();
        spawn_blocking(move || {
            let load = workload::prepare(&config, &ready.terms, &ready.targets, &ready.senders);
            (ready, load)
        })
    };
    tokio::select! {
        both = signing => Ok(both.expect("signing does not panic")),
        () = interrupt.cancelled() => Err(RunError::Interrupted),
    }
}

/// What became of a load.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) sent: Sent,
    pub(crate) included: Included,
    /// The server's CPU time and our own.
    pub(crate) server_cpu: Option<Duration>,
    pub(crate) own_cpu: Option<Duration>,
    /// The first block that was looked at.
    pub(crate) first_block: u64,
}

/// Sends a load and watches what becomes of it.
pub(crate) async fn send(
    config: &Config,
    load: Load,
    interrupt: CancellationToken,
    hear: &Arc<impl Fn(Progress<'_>) + Send + Sync + 'static>,
) -> Result<Run, RunError> {
    let mut numbers = B256HashMap::with_capacity_and_hasher(load.hashes.len(), Default::default());
    numbers.extend((0..).zip(&load.hashes).map(|(number, hash)| (*hash, number)));
    // Signing takes its time, and a server may close a connection on which nothing happens.
    let mut rpc = Rpc::new(config.endpoint.clone());
    let first_block = setup::height(&mut rpc).await.map_err(RunError::Height)? + 1;

    hear(Progress::Step("sending"));
    let own_before = process::own_cpu();
    let server_before = config.server_pid.and_then(process::cpu);
    let clock = Arc::new(Clock::start(load.hashes.len()));
    let intervals = config.every.map(|every| {
        let hear = hear.clone();
        let intervals = Intervals::new(&config.name, every, config.server_pid);
        (intervals, move |interval: &Interval| hear(Progress::Interval(interval)))
    });
    let watcher = Watcher {
        rpc,
        next: first_block,
        clock: clock.clone(),
        numbers,
        poll: config.poll,
        drain: config.drain,
        server_pid: config.server_pid,
        stop: interrupt.clone(),
        intervals,
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let watching = thread::Builder::new()
        .name("watcher".to_owned())
        .spawn(move || runtime.block_on(watcher.run()))?;
    let ends = Ends { enough: interrupt.child_token(), interrupt };
    // What was due in time is not lost over a moment's delay; flat out, nothing is ever due.
    let until = match config.pace {
        Pace::Rate(_) => config.duration + limits::LATE_MAX,
        Pace::FlatOut { .. } => config.duration,
    };
    let sent = {
        let timer = async {
            sleep(until).await;
            ends.enough.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            sent = drive(&config.endpoint, config.pace, load.lanes, &clock, &ends) => sent,
            () = timer => unreachable!("the timer never ends"),
        }
    };
    clock.finish_sending();
    hear(Progress::Step("waiting for the rest to be included"));
    let included = spawn_blocking(move || watching.join().expect("the watcher does not panic"));
    let included = included.await.expect("joining does not panic");
    let spent = |before: Option<Duration>, after: Option<Duration>| {
        before.zip(after).map(|(before, after)| after.saturating_sub(before))
    };
    Ok(Run {
        sent,
        server_cpu: spent(server_before, included.server_cpu),
        own_cpu: spent(own_before, process::own_cpu()),
        included,
        first_block,
    })
}
