//! What a run is asked to do: the command line, and the checked form of it.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use alloy_primitives::hex;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::reads::{Method, ReadsConfig};
use crate::{keys::Key, limits};

mod reads;

/// The first account of the mnemonic that every development chain funds.
const DEV_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// Drives an Ethereum JSON-RPC endpoint with signed transactions and reports what became of them, or measures how fast it
/// answers reads.
#[derive(Debug, Parser)]
#[command(name = "millrace-load", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sends token transfers, waits until they are included, and then reads what they left, flat out.
    Reads(reads::ReadsArgs),
}

/// What both ways of running are told.
#[derive(Debug, Args)]
struct CommonArgs {
    /// The endpoint: http://HOST:PORT[/PATH].
    #[arg(long, default_value = "http://127.0.0.1:9545")]
    url: String,
    /// Keep-alive connections, each with one request under way.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Accounts that send. Each belongs to one connection, so that its transactions arrive in order.
    #[arg(long, default_value_t = 256)]
    senders: usize,
    /// A file with the private key that funds the senders, in hex. By default the first account of development chains.
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// The highest fee a gas, in wei. By default 50 times the base fee, and 2 gwei.
    #[arg(long)]
    max_fee: Option<u128>,
    /// Where accounts, recipients and the mix come from. Random when absent, and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Reads the CPU time and the memory of this process, the server's, from /proc.
    #[arg(long)]
    server_pid: Option<u32>,
    /// How often the next block is asked for, in milliseconds: the resolution of inclusion latencies.
    #[arg(long, default_value_t = 10)]
    poll_ms: u64,
    /// Seconds to wait for the rest after the last transaction was sent.
    #[arg(long, default_value_t = 30.0)]
    drain: f64,
    /// Allows an endpoint that is not on this machine.
    #[arg(long)]
    allow_remote: bool,
    /// What the RESULT line is called.
    #[arg(long, default_value = "load")]
    name: String,
}

#[derive(Debug, Args)]
struct LoadArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// What the transactions do.
    #[arg(long, value_enum, default_value_t = Workload::Transfers)]
    workload: Workload,
    /// Whether everybody pays one recipient (and swaps in one pool), or many.
    #[arg(long, value_enum, default_value_t = Spread::Spread)]
    recipients: Spread,
    /// How many transactions are signed ahead: 20,000, or RATE × DURATION, which it never exceeds.
    #[arg(long)]
    count: Option<u64>,
    /// Transactions a second, whether or not the endpoint keeps up. Without it each connection sends as soon as it was answered.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds after which nothing more is sent.
    #[arg(long, default_value_t = 60.0)]
    duration: f64,
    /// Transactions a request: 1 sends single requests, more sends JSON batches.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Sending pauses while so many transactions wait for a block. Not with --rate, which waits for nobody.
    #[arg(long, default_value_t = 50_000)]
    in_flight: u64,
    /// Sends by eth_sendRawTransactionSync, so that acceptance means a receipt.
    #[arg(long)]
    sync: bool,
    /// Prints a line INTERVAL every so many seconds.
    #[arg(long)]
    every: Option<f64>,
}

/// What the command line asks for, checked.
#[derive(Debug)]
pub enum Task {
    /// Drive with transactions: [`crate::run`].
    Load(Box<Config>),
    /// Drive with reads: [`crate::reads`].
    Reads(Box<ReadsConfig>),
}

impl TryFrom<Cli> for Task {
    type Error = ConfigError;

    fn try_from(cli: Cli) -> Result<Self, ConfigError> {
        Ok(match cli.command {
            None => Self::Load(Box::new(cli.load.try_into()?)),
            Some(Command::Reads(reads)) => Self::Reads(Box::new(reads.try_into()?)),
        })
    }
}

/// What transactions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Pay a little ether.
    Transfers,
    /// Transfer an ERC-20 token.
    Tokens,
    /// Swap in a constant-product pool.
    Swaps,
    /// Half transfers, three tenths tokens, two tenths swaps.
    Mixed,
}

/// How much the transactions meet in the same state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spread {
    /// All in one account, one balance or one pool.
    Hot,
    /// In many.
    Spread,
}

/// How the next request's time is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many transactions a second: what is late stays due when it was.
    Rate(f64),
    /// As soon as the last request was answered, with at most so many transactions waiting for a block.
    FlatOut {
        /// The most that may wait.
        in_flight: u64,
    },
}

/// Where the endpoint is.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// What is connected to.
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// The path that is posted to.
    pub path: String,
}

/// What a run does. Part of a [`Task`], and valid.
#[derive(Debug)]
pub struct Config {
    pub(crate) endpoint: Endpoint,
    pub(crate) workload: Workload,
    pub(crate) spread: Spread,
    pub(crate) count: usize,
    pub(crate) pace: Pace,
    pub(crate) duration: Duration,
    pub(crate) batch: usize,
    pub(crate) connections: usize,
    pub(crate) senders: usize,
    pub(crate) sync: bool,
    pub(crate) funder: Key,
    pub(crate) max_fee: Option<u128>,
    pub(crate) seed: u64,
    pub(crate) server_pid: Option<u32>,
    pub(crate) poll: Duration,
    pub(crate) drain: Duration,
    pub(crate) every: Option<Duration>,
    pub(crate) name: String,
}

/// What is wrong with the command line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that cannot be meant.
    #[error("--{flag}: {problem}")]
    Flag {
        /// Which one.
        flag: &'static str,
        /// Why not.
        problem: String,
    },
}

impl TryFrom<LoadArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: LoadArgs) -> Result<Self, ConfigError> {
        let common = args.common;
        let endpoint = endpoint(&common.url, common.allow_remote)?;
        let duration = seconds("duration", args.duration, limits::DURATION_SECS_MAX)?;
        let drain = seconds("drain", common.drain, limits::DURATION_SECS_MAX)?;
        let every = args.every.map(|every| seconds("every", every, limits::DURATION_SECS_MAX));
        let every = every.transpose()?;
        if args.rate.is_some_and(|rate| !(rate > 0.0 && rate <= limits::RATE_MAX)) {
            return Err(wrong("rate", format!("must be over 0 and at most {}", limits::RATE_MAX)));
        }
        // What would be due after the end need not be signed.
        let due = args.rate.map(|rate| (rate * duration.as_secs_f64()).ceil() as u64);
        let asked = match (args.count, due) {
            (Some(count), due) => count.min(due.unwrap_or(count)),
            (None, Some(due)) => due,
            (None, None) => limits::COUNT_DEFAULT,
        };
        let count = between("count", asked, 1, limits::COUNT_MAX)?;
        let senders = between("senders", common.senders as u64, 1, limits::SENDERS_MAX)?.min(count);
        let connections =
            between("connections", common.connections as u64, 1, limits::CONNECTIONS_MAX)?
                .min(senders);
        let batch = between("batch", args.batch as u64, 1, limits::BATCH_MAX)?;
        let poll = between("poll-ms", common.poll_ms, 1, 10_000)?;
        if common.name.is_empty() || common.name.contains(char::is_whitespace) {
            return Err(wrong("name", "must be one word"));
        }
        let pace = match args.rate {
            Some(rate) => Pace::Rate(rate),
            None => Pace::FlatOut { in_flight: args.in_flight.max(batch) },
        };
        let key = match &common.key_file {
            None => DEV_KEY.to_owned(),
            Some(file) => std::fs::read_to_string(file)
                .map_err(|error| wrong("key-file", format!("{}: {error}", file.display())))?,
        };
        // What is wrong with a key is not said in terms of the key.
        let funder = hex::decode(key.trim()).ok().and_then(|bytes| Key::from_bytes(&bytes));
        let funder = funder.ok_or_else(|| wrong("key-file", "holds no private key in hex"))?;
        if common.server_pid.is_some_and(|pid| crate::process::cpu(pid).is_none()) {
            return Err(wrong("server-pid", "there is no such process in /proc"));
        }
        Ok(Self {
            endpoint,
            workload: args.workload,
            spread: args.recipients,
            count: count as usize,
            pace,
            duration,
            batch: batch as usize,
            connections: connections as usize,
            senders: senders as usize,
            sync: args.sync,
            funder,
            max_fee: common.max_fee,
            seed: common.seed.unwrap_or_else(rand::random),
            server_pid: common.server_pid,
            poll: Duration::from_millis(poll),
            drain,
            every,
            name: common.name,
        })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transfers => "transfers",
            Self::Tokens => "tokens",
            Self::Swaps => "swaps",
            Self::Mixed => "mixed",
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hot => "hot",
            Self::Spread => "spread",
        })
    }
}

fn wrong(flag: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Flag { flag, problem: problem.into() }
}

fn between(flag: &'static str, value: u64, min: u64, max: u64) -> Result<u64, ConfigError> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(wrong(flag, format!("{value} is not between {min} and {max}")))
    }
}

fn seconds(flag: &'static str, value: f64, max: f64) -> Result<Duration, ConfigError> {
    if value > 0.0 && value <= max {
        Ok(Duration::from_secs_f64(value))
    } else {
        Err(wrong(flag, format!("{value} is not over 0 and at most {max} seconds")))
    }
}

/// Load belongs on this machine unless somebody says otherwise.
fn endpoint(url: &str, allow_remote: bool) -> Result<Endpoint, ConfigError> {
    let Some(rest) = url.strip_prefix("http://") else {
        return Err(wrong("url", format!("{url} does not start with http://")));
    };
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    if host.contains('@') || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("url", format!("{url} is not http://HOST:PORT[/PATH]")));
    }
    // Without a port it is 80, as everywhere; an address in brackets has colons of its own.
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let target = if has_port { host.to_owned() } else { format!("{host}:80") };
    let mut addresses = target
        .to_socket_addrs()
        .map_err(|error| wrong("url", format!("{host}: {error}")))?
        .filter(|address| allow_remote || address.ip().is_loopback());
    let Some(address) = addresses.next() else {
        return Err(wrong("url", format!("{host} is not this machine; --allow-remote permits it")));
    };
    Ok(Endpoint { address, host: host.to_owned(), path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words are separated by single spaces.
    fn check(line: &str) -> Result<Config, String> {
        let words = ["millrace-load"].into_iter().chain(line.split(' '));
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        match Task::try_from(cli).map_err(|error| error.to_string())? {
            Task::Load(config) => Ok(*config),
            Task::Reads(_) => panic!("{line} is for reads"),
        }
    }

    #[test]
    fn a_run_is_bounded() {
        for (line, problem) in [
            ("--count 0", "--count: 0 is not between 1 and 20000000"),
            ("--count 20000001", "--count: 20000001 is not between"),
            ("--rate 0", "--rate: must be over 0"),
            ("--rate NaN", "--rate: must be over 0"),
            ("--rate 1000000 --duration 60", "--count: 60000000 is not between"),
            ("--duration 0", "--duration: 0 is not over 0"),
            ("--every 0", "--every: 0 is not over 0"),
            ("--batch 0", "--batch: 0 is not between"),
            ("--senders 0", "--senders: 0 is not between"),
            ("--connections 100000", "--connections: 100000 is not between"),
            ("--name two\twords", "--name: must be one word"),
            ("--key-file /nonexistent", "--key-file: /nonexistent: "),
            ("--server-pid 4194999", "--server-pid: there is no such process"),
        ] {
            let error = check(line).unwrap_err();
            assert!(error.starts_with(problem), "{line}: {error}");
        }
        let config = check("--rate 100 --duration 2.5 --senders 3 --connections 8").unwrap();
        assert_eq!((config.count, config.connections), (250, 3));
        assert_eq!(check("--rate 100 --duration 2.5 --count 300").unwrap().count, 250);
    }

    #[test]
    fn load_stays_on_this_machine() {
        for url in ["https://127.0.0.1", "127.0.0.1:1", "http://user@127.0.0.1", "http://"] {
            assert!(check(&format!("--url {url}")).unwrap_err().starts_with("--url: "), "{url}");
        }
        let error = check("--url http://192.0.2.1:8545").unwrap_err();
        assert_eq!(error, "--url: 192.0.2.1:8545 is not this machine; --allow-remote permits it");
        let remote = check("--url http://192.0.2.1/rpc --allow-remote").unwrap().endpoint;
        assert_eq!(remote.address.to_string(), "192.0.2.1:80");
        assert_eq!((remote.host.as_str(), remote.path.as_str()), ("192.0.2.1", "/rpc"));
        let local = check("--url http://[::1]:8545").unwrap().endpoint;
        assert_eq!(local.address.to_string(), "[::1]:8545");
    }
}
