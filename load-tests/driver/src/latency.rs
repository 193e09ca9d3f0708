//! Percentiles of latencies.

use std::fmt;

/// Latencies of one kind, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

/// What is said of them, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl Latencies {
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.push(u32::try_from(nanos / 1_000).unwrap_or(u32::MAX));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Nearest rank: the smallest latency that so many of all do not exceed. `None` if there are none.
    pub(crate) fn percentiles(&mut self) -> Option<Percentiles> {
        self.0.sort_unstable();
        let at = |share: f64| {
            let rank = (share * self.0.len() as f64).ceil() as usize;
            self.0.get(rank.max(1) - 1).map(|micros| f64::from(*micros) / 1_000.0)
        };
        Some(Percentiles { p50: at(0.5)?, p99: at(0.99)?, p999: at(0.999)?, max: at(1.0)? })
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, p999, max } = self;
        write!(f, "p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, max {max:.2} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_nearest() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentiles(), None);
        (1..=1_000).rev().for_each(|milli| latencies.record(milli * 1_000_000));
        let expected = Percentiles { p50: 500.0, p99: 990.0, p999: 999.0, max: 1_000.0 };
        assert_eq!(latencies.percentiles(), Some(expected));
        let mut one = Latencies::default();
        one.record(5_000);
        let same = Percentiles { p50: 0.005, p99: 0.005, p999: 0.005, max: 0.005 };
        assert_eq!(one.percentiles(), Some(same));
    }
}
