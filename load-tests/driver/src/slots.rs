//! Whether blocks come when their timestamps say: on a chain of a fixed block time each slot has its block, and one that
//! is late was not sealed in time, or could not be read.

/// What blocks were like so far.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Slots {
    /// How long after its timestamp the most punctual block was seen, in milliseconds. Clocks and conventions differ: a
    /// timestamp may be when a slot begins or when it ends.
    usual_ms: Option<i64>,
    last_s: Option<i64>,
    /// Blocks that came half a block time later than the most punctual one, or more.
    pub(crate) missed: u64,
    /// How much later than that the latest one came.
    pub(crate) late_max_ms: i64,
}

impl Slots {
    /// A block with this timestamp was seen at a time since the epoch.
    pub(crate) fn see(&mut self, timestamp_s: u64, seen_ms: i64) {
        let timestamp_s = i64::try_from(timestamp_s).unwrap_or(i64::MAX);
        let lag_ms = seen_ms.saturating_sub(timestamp_s.saturating_mul(1_000));
        let usual_ms = self.usual_ms.map_or(lag_ms, |usual| usual.min(lag_ms));
        let late_ms = lag_ms - usual_ms;
        // The first block has nothing that it could be late after.
        if let Some(last_s) = self.last_s {
            let step_ms = timestamp_s.saturating_sub(last_s).saturating_mul(1_000);
            self.missed += u64::from(step_ms > 0 && late_ms >= step_ms / 2);
            self.late_max_ms = self.late_max_ms.max(late_ms);
        }
        self.usual_ms = Some(usual_ms);
        self.last_s = Some(timestamp_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(blocks: &[(u64, i64)], missed: u64, late_max_ms: i64) {
        let mut slots = Slots::default();
        blocks.iter().for_each(|(timestamp_s, seen_ms)| slots.see(*timestamp_s, *seen_ms));
        assert_eq!((slots.missed, slots.late_max_ms), (missed, late_max_ms), "{blocks:?}");
    }

    #[test]
    fn late_is_what_comes_later_than_the_most_punctual() {
        check(&[(10, 10_004), (11, 11_020), (12, 12_004)], 0, 16);
        // The timestamp tells when the slot begins.
        check(&[(10, 12_004), (12, 14_003), (14, 16_900)], 0, 897);
        check(&[(10, 12_004), (12, 14_003), (14, 17_100)], 1, 1_097);
    }

    #[test]
    fn every_block_of_a_chain_that_catches_up_is_late() {
        check(
            &[(10, 10_000), (11, 11_000), (12, 14_500), (13, 14_510), (14, 14_520), (15, 15_000)],
            3,
            2_500,
        );
    }
}
