//! Executing on several cores: windows of candidates, in lanes that prove afterwards that they did not meet.
//!
//! ```text
//!            plan              lanes run               join
//! window ──► who belongs ──►  ┌ lane 0 ─────────┐ ──► disjoint? keep all, in the candidates' order
//!            together         └ lane 1 ─────────┘     else keep what is independent; the rest runs again, after it
//! ```
//!
//! While lanes run, the block's overlay is frozen: everybody reads it, nobody writes. A lane writes to an overlay of its
//! own and notes what it touches. Nothing is shared that counts references or takes locks. Planning uses forecasts, which may
//! be wrong; joining does not.
//!
//! Reading order: `plan` with `forecast`, `lane`, then `evm::join`; `governor` for when all this does not pay; `stretches`
//! for blocks that come with waypoints; `pool` and `handover` for the threads.

mod forecast;
mod governor;
mod handover;
mod lane;
mod place;
mod plan;
mod pool;
mod sets;
mod stats;
mod stretches;
mod sync;

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use alloy_consensus::Transaction as _;

pub use self::stats::ExecutorStats;
pub(crate) use self::{
    forecast::{Forecast, Seen},
    lane::Attempt,
    sets::DisjointSets,
    stretches::Stretches,
};
use self::{
    governor::{Governor, LeftAlone},
    lane::LaneRun,
    plan::{Plan, Planner},
    pool::Pool,
    stats::{Stats, WindowReport},
};
use crate::{
    Candidate, StateError, StateView,
    evm::{Blueprint, Call, EvmTx, Frozen, Join, Keep, Machine, Overlay, Redo, Verdict},
};

/// Candidates that are looked at together, at most.
const WINDOW_MAX: usize = 4096;

/// Gas that a window's candidates may ask for together: it bounds how long nobody looks at the time.
const WINDOW_GAS_MAX: u64 = 512_000_000;

/// Transactions at the end of each lane that may teach something.
const LESSONS: usize = 128;

/// What one executor's blocks share: threads, code, and what was learned.
#[derive(Debug)]
pub(crate) struct Workshop {
    pool: Pool,
    learned: Mutex<Learned>,
    blocks: Shelf,
    lanes: Shelf,
    stats: Stats,
}

#[derive(Debug)]
struct Learned {
    forecast: Forecast,
    governor: Governor,
}

impl Workshop {
    /// Starts the threads, the caller's included in their number.
    pub(crate) fn new(threads: usize, eager: bool) -> Self {
        // A lane's number is a byte, and more lanes than that would not have enough to do.
        let others = threads.clamp(1, 64) - 1;
        Self {
            pool: Pool::new(others),
            learned: Mutex::new(Learned {
                forecast: Forecast::default(),
                governor: Governor::new(eager),
            }),
            blocks: Shelf::default(),
            lanes: Shelf::default(),
            stats: Stats::default(),
        }
    }

    pub(crate) fn stats(&self) -> ExecutorStats {
        self.stats.read()
    }

    /// An overlay for a block on this state.
    pub(crate) fn overlay(&self, view: Arc<dyn StateView>) -> Overlay {
        match self.blocks.take() {
            Some(mut overlay) => {
                overlay.reset(view);
                overlay
            }
            None => Overlay::new(view),
        }
    }

    /// Keeps a block's overlay for another one.
    pub(crate) fn put_away(&self, overlay: Overlay) {
        self.blocks.put(overlay, self.pool.width());
    }
}

/// Overlays that are not in use. They keep their code and their memory, which is in the caches and need not be asked of the
/// system again.
#[derive(Debug, Default)]
struct Shelf(Mutex<Vec<Overlay>>);

/// One that an exceptional block has blown up beyond this is not kept: emptying it takes time by its size.
const CAPACITY_KEPT_MAX: usize = 1 << 20;

impl Shelf {
    fn take(&self) -> Option<Overlay> {
        lock(&self.0).pop()
    }

    fn put(&self, mut overlay: Overlay, width: usize) {
        overlay.clear();
        let mut overlays = lock(&self.0);
        if overlays.len() <= width && overlay.capacity() <= CAPACITY_KEPT_MAX {
            overlays.push(overlay);
        }
    }
}

/// What a poisoned lock protects here is a cache or a hint: still good enough.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The parallel side of one open block.
#[derive(Debug)]
pub(crate) struct Lanes {
    workshop: Arc<Workshop>,
    planner: Planner,
    join: Join,
    /// Overlays for lanes that are not running.
    idle: Vec<Overlay>,
    /// How the last window went, until it is judged.
    report: Option<WindowReport>,
}

/// The candidates to run, and how much room the block has for them.
pub(crate) struct Window<'a> {
    pub(crate) candidates: &'a Arc<[Candidate]>,
    pub(crate) range: Range<usize>,
    pub(crate) gas_left: u64,
    pub(crate) data_left: u64,
    /// When to stop.
    pub(crate) deadline: Option<Instant>,
    pub(crate) keep: Keep,
}

impl Lanes {
    pub(crate) fn new(workshop: Arc<Workshop>) -> Self {
        Self {
            workshop,
            planner: Planner::default(),
            join: Join::default(),
            idle: Vec::new(),
            report: None,
        }
    }

    /// Whether there is more than one thread.
    pub(crate) fn are_many(&self) -> bool {
        self.workshop.pool.width() > 1
    }

    /// How many of the candidates, from the first one on, are looked at together.
    pub(crate) fn window(candidates: &[Candidate]) -> usize {
        let mut gas = 0_u64;
        let asked = candidates.iter().take(WINDOW_MAX).take_while(|candidate| {
            gas = gas.saturating_add(candidate.transaction.gas_limit());
            gas <= WINDOW_GAS_MAX
        });
        asked.count().max(1)
    }

    /// Runs a window's candidates in lanes, if that promises to pay, and adds what they did to the machine's state.
    ///
    /// One attempt a candidate comes back, in order. Those that are `Stopped` have to be run again on that state, which
    /// holds nothing of them.
    pub(crate) fn run(
        &mut self,
        machine: &mut Machine,
        blueprint: Blueprint,
        window: Window<'_>,
    ) -> Result<Option<Vec<Attempt>>, StateError> {
        let workshop = self.workshop.clone();
        let width = workshop.pool.width();
        let started = Instant::now();
        let plan = match self.plan(&window, width, started) {
            Ok(plan) => plan,
            Err(why) => {
                workshop.stats.window_left_alone(why, started.elapsed());
                return Ok(None);
            }
        };
        let blueprint = Blueprint { fees: machine.l1_fees()?, ..blueprint };
        let planned = Instant::now();

        let frozen = Frozen::new(std::mem::replace(machine.overlay(), Overlay::absent()));
        let mut errands = workshop.pool.errands();
        for (id, picks) in plan.lanes.iter().enumerate() {
            let overlay = self.overlay();
            let (frozen, candidates, picks) =
                (frozen.clone(), window.candidates.clone(), picks.clone());
            let (start, deadline) = (window.range.start, window.deadline);
            errands.give(id, move || {
                lane::run(&blueprint, overlay, frozen, &candidates[start..], &picks, deadline)
            });
        }
        let mut runs: Vec<Option<LaneRun>> = plan.lanes.iter().map(|_| None).collect();
        while let Some((id, result)) = errands.next() {
            // After a panic everything that the lane had is gone. Its candidates are run again where a panic counts.
            runs[id] = result.inspect_err(|_| workshop.stats.panicked()).ok();
        }
        let mut runs: Vec<_> = runs
            .into_iter()
            .map(|run| run.unwrap_or_else(|| LaneRun::lost(self.overlay())))
            .collect();
        let ran = Instant::now();

        *machine.overlay() = frozen.thaw();
        let (attempts, met) = self.conclude(machine, &window, &plan, &mut runs)?;
        let joined = Instant::now();
        let report = WindowReport {
            candidates: attempts.len(),
            again: attempts.iter().filter(|attempt| matches!(attempt, Attempt::Stopped)).count(),
            met,
            lane_max: plan.lanes.iter().map(Vec::len).max().unwrap_or_default(),
            lanes: plan.lanes.len(),
            planning: planned - started,
            running: ran - planned,
            joining: joined - ran,
            busy: runs.iter().map(|run| run.busy).sum(),
        };
        workshop.stats.window(&report);
        self.report = Some(report);
        self.idle.extend(runs.into_iter().map(|run| run.overlay));
        Ok(Some(attempts))
    }

    /// Who runs in which lane, if that promises to pay.
    fn plan(
        &mut self,
        window: &Window<'_>,
        width: usize,
        started: Instant,
    ) -> Result<Plan, LeftAlone> {
        if width == 1 {
            return Err(LeftAlone::Light);
        }
        let candidates = &window.candidates[window.range.clone()];
        let limits = candidates.iter().map(|next| Forecast::weight_limit(&next.transaction));
        // Most windows of most blocks are far too light, and many far heavier than this: few have to be weighed to the end.
        let weight_limit = limits.scan(0, |sum: &mut u64, limit| {
            let is_enough = *sum >= governor::WEIGHT_MIN;
            *sum = sum.saturating_add(limit);
            (!is_enough).then_some(*sum)
        });
        let weight_limit = weight_limit.last().unwrap_or_default();
        let mut learned = lock(&self.workshop.learned);
        learned.governor.allows(weight_limit, started)?;
        let plan = self.planner.plan(candidates, &learned.forecast, width);
        learned.governor.approves(&plan, started, Instant::now())?;
        Ok(plan)
    }

    /// Judges whether the last window has paid, now that it is known how long it took to run again what did not stand.
    pub(crate) fn judge(&mut self, again: Duration) {
        if let Some(report) = self.report.take() {
            lock(&self.workshop.learned).governor.judge(&report, again, Instant::now());
        }
    }

    /// Ends the block's use of code that others may need.
    pub(crate) fn dismiss(&mut self) {
        for overlay in self.idle.drain(..) {
            self.workshop.lanes.put(overlay, self.workshop.pool.width());
        }
    }

    fn overlay(&mut self) -> Overlay {
        let idle = self.idle.pop().or_else(|| self.workshop.lanes.take());
        idle.unwrap_or_else(Overlay::for_lane)
    }

    /// Puts together what the lanes did, and learns from it. Tells how many had met, beside what became of all.
    fn conclude(
        &mut self,
        machine: &mut Machine,
        window: &Window<'_>,
        plan: &Plan,
        runs: &mut [LaneRun],
    ) -> Result<(Vec<Attempt>, usize), StateError> {
        let mut doomed = window.without_room(plan, runs);
        let is_whole = runs.iter().zip(&plan.lanes).all(|(run, picks)| run.is_whole(picks));
        // Where the order is fixed everything is run again unless everything ran: then nothing may stay of the rest.
        let is_refused = |attempt: &Attempt| matches!(attempt, Attempt::Rejected(_));
        let anybody_refused = || runs.iter().flat_map(|run| &run.attempts).any(is_refused);
        if window.keep == Keep::AllOrNothing && (!is_whole || anybody_refused()) {
            doomed[0].push(0);
        }
        let mut overlays: Vec<_> = runs.iter_mut().map(|run| &mut run.overlay).collect();
        let redo = self.join.join(machine.overlay(), &mut overlays, &doomed, window.keep)?;
        self.learn(window, plan, runs, &redo);
        let met = redo.iter().flatten().filter(|verdict| **verdict == Verdict::Met).count();
        let mut lanes = Vec::with_capacity(runs.len());
        for ((run, redo), picks) in runs.iter_mut().zip(redo).zip(&plan.lanes) {
            let mut attempts = std::mem::take(&mut run.attempts);
            if !is_whole {
                // Who was refused may have waited for somebody in the part of a lane that is missing.
                let refused = attempts.iter_mut().filter(|attempt| is_refused(attempt));
                refused.for_each(|attempt| *attempt = Attempt::Stopped);
            }
            if redo.is_empty() {
                for (recipient, amount) in run.overlay.take_credits() {
                    machine.overlay().credit(recipient, amount);
                }
            } else {
                for ((attempt, verdict), pick) in attempts.iter_mut().zip(redo).zip(picks) {
                    if verdict != Verdict::Stands {
                        *attempt = Attempt::Stopped;
                    } else if let Attempt::Ran(transaction, ran) = attempt {
                        let tx = EvmTx::signed(transaction, window.candidate(*pick).data_size);
                        for (recipient, amount) in machine.rewards(&tx, ran) {
                            machine.overlay().credit(recipient, amount);
                        }
                    }
                }
            }
            lanes.push(attempts.into_iter());
        }
        let in_order = plan.lane_of.iter();
        let attempts =
            in_order.map(|lane| lanes[*lane as usize].next().unwrap_or(Attempt::Stopped));
        Ok((attempts.collect(), met))
    }

    fn learn(&self, window: &Window<'_>, plan: &Plan, runs: &[LaneRun], redo: &[Redo]) {
        let mut learned = lock(&self.workshop.learned);
        let forecast = &mut learned.forecast;
        forecast.next_window();
        for function in &plan.strangers {
            let code = runs.iter().find_map(|run| run.overlay.known_code(&function.0));
            if let Some(code) = code {
                forecast.introduce(*function, code);
            }
        }
        for ((run, redo), picks) in runs.iter().zip(redo).zip(&plan.lanes) {
            let call = |pick: &u32| Call::of(&window.candidate(*pick).transaction);
            let met = redo.iter().zip(picks).filter(|(verdict, _)| **verdict == Verdict::Met);
            met.filter_map(|(_, pick)| call(pick)).for_each(|call| forecast.was_wrong(call));
            // The lane remembers what the last of its transactions hashed.
            let calls = run.attempts.iter().zip(picks).enumerate().rev().take(LESSONS);
            let mut preimages = None;
            for (position, (attempt, pick)) in calls {
                if let Attempt::Ran(_, ran) = attempt
                    && let Some(call) = call(pick)
                    && forecast.wants(call)
                {
                    let preimages = preimages.get_or_insert_with(|| run.overlay.preimages());
                    let changed = run.overlay.changed_by(position);
                    forecast.learn(call, ran.gas_used, changed, preimages);
                }
            }
        }
    }
}

impl Window<'_> {
    fn candidate(&self, pick: u32) -> &Candidate {
        &self.candidates[self.range.start + pick as usize]
    }

    /// For each lane, the attempts that find no room in the block when their turn comes.
    fn without_room(&self, plan: &Plan, runs: &[LaneRun]) -> Vec<Vec<usize>> {
        let (mut gas_left, mut data_left) = (self.gas_left, self.data_left);
        let mut doomed = vec![Vec::new(); runs.len()];
        let mut positions = vec![0; runs.len()];
        for (candidate, lane) in self.candidates[self.range.clone()].iter().zip(&plan.lane_of) {
            let lane = *lane as usize;
            let position = positions[lane];
            positions[lane] += 1;
            let Some(attempt) = runs[lane].attempts.get(position) else { continue };
            let size = candidate.data_size.bytes();
            if candidate.transaction.gas_limit() > gas_left || size > data_left {
                doomed[lane].push(position);
            } else if let Attempt::Ran(_, ran) = attempt {
                gas_left -= ran.gas_used;
                data_left -= size;
            }
        }
        doomed
    }
}
