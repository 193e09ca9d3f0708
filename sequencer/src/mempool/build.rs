//! What the builder does to the pool: it takes, tells what became of it, and now and then rolls back.

use std::sync::Arc;

use alloy_primitives::{Address, TxHash};
use millrace_types::Transaction;

use crate::mempool::{
    Accounts, AccountsUnavailable, Admitted, DropReason, Event, Mempool, SenderState, SubmitError,
    entry::{EntryId, Place},
    limits::EXPIRED_MAX,
};

/// What became of a transaction that the builder took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the block, successful or not.
    Included,
    /// It can never be executed, for this reason; it is dropped, and its successors wait.
    Rejected(Box<str>),
    /// Not now: it does not fit into this block, or its predecessor was not included. It is offered again.
    Deferred,
}

impl Mempool {
    /// The best transactions that fit into `gas_max` together, for the builder to execute in this order.
    ///
    /// They are in flight, still known and never evicted, until [`committed`](Self::committed) tells what became of
    /// them. Best is the highest effective tip at the current base fee, then the earliest arrival; a sender's are in
    /// the order of their nonces. Ones that do not fit are passed over until the next block, whose turn comes with
    /// [`open_block`](Self::open_block): gas only becomes less while a block is built.
    pub fn take_best(&mut self, count_max: usize, gas_max: u64) -> Vec<Arc<Transaction>> {
        let mut taken = Vec::with_capacity(count_max.min(self.pending));
        let mut gas_left = gas_max;
        while taken.len() < count_max
            && let Some(id) = self.offers.best(&self.entries, self.base_fee)
        {
            let gas = self.entries[id].gas;
            if gas > gas_left {
                self.offers.pass_over(&mut self.entries[id], id, self.base_fee);
                continue;
            }
            gas_left -= gas;
            taken.push(self.take(id));
        }
        taken
    }

    fn take(&mut self, id: EntryId) -> Arc<Transaction> {
        self.relocate(id, Place::InFlight);
        let entry = &self.entries[id];
        let (owner, tx) = (entry.sender, entry.tx.clone());
        self.settle(owner);
        tx
    }

    /// What became of transactions that were taken, in the order of their execution, and every account that they changed.
    ///
    /// Outcomes of transactions that are not in flight are ignored, and so are accounts that sent nothing. The state
    /// behind [`Accounts`] must hold these changes already.
    pub fn committed(
        &mut self,
        outcomes: impl IntoIterator<Item = (TxHash, Outcome)>,
        accounts: impl IntoIterator<Item = (Address, SenderState)>,
    ) {
        for (hash, outcome) in outcomes {
            let Some(id) = self.by_hash.get(&hash).copied() else { continue };
            let entry = &self.entries[id];
            let (owner, nonce) = (entry.sender, entry.nonce);
            if entry.place != Place::InFlight {
                continue;
            }
            match outcome {
                Outcome::Included => self.advance(owner, nonce + 1, Some(hash)),
                Outcome::Rejected(reason) => self.give_up(id, DropReason::Rejected(reason)),
                Outcome::Deferred => self.put_back(id),
            }
            self.settle(owner);
        }
        for (address, state) in accounts {
            if let Some(owner) = self.by_address.get(&address).copied() {
                self.account_changed(owner, state);
            }
        }
    }

    /// An entry comes back from the builder, to wherever its sender's run now puts it.
    fn put_back(&mut self, id: EntryId) {
        let (owner, nonce) = (self.entries[id].sender, self.entries[id].nonce);
        let sender = &mut self.senders[owner];
        let index = sender.position(nonce).expect("a sender lists its entries");
        sender.next_offer = sender.next_offer.min(nonce);
        let place = if index < sender.run { Place::Pending } else { Place::Queued };
        self.unindex(id);
        self.entries[id].place = place;
        self.index(id);
    }

    /// Drops what has waited for a predecessor too long, the longest first; at most 4,096 a call, so that the lock is
    /// not held for long. Says how many.
    pub fn expire(&mut self, now_ms: u64) -> usize {
        self.tick(now_ms);
        let mut expired = 0;
        while expired < EXPIRED_MAX
            && let Some(id) = self.waiting.oldest()
            && self.now_ms - self.entries[id].queued_ms >= self.limits.queued_lifetime_ms
        {
            let owner = self.entries[id].sender;
            self.give_up(id, DropReason::Expired);
            self.settle(owner);
            expired += 1;
        }
        expired
    }

    /// Starts over from an older state: blocks were rolled back.
    ///
    /// Everything in flight comes back, every sender is read again, and the transactions of the blocks that went, in
    /// their order, join again where they are still valid; says how many of them are here now. Nothing changes when the
    /// state cannot be read.
    pub fn reset(
        &mut self,
        rolled_back: impl IntoIterator<Item = Admitted>,
        accounts: &impl Accounts,
        now_ms: u64,
    ) -> Result<usize, AccountsUnavailable> {
        let owners: Vec<_> = self.senders.ids().collect();
        let states = owners
            .iter()
            .map(|owner| accounts.account(&self.senders[*owner].address))
            .collect::<Result<Vec<_>, _>>()?;
        self.tick(now_ms);
        for (owner, state) in owners.into_iter().zip(states) {
            self.shorten_run(owner, 0);
            for index in 0..self.senders[owner].txs.len() {
                let id = self.senders[owner].txs[index].1;
                if self.entries[id].place == Place::InFlight {
                    self.put_back(id);
                }
            }
            self.advance(owner, state.nonce, None);
            self.senders[owner].state = state;
            self.drop_unaffordable(owner);
            self.settle(owner);
        }
        let mut returned = 0;
        for admitted in rolled_back {
            let (hash, sender) = (admitted.tx.hash(), admitted.tx.sender());
            let nonce = admitted.nonce;
            match self.insert(admitted, accounts, now_ms) {
                // In flight when its block went: it never left.
                Ok(_) | Err(SubmitError::AlreadyKnown) => returned += 1,
                Err(error) => {
                    let reason = DropReason::Refused(error);
                    self.emit(Event::Dropped { hash, sender, nonce, reason });
                }
            }
        }
        Ok(returned)
    }
}
