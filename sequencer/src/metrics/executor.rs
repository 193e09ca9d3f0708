//! The executor's figures, which it keeps itself: read when somebody scrapes.

use std::time::Duration;

use millrace_executor::{Executor, ExecutorStats};
use prometheus::{
    Counter, Gauge, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::figures::{counter, gauge};

/// Shows an executor's figures as counters.
pub(super) struct ExecutorFigures {
    executor: Executor,
    /// What they are called, as registration asks for it before any of them is read.
    descriptions: Vec<Desc>,
}

impl ExecutorFigures {
    pub(super) fn new(executor: Executor) -> Self {
        let figures = Self { executor, descriptions: Vec::new() };
        let (counters, threads) = (figures.counters(), figures.threads());
        let descriptions = counters.iter().flat_map(Collector::desc).chain(threads.desc());
        let descriptions = descriptions.cloned().collect();
        Self { descriptions, ..figures }
    }

    /// How many threads there are to be used: a gauge, since a rate of it means nothing.
    fn threads(&self) -> Gauge {
        let opts = Opts::new(
            "millrace_executor_threads",
            "Threads that execute a block. Busy over running seconds, divided by this, is their use.",
        );
        gauge(opts, self.executor.config().threads as f64)
    }

    fn counters(&self) -> Vec<Counter> {
        // Every figure is named, so that one that is added cannot be forgotten here.
        let ExecutorStats {
            windows_parallel,
            windows_light,
            windows_unpromising,
            windows_paused,
            attempts,
            committed,
            re_executed,
            mispredicted,
            panics,
            lanes,
            longest_lanes,
            stretches_kept,
            stretches_broken,
            planning,
            running,
            joining,
            busy,
        } = self.executor.stats();
        let windows = |mode, count| {
            let help = "Runs of candidates, by whether they were executed in lanes or one by one.";
            labelled("windows_total", help, "mode", mode, count as f64)
        };
        let stretches = |result, count| {
            let help = "Stretches of blocks with waypoints, by whether what was promised came out.";
            labelled("stretches_total", help, "result", result, count as f64)
        };
        let stage = |stage, time: Duration| {
            let help = "Time by the clock that windows in lanes took, by stage.";
            labelled("stage_seconds_total", help, "stage", stage, time.as_secs_f64())
        };
        vec![
            windows("parallel", windows_parallel),
            windows("light", windows_light),
            windows("unpromising", windows_unpromising),
            windows("paused", windows_paused),
            plain("attempts_total", "Candidates executed in lanes.", attempts as f64),
            plain("committed_total", "Attempts that stood.", committed as f64),
            plain(
                "re_executed_total",
                "Attempts that were executed again, for whatever reason: some had met, the block was full, a lane was lost.",
                re_executed as f64,
            ),
            plain(
                "mispredicted_total",
                "Attempts that met one of another lane: what was forecast was wrong.",
                mispredicted as f64,
            ),
            plain("panics_total", "Lanes or stretches lost to a panic.", panics as f64),
            plain("lanes_total", "Lanes executed.", lanes as f64),
            plain(
                "longest_lanes_total",
                "Candidates in the longest lane of each window: what no number of threads shortens.",
                longest_lanes as f64,
            ),
            stretches("kept", stretches_kept),
            stretches("broken", stretches_broken),
            stage("planning", planning),
            stage("running", running),
            stage("joining", joining),
            plain("busy_seconds_total", "Time that lanes took, one by one.", busy.as_secs_f64()),
        ]
    }
}

impl Collector for ExecutorFigures {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counters = self.counters();
        counters.iter().flat_map(Collector::collect).chain(self.threads().collect()).collect()
    }
}

fn plain(name: &str, help: &str, value: f64) -> Counter {
    counter(Opts::new(format!("millrace_executor_{name}"), help), value)
}

fn labelled(name: &str, help: &str, label: &str, is: &str, value: f64) -> Counter {
    counter(Opts::new(format!("millrace_executor_{name}"), help).const_label(label, is), value)
}
