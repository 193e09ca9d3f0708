//! What a run of reads is asked to do.

use std::{fmt, time::Duration};

use clap::{Args, ValueEnum};

use super::{CommonArgs, Config, ConfigError, LoadArgs, Spread, Workload, between, seconds};
use crate::limits;

/// Transactions a request while the chain is prepared, where nothing is measured.
const BATCH: usize = 20;
/// How long the preparation may take.
const PREPARATION_SECS: f64 = 120.0;

#[derive(Debug, Args)]
pub(super) struct ReadsArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Token transfers that are included before anything is read, and whose receipts and logs are read.
    #[arg(long, default_value_t = 2_000)]
    transactions: u64,
    /// What is read, one after the other.
    #[arg(long, value_enum, num_args = 1.., default_values_t = Method::value_variants().to_vec())]
    methods: Vec<Method>,
    /// For how many seconds each is read.
    #[arg(long, default_value_t = 10.0)]
    duration: f64,
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// A sender's balance of the token, by calling it.
    #[value(name = "eth_call")]
    Call,
    /// A sender's balance of ether.
    #[value(name = "eth_getBalance")]
    Balance,
    /// A sender's transfers in all blocks of the preparation.
    #[value(name = "eth_getLogs")]
    Logs,
    /// The receipt of a transfer.
    #[value(name = "eth_getTransactionReceipt")]
    Receipt,
}

/// What a run of reads does. Part of a [`super::Task`], and valid.
#[derive(Debug)]
pub struct ReadsConfig {
    /// Which transactions are sent ahead. Reads have its endpoint, its connections and its name.
    pub(crate) preparation: Config,
    pub(crate) methods: Vec<Method>,
    pub(crate) duration: Duration,
}

impl TryFrom<ReadsArgs> for ReadsConfig {
    type Error = ConfigError;

    fn try_from(args: ReadsArgs) -> Result<Self, ConfigError> {
        let most = limits::READ_TRANSACTIONS_MAX;
        let count = between("transactions", args.transactions, 1, most)?;
        let preparation = Config::try_from(LoadArgs {
            common: args.common,
            workload: Workload::Tokens,
            recipients: Spread::Spread,
            count: Some(count),
            rate: None,
            duration: PREPARATION_SECS,
            batch: BATCH,
            in_flight: u64::MAX,
            sync: false,
            every: None,
        })?;
        Ok(Self {
            preparation,
            methods: args.methods,
            duration: seconds("duration", args.duration, limits::DURATION_SECS_MAX)?,
        })
    }
}

impl Method {
    /// By which endpoints know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Call => "eth_call",
            Self::Balance => "eth_getBalance",
            Self::Logs => "eth_getLogs",
            Self::Receipt => "eth_getTransactionReceipt",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::{Cli, Task};

    /// The words are separated by single spaces.
    fn check(line: &str) -> Result<ReadsConfig, String> {
        let words = ["millrace-load", "reads"].into_iter().chain(line.split(' '));
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        match Task::try_from(cli).map_err(|error| error.to_string())? {
            Task::Reads(config) => Ok(*config),
            Task::Load(_) => panic!("{line} is a load"),
        }
    }

    #[test]
    fn reads_are_bounded() {
        for (line, problem) in [
            ("--transactions 0", "--transactions: 0 is not between 1 and 100000"),
            ("--duration 0", "--duration: 0 is not over 0"),
            ("--connections 0", "--connections: 0 is not between"),
            ("--methods eth_sendTransaction", "error: invalid value 'eth_sendTransaction'"),
            ("--rate 5", "error: unexpected argument '--rate'"),
        ] {
            let error = check(line).unwrap_err();
            assert!(error.starts_with(problem), "{line}: {error}");
        }
        let all = check("--transactions 5 --connections 8").unwrap();
        assert_eq!((all.preparation.count, all.preparation.connections), (5, 5));
        assert_eq!(all.methods, Method::value_variants());
        let two = check("--methods eth_getLogs eth_call").unwrap();
        assert_eq!(two.methods, [Method::Logs, Method::Call]);
    }
}
