//! What comes out, as lines for people and programs.

use std::{collections::BTreeMap, time::Instant};

use crate::workload::Workload;

/// What is known at one moment.
pub(crate) struct Reading {
    at: Instant,
    cpu_s: f64,
    metrics: BTreeMap<String, f64>,
    memory: u64,
}

impl Reading {
    pub(crate) fn take(metrics: &str) -> Self {
        let metrics = metrics.lines().filter(|line| !line.starts_with('#'));
        let metrics = metrics.filter_map(|line| line.rsplit_once(' '));
        let metrics = metrics.filter_map(|(name, value)| Some((name.into(), value.parse().ok()?)));
        Self {
            at: Instant::now(),
            cpu_s: cpu_s(),
            metrics: metrics.collect(),
            memory: Self::memory(),
        }
    }

    /// The bytes that the process has in memory.
    pub(crate) fn memory() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }

    fn metric(&self, name: &str) -> f64 {
        self.metrics.get(name).copied().unwrap_or_default()
    }
}

/// CPU time of this process, all threads.
fn cpu_s() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name, in parentheses, may hold spaces.
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = [11, 12].map(|field| fields[field].parse::<f64>().unwrap()).iter().sum();
    ticks / TICKS_PER_SECOND
}

/// Names with values, in the order in which they are printed.
pub(crate) struct Figures(Vec<(String, f64)>);

impl Figures {
    pub(crate) fn new(began: &Reading, ended: &Reading, bytes_per_account: u64) -> Self {
        let seconds = (ended.at - began.at).as_secs_f64();
        let grown = |name: &str| ended.metric(name) - began.metric(name);
        let (blocks, transactions) =
            (grown("millrace_blocks_total"), grown("millrace_transactions_total"));
        let per_block_ms = |name: &str| 1000.0 * grown(name) / blocks;
        let mut figures = vec![
            ("tx_per_s", transactions / seconds),
            ("gas_per_s", grown("millrace_gas_total") / seconds),
            ("cpu_us_per_tx", 1e6 * (ended.cpu_s - began.cpu_s) / transactions),
            ("cores_busy", (ended.cpu_s - began.cpu_s) / seconds),
            ("block_s", seconds / blocks),
        ];
        for stage in STAGES {
            let name = format!("millrace_{stage}_seconds_sum");
            figures.push((stage, per_block_ms(&name)));
        }
        figures.push(("bytes_per_account", bytes_per_account as f64));
        figures.push(("memory_mib", (ended.memory >> 20) as f64));
        Self(figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    pub(crate) fn to_line(&self) -> String {
        let part = |(name, value): &(String, f64)| format!("{name}={value:.2}");
        self.0.iter().map(part).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn from_line(line: &str) -> Self {
        let part = |part: &str| {
            let (name, value) = part.split_once('=').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        Self(line.split(' ').map(part).collect())
    }

    /// Medians over rounds.
    pub(crate) fn report(workload: Workload, accounts: usize, rounds: Vec<Self>) {
        let median = |index: usize| {
            let mut values: Vec<_> = rounds.iter().map(|round| round.0[index].1).collect();
            values.sort_by(f64::total_cmp);
            (rounds[0].0[index].0.clone(), values[values.len() / 2])
        };
        let medians = Self((0..rounds[0].0.len()).map(median).collect());
        println!(
            "RESULT name=pipeline workload={workload} accounts={accounts} rounds={} {}",
            rounds.len(),
            medians.to_line()
        );
    }
}

/// What a block's time is measured in, in milliseconds a block.
const STAGES: [&str; 2] = ["seal_root", "journal_commit"];
