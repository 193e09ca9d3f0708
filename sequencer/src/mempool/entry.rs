//! One pooled transaction.

use std::sync::Arc;

use alloy_primitives::U256;
use millrace_types::Transaction;

use crate::mempool::{
    sender::Sender,
    slab::{Id, Slab},
};

pub(super) type EntryId = Id<Entry>;
pub(super) type Entries = Slab<Entry>;

/// A transaction with what the pool compares, copied out so that comparing touches one cache line.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) tx: Arc<Transaction>,
    pub(super) sender: Id<Sender>,
    pub(super) nonce: u64,
    pub(super) gas: u64,
    pub(super) fees: Fees,
    pub(super) cost: U256,
    /// Position in the order of arrival: unique, and the tie-break between equal prices.
    pub(super) arrival: u64,
    pub(super) arrived_ms: u64,
    /// When it last began to wait for a predecessor.
    pub(super) queued_ms: u64,
    pub(super) place: Place,
    /// The last block that it did not fit into, as [`Offers`](super::offers::Offers) counts them; zero if there is none.
    pub(super) passed_over: u64,
}

/// What a transaction offers for a unit of gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fees {
    pub(super) tip: u128,
    pub(super) max: u128,
}

impl Fees {
    /// The effective gas price, by which transactions compare as by their effective tip: the two differ by the base fee.
    ///
    /// Below the base fee it says how far from being executable a transaction is. Saturation is exact, because the
    /// fee cap fits in 128 bits.
    pub(super) fn price(self, base_fee: u64) -> u128 {
        self.max.min(self.tip.saturating_add(base_fee.into()))
    }

    /// The least fees that replace these: more, and at least so many percent more, in both.
    pub(super) fn bumped(self, percent: u128) -> Self {
        let bump = |fee: u128| {
            let bumped = fee.saturating_add((fee / 100).saturating_mul(percent));
            bumped.saturating_add(fee % 100 * percent / 100).max(fee.saturating_add(1))
        };
        Self { tip: bump(self.tip), max: bump(self.max) }
    }
}

/// ```text
/// Queued ◄──► Pending ──take_best──► InFlight ──committed──► gone
///    ▲            ▲                     │
///    └────────────┴──────deferred───────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A predecessor is missing.
    Queued,
    /// Every predecessor is here, in flight or included.
    Pending,
    /// The builder has it.
    InFlight,
}
