//! What the node counts about itself, in Prometheus' text form on the ops address.

mod executor;
mod figures;
mod l1;
mod posting;

use std::{sync::Arc, time::Duration};

use millrace_batcher::Handle;
use millrace_derivation::L2Ref;
use millrace_executor::Executor;
use millrace_l1::L1Metrics;
use millrace_types::SealedHeader;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::mempool::DropReason;

use self::{executor::ExecutorFigures, l1::L1Figures, posting::BatcherFigures};

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
    promise_seconds: Histogram,
    promised: IntCounter,
    taken: IntCounter,
    refused: IntCounter,
    drops: IntCounterVec,
    waypoints_unusable: IntCounter,
    stalled: IntGauge,
    journal_retries: IntCounterVec,
    blocks_taken_back: IntCounter,
    contradictions: IntCounter,
    l1_used_up_number: IntGauge,
    safe_number: IntGauge,
    safe_timestamp: IntGauge,
    finalized_number: IntGauge,
    finalized_timestamp: IntGauge,
    l1_reorgs: IntCounter,
    l1_reorg_depth: IntGauge,
}

impl Metrics {
    pub(crate) fn new(executor: Executor) -> Self {
        let registry = Registry::new();
        let figures = Box::new(ExecutorFigures::new(executor));
        registry.register(figures).expect("new metrics");
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
        // Looked up once: a label costs more than counting.
        let submissions = register!(by(
            "millrace_submissions_total",
            "Transactions offered, by whether the pool took them.",
            "result"
        ));
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
            promise_seconds: register!(seconds(
                "millrace_promise_commit_seconds",
                "Time to make groups of the open block durable in the journal, together."
            )),
            promised: register!(IntCounter::new(
                "millrace_promised_transactions_total",
                "Transactions promised by this process before their block was sealed."
            )),
            taken: submissions.with_label_values(&["taken"]),
            refused: submissions.with_label_values(&["refused"]),
            drops: register!(by(
                "millrace_pool_dropped_total",
                "Transactions that left the pool without having been included.",
                "reason"
            )),
            waypoints_unusable: register!(IntCounter::new(
                "millrace_journal_waypoints_unusable_total",
                "Blocks executed again without the waypoints that the journal had, because it could not read them."
            )),
            stalled: register!(IntGauge::new(
                "millrace_builder_stalled",
                "1 while no blocks can be made for want of an L1 origin, else 0."
            )),
            journal_retries: register!(by(
                "millrace_journal_retries_total",
                "Times that the journal was asked for the same again, because it was out of room or out of reach.",
                "operation"
            )),
            blocks_taken_back: register!(IntCounter::new(
                "millrace_blocks_taken_back_total",
                "Blocks that were taken back because L1 was reorganized or said otherwise."
            )),
            contradictions: register!(IntCounter::new(
                "millrace_derivation_contradictions_total",
                "Blocks derived from L1 that were not the ones that we had."
            )),
            l1_used_up_number: register!(IntGauge::new(
                "millrace_derivation_l1_number",
                "Number of the newest L1 block of which all that it says is derived."
            )),
            safe_number: register!(IntGauge::new(
                "millrace_safe_number",
                "Number of the newest block that was derived from L1."
            )),
            safe_timestamp: register!(IntGauge::new(
                "millrace_safe_timestamp_seconds",
                "Timestamp of the newest block that was derived from L1."
            )),
            finalized_number: register!(IntGauge::new(
                "millrace_finalized_number",
                "Number of the newest block that was derived from final blocks of L1."
            )),
            finalized_timestamp: register!(IntGauge::new(
                "millrace_finalized_timestamp_seconds",
                "Timestamp of the newest block that was derived from final blocks of L1."
            )),
            l1_reorgs: register!(IntCounter::new(
                "millrace_l1_reorgs_total",
                "Reorganizations of L1 that were seen."
            )),
            l1_reorg_depth: register!(IntGauge::new(
                "millrace_l1_reorg_depth",
                "L1 blocks that the last reorganization took away."
            )),
            registry,
        }
    }

    /// Shows what is counted of L1 and of posting to it.
    pub(crate) fn export_l1(&self, l1: Arc<L1Metrics>, batcher: Option<&Handle>) {
        self.registry.register(Box::new(L1Figures::new(l1))).expect("new metrics");
        if let Some(batcher) = batcher {
            let figures = BatcherFigures::new(batcher.figures(), batcher.backlog());
            self.registry.register(Box::new(figures)).expect("new metrics");
        }
    }

    /// Whether blocks cannot be made.
    pub(crate) fn stalled(&self, stalled: bool) {
        self.stalled.set(stalled.into());
    }

    /// The journal is asked for the same again: to append, promise, withdraw, rewind, read or finalize.
    pub(crate) fn journal_retried(&self, operation: &str) {
        self.journal_retries.with_label_values(&[operation]).inc();
    }

    pub(crate) fn taken_back(&self, blocks: usize) {
        self.blocks_taken_back.inc_by(blocks as u64);
    }

    pub(crate) fn contradicted(&self) {
        self.contradictions.inc();
    }

    /// It goes back when L1 does.
    pub(crate) fn l1_used_up(&self, number: u64) {
        self.l1_used_up_number.set(number as i64);
    }

    pub(crate) fn safe(&self, block: &L2Ref) {
        self.safe_number.set(block.id.number as i64);
        self.safe_timestamp.set(block.timestamp as i64);
    }

    pub(crate) fn finalized(&self, block: &L2Ref) {
        self.finalized_number.set(block.id.number as i64);
        self.finalized_timestamp.set(block.timestamp as i64);
    }

    pub(crate) fn l1_reorg(&self, depth: u64) {
        self.l1_reorgs.inc();
        self.l1_reorg_depth.set(depth as i64);
    }

    /// What the journal had to say while the chain was brought back.
    pub(crate) fn recovered(&self, waypoints_unusable: u64) {
        self.waypoints_unusable.inc_by(waypoints_unusable);
    }

    /// So many transactions of the open block are durable, after so long.
    pub(crate) fn promised(&self, transactions: usize, took: Duration) {
        self.promised.inc_by(transactions as u64);
        self.promise_seconds.observe(took.as_secs_f64());
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
        if taken { &self.taken } else { &self.refused }.inc();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millrace_contracts::{DevGenesis, Genesis};
    use millrace_executor::ExecutorConfig;

    use super::*;

    #[test]
    fn the_executor_and_the_journal_have_their_say() {
        let spec = Genesis::dev(DevGenesis::default()).spec;
        let config = ExecutorConfig { threads: 3, ..ExecutorConfig::default() };
        let metrics = Metrics::new(Executor::new(Arc::new(spec), config));
        metrics.recovered(2);
        let text = metrics.text();
        let check = |line: &str| assert!(text.lines().any(|found| found == line), "{line}: {text}");
        check("millrace_executor_threads 3");
        check("millrace_executor_attempts_total 0");
        check("millrace_executor_windows_total{mode=\"parallel\"} 0");
        check("millrace_executor_windows_total{mode=\"light\"} 0");
        check("millrace_executor_stage_seconds_total{stage=\"planning\"} 0");
        check("# TYPE millrace_executor_stretches_total counter");
        check("millrace_journal_waypoints_unusable_total 2");
        let explained = text.lines().filter(|line| line.starts_with("# HELP ")).count();
        let names = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(explained, names);
    }
}
