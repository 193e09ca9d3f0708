//! What the node counts about itself, in Prometheus' text form on the ops address.

use std::time::Duration;

use millrace_types::SealedHeader;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::mempool::DropReason;

/// Every metric of the process. Names and labels are fixed here and nowhere else.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    head_number: IntGauge,
    head_timestamp: IntGauge,
    blocks: IntCounter,
    transactions: IntCounter,
    gas: IntCounter,
    root_seconds: Histogram,
    journal_seconds: Histogram,
    submissions: IntCounterVec,
    drops: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        // A name registered twice, or an invalid one, is a mistake in this file, found by the first test that runs.
        macro_rules! register {
            ($metric:expr) => {{
                let metric = $metric.expect("a valid metric");
                registry.register(Box::new(metric.clone())).expect("a new metric");
                metric
            }};
        }
        let seconds = |name: &str, help: &str| {
            let buckets = prometheus::exponential_buckets(0.000_1, 2.0, 16).expect("valid buckets");
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
        };
        let by = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label])
        };
        Self {
            head_number: register!(IntGauge::new(
                "millrace_head_number",
                "Number of the newest journaled block."
            )),
            head_timestamp: register!(IntGauge::new(
                "millrace_head_timestamp_seconds",
                "Timestamp of the newest journaled block."
            )),
            blocks: register!(IntCounter::new(
                "millrace_blocks_total",
                "Blocks sealed by this process."
            )),
            transactions: register!(IntCounter::new(
                "millrace_transactions_total",
                "Transactions in blocks sealed by this process, deposits included."
            )),
            gas: register!(IntCounter::new(
                "millrace_gas_total",
                "Gas used by blocks sealed by this process."
            )),
            root_seconds: register!(seconds(
                "millrace_seal_root_seconds",
                "Time from a block's last transaction to its header."
            )),
            journal_seconds: register!(seconds(
                "millrace_journal_commit_seconds",
                "Time to make a block durable in the journal."
            )),
            submissions: register!(by(
                "millrace_submissions_total",
                "Transactions offered, by whether the pool took them.",
                "result"
            )),
            drops: register!(by(
                "millrace_pool_dropped_total",
                "Transactions that left the pool without having been included.",
                "reason"
            )),
            registry,
        }
    }

    pub(crate) fn sealed(
        &self,
        header: &SealedHeader,
        transactions: usize,
        root: Duration,
        journal: Duration,
    ) {
        self.head_number.set(header.number as i64);
        self.head_timestamp.set(header.timestamp as i64);
        self.blocks.inc();
        self.transactions.inc_by(transactions as u64);
        self.gas.inc_by(header.gas_used);
        self.root_seconds.observe(root.as_secs_f64());
        self.journal_seconds.observe(journal.as_secs_f64());
    }

    pub(crate) fn submitted(&self, taken: bool) {
        self.submissions.with_label_values(&[if taken { "taken" } else { "refused" }]).inc();
    }

    pub(crate) fn dropped(&self, reason: &DropReason) {
        let reason = match reason {
            DropReason::Replaced(_) => "replaced",
            DropReason::Evicted => "evicted",
            DropReason::Expired => "expired",
            DropReason::Stale => "stale",
            DropReason::Unaffordable => "unaffordable",
            DropReason::Rejected(_) => "rejected",
            DropReason::Refused(_) => "refused",
        };
        self.drops.with_label_values(&[reason]).inc();
    }

    /// Everything, in Prometheus' text form.
    pub(crate) fn text(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("encode into memory");
        String::from_utf8(text).expect("the text form is UTF-8")
    }
}
