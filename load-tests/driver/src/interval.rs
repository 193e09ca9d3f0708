//! What happened in a stretch of a run, for runs so long that their end hides how they went.

use std::{fmt, time::Duration};

use crate::{
    latency::{Latencies, Percentiles},
    process,
    slots::Slots,
};

/// A stretch of a run. Printed, it is a line `INTERVAL name=… key=value …`.
#[derive(Debug)]
pub struct Interval {
    name: String,
    /// When it ended, from the start of the run.
    end: Duration,
    /// When its last block was seen, or that of an earlier one.
    last_block: Duration,
    /// Transactions that were included in it, and the same a second: from the last block before it to its own last, since
    /// a stretch may hold a block more or less than its length tells.
    included: u64,
    rate: f64,
    latency: Option<Percentiles>,
    /// Transactions that waited for a block at its end.
    waiting: u64,
    blocks: u64,
    slots_missed: u64,
    resident_mib: Option<u64>,
}

/// Collects what intervals are made of.
#[derive(Debug)]
pub(crate) struct Intervals {
    name: String,
    every: u64,
    /// When the interval began, in nanoseconds from the start of the run.
    since: u64,
    server_pid: Option<u32>,
    latencies: Latencies,
    included: u64,
    blocks: u64,
    /// When the last block before the interval, and the last of all, were seen.
    block_before: u64,
    last_block: u64,
    missed_before: u64,
}

impl Intervals {
    pub(crate) fn new(name: &str, every: Duration, server_pid: Option<u32>) -> Self {
        Self {
            name: name.to_owned(),
            every: u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1),
            since: 0,
            server_pid,
            latencies: Latencies::default(),
            included: 0,
            blocks: 0,
            block_before: 0,
            last_block: 0,
            missed_before: 0,
        }
    }

    /// A transaction was included.
    pub(crate) fn include(&mut self, latency: u64) {
        self.latencies.record(latency);
        self.included += 1;
    }

    /// A block was seen, so many nanoseconds from the start.
    pub(crate) fn block(&mut self, seen: u64) {
        self.blocks += 1;
        self.last_block = seen;
    }

    /// The interval, if it is over now.
    pub(crate) fn end(&mut self, now: u64, waiting: u64, slots: &Slots) -> Option<Interval> {
        if now.saturating_sub(self.since) < self.every {
            return None;
        }
        let between = Duration::from_nanos(self.last_block - self.block_before).as_secs_f64();
        let interval = Interval {
            name: self.name.clone(),
            end: Duration::from_nanos(now),
            included: self.included,
            last_block: Duration::from_nanos(self.last_block),
            rate: if between > 0.0 { self.included as f64 / between } else { 0.0 },
            latency: std::mem::take(&mut self.latencies).percentiles(),
            waiting,
            blocks: self.blocks,
            slots_missed: slots.missed - self.missed_before,
            resident_mib: self.server_pid.and_then(process::resident_mib),
        };
        self.since = now;
        (self.included, self.blocks) = (0, 0);
        self.block_before = self.last_block;
        self.missed_before = slots.missed;
        Some(interval)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, included, rate, waiting, blocks, slots_missed, .. } = self;
        write!(
            f,
            "INTERVAL name={name} end_s={:.1} last_block_s={:.3} included={included} included_per_s={rate:.0} waiting={waiting} \
             blocks={blocks} slots_missed={slots_missed}",
            self.end.as_secs_f64(),
            self.last_block.as_secs_f64(),
        )?;
        if let Some(Percentiles { p50, p99, p999, max }) = self.latency {
            write!(
                f,
                " include_p50_ms={p50:.3} include_p99_ms={p99:.3} include_p999_ms={p999:.3} include_max_ms={max:.3}"
            )?;
        }
        self.resident_mib.map_or(Ok(()), |mib| write!(f, " server_rss_mib={mib}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_what_happened_in_it() {
        const SECOND: u64 = 1_000_000_000;
        let mut intervals = Intervals::new("soak", Duration::from_secs(10), None);
        let mut slots = Slots::default();
        (1..=100).for_each(|milli| intervals.include(milli * 1_000_000));
        intervals.block(5 * SECOND);
        assert!(intervals.end(10 * SECOND - 1, 0, &slots).is_none());
        let line = intervals.end(10 * SECOND, 7, &slots).expect("it is over").to_string();
        assert_eq!(
            line,
            "INTERVAL name=soak end_s=10.0 last_block_s=5.000 included=100 included_per_s=20 waiting=7 blocks=1 slots_missed=0 \
             include_p50_ms=50.000 include_p99_ms=99.000 include_p999_ms=100.000 include_max_ms=100.000"
        );
        // The next is later, and counts from there; nothing of the first is in it.
        slots.missed = 2;
        assert!(intervals.end(19 * SECOND, 0, &slots).is_none());
        intervals.include(1_000_000);
        intervals.block(5_500_000_000);
        let line = intervals.end(30 * SECOND, 0, &slots).expect("it is over").to_string();
        let start = "INTERVAL name=soak end_s=30.0 last_block_s=5.500 included=1 included_per_s=2 waiting=0 blocks=1 slots_missed=2 ";
        assert!(line.starts_with(start), "{line}");
        let line = intervals.end(40 * SECOND, 0, &slots).expect("it is over").to_string();
        assert!(
            line.ends_with("included=0 included_per_s=0 waiting=0 blocks=0 slots_missed=0"),
            "{line}"
        );
    }
}
