//! What the sending and the watching side share while the clock runs.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Instant,
};

/// The run, as both sides see it.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// For each transaction the time from which its latency counts, in nanoseconds from the start, and zero while it was
    /// not sent. Relaxed: it is written before the bytes go out, and nobody finds a transaction in a block that was
    /// built before it was sent; a server on another core is a stronger barrier than any that we could ask for.
    since: Box<[AtomicU64]>,
    /// Transactions sent and not refused.
    expected: AtomicU64,
    /// Transactions found in blocks. Both are counters that nothing else hangs on: relaxed.
    included: AtomicU64,
    /// Nothing will be sent any more. Released after the last change of `expected`.
    sent: AtomicBool,
}

impl Clock {
    /// Starts now.
    pub(crate) fn start(transactions: usize) -> Self {
        Self {
            start: Instant::now(),
            since: (0..transactions).map(|_| AtomicU64::new(0)).collect(),
            expected: AtomicU64::new(0),
            included: AtomicU64::new(0),
            sent: AtomicBool::new(false),
        }
    }

    /// Nanoseconds from the start, at least one.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// These are about to be sent.
    pub(crate) fn send(&self, numbers: std::ops::Range<usize>, since: u64) {
        self.expected.fetch_add(numbers.len() as u64, Ordering::Relaxed);
        for since_of in &self.since[numbers] {
            since_of.store(since.max(1), Ordering::Relaxed);
        }
    }

    /// So many of them will not come.
    pub(crate) fn refuse(&self, count: u64) {
        self.expected.fetch_sub(count, Ordering::Relaxed);
    }

    /// From when the latency of a transaction counts, if it was sent.
    pub(crate) fn since(&self, number: usize) -> Option<u64> {
        Some(self.since[number].load(Ordering::Relaxed)).filter(|since| *since > 0)
    }

    pub(crate) fn include(&self, count: u64) {
        self.included.fetch_add(count, Ordering::Relaxed);
    }

    /// How many wait for a block. One that was refused and included all the same makes it too small, never negative.
    pub(crate) fn waiting(&self) -> u64 {
        let expected = self.expected.load(Ordering::Relaxed);
        expected.saturating_sub(self.included.load(Ordering::Relaxed))
    }

    pub(crate) fn finish_sending(&self) {
        self.sent.store(true, Ordering::Release);
    }

    pub(crate) fn finished_sending(&self) -> bool {
        self.sent.load(Ordering::Acquire)
    }
}
