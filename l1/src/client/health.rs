//! What is known about an endpoint: whether it may be asked, and how far its chain has come. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// ```text
///              admitted                     fault
///   Unproven ------------> Usable --------------------.
///       |                    ^                        v
///       |                    '------ admitted ----- Aside
///       '------------ fault --------------------------^
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It hasn't shown its chain id and genesis yet.
    Unproven,
    /// It has, and answers.
    Usable,
    /// It failed; from then on it may show itself again.
    Aside { until: Instant },
}

#[derive(Debug)]
pub(super) struct Health {
    pub(super) standing: Standing,
    /// Faults in a row.
    failures: u32,
    /// Its newest block, while it is in use.
    head: Option<u64>,
}

impl Health {
    pub(super) const fn new() -> Self {
        Self { standing: Standing::Unproven, failures: 0, head: None }
    }

    pub(super) fn admitted(&mut self) {
        self.standing = Standing::Usable;
    }

    /// An answer that was worth something ends the row of faults. Being admitted alone doesn't: an endpoint that
    /// proves its chain and then fails every question must be left alone for longer and longer, too.
    pub(super) fn answered(&mut self) {
        self.failures = 0;
    }

    /// Counts a fault, and returns how many there were in a row.
    pub(super) fn failed(&mut self) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.failures
    }

    pub(super) fn set_aside(&mut self, now: Instant, pause: Duration) {
        self.standing = Standing::Aside { until: now + pause };
        // What it said about its head is as old as the last answer.
        self.head = None;
    }

    pub(super) fn head_is(&mut self, number: u64) {
        self.head = Some(number);
    }

    fn may_be_asked(&self, now: Instant) -> bool {
        match self.standing {
            Standing::Unproven | Standing::Usable => true,
            Standing::Aside { until } => until <= now,
        }
    }
}

/// Which endpoints to ask, in order, and which were passed over because their heads are behind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) ask: Vec<usize>,
    pub(super) stale: Vec<usize>,
}

/// The endpoints that may be asked, in the order of preference. If all are set aside, they are asked all the same, the
/// one whose time comes first before the others: one that failed is better than none.
pub(super) fn order(healths: &[Health], now: Instant, stale_blocks_max: Option<u64>) -> Order {
    let mut usable: Vec<usize> =
        (0..healths.len()).filter(|&i| healths[i].may_be_asked(now)).collect();
    if usable.is_empty() {
        usable = (0..healths.len()).collect();
        usable.sort_by_key(|&i| match healths[i].standing {
            Standing::Aside { until } => Some(until),
            _ => None,
        });
        return Order { ask: usable, stale: Vec::new() };
    }
    let Some(stale_blocks_max) = stale_blocks_max else {
        return Order { ask: usable, stale: Vec::new() };
    };
    let best = usable.iter().filter_map(|&i| healths[i].head).max().unwrap_or(0);
    // One whose head is unknown gets the benefit of the doubt, after those that are known to be there.
    let is_stale =
        |i: usize| healths[i].head.is_some_and(|head| head.saturating_add(stale_blocks_max) < best);
    let (stale, mut ask): (Vec<usize>, Vec<usize>) = usable.into_iter().partition(|&i| is_stale(i));
    ask.sort_by_key(|&i| healths[i].head.is_none());
    Order { ask, stale }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable(head: u64) -> Health {
        let mut health = Health::new();
        health.admitted();
        health.head_is(head);
        health
    }

    #[tokio::test]
    async fn stale_endpoints_are_passed_over_only_for_the_head() {
        let healths = [usable(90), usable(100), Health::new(), usable(98)];
        let now = Instant::now();
        assert_eq!(order(&healths, now, None).ask, [0, 1, 2, 3]);
        let head = order(&healths, now, Some(2));
        assert_eq!((head.ask, head.stale), (vec![1, 3, 2], vec![0]));
    }

    #[tokio::test]
    async fn one_that_is_set_aside_comes_back_and_its_head_is_forgotten() {
        let mut healths = [usable(90), usable(1_000_000)];
        let now = Instant::now();
        assert_eq!(order(&healths, now, Some(2)).ask, [1]);
        healths[1].set_aside(now, Duration::from_secs(1));
        assert_eq!(order(&healths, now, Some(2)).ask, [0]);
        assert_eq!(order(&healths, now + Duration::from_secs(1), Some(2)).ask, [0, 1]);
    }

    #[tokio::test]
    async fn the_one_that_is_due_first_is_asked_first_when_all_are_set_aside() {
        let mut healths = [usable(1), usable(1)];
        let now = Instant::now();
        healths[0].set_aside(now, Duration::from_secs(5));
        healths[1].set_aside(now, Duration::from_secs(2));
        assert_eq!(order(&healths, now, Some(2)).ask, [1, 0]);
    }

    #[test]
    fn faults_in_a_row_are_counted_until_something_is_answered() {
        let mut health = Health::new();
        assert_eq!((health.failed(), health.failed()), (1, 2));
        health.admitted();
        assert_eq!(health.failed(), 3);
        health.answered();
        assert_eq!(health.failed(), 1);
    }
}
