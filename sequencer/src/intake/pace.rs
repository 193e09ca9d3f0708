//! How often groups of transactions are taken.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How far apart groups begin while each is small.
const INTERVAL: Duration = Duration::from_millis(1);

/// So many transactions are worth a group of their own at once.
const ENOUGH: usize = 128;

/// Keeps groups apart, so that they have something in them.
///
/// A group costs as much as two dozen transfers beside what is in it: its builder is woken up, its changes are put on top of the
/// open block's, and everybody is shown the outcome. Without a pause a steady stream of single transactions would pay that for
/// each. What comes after a silence is taken at once.
#[derive(Debug, Default)]
pub(super) struct Pace {
    taken: Mutex<Option<Instant>>,
}

impl Pace {
    /// How long to wait for more before the next group is taken, with so many transactions there.
    pub(super) fn pause(&self, waiting: usize, now: Instant) -> Duration {
        // With nothing to take, the builder sleeps until it is woken.
        if waiting == 0 || waiting >= ENOUGH {
            return Duration::ZERO;
        }
        let since = self.taken.lock().map(|taken| now.saturating_duration_since(taken));
        since.map_or(Duration::ZERO, |since| INTERVAL.saturating_sub(since))
    }

    /// A group was taken.
    pub(super) fn taken(&self, now: Instant) {
        *self.taken.lock() = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_groups_keep_their_distance() {
        let (pace, start) = (Pace::default(), Instant::now());
        let later = start + INTERVAL / 4;
        assert_eq!(pace.pause(1, start), Duration::ZERO);
        pace.taken(start);
        assert_eq!(pace.pause(1, later), INTERVAL - INTERVAL / 4);
        // Nothing is won by waiting.
        assert_eq!(pace.pause(0, later), Duration::ZERO);
        assert_eq!(pace.pause(ENOUGH, later), Duration::ZERO);
        assert_eq!(pace.pause(1, start + INTERVAL), Duration::ZERO);
        // A clock that two threads read may seem to go back.
        pace.taken(later);
        assert_eq!(pace.pause(1, start), INTERVAL);
    }
}
