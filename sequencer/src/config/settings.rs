//! The raw settings, each with one name in three places: flag, environment variable, key of the file.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{BatcherSettings, L1Settings, Span};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What was said about each setting; `None` where nothing was.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the chain lives. Without it a temporary directory is used, which goes with the process.
    #[arg(long, env = "MILLRACE_DATA_DIR", value_name = "PATH")]
    pub data_dir: Option<PathBuf>,
    /// Where JSON-RPC is served, over HTTP and WebSocket [default: 127.0.0.1:9545].
    #[arg(long, env = "MILLRACE_RPC_ADDR", value_name = "ADDR")]
    pub rpc_addr: Option<SocketAddr>,
    /// Where metrics and health are served [default: 127.0.0.1:9900].
    #[arg(long, env = "MILLRACE_OPS_ADDR", value_name = "ADDR")]
    pub ops_addr: Option<SocketAddr>,
    /// The chain id of a new development chain [default: 901].
    #[arg(long, env = "MILLRACE_CHAIN_ID", value_name = "ID")]
    pub chain_id: Option<u64>,
    /// How far apart blocks are, in whole seconds [default: 1s].
    #[arg(long, env = "MILLRACE_BLOCK_TIME", value_name = "SPAN")]
    pub block_time: Option<Span>,
    /// The gas limit of a block [default: 200000000].
    #[arg(long, env = "MILLRACE_GAS_LIMIT", value_name = "GAS")]
    pub gas_limit: Option<u64>,
    /// How many threads execute blocks, recover senders and hash the state [default: one a core].
    #[arg(long, env = "MILLRACE_THREADS", value_name = "N")]
    pub threads: Option<usize>,
    /// How logs are written [default: text].
    #[arg(long, env = "MILLRACE_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged, as `info` or `millrace_sequencer=debug,warn` [default: info, and warn of the key-value store].
    #[arg(long, env = "MILLRACE_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// The journal's database, as `postgres://user@host/name`; SQLite in the data directory without it.
    #[arg(long, env = "MILLRACE_JOURNAL_URL", value_name = "URL", hide_env_values = true)]
    pub journal_url: Option<String>,
    /// Whether the journal keeps what helps to execute the newest blocks faster after a restart [default: true].
    #[arg(long, env = "MILLRACE_JOURNAL_WAYPOINTS", value_name = "BOOL")]
    pub journal_waypoints: Option<bool>,
    /// Memory for accounts and slots read from disk, in MiB [default: 256].
    #[arg(long, env = "MILLRACE_STATE_CACHE_MIB", value_name = "MIB")]
    pub state_cache_mib: Option<u64>,
    /// Memory for the nodes of the state's trie, in MiB [default: 512].
    #[arg(long, env = "MILLRACE_TRIE_CACHE_MIB", value_name = "MIB")]
    pub trie_cache_mib: Option<u64>,
    /// How many blocks back a state can be asked for [default: 10000].
    #[arg(long, env = "MILLRACE_HISTORY_BLOCKS", value_name = "N")]
    pub history_blocks: Option<u64>,

    /// How many transactions the pool holds [default: 200000].
    #[arg(long, env = "MILLRACE_POOL_TRANSACTIONS_MAX", value_name = "N")]
    pub pool_transactions_max: Option<usize>,
    /// How much they may weigh, in MiB [default: 256].
    #[arg(long, env = "MILLRACE_POOL_MIB_MAX", value_name = "MIB")]
    pub pool_mib_max: Option<usize>,
    /// How many of them may be one sender's [default: 1024].
    #[arg(long, env = "MILLRACE_POOL_SENDER_MAX", value_name = "N")]
    pub pool_sender_max: Option<usize>,
    /// How long a transaction may wait for its nonce to come [default: 3h].
    #[arg(long, env = "MILLRACE_POOL_QUEUED_LIFETIME", value_name = "SPAN")]
    pub pool_queued_lifetime: Option<Span>,
    /// The least tip, in wei a unit of gas [default: 0].
    #[arg(long, env = "MILLRACE_POOL_TIP_MIN", value_name = "WEI")]
    pub pool_tip_min: Option<u64>,

    /// The largest request body, in KiB [default: 5120].
    #[arg(long, env = "MILLRACE_RPC_BODY_KIB_MAX", value_name = "KIB")]
    pub rpc_body_kib_max: Option<u32>,
    /// The largest response, in KiB [default: 16384].
    #[arg(long, env = "MILLRACE_RPC_RESPONSE_KIB_MAX", value_name = "KIB")]
    pub rpc_response_kib_max: Option<u32>,
    /// The most requests in one JSON batch [default: 1000].
    #[arg(long, env = "MILLRACE_RPC_BATCH_MAX", value_name = "N")]
    pub rpc_batch_max: Option<u32>,
    /// The most connections at once [default: 500].
    #[arg(long, env = "MILLRACE_RPC_CONNECTIONS_MAX", value_name = "N")]
    pub rpc_connections_max: Option<u32>,
    /// The most subscriptions of one connection [default: 64].
    #[arg(long, env = "MILLRACE_RPC_SUBSCRIPTIONS_MAX", value_name = "N")]
    pub rpc_subscriptions_max: Option<u32>,
    /// The most blocks that one eth_getLogs covers [default: 10000].
    #[arg(long, env = "MILLRACE_RPC_LOG_BLOCKS_MAX", value_name = "N")]
    pub rpc_log_blocks_max: Option<u64>,
    /// The most logs that one eth_getLogs answers with [default: 20000].
    #[arg(long, env = "MILLRACE_RPC_LOGS_MAX", value_name = "N")]
    pub rpc_logs_max: Option<usize>,
    /// The most gas that a call or an estimate may use [default: 50000000].
    #[arg(long, env = "MILLRACE_RPC_CALL_GAS_MAX", value_name = "GAS")]
    pub rpc_call_gas_max: Option<u64>,
    /// How long one request may take [default: 30s].
    #[arg(long, env = "MILLRACE_RPC_TIMEOUT", value_name = "SPAN")]
    pub rpc_timeout: Option<Span>,
    /// How long eth_sendRawTransactionSync waits for a receipt unless it is told [default: 2s].
    #[arg(long, env = "MILLRACE_RPC_SYNC_TIMEOUT", value_name = "SPAN")]
    pub rpc_sync_timeout: Option<Span>,
    /// How long it waits at most, whatever it is told [default: 10s].
    #[arg(long, env = "MILLRACE_RPC_SYNC_TIMEOUT_MAX", value_name = "SPAN")]
    pub rpc_sync_timeout_max: Option<Span>,
    /// How many may wait for receipts at once [default: 4096].
    #[arg(long, env = "MILLRACE_RPC_SYNC_WAITING_MAX", value_name = "N")]
    pub rpc_sync_waiting_max: Option<u32>,
    /// Whether any web page may call us [default: true].
    #[arg(long, env = "MILLRACE_RPC_CORS", value_name = "BOOL")]
    pub rpc_cors: Option<bool>,

    /// How L1 is reached.
    #[command(flatten)]
    #[serde(default)]
    pub l1: L1Settings,
    /// How blocks are posted to it.
    #[command(flatten)]
    #[serde(default)]
    pub batcher: BatcherSettings,
}

impl Settings {
    /// What holds where nothing was said.
    pub fn defaults() -> Self {
        let span = |ms| Some(Span(std::time::Duration::from_millis(ms)));
        let local = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        Self {
            data_dir: None,
            rpc_addr: local(9545),
            ops_addr: local(9900),
            chain_id: Some(901),
            block_time: span(1_000),
            gas_limit: Some(200_000_000),
            threads: Some(std::thread::available_parallelism().map_or(1, usize::from)),
            log_format: Some(LogFormat::Text),
            log: Some("info,fjall=warn,lsm_tree=warn".into()),
            journal_url: None,
            journal_waypoints: Some(true),
            state_cache_mib: Some(256),
            trie_cache_mib: Some(512),
            history_blocks: Some(10_000),
            pool_transactions_max: Some(200_000),
            pool_mib_max: Some(256),
            pool_sender_max: Some(1_024),
            pool_queued_lifetime: span(3 * 3_600_000),
            pool_tip_min: Some(0),
            rpc_body_kib_max: Some(5 * 1024),
            rpc_response_kib_max: Some(16 * 1024),
            rpc_batch_max: Some(1_000),
            rpc_connections_max: Some(500),
            rpc_subscriptions_max: Some(64),
            rpc_log_blocks_max: Some(10_000),
            rpc_logs_max: Some(20_000),
            rpc_call_gas_max: Some(50_000_000),
            rpc_timeout: span(30_000),
            rpc_sync_timeout: span(2_000),
            rpc_sync_timeout_max: span(10_000),
            rpc_sync_waiting_max: Some(4_096),
            rpc_cors: Some(true),
            l1: L1Settings::defaults(),
            batcher: BatcherSettings::defaults(),
        }
    }

    /// What holds on a devnet beside that: its L1 is quick and forgets nothing, and people wait for what they did.
    pub fn devnet() -> Self {
        let span = |ms| Some(Span(std::time::Duration::from_millis(ms)));
        let l1 = L1Settings { confirmations: Some(1), poll: span(500), ..L1Settings::default() };
        let batcher = BatcherSettings {
            idle: span(4_000),
            bump_after: span(10_000),
            channel_l1_blocks: Some(3),
            confirmations: Some(4),
            ..BatcherSettings::default()
        };
        Self { l1, batcher, ..Self::default() }
    }

    /// These settings, and where they are silent, the others.
    pub fn or(self, others: Self) -> Self {
        macro_rules! each {
            ($($key:ident)*) => {
                Self {
                    $($key: self.$key.or(others.$key),)*
                    l1: self.l1.or(others.l1),
                    batcher: self.batcher.or(others.batcher),
                }
            };
        }
        each! {
            data_dir rpc_addr ops_addr chain_id block_time gas_limit threads log_format log
            journal_url journal_waypoints state_cache_mib trie_cache_mib history_blocks
            pool_transactions_max pool_mib_max pool_sender_max pool_queued_lifetime pool_tip_min
            rpc_body_kib_max rpc_response_kib_max rpc_batch_max rpc_connections_max rpc_subscriptions_max
            rpc_log_blocks_max rpc_logs_max rpc_call_gas_max rpc_timeout rpc_sync_timeout
            rpc_sync_timeout_max rpc_sync_waiting_max rpc_cors
        }
    }

    /// The same, fit to be shown: a password in a URL is not.
    pub fn redacted(mut self) -> Self {
        self.journal_url = self.journal_url.as_deref().map(redact_url);
        self.l1 = self.l1.redacted();
        self.batcher = self.batcher.redacted();
        self
    }
}

/// Replaces everything between a URL's scheme and its host, and its query, which may hold a password, too.
pub(super) fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "<redacted>".into() };
    let rest = rest.split('?').next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://<redacted>@{host}"),
        None => format!("{scheme}://{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_source_wins() {
        let file: Settings = toml::from_str("gas_limit = 5\nblock_time = \"2s\"").unwrap();
        let flags = Settings { gas_limit: Some(7), ..Default::default() };
        let merged = flags.or(file).or(Settings::defaults());
        assert_eq!(merged.gas_limit, Some(7));
        assert_eq!(merged.block_time, Some("2s".parse().unwrap()));
        assert_eq!(merged.chain_id, Some(901));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = toml::from_str::<Settings>("gas_limt = 5").unwrap_err().to_string();
        assert!(error.contains("gas_limt"), "{error}");
    }

    #[test]
    fn defaults_say_something_about_all_but_two() {
        let text = toml::to_string(&Settings::defaults()).unwrap();
        let silent = Settings {
            data_dir: Some("x".into()),
            journal_url: Some("y".into()),
            ..Settings::defaults()
        };
        assert_eq!(toml::to_string(&silent).unwrap().lines().count(), text.lines().count() + 2);
    }

    #[test]
    fn passwords_do_not_show() {
        for url in
            ["postgres://me:secret@host:5432/db", "postgres://host/db?password=secret", "secret"]
        {
            let shown = Settings { journal_url: Some(url.into()), ..Default::default() }.redacted();
            assert!(!shown.journal_url.unwrap().contains("secret"), "{url}");
        }
    }
}
