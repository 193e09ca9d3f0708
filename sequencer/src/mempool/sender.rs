//! One sender: the account as the chain has it, and its transactions by nonce.

use std::collections::VecDeque;

use alloy_primitives::{Address, U256};

use crate::mempool::{AccountsUnavailable, entry::EntryId};

/// The newest executed state, as far as the pool looks at it.
///
/// It is asked once for every sender that the pool does not know. What a group of transactions did to an account must be
/// visible here *before* the pool hears of it through [`Mempool::committed`](crate::mempool::Mempool::committed): by
/// then the pool may have forgotten the sender.
pub trait Accounts {
    /// The account, or an empty one.
    fn account(&self, address: &Address) -> Result<SenderState, AccountsUnavailable>;
}

/// What makes an account fit to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderState {
    /// The nonce of its next transaction.
    pub nonce: u64,
    /// What it can spend.
    pub balance: U256,
    /// Whether it runs code.
    pub code: SenderCode,
}

/// What code an account runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SenderCode {
    /// None.
    #[default]
    Empty,
    /// Another account's, by EIP-7702.
    Delegated,
    /// Its own: it cannot send transactions (EIP-3607).
    Contract,
}

/// A sender with something in the pool.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) address: Address,
    pub(super) state: SenderState,
    /// By nonce, ascending, none twice.
    pub(super) txs: VecDeque<(u64, EntryId)>,
    /// How many of `txs`, from the front, follow each other from the account's nonce: those pending or in flight.
    pub(super) run: usize,
    /// Below this nonce the whole run is in flight.
    pub(super) next_offer: u64,
    /// The entry among the offers: the first of the run that is not in flight.
    pub(super) offered: Option<EntryId>,
    /// The most that `txs` can cost together.
    ///
    /// Never overflows: it is at most the balance whenever a transaction joins.
    pub(super) cost: U256,
}

impl Sender {
    pub(super) fn new(address: Address, state: SenderState) -> Self {
        Self {
            address,
            state,
            txs: VecDeque::new(),
            run: 0,
            next_offer: state.nonce,
            offered: None,
            cost: U256::ZERO,
        }
    }

    /// Where a nonce is among `txs`, or where it belongs.
    pub(super) fn position(&self, nonce: u64) -> Result<usize, usize> {
        self.txs.binary_search_by_key(&nonce, |(nonce, _)| *nonce)
    }

    pub(super) fn find(&self, nonce: u64) -> Option<EntryId> {
        self.position(nonce).ok().map(|index| self.txs[index].1)
    }

    /// The first nonce that would continue the run.
    pub(super) fn next_nonce(&self) -> u64 {
        self.state.nonce + self.run as u64
    }
}
