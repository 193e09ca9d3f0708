//! Where each transaction of the block being built is.

use std::sync::Arc;

use alloy_primitives::{TxHash, map::B256Map};
use millrace_protocol::ChainSpec;
use millrace_rpc::{Before, PromisedRun};
use millrace_types::{Block, Receipt, Transaction};
use parking_lot::Mutex;

use super::{Open, Served};
use crate::l1_cost;

/// The transactions of one open block by hash, shared by all pictures of it. It only grows: a picture knows of those up to
/// its own length.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_hash: B256Map<Place>,
    logs: usize,
}

/// A transaction's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// How many transactions come before it.
    index: usize,
    /// How many logs they have.
    logs_before: usize,
}

impl Places {
    /// Adds what was executed next, in the block's order.
    pub(crate) fn add(&self, executed: &[(Arc<Transaction>, Receipt)]) {
        let mut known = self.0.lock();
        known.by_hash.reserve(executed.len());
        for (transaction, receipt) in executed {
            let place = Place { index: known.by_hash.len(), logs_before: known.logs };
            known.by_hash.insert(transaction.hash(), place);
            known.logs += receipt.logs.len();
        }
    }

    fn get(&self, hash: &TxHash) -> Option<Place> {
        self.0.lock().by_hash.get(hash).copied()
    }
}

impl Open {
    /// How many transactions it has.
    pub(crate) fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// Whether the other is a picture of the same block. Another block may have the same number, when one was given up.
    pub(crate) fn is_of_same_block(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.places, &other.places)
    }

    /// Whether a sealed block is what became of it.
    pub(crate) fn became(&self, block: &Block) -> bool {
        // Of two blocks with one parent, one was given up, and is not shown any more.
        self.attributes.number() == block.number()
            && self.attributes.parent.hash() == block.header.parent_hash
    }

    /// The place of the transaction with a hash.
    pub(crate) fn find(&self, hash: &TxHash) -> Option<Place> {
        self.places.get(hash).filter(|place| place.index < self.len())
    }

    /// The transactions from an index on, with their receipts.
    pub(crate) fn from(&self, index: usize) -> impl Iterator<Item = &(Arc<Transaction>, Receipt)> {
        let mut left = index;
        self.runs.iter().flat_map(move |run| {
            let skipped = left.min(run.len());
            left -= skipped;
            run[skipped..].iter()
        })
    }

    /// The transaction at a place.
    pub(crate) fn transaction_at(&self, place: Place) -> Option<Arc<Transaction>> {
        self.from(place.index).next().map(|(transaction, _)| transaction.clone())
    }

    /// The transaction at a place by itself, with all that its receipt says.
    pub(crate) fn promise_at(&self, place: Place, spec: &ChainSpec) -> PromisedRun {
        let transactions: Vec<_> = self.from(place.index).take(1).cloned().collect();
        let first = self.from(0).next().map(|(first, _)| std::slice::from_ref(first));
        let prices = first.and_then(l1_cost::prices_set_by);
        let own = transactions.iter().map(|(transaction, _)| &**transaction);
        let l1_fees = prices.and_then(|prices| {
            l1_cost::of_transactions(spec, self.attributes.timestamp, prices, own)
        });
        PromisedRun { l1_fees, ..self.run(place, transactions) }
    }

    /// The transactions from an index on, for those who listen; nothing if there are none.
    pub(crate) fn promises_from(&self, index: usize) -> Option<PromisedRun> {
        let transactions: Vec<_> = self.from(index).cloned().collect();
        let (first, _) = transactions.first()?;
        let place = self.find(&first.hash())?;
        Some(self.run(place, transactions))
    }

    fn run(&self, place: Place, transactions: Vec<(Arc<Transaction>, Receipt)>) -> PromisedRun {
        let last = place.index.checked_sub(1).and_then(|last| self.from(last).next());
        PromisedRun {
            header: self.header(),
            before: Before {
                transactions: place.index,
                logs: place.logs_before,
                gas: last.map_or(0, |(_, receipt)| receipt.cumulative_gas_used),
            },
            transactions,
            l1_fees: None,
        }
    }
}

/// The transactions of a sealed block from an index on, for those who listen; nothing if there are none.
pub(super) fn promises_of_block(served: &Served, index: usize) -> Option<PromisedRun> {
    let Served { block, receipts, .. } = served;
    let (earlier, receipts) = receipts.split_at_checked(index)?;
    let transactions = block.transactions.get(index..)?.iter().cloned();
    let transactions: Vec<_> = transactions.zip(receipts.iter().cloned()).collect();
    (!transactions.is_empty()).then(|| PromisedRun {
        header: block.header.clone(),
        before: Before {
            transactions: index,
            logs: earlier.iter().map(|receipt| receipt.logs.len()).sum(),
            gas: earlier.last().map_or(0, |receipt| receipt.cumulative_gas_used),
        },
        transactions,
        l1_fees: None,
    })
}
