//! What the L1 client counts: read when somebody scrapes.

use std::sync::Arc;

use millrace_l1::{EndpointMetrics, L1Metrics};
use prometheus::{
    Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::figures::{counter, gauge};

/// Shows what is counted of L1 and of each endpoint.
pub(super) struct L1Figures {
    metrics: Arc<L1Metrics>,
    /// What they are called, as registration asks for it before any of them is read.
    descriptions: Vec<Desc>,
}

impl L1Figures {
    pub(super) fn new(metrics: Arc<L1Metrics>) -> Self {
        let figures = Self { metrics, descriptions: Vec::new() };
        let all = figures.all();
        let descriptions = all.iter().flat_map(|metric| metric.desc()).cloned().collect();
        Self { descriptions, ..figures }
    }

    fn all(&self) -> Vec<Box<dyn Collector>> {
        let L1Metrics {
            endpoints,
            retries,
            unanswered,
            blobs,
            blobs_untrue,
            follower_tip,
            follower_head,
            follower_safe,
            follower_finalized,
            // Derivation counts them when it has heard of them.
            reorgs: _,
            reorged_blocks,
            lost,
        } = &*self.metrics;
        let total = |name, help, value: u64| of_l1(name, help, Figure::Total(value));
        let now = |name, help, value: u64| of_l1(name, help, Figure::Now(value));
        let mut all = vec![
            total(
                "retries_total",
                "Rounds over the endpoints beyond a question's first.",
                retries.get(),
            ),
            total("unanswered_total", "Questions that no endpoint answered.", unanswered.get()),
            total("blobs_total", "Blobs fetched and verified.", blobs.get()),
            total(
                "blobs_untrue_total",
                "Blobs that were not what their hash says.",
                blobs_untrue.get(),
            ),
            now("tip_number", "The newest L1 block at the confirmation depth.", follower_tip.get()),
            now("head_number", "L1's newest block.", follower_head.get()),
            now("safe_number", "L1's newest safe block.", follower_safe.get()),
            now("finalized_number", "L1's newest final block.", follower_finalized.get()),
            total("reorged_blocks_total", "L1 blocks that they removed.", reorged_blocks.get()),
            now("lost", "1 while L1 gives no answer, else 0.", lost.get()),
        ];
        for endpoint in endpoints {
            let EndpointMetrics {
                name,
                requests,
                request_us,
                failures,
                refusals,
                untrue,
                set_aside,
                stale,
                usable,
                head,
            } = endpoint;
            let each = |metric, help, value| of_endpoint(name, metric, help, value);
            let count = |metric, help, value: u64| each(metric, help, Figure::Total(value));
            all.extend([
                count("requests_total", "Requests, each of one call or several.", requests.get()),
                each(
                    "request_seconds_total",
                    "Time that all requests took together.",
                    Figure::Seconds(request_us.get()),
                ),
                count("failures_total", "Requests that failed on the way.", failures.get()),
                count("refusals_total", "Calls that the node refused.", refusals.get()),
                count(
                    "untrue_total",
                    "Answers that contradict what they must match.",
                    untrue.get(),
                ),
                count("set_aside_total", "Times that it was set aside.", set_aside.get()),
                count("stale_total", "Times that its head was too far behind.", stale.get()),
                each("usable", "1 while it is in use, else 0.", Figure::Now(usable.get())),
                each("head", "Its newest block, as far as known.", Figure::Now(head.get())),
            ]);
        }
        all
    }
}

impl Collector for L1Figures {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.all().iter().flat_map(|metric| metric.collect()).collect()
    }
}

/// What kind of number it is.
enum Figure {
    Total(u64),
    /// Of microseconds that were counted.
    Seconds(u64),
    Now(u64),
}

fn of_l1(name: &str, help: &str, figure: Figure) -> Box<dyn Collector> {
    metric(Opts::new(format!("millrace_l1_{name}"), help), figure)
}

fn of_endpoint(endpoint: &str, name: &str, help: &str, figure: Figure) -> Box<dyn Collector> {
    let opts = Opts::new(format!("millrace_l1_endpoint_{name}"), help);
    metric(opts.const_label("endpoint", endpoint), figure)
}

fn metric(opts: Opts, figure: Figure) -> Box<dyn Collector> {
    match figure {
        Figure::Total(value) => Box::new(counter(opts, value as f64)),
        Figure::Seconds(us) => Box::new(counter(opts, us as f64 / 1e6)),
        Figure::Now(value) => Box::new(gauge(opts, value as f64)),
    }
}
