//! What more cores than this machine has would bring, by simulation.
//!
//! The executor's scheduler is played through, window by window: candidates are planned one after the other, lanes are
//! handed out one after the other and run side by side, the last one that comes back ends the stage, and all that they
//! touched is joined one key after the other; a window that would not pay so runs alone. What a
//! transaction costs and whom it really meets was traced; what planning, handing over, joining and the rest cost was
//! measured with two threads, and so was how much longer transactions take there. A simulation of two threads stands
//! beside the real figure. What it cannot know is how caches and memory of a larger machine behave.

mod window;

use std::time::Duration;

use millrace_executor::ExecutorStats;

use self::window::{Spread, Window, windows};
use crate::trace::Traced;

/// As the executor has it: a window has to weigh this much, in gas, and promise this much over one lane.
const WEIGHT_MIN: u64 = 1_000_000;
const PROMISE_MIN_PERCENT: u64 = 125;

/// What was measured of a workload, in microseconds a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// The baseline's.
    pub(crate) plain: f64,
    /// Ours with one thread.
    pub(crate) one: f64,
    /// Ours with two threads.
    pub(crate) two: f64,
    /// What the executor says about its two threads.
    pub(crate) stages: Stages,
}

/// The executor's own figures: times in microseconds and counts, a round.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stages {
    pub(crate) planning: f64,
    pub(crate) running: f64,
    pub(crate) joining: f64,
    pub(crate) busy: f64,
    pub(crate) windows: f64,
    pub(crate) attempts: f64,
    pub(crate) again: f64,
}

impl Stages {
    /// What happened between two looks at the executor, divided by the number of rounds in between.
    pub(crate) fn between(before: &ExecutorStats, after: &ExecutorStats, rounds: usize) -> Self {
        let each = |total: f64| total / rounds as f64;
        let time = |before: Duration, after: Duration| each((after - before).as_secs_f64() * 1e6);
        let count = |before: u64, after: u64| each((after - before) as f64);
        Self {
            planning: time(before.planning, after.planning),
            running: time(before.running, after.running),
            joining: time(before.joining, after.joining),
            busy: time(before.busy, after.busy),
            windows: count(before.windows_parallel, after.windows_parallel),
            attempts: count(before.attempts, after.attempts),
            again: count(before.re_executed, after.re_executed),
        }
    }
}

/// What the scheduler's work costs, in microseconds, and how much longer than in the baseline transactions take.
#[derive(Debug, Clone, Copy, Default)]
struct Costs {
    /// Factor for a transaction that runs in no lane, everything around it included.
    alone: f64,
    /// Factor for a transaction in a lane.
    in_lane: f64,
    plan_per_tx: f64,
    join_per_key: f64,
    /// For each lane that another thread has to take.
    handover: f64,
    /// Whatever else is done for each transaction that ran in a lane, one after the other.
    rest_per_tx: f64,
    /// How many of the transactions in lanes had to be run again.
    again: f64,
}

/// A workload that was traced and measured.
pub(crate) struct Simulation<'a> {
    windows: Vec<Window<'a>>,
    costs: Costs,
    /// Traced costs come from single measurements: together they shall be what the baseline takes.
    scale: f64,
}

impl<'a> Simulation<'a> {
    pub(crate) fn new(blocks: &'a [Vec<Traced>], figures: &Figures) -> Self {
        let windows: Vec<_> = blocks.iter().flat_map(|block| windows(block)).collect();
        let traced: f64 = windows.iter().map(|window| window.cost).sum();
        let scale = figures.plain / traced;
        let costs = fit(&windows, scale, figures);
        Self { windows, costs, scale }
    }

    /// How many microseconds a round takes with so many threads.
    pub(crate) fn run(&self, threads: usize) -> f64 {
        self.windows.iter().map(|window| self.play(window, &window.spread(threads), threads)).sum()
    }

    /// How long a window takes.
    fn play(&self, window: &Window<'_>, spread: &Spread, threads: usize) -> f64 {
        let Costs { alone, in_lane, plan_per_tx, join_per_key, handover, rest_per_tx, again } =
            self.costs;
        let cost = self.scale * window.cost;
        // Where two threads never came to lanes, nothing is known about what lanes would cost.
        if threads == 1 || in_lane == 0.0 || window.weight < WEIGHT_MIN {
            return alone * cost;
        }
        let planned = plan_per_tx * window.transactions();
        let ran = in_lane * self.scale * spread.longest + handover * (threads - 1) as f64;
        let joined = join_per_key * spread.keys;
        let is_promising = 100 * window.weight >= PROMISE_MIN_PERCENT * spread.weight_max;
        // What the executor tries in vain from time to time comes to a percent or two.
        if !is_promising || planned + ran + joined + again * in_lane * cost >= in_lane * cost {
            return alone * cost;
        }
        planned + ran + joined + rest_per_tx * window.transactions() + again * alone * cost
    }
}

/// Finds the costs that make up the measured figures.
fn fit(windows: &[Window<'_>], scale: f64, figures: &Figures) -> Costs {
    let Stages { planning, running, joining, busy, attempts, again, .. } = figures.stages;
    if attempts == 0.0 {
        // It never came to lanes: what was measured with two threads is what running alone costs there.
        return Costs { alone: figures.two / figures.plain, ..Costs::default() };
    }
    let spreads: Vec<_> = windows.iter().map(|window| window.spread(2)).collect();
    let transactions: f64 = windows.iter().map(Window::transactions).sum();
    // Not all windows ran in lanes. Those that did were windows like all others.
    let share = attempts / transactions;
    let in_lane = busy / (share * figures.plain);
    let longest: f64 = spreads.iter().map(|spread| spread.longest).sum();
    let keys: f64 = spreads.iter().map(|spread| spread.keys).sum();
    let waiting = running - in_lane * share * scale * longest;
    let alone = figures.one / figures.plain;
    let outside = figures.plain * (1.0 - share + again / transactions);
    let rest = figures.two - planning - running - joining - alone * outside;
    // Where few transactions ran in lanes, what is left over says nothing about them.
    let rest = if share < 0.5 { 0.0 } else { rest.max(0.0) };
    Costs {
        alone,
        in_lane,
        plan_per_tx: planning / attempts,
        join_per_key: joining / (share * keys),
        handover: waiting.max(0.0) / figures.stages.windows,
        rest_per_tx: rest / attempts,
        again: again / attempts,
    }
}
