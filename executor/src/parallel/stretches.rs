//! Blocks that come with waypoints: each stretch runs at once, from the state that the stretches before it promise.
//!
//! If every stretch then changes just what its waypoint says, then each has started from the right state, the first one
//! because it starts from the block's parent and every other one because the promise before it was kept. How much the
//! block's transactions depend on each other does not matter.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use millrace_protocol::ChainSpec;
use millrace_types::{StateDiff, Transaction, Waypoint};

use super::Workshop;
use crate::{BlockAttributes, ExecuteError, Executed, LayeredView, OpenBlock, StateView};

/// Stretches a thread: more balance better, but each has to look through the promises before it.
const STRETCHES_A_THREAD: usize = 3;

/// Below this many transactions threads are not worth waking.
const TRANSACTIONS_MIN: usize = 16;

/// A block to be executed in stretches.
pub(crate) struct Stretches<'a> {
    chain: &'a Arc<ChainSpec>,
    workshop: &'a Arc<Workshop>,
    attributes: &'a BlockAttributes,
    view: &'a Arc<dyn StateView>,
}

/// What one stretch is, or what all promises together are.
enum Piece {
    Stretch(Box<Result<Executed, ExecuteError>>),
    Whole(Arc<StateDiff>),
}

impl<'a> Stretches<'a> {
    pub(crate) fn new(
        chain: &'a Arc<ChainSpec>,
        workshop: &'a Arc<Workshop>,
        attributes: &'a BlockAttributes,
        view: &'a Arc<dyn StateView>,
    ) -> Self {
        Self { chain, workshop, attributes, view }
    }

    /// Executes the block. Nothing: there are too few waypoints, or a promise was not kept, and it has to be executed
    /// without them.
    pub(crate) fn replay(
        &self,
        transactions: &[Arc<Transaction>],
        waypoints: &[Waypoint],
    ) -> Option<Executed> {
        let width = self.workshop.pool.width();
        let complete = waypoints.last().is_some_and(|last| last.transactions == transactions.len());
        let in_order = waypoints.is_sorted_by_key(|waypoint| waypoint.transactions);
        if width == 1 || !complete || !in_order || transactions.len() < TRANSACTIONS_MIN {
            return None;
        }
        let stretches = merge(waypoints, STRETCHES_A_THREAD * width);
        if stretches.len() < 2 {
            return None;
        }
        let executed = self.execute(transactions, &stretches);
        let kept = if executed.is_some() { stretches.len() } else { 0 };
        self.workshop.stats.stretches(kept, stretches.len() - kept);
        executed.map(|executed| Executed { waypoints: waypoints.to_vec(), ..executed })
    }

    fn execute(
        &self,
        transactions: &[Arc<Transaction>],
        stretches: &[Waypoint],
    ) -> Option<Executed> {
        let mut errands = self.workshop.pool.errands();
        let mut start = 0;
        for (index, stretch) in stretches.iter().enumerate() {
            let transactions = transactions.get(start..stretch.transactions)?.to_vec();
            start = stretch.transactions;
            let promised: Vec<_> =
                stretches[..index].iter().map(|stretch| stretch.diff.clone()).collect();
            let block = Opening {
                chain: self.chain.clone(),
                workshop: self.workshop.clone(),
                attributes: self.attributes.clone(),
                view: self.view.clone(),
                promised,
            };
            errands.give(index, move || Piece::Stretch(Box::new(block.execute(&transactions))));
        }
        let diffs: Vec<_> = stretches.iter().map(|stretch| stretch.diff.clone()).collect();
        errands.give(stretches.len(), move || {
            let whole = StateDiff::merge(diffs.iter().map(|diff| &**diff));
            Piece::Whole(Arc::new(whole))
        });

        let mut pieces: Vec<Option<Executed>> = stretches.iter().map(|_| None).collect();
        let mut whole = None;
        while let Some((index, piece)) = errands.next() {
            match piece {
                // Whether an error is the promise's fault comes out when the block is executed without it.
                Ok(Piece::Stretch(executed)) => pieces[index] = executed.ok(),
                Ok(Piece::Whole(diff)) => whole = Some(diff),
                Err(_) => self.workshop.stats.panicked(),
            }
        }
        let pieces: Vec<_> = pieces.into_iter().collect::<Option<_>>()?;
        let kept = pieces.iter().zip(stretches).all(|(piece, stretch)| piece.diff == stretch.diff);
        if kept { self.chain_up(pieces, whole?) } else { None }
    }

    /// Makes one block of its stretches, unless one of its transactions finds too little gas.
    fn chain_up(&self, pieces: Vec<Executed>, diff: Arc<StateDiff>) -> Option<Executed> {
        let mut pieces = pieces.into_iter();
        let mut whole = pieces.next()?;
        for piece in pieces {
            for (transaction, mut receipt) in piece.transactions.into_iter().zip(piece.receipts) {
                let before = whole.receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used);
                if transaction.gas_limit() > self.attributes.gas_limit.saturating_sub(before) {
                    return None;
                }
                receipt.cumulative_gas_used += whole.gas_used;
                whole.transactions.push(transaction);
                whole.receipts.push(receipt);
            }
            whole.gas_used += piece.gas_used;
            whole.data_bytes += piece.data_bytes;
        }
        Some(Executed { diff, ..whole })
    }
}

/// Where a stretch starts.
struct Opening {
    chain: Arc<ChainSpec>,
    workshop: Arc<Workshop>,
    attributes: BlockAttributes,
    view: Arc<dyn StateView>,
    promised: Vec<Arc<StateDiff>>,
}

impl Opening {
    fn execute(self, transactions: &[Arc<Transaction>]) -> Result<Executed, ExecuteError> {
        let Self { chain, workshop, attributes, view, promised } = self;
        let mut block = if promised.is_empty() {
            OpenBlock::open(chain, workshop, attributes, view)?
        } else {
            let view = Arc::new(LayeredView::new(view, promised));
            OpenBlock::resume(chain, workshop, attributes, view)?
        };
        block.run_in_order(transactions)?;
        block.finish()
    }
}

/// Puts neighbouring waypoints together until about so many are left, each of about as many transactions.
fn merge(waypoints: &[Waypoint], count: usize) -> Vec<Waypoint> {
    let transactions = waypoints.last().map_or(0, |last| last.transactions);
    let length = transactions.div_ceil(count).max(1);
    let mut start = 0;
    let is_long = |waypoint: &Waypoint| {
        let is_long = waypoint.transactions - start >= length;
        if is_long {
            start = waypoint.transactions;
        }
        is_long
    };
    waypoints.split_inclusive(is_long).filter_map(|run| Waypoint::join(run.iter())).collect()
}
