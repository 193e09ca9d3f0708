//! A run from its preparation to its report.

use std::{sync::Arc, thread};

use alloy_primitives::map::B256HashMap;
use tokio::{runtime, task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::{Config, Pace},
    cpu,
    drive::{Ends, drive},
    limits,
    report::Report,
    rpc::{Rpc, RpcError},
    setup::{self, SetupError},
    watch::Watcher,
    workload,
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
}

/// Runs until everything is included, the time is over, or `interrupt` is cancelled, and reports what happened till then.
/// Expects a runtime of one thread. `say` hears how far it is.
pub async fn run(
    config: Config,
    interrupt: CancellationToken,
    say: impl Fn(&str),
) -> Result<Report, RunError> {
    let mut rpc = Rpc::new(config.endpoint.clone());
    say(&format!("seed {}: preparing the chain for {} senders", config.seed, config.senders));
    let config = Arc::new(config);
    let ready = tokio::select! {
        ready = setup::prepare(&config, &mut rpc) => ready?,
        () = interrupt.cancelled() => return Err(RunError::Interrupted),
    };
    say(&format!("signing {} transactions", config.count));
    let signing = {
        let config = config.clone();
        spawn_blocking(move || {
            workload::prepare(&config, &ready.terms, &ready.targets, &ready.senders)
        })
    };
    let load = tokio::select! {
        load = signing => load.expect("signing does not panic"),
        () = interrupt.cancelled() => return Err(RunError::Interrupted),
    };
    let mut numbers = B256HashMap::with_capacity_and_hasher(load.hashes.len(), Default::default());
    numbers.extend((0..).zip(&load.hashes).map(|(number, hash)| (*hash, number)));
    // Signing takes its time, and a server may close a connection on which nothing happens.
    let mut rpc = Rpc::new(config.endpoint.clone());
    let next = setup::height(&mut rpc).await.map_err(RunError::Height)? + 1;

    say("sending");
    let own_before = cpu::own();
    let server_before = config.server_pid.and_then(cpu::of);
    let clock = Arc::new(Clock::start(load.hashes.len()));
    let watcher = Watcher {
        rpc,
        next,
        clock: clock.clone(),
        numbers,
        poll: config.poll,
        drain: config.drain,
        server_pid: config.server_pid,
        stop: interrupt.clone(),
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
    say("waiting for the rest to be included");
    let included = spawn_blocking(move || watching.join().expect("the watcher does not panic"));
    let included = included.await.expect("joining does not panic");
    let server_cpu =
        server_before.zip(included.server_cpu).map(|(before, after)| after.saturating_sub(before));
    let own_cpu = own_before.zip(cpu::own()).map(|(before, after)| after.saturating_sub(before));
    Ok(Report::new(&config, sent, included, server_cpu, own_cpu))
}
