//! Into the pool: what only the state and the other transactions can tell.

use crate::mempool::{
    Accounts, Admitted, DropReason, Event, Mempool, SenderCode, SenderState, SubmitError,
    entry::{Entry, EntryId, Fees, Place},
    heap::Item,
    pool::SenderId,
    sender::Sender,
    worst::Worst,
};

/// Where a new transaction went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is executable as far as nonces go.
    Pending,
    /// It waits for a predecessor.
    Queued,
}

/// A transaction that was found valid, with what was found.
#[derive(Debug)]
struct Newcomer {
    admitted: Admitted,
    state: SenderState,
    owner: Option<SenderId>,
    /// The one with the same nonce.
    replaced: Option<EntryId>,
    place: Place,
}

impl Newcomer {
    fn fees(&self) -> Fees {
        Fees { tip: self.admitted.tip, max: self.admitted.max_fee }
    }
}

impl Mempool {
    /// Takes a group of transactions, in order; one answer each. `now_ms` is when they arrived.
    pub fn insert_many(
        &mut self,
        group: impl IntoIterator<Item = Admitted>,
        accounts: &impl Accounts,
        now_ms: u64,
    ) -> Vec<Result<Inserted, SubmitError>> {
        group.into_iter().map(|admitted| self.insert(admitted, accounts, now_ms)).collect()
    }

    /// Takes one transaction. An error means that it was not kept, and that nothing else changed.
    pub fn insert(
        &mut self,
        admitted: Admitted,
        accounts: &impl Accounts,
        now_ms: u64,
    ) -> Result<Inserted, SubmitError> {
        self.tick(now_ms);
        let newcomer = self.examine(admitted, accounts)?;
        self.make_room(&newcomer)?;
        Ok(self.join(newcomer))
    }

    /// Whether a transaction fits its sender's account and other transactions.
    fn examine(
        &self,
        admitted: Admitted,
        accounts: &impl Accounts,
    ) -> Result<Newcomer, SubmitError> {
        if self.by_hash.contains_key(&admitted.tx.hash()) {
            return Err(SubmitError::AlreadyKnown);
        }
        let address = admitted.tx.sender();
        let owner = self.by_address.get(&address).copied();
        let state = match owner {
            Some(owner) => self.senders[owner].state,
            None => accounts.account(&address)?,
        };
        let nonce = admitted.nonce;
        if nonce < state.nonce {
            return Err(SubmitError::NonceTooLow { next: state.nonce, nonce });
        }
        if state.code == SenderCode::Contract {
            return Err(SubmitError::SenderNotEoa(address));
        }
        let (balance, cost) = (state.balance, admitted.cost);
        if cost > balance {
            return Err(SubmitError::InsufficientFunds { balance, cost });
        }
        let sender = owner.map(|owner| &self.senders[owner]);
        let replaced = sender.and_then(|sender| sender.find(nonce));
        let place = match (replaced, sender) {
            (Some(replaced), Some(sender)) => {
                self.may_replace(&self.entries[replaced], &admitted, sender)?;
                self.entries[replaced].place
            }
            (_, Some(sender)) => self.may_follow(&admitted, sender)?,
            (_, None) if nonce == state.nonce => Place::Pending,
            (_, None) if state.code == SenderCode::Delegated => {
                return Err(SubmitError::DelegatedGap);
            }
            (_, None) => Place::Queued,
        };
        Ok(Newcomer { admitted, state, owner, replaced, place })
    }

    /// Whether `new` may take the place of `old`.
    fn may_replace(&self, old: &Entry, new: &Admitted, sender: &Sender) -> Result<(), SubmitError> {
        if old.place == Place::InFlight {
            // The nonce is as good as used: in a few milliseconds there is a receipt for it.
            return Err(SubmitError::NonceTooLow { next: new.nonce + 1, nonce: new.nonce });
        }
        let bump = new.cost.saturating_sub(old.cost);
        if sender.cost.checked_add(bump).is_none_or(|total| total > sender.state.balance)
            && !bump.is_zero()
        {
            return Err(SubmitError::BumpOverdraft {
                balance: sender.state.balance,
                queued: sender.cost,
                bump,
            });
        }
        let least = old.fees.bumped(self.limits.price_bump_percent);
        if new.tip < least.tip || new.max_fee < least.max {
            return Err(SubmitError::ReplacementUnderpriced);
        }
        Ok(())
    }

    /// Whether `new` may join the other transactions of its sender, and where.
    fn may_follow(&self, new: &Admitted, sender: &Sender) -> Result<Place, SubmitError> {
        let balance = sender.state.balance;
        if sender.cost.checked_add(new.cost).is_none_or(|total| total > balance) {
            return Err(SubmitError::Overdraft { balance, queued: sender.cost, cost: new.cost });
        }
        if sender.state.code == SenderCode::Delegated {
            return Err(SubmitError::DelegatedLimit);
        }
        let count = sender.txs.len();
        let gapped = new.nonce != sender.next_nonce();
        if count >= self.limits.sender_count_max
            || gapped && count - sender.run >= self.limits.sender_queued_max
        {
            return Err(SubmitError::AccountLimit(count));
        }
        Ok(if gapped { Place::Queued } else { Place::Pending })
    }

    /// Evicts the worst where the pool is full, or refuses the newcomer and evicts nothing.
    ///
    /// Queued transactions go first. A newcomer displaces what pays less than it would, and a pending one any queued one;
    /// never its own sender's, because that could open the very gap behind which it would then wait.
    fn make_room(&mut self, newcomer: &Newcomer) -> Result<(), SubmitError> {
        let (leaving_count, leaving_bytes) = match newcomer.replaced {
            Some(id) => (1, self.entries[id].tx.encoded().len()),
            None => (0, 0),
        };
        let bytes = newcomer.admitted.tx.encoded().len();
        let mut count_over =
            (self.entries.len() + 1 - leaving_count).saturating_sub(self.limits.count_max);
        let mut bytes_over =
            (self.bytes + bytes - leaving_bytes).saturating_sub(self.limits.bytes_max);
        if count_over == 0 && bytes_over == 0 {
            return Ok(());
        }

        let price = newcomer.fees().price(self.base_fee);
        let is_pending = newcomer.place == Place::Pending;
        let mut refusal = SubmitError::PoolFull;
        let mut victims = Vec::new();
        for place in [Place::Queued, Place::Pending] {
            if place == Place::Pending && !is_pending {
                break;
            }
            let outranked = is_pending && place == Place::Queued;
            let mut examined = Vec::new();
            while (count_over > 0 || bytes_over > 0)
                && let Some(worst) = self.worst(place).peek(self.base_fee)
            {
                if !outranked && worst.price() >= price {
                    refusal = SubmitError::Underpriced;
                    break;
                }
                self.worst_mut(place).remove(worst.id());
                examined.push(worst.id());
                let entry = &self.entries[worst.id()];
                if Some(entry.sender) != newcomer.owner {
                    count_over = count_over.saturating_sub(1);
                    bytes_over = bytes_over.saturating_sub(entry.tx.encoded().len());
                    victims.push(worst.id());
                }
            }
            for id in examined {
                let book = match place {
                    Place::Pending => &mut self.worst_pending,
                    _ => &mut self.worst_queued,
                };
                book.push(&self.entries[id], id);
            }
        }
        if count_over > 0 || bytes_over > 0 {
            return Err(refusal);
        }
        for id in victims {
            let owner = self.entries[id].sender;
            self.give_up(id, DropReason::Evicted);
            self.settle(owner);
        }
        Ok(())
    }

    /// Writes a valid newcomer into the books.
    fn join(&mut self, newcomer: Newcomer) -> Inserted {
        let Newcomer { admitted, state, owner, replaced, place } = newcomer;
        let address = admitted.tx.sender();
        let owner = owner.unwrap_or_else(|| {
            let owner = self.senders.insert(Sender::new(address, state));
            self.by_address.insert(address, owner);
            owner
        });
        let arrival = self.next_arrival;
        self.next_arrival += 1;
        let (hash, bytes) = (admitted.tx.hash(), admitted.tx.encoded().len());
        let id = self.entries.insert(Entry {
            sender: owner,
            nonce: admitted.nonce,
            gas: admitted.gas,
            fees: Fees { tip: admitted.tip, max: admitted.max_fee },
            cost: admitted.cost,
            arrival,
            arrived_ms: self.now_ms,
            queued_ms: self.now_ms,
            place,
            tx: admitted.tx,
            passed_over: 0,
        });
        self.by_hash.insert(hash, id);
        self.bytes += bytes;
        self.arrivals.push(id);
        self.index(id);
        if place == Place::Pending {
            self.emit(Event::Pending(hash));
        }

        match replaced {
            Some(old) => {
                let sender = &mut self.senders[owner];
                let index = sender.position(admitted.nonce).expect("the replaced one is listed");
                sender.txs[index].1 = id;
                let old = self.forget(old);
                self.report(&old, DropReason::Replaced(hash));
            }
            None => {
                let sender = &mut self.senders[owner];
                let index = sender.position(admitted.nonce).expect_err("the nonce is free");
                sender.txs.insert(index, (admitted.nonce, id));
                // What is pending continues the run; a gap stays a gap.
                sender.run += usize::from(place == Place::Pending);
            }
        }
        self.senders[owner].cost += admitted.cost;
        self.settle(owner);
        match place {
            Place::Pending => Inserted::Pending,
            _ => Inserted::Queued,
        }
    }

    const fn worst(&self, place: Place) -> &Worst {
        match place {
            Place::Pending => &self.worst_pending,
            _ => &self.worst_queued,
        }
    }

    const fn worst_mut(&mut self, place: Place) -> &mut Worst {
        match place {
            Place::Pending => &mut self.worst_pending,
            _ => &mut self.worst_queued,
        }
    }
}
