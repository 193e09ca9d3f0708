//! One lane of a window: some of its candidates, run one after the other on a frozen state.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use millrace_types::Transaction;

use crate::{
    Candidate, Invalid, Rejection,
    evm::{Blueprint, EvmTx, Frozen, Machine, Overlay, Ran, Stop},
    open_block::LOOK_AHEAD,
};

/// What became of a candidate in its lane.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It ran, on a state that may not have been the right one.
    Ran(Arc<Transaction>, Ran),
    /// It was refused, by a state that may not have been the right one.
    Rejected(Rejection),
    /// The state could not be read, or revm broke a promise: whether that is so is found out where it counts.
    Stopped,
}

/// What a lane brings back.
pub(crate) struct LaneRun {
    pub(crate) overlay: Overlay,
    /// One for each pick, in order, up to where the lane came.
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) busy: Duration,
}

impl LaneRun {
    /// Whether it came through all its picks.
    pub(crate) fn is_whole(&self, picks: &[u32]) -> bool {
        let ended = self.attempts.last();
        self.attempts.len() == picks.len() && !matches!(ended, Some(Attempt::Stopped))
    }

    /// In place of a lane that did not come back.
    pub(crate) fn lost(mut overlay: Overlay) -> Self {
        overlay.clear();
        Self { overlay, attempts: Vec::new(), busy: Duration::ZERO }
    }
}

/// Runs the picked candidates. Their changes stay in the overlay.
pub(crate) fn run(
    blueprint: &Blueprint,
    mut overlay: Overlay,
    frozen: Arc<Frozen>,
    candidates: &[Candidate],
    picks: &[u32],
    deadline: Option<Instant>,
) -> LaneRun {
    let start = Instant::now();
    overlay.reset(frozen);
    let mut machine = Machine::new(blueprint, overlay);
    let mut attempts = Vec::with_capacity(picks.len());
    for (index, pick) in picks.iter().enumerate() {
        if index % LOOK_AHEAD == 0 {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            let next = picks[index..].iter().take(LOOK_AHEAD);
            let next = next.map(|pick| &*candidates[*pick as usize].transaction);
            machine.overlay().look_ahead(next);
        }
        let Candidate { transaction, data_size } = &candidates[*pick as usize];
        if transaction.is_deposit() {
            attempts.push(Attempt::Rejected(Invalid::Misplaced.into()));
            machine.overlay().end_transaction();
            continue;
        }
        let attempt = match machine.include(EvmTx::signed(transaction, *data_size)) {
            // The reference is counted here, where the transaction is at hand, and not where all come together.
            Ok(ran) => Attempt::Ran(transaction.clone(), ran),
            Err(Stop::Rejected(rejection)) => Attempt::Rejected(rejection),
            Err(Stop::State(_) | Stop::Evm(_)) => Attempt::Stopped,
        };
        let stopped = matches!(attempt, Attempt::Stopped);
        machine.overlay().end_transaction();
        attempts.push(attempt);
        if stopped {
            break;
        }
    }
    // The frozen state can thaw as soon as the last lane is done with it.
    let mut overlay = machine.into_overlay();
    overlay.let_go();
    LaneRun { overlay, attempts, busy: start.elapsed() }
}
