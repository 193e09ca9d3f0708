//! When blocks are due, and which timestamp they carry.

use std::time::Duration;

/// How far a chain without L1 may lag behind the clock and still catch up block by block. Further behind, as after a night
/// in which nothing ran, it leaves the time out: nobody derives it from anywhere, and thousands of empty blocks would help
/// nobody. With L1 every slot has its block.
const LAG_S_MAX: u64 = 60;

/// Seconds between blocks, and what follows from it.
///
/// Blocks are exactly that far apart, as the OP Stack's rules want it. The wall clock decides when a slot ends but never
/// the order of time on the chain: a chain that is late makes blocks that are due at once, and a clock that was set back
/// leaves the chain running at its pace until the clock has caught up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotClock {
    block_time_s: u64,
    /// Whether time in which nothing ran may be left out.
    may_skip: bool,
}

impl SlotClock {
    pub(crate) const fn new(block_time_s: u64, may_skip: bool) -> Self {
        Self { block_time_s, may_skip }
    }

    /// The timestamp of the block after one of `parent_s`, when it is opened at `now`, the time since the epoch.
    pub(crate) fn next_timestamp(&self, parent_s: u64, now: Duration) -> u64 {
        let due = parent_s + self.block_time_s;
        let sleeps = self.may_skip && due + LAG_S_MAX < now.as_secs();
        if sleeps { now.as_secs() + 1 } else { due }
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
        let (clock, now) = (SlotClock::new(block_time_s, true), Duration::from_millis(now_ms));
        assert_eq!(clock.next_timestamp(parent_s, now), timestamp_s);
        assert_eq!(clock.open_for(timestamp_s, now), Duration::from_millis(open_ms));
    }

    #[test]
    fn blocks_follow_each_other_at_the_block_time() {
        check(1, 100, 100_004, 101, 996);
        check(2, 100, 100_004, 102, 1_996);
    }

    #[test]
    fn a_late_chain_catches_up_with_blocks_that_are_due_at_once() {
        check(1, 100, 105_300, 101, 0);
        check(2, 100, 102_050, 102, 0);
        check(2, 100, 103_950, 102, 0);
    }

    #[test]
    fn a_chain_that_slept_leaves_the_night_out() {
        check(1, 100, 161_000, 101, 0);
        check(1, 100, 162_300, 163, 700);
        check(2, 100, 90_000_250, 90_001, 750);
    }

    #[test]
    fn on_l1_every_slot_has_its_block() {
        let clock = SlotClock::new(2, false);
        assert_eq!(clock.next_timestamp(100, Duration::from_secs(90_000)), 102);
    }

    #[test]
    fn a_clock_set_back_stops_neither_time_nor_blocks() {
        check(1, 100, 7_000, 101, 1_000);
        check(2, 100, 0, 102, 2_000);
    }
}
