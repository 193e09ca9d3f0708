//! When blocks are due, and which timestamp they carry.

use std::time::Duration;

/// Seconds between blocks, and what follows from it.
///
/// The wall clock decides when a slot ends but never the order of time on the chain: a timestamp is always later than
/// the parent's, however the clock was set. A clock that jumps ahead skips slots; a clock that was set back leaves the
/// chain running at its pace until the clock has caught up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotClock {
    block_time_s: u64,
}

impl SlotClock {
    pub(crate) const fn new(block_time_s: u64) -> Self {
        Self { block_time_s }
    }

    /// The timestamp of the block after one of `parent_s`, when it is opened at `now`, the time since the epoch.
    pub(crate) fn next_timestamp(&self, parent_s: u64, now: Duration) -> u64 {
        (parent_s + self.block_time_s).max(now.as_secs() + 1)
    }

    /// How long a block of this timestamp, opened at `now`, stays open.
    pub(crate) fn open_for(&self, timestamp_s: u64, now: Duration) -> Duration {
        let until_due = Duration::from_secs(timestamp_s).saturating_sub(now);
        until_due.min(Duration::from_secs(self.block_time_s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(block_time_s: u64, parent_s: u64, now_ms: u64, timestamp_s: u64, open_ms: u64) {
        let (clock, now) = (SlotClock::new(block_time_s), Duration::from_millis(now_ms));
        assert_eq!(clock.next_timestamp(parent_s, now), timestamp_s);
        assert_eq!(clock.open_for(timestamp_s, now), Duration::from_millis(open_ms));
    }

    #[test]
    fn blocks_follow_each_other_at_the_block_time() {
        check(1, 100, 100_004, 101, 996);
        check(2, 100, 100_004, 102, 1_996);
    }

    #[test]
    fn a_late_block_skips_slots_rather_than_lagging_for_ever() {
        check(1, 100, 105_300, 106, 700);
        check(2, 100, 102_050, 103, 950);
    }

    #[test]
    fn a_clock_set_back_stops_neither_time_nor_blocks() {
        check(1, 100, 7_000, 101, 1_000);
        check(2, 100, 0, 102, 2_000);
    }
}
