//! What every node stands on: its directory, state, journal and index, brought to where the chain stood.

use std::{future::Future, path::PathBuf, sync::Arc};

use anyhow::Context;
use millrace_contracts::Genesis;
use millrace_executor::{Executor, ExecutorConfig};
use millrace_state::State;
use millrace_types::SealedHeader;

use crate::{
    chain::{Chain, Resources},
    config::Config,
    genesis,
    index::Index,
    journal::{ChainIdentity, DataDir, Journal, Location},
    rebuild,
    recovery::{Promises, Recovery},
};

/// The directory that a chain lives in, locked for this process.
#[derive(Debug)]
pub(crate) struct Home {
    data_dir: DataDir,
    pub(crate) path: PathBuf,
    /// Dropped last: a temporary directory goes when everything in it is closed.
    temporary: Option<tempfile::TempDir>,
}

impl Home {
    /// The configured directory, or a temporary one.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        let (path, temporary) = match &config.data_dir {
            Some(path) => (path.clone(), None),
            None => {
                let dir = tempfile::Builder::new().prefix("millrace-").tempdir();
                let dir = dir.context("make a temporary data directory")?;
                (dir.path().to_owned(), Some(dir))
            }
        };
        let data_dir = DataDir::lock(&path).context("open the data directory")?;
        Ok(Self { data_dir, path, temporary })
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.data_dir.path().join(name)
    }
}

/// A chain that is ready to go on.
pub(crate) struct Foundation {
    pub(crate) chain: Arc<Chain>,
    pub(crate) executor: Executor,
}

impl Foundation {
    /// Opens everything and brings the chain back. Nothing, if `shutdown` came first: what was executed again so far is not
    /// lost, the next start goes on from the state's last checkpoint.
    ///
    /// Whoever makes blocks keeps the promises that are found: before anybody else can look, there is the block.
    pub(crate) async fn lay(
        home: &Home,
        config: &Config,
        genesis: &Genesis,
        promises: Promises,
        shutdown: impl Future<Output = ()>,
    ) -> anyhow::Result<Option<Self>> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(config.threads)
            .thread_name(|index| format!("worker-{index}"))
            .build_global()
            .context("start the worker threads")?;
        let spec = Arc::new(genesis.spec.clone());
        let header = genesis::header(genesis);
        let location = match &config.journal {
            Some(location) => location.clone(),
            None => Location::from(home.file("journal.sqlite")),
        };
        let identity = ChainIdentity { chain_id: spec.chain_id(), genesis_hash: header.hash() };
        let mut journal = Journal::open(&location, identity).await.context("open the journal")?;
        let mut limits = config.state.clone();
        limits.history_blocks = limits.history_blocks.max(rebuild::prepare(home, &journal).await?);
        let state = open_state(home, limits, genesis, &header)?;
        if config.journal_waypoints {
            let state = state.clone();
            journal = journal.keeping_waypoints(move || state.checkpoint_block());
        }
        let index = Arc::new(Index::open(&home.file("index")).context("open the index")?);
        let ExecutorConfig { eager, .. } = ExecutorConfig::default();
        let executor = Executor::new(
            spec.clone(),
            ExecutorConfig { call_gas_max: config.call_gas_max, threads: config.threads, eager },
        );
        let recovery = Recovery {
            executor: &executor,
            state: &state,
            journal: &journal,
            index: &index,
            genesis: &header,
            promises,
        };
        let (tip, hashes) = tokio::select! {
            recovered = recovery.run() => recovered.context("recover the chain")?,
            () = shutdown => return Ok(None),
        };
        let chain =
            Chain::new(Resources { spec, journal, index, state, hashes, genesis: header, tip });
        Ok(Some(Self { chain: Arc::new(chain), executor }))
    }
}

/// Opens the state, or creates it from the genesis, whose block has this header.
fn open_state(
    home: &Home,
    config: millrace_state::Config,
    genesis: &Genesis,
    header: &SealedHeader,
) -> anyhow::Result<State> {
    let path = home.file("state");
    match State::open(&path, config.clone()) {
        Ok(state) => Ok(state),
        Err(millrace_state::OpenError::Missing) => {
            let (state, root) =
                State::create(&path, config, &genesis.state_diff()).context("create the state")?;
            // Two ways to the same root: that of the trie that we maintain, and that of a library from scratch.
            assert_eq!(root.state_root, header.state_root, "the genesis state has another root");
            Ok(state)
        }
        Err(error) => Err(error).context("open the state"),
    }
}
