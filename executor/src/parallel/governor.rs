//! When running in lanes does not pay, and how soon to try again.

use super::{plan::Plan, stats::WindowReport};

/// Lighter windows run sequentially: handing them out costs some ten microseconds, as much as this weight takes.
const WEIGHT_MIN: u64 = 400_000;

/// A plan has to promise this much, in percent of one thread, for lanes to be worth their overhead.
const PROMISE_MIN: u64 = 125;

/// After windows that did not pay, so many are run sequentially before the next attempt, at most.
const PAUSE_MAX: u32 = 16;

/// Decides window by window.
///
/// ```text
///            does not pay                     pause over
/// running ─────────────────► pausing (p) ─────────────────► trying
///    ▲                            ▲                            │ does not pay: p doubles
///    │                            └────────────────────────────┤
///    └─────────────────────────────────────────────────────────┘ pays
/// ```
#[derive(Debug, Default)]
pub(crate) struct Governor {
    /// Windows to leave alone still.
    pause: u32,
    /// How long the next pause is.
    next_pause: u32,
    /// It does not care what pays.
    eager: bool,
}

impl Governor {
    pub(super) fn new(eager: bool) -> Self {
        Self { eager, ..Self::default() }
    }

    /// Whether to make a plan at all: planning costs time too.
    pub(super) fn allows(&mut self) -> bool {
        if self.pause > 0 && !self.eager {
            self.pause -= 1;
            return false;
        }
        true
    }

    /// Whether a plan promises enough.
    pub(super) fn approves(&mut self, plan: &Plan) -> bool {
        if self.eager {
            return true;
        }
        // A light window says nothing about the next one.
        if plan.weight < WEIGHT_MIN {
            return false;
        }
        let promises = 100 * plan.weight >= PROMISE_MIN * plan.weight_max;
        if !promises {
            self.back_off();
        }
        promises
    }

    /// Learns how a window came out: the lanes' own time is about what one thread would have taken.
    pub(super) fn judge(&mut self, report: &WindowReport) {
        // What runs again is often what is heaviest, so it counts by its gas.
        let again = report.busy.mul_f64(report.gas_again as f64 / report.gas.max(1) as f64);
        if report.planning + report.running + report.joining + again < report.busy {
            self.next_pause = 0;
        } else {
            self.back_off();
        }
    }

    fn back_off(&mut self) {
        self.next_pause = (2 * self.next_pause).clamp(1, PAUSE_MAX);
        self.pause = self.next_pause;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(busy_us: u64, running_us: u64) -> WindowReport {
        WindowReport {
            gas: 1_000_000,
            running: Duration::from_micros(running_us),
            busy: Duration::from_micros(busy_us),
            ..WindowReport::default()
        }
    }

    fn windows_until_allowed(governor: &mut Governor) -> u32 {
        (0..).take_while(|_| !governor.allows()).count() as u32
    }

    #[test]
    fn pauses_double_while_it_does_not_pay_and_end_when_it_does() {
        let mut governor = Governor::default();
        for pause in [0, 1, 2, 4, 8, 16, 16] {
            assert_eq!(windows_until_allowed(&mut governor), pause);
            governor.judge(&report(100, 120));
        }
        assert_eq!(windows_until_allowed(&mut governor), 16);
        governor.judge(&report(100, 60));
        assert_eq!(windows_until_allowed(&mut governor), 0);
    }

    #[test]
    fn what_runs_again_counts_by_its_gas() {
        let mut governor = Governor::default();
        governor.judge(&WindowReport { gas_again: 300_000, ..report(100, 60) });
        assert_eq!(windows_until_allowed(&mut governor), 0);
        governor.judge(&WindowReport { gas_again: 500_000, ..report(100, 60) });
        assert_eq!(windows_until_allowed(&mut governor), 1);
    }

    #[test]
    fn one_heavy_lane_is_not_worth_it() {
        let mut governor = Governor::default();
        let plan = |weight_max| Plan { weight: 1_000_000, weight_max, ..Plan::default() };
        assert!(governor.approves(&plan(500_000)));
        assert!(!governor.approves(&plan(900_000)));
        assert!(!governor.allows());
    }
}
