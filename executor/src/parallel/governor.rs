//! When running in lanes does not pay, and how soon to try again.

use std::time::{Duration, Instant};

use super::{plan::Plan, stats::WindowReport};

/// Lighter windows run sequentially: waking threads up takes some hundred microseconds, as much as this weight does.
pub(super) const WEIGHT_MIN: u64 = 1_000_000;

/// A plan has to promise this much, in percent of one thread, for lanes to be worth their overhead.
const PROMISE_MIN: u64 = 125;

/// A pause is so many times as long as what was lost, once several attempts in a row have failed.
const CAUTION_MAX: u32 = 64;

/// The longest pause: a machine that stood still for once must not end speculation.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What was saved may be lost again without a pause, but not more than this.
const CREDIT_MAX: Duration = Duration::from_millis(5);

/// Why a window runs sequentially.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftAlone {
    /// There is too little to do, or only one thread.
    Light,
    /// One lane would have nearly all of it.
    Unpromising,
    /// Lanes did not pay lately.
    Paused,
}

/// Decides window by window, by the time that lanes saved or lost so far.
///
/// A loss that earlier savings do not cover is followed by a pause as long as the loss, then by longer ones with every
/// attempt that fails: what fails all the time costs a small part of all time, whether windows are light or heavy, and
/// what failed once, because it was new, is soon tried again.
#[derive(Debug, Default)]
pub(crate) struct Governor {
    /// What may be lost before it comes to a pause.
    credit: Duration,
    /// How many times as long as what it follows the last pause was.
    caution: u32,
    pause_until: Option<Instant>,
    /// It does not care what pays.
    eager: bool,
}

impl Governor {
    pub(super) fn new(eager: bool) -> Self {
        Self { eager, ..Self::default() }
    }

    /// Whether to make a plan at all, for candidates that weigh this at most: planning costs time too.
    pub(super) fn allows(&self, weight_limit: u64, now: Instant) -> Result<(), LeftAlone> {
        if self.eager {
            return Ok(());
        }
        if weight_limit < WEIGHT_MIN {
            return Err(LeftAlone::Light);
        }
        let is_over = self.pause_until.is_none_or(|until| now >= until);
        if is_over { Ok(()) } else { Err(LeftAlone::Paused) }
    }

    /// Whether a plan promises enough, which took from then until now.
    pub(super) fn approves(
        &mut self,
        plan: &Plan,
        started: Instant,
        now: Instant,
    ) -> Result<(), LeftAlone> {
        let why = match () {
            () if self.eager => return Ok(()),
            () if plan.weight < WEIGHT_MIN => LeftAlone::Light,
            () if 100 * plan.weight < PROMISE_MIN * plan.weight_max => LeftAlone::Unpromising,
            () => return Ok(()),
        };
        self.lose(now - started, now);
        Err(why)
    }

    /// Learns how a window came out: the lanes' own time is about what one thread would have taken.
    pub(super) fn judge(&mut self, report: &WindowReport, again: Duration, now: Instant) {
        let spent = report.planning + report.running + report.joining + again;
        match report.busy.checked_sub(spent) {
            Some(saved) => {
                self.credit = (self.credit + saved).min(CREDIT_MAX);
                self.caution = 0;
            }
            None => self.lose(spent - report.busy, now),
        }
    }

    fn lose(&mut self, lost: Duration, now: Instant) {
        let uncovered = lost.saturating_sub(self.credit);
        self.credit = self.credit.saturating_sub(lost);
        if !uncovered.is_zero() {
            self.caution = (2 * self.caution).clamp(1, CAUTION_MAX);
            self.pause_until = Some(now + (self.caution * uncovered).min(PAUSE_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn report(busy: u32, running: u32) -> WindowReport {
        let (busy, running) = (busy * MILLI, running * MILLI);
        WindowReport { running, busy, ..WindowReport::default() }
    }

    /// How long it will not try, to the millisecond.
    fn pause(governor: &Governor, now: Instant) -> u32 {
        (0..).find(|wait| governor.allows(u64::MAX, now + *wait * MILLI).is_ok()).unwrap()
    }

    #[test]
    fn pauses_grow_while_it_does_not_pay_and_end_when_it_does() {
        let (mut governor, now) = (Governor::default(), Instant::now());
        for expected in [0, 2, 4, 8, 16, 32, 64, 128, 128] {
            assert_eq!(pause(&governor, now), expected);
            governor.judge(&report(10, 12), Duration::ZERO, now);
        }
        governor.judge(&report(10, 9), Duration::ZERO, now);
        governor.judge(&report(10, 12), Duration::ZERO, now);
        assert_eq!(pause(&governor, now), 1, "all but what was saved");
    }

    #[test]
    fn what_was_saved_may_be_lost_again() {
        let (mut governor, now) = (Governor::default(), Instant::now());
        governor.judge(&report(10, 6), Duration::ZERO, now);
        governor.judge(&report(10, 13), Duration::ZERO, now);
        assert_eq!(pause(&governor, now), 0);
        governor.judge(&report(10, 13), Duration::ZERO, now);
        assert_eq!(pause(&governor, now), 2);
    }

    #[test]
    fn savings_do_not_add_up_for_ever() {
        let (mut governor, now) = (Governor::default(), Instant::now());
        for _ in 0..100 {
            governor.judge(&report(10, 6), Duration::ZERO, now);
        }
        governor.judge(&report(10, 16), Duration::ZERO, now);
        assert_eq!(pause(&governor, now), 1);
    }

    #[test]
    fn what_runs_again_counts() {
        let (mut governor, now) = (Governor::default(), Instant::now());
        governor.judge(&report(10, 6), 4 * MILLI, now);
        assert_eq!(pause(&governor, now), 0);
        governor.judge(&report(10, 6), 5 * MILLI, now);
        assert_eq!(pause(&governor, now), 1);
    }

    #[test]
    fn light_windows_and_one_heavy_lane_are_not_worth_it() {
        let (mut governor, now) = (Governor::default(), Instant::now());
        assert_eq!(governor.allows(WEIGHT_MIN - 1, now), Err(LeftAlone::Light));
        let plan = |weight_max| Plan { weight: 10 * WEIGHT_MIN, weight_max, ..Plan::default() };
        assert_eq!(governor.approves(&plan(5 * WEIGHT_MIN), now, now), Ok(()));
        let heavy = governor.approves(&plan(9 * WEIGHT_MIN), now, now + MILLI);
        assert_eq!(heavy, Err(LeftAlone::Unpromising));
        assert_eq!(pause(&governor, now + MILLI), 1);
    }
}
