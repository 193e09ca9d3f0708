//! Configuration: raw settings from flags, environment and file; then one validated, typed [`Config`].
//!
//! A flag wins over its environment variable, that over the file's key, and that over the default. The three have one
//! name: `--rpc-addr`, `MILLRACE_RPC_ADDR`, `rpc_addr`; and `--l1-url`, `MILLRACE_L1_URL`, `url` in the table `l1`. Nothing else in the process reads the environment.

mod batcher;
mod l1;
mod settings;
mod span;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

pub use self::{
    batcher::{BatcherConfig, BatcherSettings, Carrier, Compression, Format, KeySource},
    l1::{L1Config, L1Settings},
    settings::{LogFormat, Settings},
    span::Span,
};

use crate::{
    journal::{Location, LocationError},
    mempool::Limits,
};

/// What a node runs with. Made by [`Config::from_settings`] alone, so whatever is here has been checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the chain lives; `None` asks for a temporary directory.
    pub data_dir: Option<PathBuf>,
    /// Where JSON-RPC is served, over HTTP and WebSocket.
    pub rpc_addr: SocketAddr,
    /// Where metrics and health are served.
    pub ops_addr: SocketAddr,
    /// The chain id of a development chain.
    pub chain_id: u64,
    /// How far apart blocks are, in whole seconds.
    pub block_time_s: u64,
    /// The gas limit of a block.
    pub gas_limit: u64,
    /// How many threads execute blocks, recover senders and hash the state.
    pub threads: usize,
    /// The journal's database; `None` is SQLite in the data directory.
    pub journal: Option<Location>,
    /// Whether the journal keeps the waypoints of blocks that a restart would execute again.
    pub journal_waypoints: bool,
    /// The world state's bounds.
    pub state: millrace_state::Config,
    /// The mempool's bounds.
    pub pool: Limits,
    /// The least tip that the mempool takes, in wei a unit of gas.
    pub pool_tip_min: u128,
    /// The edge's bounds.
    pub rpc: millrace_rpc::Config,
    /// The most gas that a call or an estimate may use.
    pub call_gas_max: u64,
    /// How L1 is reached.
    pub l1: L1Config,
    /// How blocks are posted to it.
    pub batcher: BatcherConfig,
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SettingError {
    /// The setting's name, as in the file.
    pub key: &'static str,
    /// What is wrong, for the person who wrote it.
    pub problem: String,
}

/// Why a configuration file cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be read.
    #[error("read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// It is not TOML, or holds a key or value that we do not know.
    #[error("{path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
}

impl Settings {
    /// Reads a configuration file. Unknown keys are refused: a misspelt one would otherwise be a silent default.
    pub fn from_file(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| FileError::Read { path: path.into(), source })?;
        toml::from_str(&text)
            .map_err(|source| FileError::Parse { path: path.into(), source: Box::new(source) })
    }
}

/// The least gas limit of a block: below it not even the L1 attributes and a user's transaction fit.
const GAS_LIMIT_MIN: u64 = 5_000_000;

/// The largest chain id that fits a signature's `v` in every client.
const CHAIN_ID_MAX: u64 = u64::MAX / 2 - 36;

/// The longest block time. Wallets give up on chains that are slower.
const BLOCK_TIME_S_MAX: u64 = 60;

/// How many calls, proofs and log queries may be in the works at once for each thread.
const HEAVY_REQUESTS_PER_THREAD: usize = 16;

impl Config {
    /// Checks settings, all of which must be present (see [`Settings::defaults`]), and reports every problem.
    pub fn from_settings(settings: &Settings) -> Result<Self, Vec<SettingError>> {
        let mut check = Check { settings, problems: Vec::new() };
        let block_time = check.required("block_time", |s| s.block_time).0;
        let whole = block_time.subsec_millis() == 0
            && (1..=BLOCK_TIME_S_MAX).contains(&block_time.as_secs());
        check.that(whole, "block_time", || {
            format!("blocks are whole seconds apart, between 1s and {BLOCK_TIME_S_MAX}s")
        });
        let gas_limit = check.required("gas_limit", |s| s.gas_limit);
        check.that(gas_limit >= GAS_LIMIT_MIN, "gas_limit", || {
            format!("a block needs a gas limit of at least {GAS_LIMIT_MIN}")
        });
        let chain_id = check.required("chain_id", |s| s.chain_id);
        check.that((1..=CHAIN_ID_MAX).contains(&chain_id), "chain_id", || {
            format!("a chain id is between 1 and {CHAIN_ID_MAX}")
        });
        let threads = check.positive("threads", |s| s.threads);
        let journal = check.journal();
        let mib = |mib: u64| usize::try_from(mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
        let state_defaults = millrace_state::Config::default();
        let cache_bytes = mib(check.positive("state_cache_mib", |s| s.state_cache_mib));
        let state = millrace_state::Config {
            // Half for what was read lately, half for the store's own blocks and filters.
            cache_bytes: cache_bytes / 2,
            store_cache_bytes: cache_bytes / 2,
            trie_nodes_bytes: mib(check.positive("trie_cache_mib", |s| s.trie_cache_mib)),
            history_blocks: check.positive("history_blocks", |s| s.history_blocks),
            ..state_defaults
        };
        let lifetime = check.required("pool_queued_lifetime", |s| s.pool_queued_lifetime).0;
        let sender_count_max = check.positive("pool_sender_max", |s| s.pool_sender_max);
        let pool_defaults = Limits::default();
        let pool = Limits {
            count_max: check.positive("pool_transactions_max", |s| s.pool_transactions_max),
            bytes_max: mib(check.positive("pool_mib_max", |s| s.pool_mib_max) as u64),
            sender_count_max,
            sender_queued_max: pool_defaults.sender_queued_max.min(sender_count_max),
            queued_lifetime_ms: u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX),
            ..pool_defaults
        };
        let rpc = check.rpc(threads);
        let (l1, batcher) = (check.l1(), check.batcher());
        let config = Self {
            data_dir: settings.data_dir.clone(),
            rpc_addr: check.required("rpc_addr", |s| s.rpc_addr),
            ops_addr: check.required("ops_addr", |s| s.ops_addr),
            chain_id,
            block_time_s: block_time.as_secs(),
            gas_limit,
            threads,
            journal,
            journal_waypoints: check.required("journal_waypoints", |s| s.journal_waypoints),
            state,
            pool,
            pool_tip_min: check.required("pool_tip_min", |s| s.pool_tip_min).into(),
            rpc,
            call_gas_max: check.positive("rpc_call_gas_max", |s| s.rpc_call_gas_max),
            l1,
            batcher,
        };
        check.that(config.journal.is_none() || config.data_dir.is_some(), "data_dir", || {
            "a journal in another place needs a data_dir that is kept: the genesis lies there"
                .into()
        });
        if check.problems.is_empty() { Ok(config) } else { Err(check.problems) }
    }
}

/// Reads settings and collects what is wrong with them.
struct Check<'a> {
    settings: &'a Settings,
    problems: Vec<SettingError>,
}

impl Check<'_> {
    fn that(&mut self, holds: bool, key: &'static str, problem: impl FnOnce() -> String) {
        if !holds {
            self.problems.push(SettingError { key, problem: problem() });
        }
    }

    /// A setting that has a default.
    fn required<T>(&mut self, key: &'static str, get: impl FnOnce(&Settings) -> Option<T>) -> T {
        get(self.settings).unwrap_or_else(|| panic!("{key} has a default"))
    }

    /// A setting that must not be zero.
    fn positive<T: Default + PartialEq>(
        &mut self,
        key: &'static str,
        get: impl FnOnce(&Settings) -> Option<T>,
    ) -> T {
        let value = self.required(key, get);
        self.that(value != T::default(), key, || "must not be zero".into());
        value
    }

    /// The edge's bounds. What no setting names is as the edge has it.
    fn rpc(&mut self, threads: usize) -> millrace_rpc::Config {
        let bytes = |kib: u32| usize::try_from(u64::from(kib) << 10).unwrap_or(usize::MAX);
        let defaults = millrace_rpc::Config::default();
        let response_bytes_max =
            bytes(self.positive("rpc_response_kib_max", |s| s.rpc_response_kib_max));
        let timeout = self.required("rpc_timeout", |s| s.rpc_timeout).0;
        self.that(!timeout.is_zero(), "rpc_timeout", || "must not be zero".into());
        let sync_timeout = self.required("rpc_sync_timeout", |s| s.rpc_sync_timeout).0;
        let sync_timeout_max = self.required("rpc_sync_timeout_max", |s| s.rpc_sync_timeout_max).0;
        let in_order = !sync_timeout.is_zero() && sync_timeout <= sync_timeout_max;
        self.that(in_order, "rpc_sync_timeout", || {
            "must not be zero, and not longer than rpc_sync_timeout_max".into()
        });
        self.that(sync_timeout_max < timeout, "rpc_sync_timeout_max", || {
            "must be shorter than rpc_timeout, or nobody would hear how the wait ended".into()
        });
        let any_origin = self.required("rpc_cors", |s| s.rpc_cors);
        millrace_rpc::Config {
            body_bytes_max: bytes(self.positive("rpc_body_kib_max", |s| s.rpc_body_kib_max)),
            response_bytes_max,
            // A response that cannot wait whole could never be sent.
            websocket_buffer_bytes: defaults.websocket_buffer_bytes.max(response_bytes_max),
            batch_requests_max: self.positive("rpc_batch_max", |s| s.rpc_batch_max) as usize,
            connections_max: self.positive("rpc_connections_max", |s| s.rpc_connections_max)
                as usize,
            subscriptions_max: self.positive("rpc_subscriptions_max", |s| s.rpc_subscriptions_max)
                as usize,
            log_blocks_max: self.positive("rpc_log_blocks_max", |s| s.rpc_log_blocks_max),
            log_results_max: self.positive("rpc_logs_max", |s| s.rpc_logs_max),
            request_timeout: timeout,
            sync_timeout,
            sync_timeout_max,
            sync_waiting_max: self.positive("rpc_sync_waiting_max", |s| s.rpc_sync_waiting_max)
                as usize,
            // A client that waits for its answer is not idle.
            idle_timeout: defaults.idle_timeout.max(timeout * 2),
            // Enough to keep the cores busy, and few enough to leave the builder its share of them.
            heavy_requests_max: threads.saturating_mul(HEAVY_REQUESTS_PER_THREAD),
            origins: if any_origin { vec!["*".into()] } else { Vec::new() },
            ..defaults
        }
    }

    fn journal(&mut self) -> Option<Location> {
        let parsed: Result<Location, LocationError> = self.settings.journal_url.as_deref()?.parse();
        match parsed {
            Ok(location) => Some(location),
            Err(error) => {
                self.that(false, "journal_url", || error.to_string());
                None
            }
        }
    }
}
