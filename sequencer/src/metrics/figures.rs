//! Metrics of figures that others keep. They are made anew for each scrape: two at a time must not meet in one.

use prometheus::{Counter, Gauge, Opts};

/// A counter that has come to this.
pub(super) fn counter(opts: Opts, value: f64) -> Counter {
    let counter = Counter::with_opts(opts).expect("a valid metric");
    counter.inc_by(value);
    counter
}

/// A gauge that stands here.
pub(super) fn gauge(opts: Opts, value: f64) -> Gauge {
    let gauge = Gauge::with_opts(opts).expect("a valid metric");
    gauge.set(value);
    gauge
}
