//! What is measured.

use clap::Parser;

use crate::workload::Workload;

#[derive(Debug, Parser)]
#[command(about = "How many transactions a second become journaled blocks")]
pub(crate) struct Args {
    /// What the transactions do.
    #[arg(long = "workload", value_delimiter = ',', default_value = "transfers,tokens,swaps")]
    pub(crate) workloads: Vec<Workload>,
    /// How many accounts the chain begins with; several to see what growth costs.
    #[arg(long, value_delimiter = ',', default_value = "1000000")]
    pub(crate) accounts: Vec<usize>,
    /// How long the clock runs.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// How long the chain is fed before it does.
    #[arg(long, default_value_t = 5)]
    pub(crate) warm_up: u64,
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// How many transactions are made for each second.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) rate_max: usize,
    /// Threads of the executor and of whatever else is spread.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// How far the trie may be kept in memory.
    #[arg(long)]
    pub(crate) trie_cache_mib: Option<u64>,
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// In this process, and once.
    #[arg(long, hide = true)]
    pub(crate) alone: bool,
    /// Cargo says this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    /// What a process of its own has to be told.
    pub(crate) fn for_one(&self, workload: Workload, accounts: usize, round: usize) -> Vec<String> {
        let mut args = vec!["--alone".to_owned()];
        let mut add = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        add("workload", workload.to_string());
        add("accounts", accounts.to_string());
        add("seconds", self.seconds.to_string());
        add("warm-up", self.warm_up.to_string());
        add("rate-max", self.rate_max.to_string());
        add("seed", (self.seed + round as u64).to_string());
        if let Some(threads) = self.threads {
            add("threads", threads.to_string());
        }
        if let Some(mib) = self.trie_cache_mib {
            add("trie-cache-mib", mib.to_string());
        }
        args
    }
}
