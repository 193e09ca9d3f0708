//! What a run found, for people and for scripts.

use std::{fmt, time::Duration};

use crate::{
    answers::Errors,
    config::{Config, Pace},
    latency::Percentiles,
    run::Run,
    watch::Blocks,
};

/// What a run found. Printed, it is a summary that ends in a line `RESULT name=… key=value …`.
#[derive(Debug)]
pub struct Report {
    labels: String,
    /// Transactions that were signed and not sent: the time was over, or connections were given up.
    unsent: u64,
    /// Transactions that were sent.
    pub submitted: u64,
    /// Transactions that were answered by a hash or, with `--sync`, a receipt.
    pub accepted: u64,
    /// Transactions that were found in blocks.
    pub included: u64,
    /// The same a second, each until the last of its kind.
    rates: [f64; 3],
    accept: Option<Percentiles>,
    include: Option<Percentiles>,
    behind_ms: f64,
    elapsed: Duration,
    errors: Errors,
    blocks: Blocks,
    reverted: (usize, usize),
    server_cpu: Option<Duration>,
    own_cpu: Option<Duration>,
    open_loop: bool,
    problem: Option<String>,
}

impl Report {
    pub(crate) fn new(config: &Config, run: Run) -> Self {
        let Run { mut sent, mut included, server_cpu, own_cpu, first_block: _ } = run;
        let Config { name, workload, spread, batch, connections, senders, seed, .. } = config;
        let method = if config.sync { "sync" } else { "async" };
        let pace = match config.pace {
            Pace::Rate(rate) => rate.to_string(),
            Pace::FlatOut { .. } => "flat-out".to_owned(),
        };
        let rate = |count: u64, nanos: u64| {
            if nanos == 0 { 0.0 } else { count as f64 / (nanos as f64 / 1e9) }
        };
        Self {
            labels: format!(
                "name={name} workload={workload} recipients={spread} method={method} pace={pace} batch={batch} \
                 connections={connections} senders={senders} seed={seed}"
            ),
            unsent: config.count as u64 - sent.submitted,
            submitted: sent.submitted,
            accepted: sent.accepted,
            included: included.count,
            rates: [
                rate(sent.submitted, sent.last_submitted),
                rate(sent.accepted, sent.last_accepted),
                rate(included.count, included.last_included),
            ],
            accept: sent.latencies.percentiles(),
            include: included.latencies.percentiles(),
            behind_ms: sent.behind as f64 / 1e6,
            elapsed: Duration::from_nanos(included.last_included.max(sent.last_submitted)),
            errors: sent.errors,
            blocks: included.blocks,
            reverted: included.reverted,
            server_cpu,
            own_cpu,
            open_loop: matches!(config.pace, Pace::Rate(_)),
            problem: included.problem.map(|problem| problem.to_string()),
        }
    }

    /// Whether everything that was sent was included, did what it should, and nothing is unknown.
    pub fn is_clean(&self) -> bool {
        self.included == self.submitted
            && self.errors.total() == 0
            && self.reverted.0 == 0
            && self.problem.is_none()
    }

    /// CPU time for each included transaction, in microseconds.
    fn cpu_us(&self, total: Option<Duration>) -> Option<f64> {
        let total = total.filter(|_| self.included > 0)?;
        Some(total.as_secs_f64() * 1e6 / self.included as f64)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { submitted, accepted, included, elapsed, .. } = self;
        let Blocks { count, empty, gas, largest, reorgs, slots } = self.blocks;
        let [submitted_rate, accepted_rate, included_rate] = self.rates;
        writeln!(f, "{:.2} s", elapsed.as_secs_f64())?;
        writeln!(f, "  submitted  {submitted:>9}  {submitted_rate:>9.0}/s")?;
        writeln!(f, "  accepted   {accepted:>9}  {accepted_rate:>9.0}/s")?;
        writeln!(f, "  included   {included:>9}  {included_rate:>9.0}/s")?;
        let from = if self.open_loop { "due" } else { "sent" };
        for (what, percentiles) in [("accepted", &self.accept), ("included", &self.include)] {
            if let Some(percentiles) = percentiles {
                writeln!(f, "  {from} until {what}: {percentiles}")?;
            }
        }
        if self.open_loop {
            writeln!(f, "  sent at most {:.2} ms after it was due", self.behind_ms)?;
        }
        writeln!(
            f,
            "  {count} blocks, {empty} of them without ours, at most {largest} of ours in one, {gas} gas"
        )?;
        if slots.missed > 0 {
            writeln!(
                f,
                "  {} of them came half a block time late or more, the latest by {} ms",
                slots.missed, slots.late_max_ms
            )?;
        }
        if reorgs > 0 {
            writeln!(f, "  the chain was reorganized {reorgs} times: numbers are of all branches")?;
        }
        for (whose, cpu) in [("server", self.server_cpu), ("driver", self.own_cpu)] {
            if let Some((total, each)) = cpu.zip(self.cpu_us(cpu)) {
                let total = total.as_secs_f64();
                writeln!(f, "  {whose}: {total:.2} s of CPU, {each:.1} µs for each included")?;
            }
        }
        let (reverted, sample) = self.reverted;
        if reverted > 0 {
            writeln!(f, "  REVERTED: {reverted} of a sample of {sample}")?;
        }
        for (code, message, count) in self.errors.iter() {
            writeln!(f, "  {count} × error {code}: {message}")?;
        }
        if let Some(problem) = &self.problem {
            writeln!(f, "  blocks may be missing: {problem}")?;
        }
        if self.unsent > 0 {
            writeln!(f, "  {} transactions were signed and not sent", self.unsent)?;
        }
        let missing = accepted.saturating_sub(*included);
        if missing > 0 {
            writeln!(f, "  {missing} accepted transactions were not seen in a block")?;
        }
        write!(
            f,
            "RESULT {} submitted={submitted} accepted={accepted} included={included} errors={} \
             submitted_per_s={submitted_rate:.0} accepted_per_s={accepted_rate:.0} included_per_s={included_rate:.0}",
            self.labels,
            self.errors.total(),
        )?;
        for (what, percentiles) in [("accept", &self.accept), ("include", &self.include)] {
            if let Some(Percentiles { p50, p99, p999, max }) = percentiles {
                write!(
                    f,
                    " {what}_p50_ms={p50:.3} {what}_p99_ms={p99:.3} {what}_p999_ms={p999:.3} {what}_max_ms={max:.3}"
                )?;
            }
        }
        write!(
            f,
            " behind_max_ms={:.3} blocks={count} blocks_empty={empty} gas={gas}",
            self.behind_ms
        )?;
        write!(f, " slots_missed={} late_max_ms={}", slots.missed, slots.late_max_ms)?;
        write!(f, " reorgs={reorgs} reverted={reverted} sampled={sample}")?;
        for (whose, cpu) in [("server", self.server_cpu), ("driver", self.own_cpu)] {
            if let Some(each) = self.cpu_us(cpu) {
                write!(f, " {whose}_cpu_us_per_tx={each:.1}")?;
            }
        }
        Ok(())
    }
}
