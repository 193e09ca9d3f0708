//! The pool's books, and the small steps that keep them in agreement.

use alloy_primitives::{
    TxHash,
    map::{AddressMap, B256Map},
};

use crate::mempool::{
    DropReason, Event, Limits, SenderState, SubmitError,
    ages::Ages,
    entry::{Entries, Entry, EntryId, Place},
    limits::EVENTS_MAX,
    offers::Offers,
    sender::Sender,
    slab::{Id, Slab},
    worst::Worst,
};

pub(super) type SenderId = Id<Sender>;

/// Every transaction that waits, by hash, by sender and by price.
///
/// All operations are logarithmic in what they touch, and [`open_block`](Self::open_block) in
/// what did not fit into the block before.
#[derive(Debug)]
pub struct Mempool {
    pub(super) limits: Limits,
    pub(super) base_fee: u64,
    pub(super) entries: Entries,
    pub(super) by_hash: B256Map<EntryId>,
    pub(super) senders: Slab<Sender>,
    pub(super) by_address: AddressMap<SenderId>,
    pub(super) offers: Offers,
    pub(super) worst_pending: Worst,
    pub(super) worst_queued: Worst,
    /// All entries, by arrival.
    pub(super) arrivals: Ages,
    /// The queued ones, by when they began to wait.
    pub(super) waiting: Ages,
    pub(super) bytes: usize,
    pub(super) pending: usize,
    pub(super) queued: usize,
    pub(super) in_flight: usize,
    pub(super) next_arrival: u64,
    /// The newest time heard of; never goes back, whatever the caller's clock does.
    pub(super) now_ms: u64,
    events: Vec<Event>,
    events_lost: u64,
}

impl Mempool {
    /// An empty pool, at a base fee in wei a gas.
    pub fn new(limits: Limits, base_fee: u64) -> Self {
        Self {
            limits,
            base_fee,
            entries: Entries::default(),
            by_hash: B256Map::default(),
            senders: Slab::default(),
            by_address: AddressMap::default(),
            offers: Offers::default(),
            worst_pending: Worst::default(),
            worst_queued: Worst::default(),
            arrivals: Ages::default(),
            waiting: Ages::default(),
            bytes: 0,
            pending: 0,
            queued: 0,
            in_flight: 0,
            next_arrival: 0,
            now_ms: 0,
            events: Vec::new(),
            events_lost: 0,
        }
    }

    /// Begins a block: everything is priced at its base fee, and what did not fit into the last one is offered again.
    pub fn open_block(&mut self, base_fee: u64) {
        self.base_fee = base_fee;
        self.offers.open_block(&self.entries, base_fee);
    }

    /// Gives up everything that asks for more gas than this, unless the builder has it: blocks have become too small.
    pub fn drop_larger_than(&mut self, gas_max: u64) {
        let too_large = |id: &EntryId| {
            let entry = &self.entries[*id];
            entry.gas > gas_max && entry.place != Place::InFlight
        };
        let ids: Vec<_> = self.by_hash.values().copied().filter(too_large).collect();
        for id in ids {
            let owner = self.entries[id].sender;
            self.give_up(id, DropReason::Refused(SubmitError::BlockGasLimit));
            self.settle(owner);
        }
    }

    /// What happened since the last call. Call it after every group: at most 65,536 events wait.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// How many events were lost for not having been taken in time.
    pub const fn events_lost(&self) -> u64 {
        self.events_lost
    }

    pub(super) fn emit(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(event);
        } else {
            self.events_lost += 1;
        }
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Files an entry under its place.
    pub(super) fn index(&mut self, id: EntryId) {
        let entry = &mut self.entries[id];
        match entry.place {
            Place::Pending => {
                self.pending += 1;
                self.worst_pending.push(entry, id);
            }
            Place::Queued => {
                self.queued += 1;
                entry.queued_ms = self.now_ms;
                self.worst_queued.push(entry, id);
                self.waiting.push(id);
            }
            Place::InFlight => self.in_flight += 1,
        }
    }

    /// Undoes [`index`](Self::index).
    pub(super) fn unindex(&mut self, id: EntryId) {
        match self.entries[id].place {
            Place::Pending => {
                self.pending -= 1;
                self.worst_pending.remove(id);
            }
            Place::Queued => {
                self.queued -= 1;
                self.worst_queued.remove(id);
                self.waiting.remove(id);
            }
            Place::InFlight => self.in_flight -= 1,
        }
    }

    /// Moves an entry to another place. Its sender's run and offer are the caller's to mend.
    pub(super) fn relocate(&mut self, id: EntryId, place: Place) {
        self.unindex(id);
        self.entries[id].place = place;
        self.index(id);
        if place == Place::Pending {
            self.emit(Event::Pending(self.entries[id].tx.hash()));
        }
    }

    /// Takes an entry out of every book but its sender's list.
    pub(super) fn forget(&mut self, id: EntryId) -> Entry {
        self.unindex(id);
        self.arrivals.remove(id);
        let entry = self.entries.remove(id);
        self.by_hash.remove(&entry.tx.hash());
        self.bytes -= entry.tx.encoded().len();
        let sender = &mut self.senders[entry.sender];
        sender.cost -= entry.cost;
        if sender.offered == Some(id) {
            sender.offered = None;
            self.offers.remove(id);
        }
        entry
    }

    /// Gives an entry up, and with it its successors' claim to be executable.
    ///
    /// The sender remains, even without transactions, until [`settle`](Self::settle).
    pub(super) fn give_up(&mut self, id: EntryId, reason: DropReason) {
        let (owner, nonce) = (self.entries[id].sender, self.entries[id].nonce);
        let index = self.senders[owner].position(nonce).expect("a sender lists its entries");
        self.shorten_run(owner, index);
        self.senders[owner].txs.remove(index);
        let entry = self.forget(id);
        self.report(&entry, reason);
    }

    pub(super) fn report(&mut self, entry: &Entry, reason: DropReason) {
        let (hash, sender) = (entry.tx.hash(), entry.tx.sender());
        self.emit(Event::Dropped { hash, sender, nonce: entry.nonce, reason });
    }

    /// The account has a new nonce, not below the old one: what has a lower one leaves.
    ///
    /// `included` is the transaction that used the newest of these nonces, if it is one of ours.
    pub(super) fn advance(&mut self, owner: SenderId, nonce: u64, included: Option<TxHash>) {
        while let Some((first, id)) = self.senders[owner].txs.front().copied()
            && first < nonce
        {
            let sender = &mut self.senders[owner];
            sender.txs.pop_front();
            sender.run = sender.run.saturating_sub(1);
            let entry = self.forget(id);
            if included != Some(entry.tx.hash()) {
                self.report(&entry, DropReason::Stale);
            }
        }
        self.senders[owner].state.nonce = nonce;
    }

    /// Cuts the run to its first `run` transactions; those behind wait from now on.
    pub(super) fn shorten_run(&mut self, owner: SenderId, run: usize) {
        for index in run..self.senders[owner].run {
            let id = self.senders[owner].txs[index].1;
            if self.entries[id].place == Place::Pending {
                self.relocate(id, Place::Queued);
            }
        }
        let sender = &mut self.senders[owner];
        sender.run = sender.run.min(run);
    }

    /// Lets the run reach as far as nonces follow each other.
    fn extend_run(&mut self, owner: SenderId) {
        loop {
            let sender = &mut self.senders[owner];
            let Some((nonce, id)) = sender.txs.get(sender.run).copied() else { break };
            if nonce != sender.next_nonce() {
                break;
            }
            sender.run += 1;
            if self.entries[id].place == Place::Queued {
                self.relocate(id, Place::Pending);
            }
        }
    }

    /// Brings a sender's run and offer up to date after its list, its nonce or a place changed, and forgets a sender
    /// that has nothing left.
    pub(super) fn settle(&mut self, owner: SenderId) {
        if self.senders[owner].txs.is_empty() {
            let sender = self.senders.remove(owner);
            self.by_address.remove(&sender.address);
            return;
        }
        self.extend_run(owner);
        let sender = &mut self.senders[owner];
        let nonce = sender.state.nonce;
        let mut index = sender.next_offer.clamp(nonce, sender.next_nonce()) - nonce;
        let mut offer = None;
        // Those behind the offer may be in flight too, when an earlier one came back.
        while let Some((_, id)) =
            sender.txs.get(index as usize).filter(|_| index < sender.run as u64)
        {
            if self.entries[*id].place != Place::InFlight {
                offer = Some(*id);
                break;
            }
            index += 1;
        }
        sender.next_offer = nonce + index;
        if sender.offered != offer {
            if let Some(old) = std::mem::replace(&mut sender.offered, offer) {
                self.offers.remove(old);
            }
            if let Some(new) = offer {
                self.offers.push(&self.entries[new], new, self.base_fee);
            }
        }
    }

    /// Learns what an account has become, outside of a rollback.
    pub(super) fn account_changed(&mut self, owner: SenderId, state: SenderState) {
        let nonce = state.nonce.max(self.senders[owner].state.nonce);
        self.advance(owner, nonce, None);
        self.senders[owner].state = SenderState { nonce, ..state };
        self.drop_unaffordable(owner);
        self.settle(owner);
    }

    /// Gives up what the sender cannot pay for even by itself, unless the builder has it.
    ///
    /// Transactions that are affordable one by one but not together stay, as in geth: what they really cost is less.
    pub(super) fn drop_unaffordable(&mut self, owner: SenderId) {
        let sender = &self.senders[owner];
        let balance = sender.state.balance;
        if sender.cost <= balance {
            return;
        }
        let unaffordable: Vec<_> = sender
            .txs
            .iter()
            .map(|(_, id)| *id)
            .filter(|id| self.entries[*id].cost > balance)
            .filter(|id| self.entries[*id].place != Place::InFlight)
            .collect();
        for id in unaffordable {
            self.give_up(id, DropReason::Unaffordable);
        }
    }
}
