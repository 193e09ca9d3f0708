//! When the executor would try lanes: its own rules, with its own numbers.

/// A window has to weigh this much, in gas, and promise this much over one lane.
const WEIGHT_MIN: u64 = 400_000;
const PROMISE_MIN_PERCENT: u64 = 125;

/// After windows that did not pay, so many are left alone before the next attempt, at most.
const PAUSE_MAX: u32 = 16;

/// What it remembers from window to window.
#[derive(Debug, Default)]
pub(super) struct Governor {
    pause: u32,
    next_pause: u32,
}

impl Governor {
    /// Whether the window is planned at all.
    pub(super) fn allows(&mut self) -> bool {
        let allows = self.pause == 0;
        self.pause = self.pause.saturating_sub(1);
        allows
    }

    /// Whether the window runs as it was planned: it has so much gas, and its heaviest lane so much.
    pub(super) fn approves(&mut self, weight: u64, weight_max: u64) -> bool {
        if weight < WEIGHT_MIN {
            return false;
        }
        let promises = 100 * weight >= PROMISE_MIN_PERCENT * weight_max;
        if !promises {
            self.back_off();
        }
        promises
    }

    /// Learns whether a window in lanes has paid.
    pub(super) fn judge(&mut self, pays: bool) {
        if pays {
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
