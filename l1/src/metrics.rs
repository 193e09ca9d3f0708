//! What the client counts. Plain numbers, read by whoever exports them.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows. Relaxed throughout: nothing is ordered by a count.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A number that is set.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

/// What is counted of one endpoint.
#[derive(Debug, Default)]
pub struct EndpointMetrics {
    /// Its name in the configuration.
    pub name: String,
    /// Requests, each of one call or several.
    pub requests: Counter,
    /// Microseconds that all requests took together.
    pub request_us: Counter,
    /// Requests that failed by connection, time, size or HTTP.
    pub failures: Counter,
    /// Calls that the node refused.
    pub refusals: Counter,
    /// Answers that contradict what they must match, other chains included.
    pub untrue: Counter,
    /// How often the endpoint was set aside.
    pub set_aside: Counter,
    /// How often it was passed over because its head was too far behind.
    pub stale: Counter,
    /// 1 while it is in use, 0 while it is unproven or set aside.
    pub usable: Gauge,
    /// The number of its newest block, as far as known.
    pub head: Gauge,
}

/// What is counted of L1.
#[derive(Debug, Default)]
pub struct L1Metrics {
    /// For each endpoint, in the order of the configuration.
    pub endpoints: Vec<EndpointMetrics>,
    /// Rounds over the endpoints beyond a question's first one.
    pub retries: Counter,
    /// Questions that no endpoint answered.
    pub unanswered: Counter,
    /// Blobs fetched and verified.
    pub blobs: Counter,
    /// Blobs that were not what their hash says.
    pub blobs_untrue: Counter,
    /// The follower's newest block at the confirmation depth.
    pub follower_tip: Gauge,
    /// L1's newest block, as the follower knows it.
    pub follower_head: Gauge,
    /// L1's newest safe block.
    pub follower_safe: Gauge,
    /// L1's newest finalized block.
    pub follower_finalized: Gauge,
    /// Reorganizations that the follower reported.
    pub reorgs: Counter,
    /// Blocks that they removed.
    pub reorged_blocks: Counter,
    /// 1 while the follower gets no answer from L1.
    pub lost: Gauge,
}

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counts one more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Sets the number.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl L1Metrics {
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let endpoints =
            names.map(|name| EndpointMetrics { name: name.to_owned(), ..Default::default() });
        Self { endpoints: endpoints.collect(), ..Default::default() }
    }
}
