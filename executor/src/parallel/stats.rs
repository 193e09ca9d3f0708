//! Figures about parallel execution, for operators.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::governor::LeftAlone;

/// What executing in parallel has come to since the executor was made. All of it only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExecutorStats {
    /// Windows whose candidates ran in lanes.
    pub windows_parallel: u64,
    /// Windows that ran sequentially because there was too little to do, or only one thread.
    pub windows_light: u64,
    /// Windows that ran sequentially because one lane would have had nearly all of it.
    pub windows_unpromising: u64,
    /// Windows that ran sequentially because lanes had not paid lately.
    pub windows_paused: u64,
    /// Candidates that ran in lanes.
    pub attempts: u64,
    /// Attempts that stood.
    pub committed: u64,
    /// Attempts that were run again: their forecast was wrong, or the block was full.
    pub re_executed: u64,
    /// Attempts of those that met one of another lane, which their forecasts had not said.
    pub mispredicted: u64,
    /// Lanes lost to a panic.
    pub panics: u64,
    /// Lanes that ran.
    pub lanes: u64,
    /// Candidates in the longest lane of each window.
    pub longest_lanes: u64,
    /// Stretches of blocks with waypoints that were executed at once, and whose waypoint was right.
    pub stretches_kept: u64,
    /// Stretches that had to be executed again.
    pub stretches_broken: u64,
    /// Time spent planning lanes.
    pub planning: Duration,
    /// Time in which lanes ran, by the clock.
    pub running: Duration,
    /// Time spent joining lanes.
    pub joining: Duration,
    /// What lanes took one by one: against `running` times the threads, how well these were used.
    pub busy: Duration,
}

/// How one window went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WindowReport {
    pub(super) candidates: usize,
    /// Candidates to be run again.
    pub(super) again: usize,
    /// Candidates that met one of another lane.
    pub(super) met: usize,
    pub(super) lanes: usize,
    pub(super) lane_max: usize,
    pub(super) planning: Duration,
    pub(super) running: Duration,
    pub(super) joining: Duration,
    pub(super) busy: Duration,
}

/// The counters. Each stands for itself and orders nothing, so relaxed access is enough.
#[derive(Debug, Default)]
pub(super) struct Stats {
    windows_parallel: AtomicU64,
    windows_light: AtomicU64,
    windows_unpromising: AtomicU64,
    windows_paused: AtomicU64,
    attempts: AtomicU64,
    re_executed: AtomicU64,
    mispredicted: AtomicU64,
    panics: AtomicU64,
    lanes: AtomicU64,
    longest_lanes: AtomicU64,
    stretches_kept: AtomicU64,
    stretches_broken: AtomicU64,
    planning_ns: AtomicU64,
    running_ns: AtomicU64,
    joining_ns: AtomicU64,
    busy_ns: AtomicU64,
}

impl Stats {
    pub(super) fn window_left_alone(&self, why: LeftAlone, planning: Duration) {
        let windows = match why {
            LeftAlone::Light => &self.windows_light,
            LeftAlone::Unpromising => &self.windows_unpromising,
            LeftAlone::Paused => &self.windows_paused,
        };
        add(windows, 1);
        add_time(&self.planning_ns, planning);
    }

    pub(super) fn panicked(&self) {
        add(&self.panics, 1);
    }

    pub(super) fn stretches(&self, kept: usize, broken: usize) {
        add(&self.stretches_kept, kept as u64);
        add(&self.stretches_broken, broken as u64);
    }

    pub(super) fn window(&self, report: &WindowReport) {
        add(&self.windows_parallel, 1);
        add(&self.attempts, report.candidates as u64);
        add(&self.re_executed, report.again as u64);
        add(&self.mispredicted, report.met as u64);
        add(&self.lanes, report.lanes as u64);
        add(&self.longest_lanes, report.lane_max as u64);
        add_time(&self.planning_ns, report.planning);
        add_time(&self.running_ns, report.running);
        add_time(&self.joining_ns, report.joining);
        add_time(&self.busy_ns, report.busy);
    }

    pub(super) fn read(&self) -> ExecutorStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let time = |counter: &AtomicU64| Duration::from_nanos(count(counter));
        let (attempts, re_executed) = (count(&self.attempts), count(&self.re_executed));
        ExecutorStats {
            windows_parallel: count(&self.windows_parallel),
            windows_light: count(&self.windows_light),
            windows_unpromising: count(&self.windows_unpromising),
            windows_paused: count(&self.windows_paused),
            attempts,
            committed: attempts.saturating_sub(re_executed),
            re_executed,
            mispredicted: count(&self.mispredicted),
            panics: count(&self.panics),
            lanes: count(&self.lanes),
            longest_lanes: count(&self.longest_lanes),
            stretches_kept: count(&self.stretches_kept),
            stretches_broken: count(&self.stretches_broken),
            planning: time(&self.planning_ns),
            running: time(&self.running_ns),
            joining: time(&self.joining_ns),
            busy: time(&self.busy_ns),
        }
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

fn add_time(counter: &AtomicU64, time: Duration) {
    add(counter, time.as_nanos() as u64);
}
