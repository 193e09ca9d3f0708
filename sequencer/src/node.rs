//! A running node: opens everything, wires it, and takes it down in order.

use std::{fs, future::Future, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use futures::FutureExt;
use millrace_contracts::{DevGenesis, Genesis};
use millrace_protocol::{OpFork, RollupConfig};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    backend::NodeBackend,
    banner::Listening,
    builder::{BuilderError, L1Origins, NoL1, Origin},
    chain::RewindError,
    clock,
    config::{Config, L1Config},
    deriver::{DeriverError, Goal},
    foundation::{Foundation, Home},
    health::Health,
    l1_side::{L1Side, Posting},
    metrics::Metrics,
    ops,
    rebuild::{self, RestartNeeded},
    recovery::Promises,
    rollup::{Rollup, write_durably},
    writer::{Assignment, Writer},
};

/// How long the ops server may take to end. Its clients are machines that ask again elsewhere.
const OPS_SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// What a node of a rollup is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// It makes the chain's blocks, and posts them if it has a batcher's key. One a chain.
    Sequencer,
    /// It derives the chain from L1 and serves it.
    Verifier,
}

/// Where a node's blocks come from.
enum Source {
    /// From its users alone: there is no L1.
    Users(Genesis),
    /// From its users, and L1 has the last word; or from L1 alone.
    L1 { rollup: Rollup, role: Role, l1: L1Config },
}

/// Runs a development chain, without L1, until `shutdown`. `announce` hears where it is once it serves.
pub async fn run_dev(
    config: Config,
    announce: impl FnOnce(&Listening),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let home = Home::open(&config)?;
    let genesis = dev_genesis(&home, &config)?;
    run(home, config, Source::Users(genesis), announce, shutdown).await
}

/// Runs a node of a rollup until `shutdown`. `announce` hears where it is once it serves.
pub async fn run_node(
    mut config: Config,
    rollup: Rollup,
    role: Role,
    announce: impl FnOnce(&Listening),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    if config.l1.urls.is_empty() {
        bail!("l1.url: a node of a rollup has to reach L1");
    }
    let l1 = config.l1.clone();
    keep_window(&mut config, &rollup.config);
    let home = Home::open(&config)?;
    run(home, config, Source::L1 { rollup, role, l1 }, announce, shutdown).await
}

/// Seconds between the blocks of public L1s.
const L1_BLOCK_TIME_S: u64 = 12;

/// Keeps the state's history as far back as L1 may contradict us: until the sequencing window of the oldest block that is
/// not safe is over.
fn keep_window(config: &mut Config, rollup: &RollupConfig) {
    let window_blocks =
        rollup.seq_window_size.saturating_mul(L1_BLOCK_TIME_S) / rollup.block_time.max(1);
    let history = &mut config.state.history_blocks;
    if *history < window_blocks {
        tracing::info!(
            configured = *history,
            kept = window_blocks,
            "history is kept for the sequencing window"
        );
        *history = window_blocks;
    }
}

async fn run(
    home: Home,
    config: Config,
    source: Source,
    announce: impl FnOnce(&Listening),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let shutdown = shutdown.boxed().shared();
    let genesis = match &source {
        Source::Users(genesis) => genesis,
        Source::L1 { rollup, .. } => &rollup.genesis,
    };
    let promises = match &source {
        Source::Users(_) | Source::L1 { role: Role::Sequencer, .. } => Promises::Keep,
        Source::L1 { role: Role::Verifier, .. } => Promises::Leave,
    };
    let laid = Foundation::lay(&home, &config, genesis, promises, shutdown.clone()).await?;
    let Some(Foundation { chain, executor }) = laid else { return Ok(()) };
    let side = match &source {
        Source::Users(_) => None,
        Source::L1 { rollup, l1, .. } => {
            Some(L1Side::new(l1, rollup.config.clone(), &chain).await.context("prepare L1")?)
        }
    };
    let posting = match (&side, &source) {
        (Some(side), Source::L1 { role: Role::Sequencer, l1, .. }) => {
            let posting = Posting::new(&config.batcher, l1, side, &chain)?;
            if posting.is_none() {
                tracing::warn!("no key for the batcher is configured: nothing is posted to L1");
            }
            posting
        }
        _ => None,
    };

    let rpc_listener = TcpListener::bind(config.rpc_addr)
        .await
        .with_context(|| format!("rpc_addr: listen on {}", config.rpc_addr))?;
    let ops_listener = TcpListener::bind(config.ops_addr)
        .await
        .with_context(|| format!("ops_addr: listen on {}", config.ops_addr))?;
    let listening = Listening {
        rpc: rpc_listener.local_addr().context("read the RPC address")?,
        ops: ops_listener.local_addr().context("read the ops address")?,
        chain_id: chain.spec.chain_id(),
        block: chain.head().block.block.number(),
        data_dir: home.path.clone(),
        temporary: home.is_temporary(),
    };

    let health = Arc::new(Health::default());
    let metrics = Arc::new(Metrics::new(executor.clone()));
    metrics.recovered(chain.journal.waypoints_unusable());
    if let Some(side) = &side {
        let posting = posting.as_ref().map(|posting| &posting.handle);
        metrics.export_l1(side.client.metrics().clone(), posting);
    }

    let throttle = match &posting {
        Some(posting) => {
            posting.watch(health.clone());
            posting.throttle(health.clone())
        }
        None => watch::channel(false).1,
    };
    let assignment = Assignment {
        origin: source.origin(&config, side.as_ref()),
        block_time_s: source.block_time_s(&config),
        gas_limit: source.gas_limit(&config, chain.head().block.block.header.gas_limit),
        throttle,
        health: health.clone(),
        metrics: metrics.clone(),
    };
    let mut writer = Writer::start(&chain, &executor, &config, assignment);
    let intake = writer.intake.clone();
    if let Source::L1 { role: Role::Verifier, .. } = &source {
        intake.close("this node makes no blocks: send transactions to the sequencer");
    }

    let (stop_serving, stopped) = watch::channel(false);
    let until_stopped = || {
        let mut stopped = stopped.clone();
        async move { stopped.wait_for(|stopped| *stopped).await.map_or((), drop) }.boxed().shared()
    };
    let heads = side.as_ref().map(|side| side.heads.clone());
    let backend = Arc::new(NodeBackend::new(chain.clone(), intake.clone(), executor, heads));
    let mut rpc =
        tokio::spawn(millrace_rpc::serve(config.rpc, backend, rpc_listener, until_stopped()));
    let mut ops =
        tokio::spawn(ops::serve(ops_listener, health.clone(), metrics.clone(), until_stopped()));
    let posted = posting.as_ref().map(|posting| posting.handle.clone());
    let mut l1 = match side {
        None => L1Tasks::default(),
        Some(side) => {
            let on_progress = move |derived| {
                if let Some(posted) = &posted {
                    posted.derived(derived);
                }
            };
            let links = writer.links(Goal::Follow, Box::new(on_progress));
            let running = side.run(links, until_stopped());
            L1Tasks {
                deriving: Some(running.deriving),
                following: Some(running.following),
                posting: posting.map(|posting| posting.run(until_stopped())),
            }
        }
    };
    tracing::info!(chain_id = listening.chain_id, rpc = %listening.rpc, ops = %listening.ops, block = listening.block, "serving");
    announce(&listening);

    // Either we are asked to end, or somebody cannot go on; in both cases nothing more is taken, then nothing is
    // served, and what is journaled reaches the state's disk.
    let mut failure = None;
    let built = tokio::select! {
        () = shutdown => {
            intake.close("the sequencer is shutting down");
            writer.stop();
            writer.building.await
        }
        built = &mut writer.building => {
            intake.close("the sequencer has stopped");
            built
        }
        ended = l1.ended() => {
            intake.close("the sequencer has stopped");
            failure = Some(ended);
            writer.stop();
            writer.building.await
        }
        ended = &mut rpc => {
            writer.stop();
            bail!("the RPC server ended by itself: {ended:?}")
        }
        ended = &mut ops => {
            writer.stop();
            bail!("the ops server ended by itself: {ended:?}")
        }
    };
    // Whoever waits for a transaction that is in no block would keep the process waiting.
    chain.waiters.end("the sequencer has stopped");
    stop_serving.send_replace(true);
    l1.join().await;
    rpc.await.context("join the RPC server")?;
    match tokio::time::timeout(OPS_SHUTDOWN_MAX, &mut ops).await {
        Ok(ended) => ended.context("join the ops server")?.context("serve ops")?,
        // Somebody opened a connection and asks nothing.
        Err(_) => ops.abort(),
    }
    let built = built.context("join the builder")?;
    if let Err(BuilderError::Rewind(RewindError::TooDeep { to, oldest })) = built {
        let needed = RestartNeeded { to, oldest };
        rebuild::order(&home, &chain, needed).await.context("have the state computed again")?;
        return Err(needed.into());
    }
    built.context("build blocks")?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    tokio::task::block_in_place(|| chain.state.flush()).context("write the last checkpoint")?;
    tracing::info!(block = chain.head().block.block.number(), "stopped");
    Ok(())
}

impl Source {
    /// The gas limit of the blocks to come, as far as it is known.
    fn gas_limit(&self, config: &Config, newest: u64) -> u64 {
        match self {
            Self::Users(_) => config.gas_limit,
            // L1's system config may change it any time.
            Self::L1 { .. } => newest,
        }
    }

    fn block_time_s(&self, config: &Config) -> u64 {
        match self {
            Self::Users(_) => config.block_time_s,
            Self::L1 { rollup, .. } => rollup.config.block_time,
        }
    }

    /// Who chooses the origins of blocks; nobody if none are made here.
    fn origin(&self, config: &Config, side: Option<&L1Side>) -> Option<Box<dyn Origin>> {
        match (self, side) {
            (Self::Users(genesis), _) => Some(Box::new(NoL1 {
                spec: Arc::new(genesis.spec.clone()),
                genesis_timestamp: genesis.timestamp,
                l1_fees: DevGenesis::L1_FEES,
                gas_limit: config.gas_limit,
            })),
            (Self::L1 { rollup, role: Role::Sequencer, l1 }, Some(side)) => {
                Some(Box::new(L1Origins {
                    rollup: rollup.config.clone(),
                    window: side.window.clone(),
                    confirmations: l1.confirmations,
                }))
            }
            (Self::L1 { .. }, _) => None,
        }
    }
}

/// The tasks of a node's L1 side, if it has one.
#[derive(Default)]
struct L1Tasks {
    following: Option<tokio::task::JoinHandle<()>>,
    deriving: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
    posting: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
}

impl L1Tasks {
    /// Why one of them ended by itself. None of them should.
    async fn ended(&mut self) -> anyhow::Error {
        async fn end(
            task: &mut Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
        ) -> anyhow::Error {
            let Some(running) = task else { return std::future::pending().await };
            let ended = running.await;
            *task = None;
            match ended {
                Ok(Err(error)) => error,
                Ok(Ok(())) => anyhow::anyhow!("it ended by itself"),
                Err(error) => error.into(),
            }
        }
        let Self { deriving, posting, .. } = self;
        tokio::select! {
            error = end(deriving) => error.context("derivation has ended"),
            error = end(posting) => error.context("the batcher has ended"),
        }
    }

    /// Waits for them to end, as they were told to.
    async fn join(self) {
        for task in [self.deriving, self.posting].into_iter().flatten() {
            if let Ok(Err(error)) = task.await
                && !is_for_want_of_a_builder(&error)
            {
                tracing::error!(error = format!("{error:#}"), "the L1 side ended badly");
            }
        }
        if let Some(following) = self.following {
            following.await.ok();
        }
    }
}

/// Whether something ended because the builder had: that one ends first, and leaves whoever waits for it without an answer.
fn is_for_want_of_a_builder(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(DeriverError::Gone(_)))
}

/// The genesis of the chain in this directory: the one that was written when it began, or a new one.
fn dev_genesis(home: &Home, config: &Config) -> anyhow::Result<Genesis> {
    let path = home.file("genesis.json");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let genesis = Genesis::dev(DevGenesis {
                chain_id: config.chain_id,
                timestamp: clock::unix_time().as_secs(),
                gas_limit: config.gas_limit,
                ..DevGenesis::default()
            });
            write_durably(&path, &genesis.to_json().context("write the genesis")?)?;
            return Ok(genesis);
        }
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let genesis = Genesis::from_json(&text).with_context(|| format!("read {}", path.display()))?;
    if genesis.spec.chain_id() != config.chain_id {
        bail!(
            "chain_id: the chain in {} has id {}, not {}",
            home.path.display(),
            genesis.spec.chain_id(),
            config.chain_id
        );
    }
    if !genesis.spec.rules(genesis.timestamp).is_active(OpFork::Isthmus) {
        bail!("{}: blocks are built by Isthmus' rules only, from genesis on", path.display());
    }
    Ok(genesis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::Gone;

    #[test]
    fn only_the_want_of_a_builder_is_passed_over() {
        let ended = |error: DeriverError| anyhow::Error::from(error).context("derive the chain");
        assert!(is_for_want_of_a_builder(&ended(Gone.into())));
        assert!(!is_for_want_of_a_builder(&ended(DeriverError::FollowerEnded)));
        assert!(!is_for_want_of_a_builder(&anyhow::anyhow!("post to L1")));
    }
}
