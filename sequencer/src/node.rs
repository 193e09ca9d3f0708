//! A running node: opens everything, wires it, and takes it down in order.

use std::{fs, future::Future, io::Write, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use millrace_contracts::{DevGenesis, Genesis};
use millrace_executor::{Executor, ExecutorConfig};
use millrace_protocol::OpFork;
use millrace_state::State;
use millrace_types::SealedHeader;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    backend::NodeBackend,
    banner::Listening,
    builder::{Builder, NoL1},
    chain::{Chain, Resources},
    clock,
    config::Config,
    genesis,
    health::Health,
    index::Index,
    intake::Intake,
    journal::{ChainIdentity, DataDir, Journal, Location},
    mempool::{Mempool, Rules},
    metrics::Metrics,
    ops,
    recovery::Recovery,
};

/// What the first transaction of each block may use. Whoever asks for more than the rest would fit no block, ever.
const L1_ATTRIBUTES_GAS: u64 = 1_000_000;

/// How long the ops server may take to end. Its clients are machines that ask again elsewhere.
const OPS_SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// Runs a development chain, without L1, until `shutdown`. `announce` hears where it is once it serves.
pub async fn run_dev(
    config: Config,
    announce: impl FnOnce(&Listening),
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    // Dropped last: a temporary directory goes when everything in it is closed.
    let (path, temporary) = match &config.data_dir {
        Some(path) => (path.clone(), None),
        None => {
            let dir = tempfile::Builder::new().prefix("millrace-").tempdir();
            let dir = dir.context("make a temporary data directory")?;
            (dir.path().to_owned(), Some(dir))
        }
    };
    let data_dir = DataDir::lock(&path).context("open the data directory")?;
    rayon::ThreadPoolBuilder::new()
        .num_threads(config.threads)
        .thread_name(|index| format!("worker-{index}"))
        .build_global()
        .context("start the worker threads")?;

    let genesis = dev_genesis(data_dir.path(), &config)?;
    let spec = Arc::new(genesis.spec.clone());
    let (state, genesis_header) = open_state(&data_dir.path().join("state"), &config, &genesis)?;
    let location = match &config.journal {
        Some(location) => location.clone(),
        None => Location::from(data_dir.path().join("journal.sqlite")),
    };
    let identity = ChainIdentity { chain_id: spec.chain_id(), genesis_hash: genesis_header.hash() };
    let mut journal = Journal::open(&location, identity).await.context("open the journal")?;
    if config.journal_waypoints {
        let state = state.clone();
        journal = journal.keeping_waypoints(move || state.checkpoint_block());
    }
    let index = Index::open(&data_dir.path().join("index")).context("open the index")?;
    let index = Arc::new(index);
    let executor = Executor::new(
        spec.clone(),
        ExecutorConfig { call_gas_max: config.call_gas_max, threads: config.threads, eager: false },
    );

    let recovery = Recovery {
        executor: &executor,
        state: &state,
        journal: &journal,
        index: &index,
        genesis: &genesis_header,
    };
    let mut shutdown = std::pin::pin!(shutdown);
    let (tip, hashes) = tokio::select! {
        recovered = recovery.run() => recovered.context("recover the chain")?,
        // What was executed again so far is not lost: the next start goes on from the state's last checkpoint.
        () = &mut shutdown => return Ok(()),
    };
    let resources = Resources {
        spec: spec.clone(),
        journal,
        index,
        state,
        hashes,
        genesis: genesis_header,
        tip,
    };
    let chain = Arc::new(Chain::new(resources));

    let rpc_listener = TcpListener::bind(config.rpc_addr)
        .await
        .with_context(|| format!("rpc_addr: listen on {}", config.rpc_addr))?;
    let ops_listener = TcpListener::bind(config.ops_addr)
        .await
        .with_context(|| format!("ops_addr: listen on {}", config.ops_addr))?;
    let listening = Listening {
        rpc: rpc_listener.local_addr().context("read the RPC address")?,
        ops: ops_listener.local_addr().context("read the ops address")?,
        chain_id: spec.chain_id(),
        block: chain.head().block.block.number(),
        data_dir: path,
        temporary: temporary.is_some(),
    };

    let health = Arc::new(Health::default());
    let metrics = Arc::new(Metrics::new(executor.clone()));
    metrics.recovered(chain.journal.waypoints_unusable());
    let base_fee = chain.head().block.block.header.base_fee_per_gas.unwrap_or_default();
    let usable_gas = config.gas_limit - L1_ATTRIBUTES_GAS;
    let rules = Rules { tip_min: config.pool_tip_min, ..Rules::new(spec.chain_id(), usable_gas) };
    let pool = Mempool::new(config.pool.clone(), base_fee);
    let (intake, woken) = Intake::new(chain.clone(), rules, pool, metrics.clone());

    let (stop_building, stop) = watch::channel(false);
    let builder = Builder {
        chain: chain.clone(),
        intake: intake.clone(),
        woken,
        executor: executor.clone(),
        origin: Box::new(NoL1 {
            genesis_timestamp: genesis.timestamp,
            l1_fees: DevGenesis::L1_FEES,
        }),
        gas_limit: config.gas_limit,
        block_time_s: config.block_time_s,
        health: health.clone(),
        metrics: metrics.clone(),
        runtime: tokio::runtime::Handle::current(),
        stop,
    };
    let mut building = tokio::task::spawn_blocking(move || builder.run());

    let (stop_serving, stopped) = watch::channel(false);
    let until_stopped = || {
        let mut stopped = stopped.clone();
        async move { stopped.wait_for(|stopped| *stopped).await.map_or((), drop) }
    };
    let backend = Arc::new(NodeBackend::new(chain.clone(), intake.clone(), executor));
    let mut rpc =
        tokio::spawn(millrace_rpc::serve(config.rpc, backend, rpc_listener, until_stopped()));
    let mut ops = tokio::spawn(ops::serve(ops_listener, health, metrics, until_stopped()));
    tracing::info!(chain_id = listening.chain_id, rpc = %listening.rpc, ops = %listening.ops, block = listening.block, "serving");
    announce(&listening);

    // Either we are asked to end, or the builder cannot go on; in both cases nothing more is taken, then nothing is
    // served, and what is journaled reaches the state's disk.
    let built = tokio::select! {
        () = &mut shutdown => {
            intake.close("the sequencer is shutting down");
            stop_building.send_replace(true);
            building.await
        }
        built = &mut building => {
            intake.close("the sequencer has stopped");
            built
        }
        ended = &mut rpc => {
            stop_building.send_replace(true);
            bail!("the RPC server ended by itself: {ended:?}")
        }
        ended = &mut ops => {
            stop_building.send_replace(true);
            bail!("the ops server ended by itself: {ended:?}")
        }
    };
    stop_serving.send_replace(true);
    rpc.await.context("join the RPC server")?;
    match tokio::time::timeout(OPS_SHUTDOWN_MAX, &mut ops).await {
        Ok(ended) => ended.context("join the ops server")?.context("serve ops")?,
        // Somebody opened a connection and asks nothing.
        Err(_) => ops.abort(),
    }
    built.context("join the builder")?.context("build blocks")?;
    tokio::task::block_in_place(|| chain.state.flush()).context("write the last checkpoint")?;
    tracing::info!(block = chain.head().block.block.number(), "stopped");
    Ok(())
}

/// The genesis of the chain in this directory: the one that was written when it began, or a new one.
fn dev_genesis(data_dir: &Path, config: &Config) -> anyhow::Result<Genesis> {
    let path = data_dir.join("genesis.json");
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
            data_dir.display(),
            genesis.spec.chain_id(),
            config.chain_id
        );
    }
    if !genesis.spec.rules(genesis.timestamp).is_active(OpFork::Isthmus) {
        bail!("{}: blocks are built by Isthmus' rules only, from genesis on", path.display());
    }
    Ok(genesis)
}

/// Writes a file so that after a crash it is there whole or not at all.
fn write_durably(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let context = || format!("write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)?;
    file.as_file().sync_all().with_context(context)?;
    file.persist(path).with_context(context)?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(context)
}

/// Opens the state, or creates it from the genesis; with it, the genesis block's header.
fn open_state(
    path: &Path,
    config: &Config,
    genesis: &Genesis,
) -> anyhow::Result<(State, SealedHeader)> {
    let header = genesis::header(genesis);
    let state = match State::open(path, config.state.clone()) {
        Ok(state) => state,
        Err(millrace_state::OpenError::Missing) => {
            let (state, root) = State::create(path, config.state.clone(), &genesis.state_diff())
                .context("create the state")?;
            // Two ways to the same root: that of the trie that we maintain, and that of a library from scratch.
            assert_eq!(root.state_root, header.state_root, "the genesis state has another root");
            state
        }
        Err(error) => return Err(error).context("open the state"),
    };
    Ok((state, header))
}
