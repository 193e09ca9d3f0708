//! The pool as one would explain it: a list of transactions, everything else worked out anew at every step.

use std::{cmp::Reverse, collections::BTreeMap};

use alloy_primitives::{Address, TxHash};

use crate::mempool::{
    Accounts, Admitted, DropReason, Inserted, Limits, Outcome, SenderCode, SenderState,
    SubmitError, testing::World,
};

#[derive(Debug, Clone)]
pub(super) struct ModelTx {
    pub(super) admitted: Admitted,
    pub(super) arrived_ms: u64,
    pub(super) in_flight: bool,
    arrival: u64,
    /// When it began to wait, while it does.
    queued_ms: Option<u64>,
    /// Whether it did not fit into the block that is being built.
    passed_over: bool,
}

impl ModelTx {
    pub(super) fn hash(&self) -> TxHash {
        self.admitted.tx.hash()
    }

    fn sender(&self) -> Address {
        self.admitted.tx.sender()
    }
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) limits: Limits,
    pub(super) base_fee: u64,
    pub(super) txs: Vec<ModelTx>,
    pub(super) known: BTreeMap<Address, SenderState>,
    pub(super) dropped: Vec<(TxHash, DropReason)>,
    now_ms: u64,
    arrivals: u64,
}

impl Model {
    pub(super) fn new(limits: Limits, base_fee: u64) -> Self {
        Self {
            limits,
            base_fee,
            txs: Vec::new(),
            known: BTreeMap::new(),
            dropped: Vec::new(),
            now_ms: 0,
            arrivals: 0,
        }
    }

    /// A sender's transactions by nonce.
    pub(super) fn of(&self, sender: &Address) -> Vec<&ModelTx> {
        let mut txs: Vec<_> = self.txs.iter().filter(|tx| tx.sender() == *sender).collect();
        txs.sort_by_key(|tx| tx.admitted.nonce);
        txs
    }

    /// How many of them follow each other from the account's nonce.
    pub(super) fn run(&self, sender: &Address) -> usize {
        let Some(state) = self.known.get(sender) else { return 0 };
        let nonces = self.of(sender).into_iter().map(|tx| tx.admitted.nonce);
        nonces.zip(state.nonce..).take_while(|(have, want)| have == want).count()
    }

    fn is_in_run(&self, tx: &ModelTx) -> bool {
        let state = self.known[&tx.sender()];
        tx.admitted.nonce < state.nonce + self.run(&tx.sender()) as u64
    }

    pub(super) fn is_queued(&self, tx: &ModelTx) -> bool {
        !tx.in_flight && !self.is_in_run(tx)
    }

    pub(super) fn is_pending(&self, tx: &ModelTx) -> bool {
        !tx.in_flight && self.is_in_run(tx)
    }

    pub(super) fn bytes(&self) -> usize {
        self.txs.iter().map(|tx| tx.admitted.tx.encoded().len()).sum()
    }

    fn price(&self, admitted: &Admitted) -> u128 {
        admitted.max_fee.min(admitted.tip + u128::from(self.base_fee))
    }

    fn drop_tx(&mut self, hash: TxHash, reason: DropReason) {
        self.txs.retain(|tx| tx.hash() != hash);
        self.dropped.push((hash, reason));
    }

    /// After every step: who waits from now on, and who is forgotten.
    fn refresh(&mut self) {
        let queued: Vec<_> = self.txs.iter().map(|tx| self.is_queued(tx)).collect();
        for (tx, queued) in self.txs.iter_mut().zip(queued) {
            tx.queued_ms = queued.then(|| tx.queued_ms.unwrap_or(self.now_ms));
        }
        let txs = &self.txs;
        self.known.retain(|sender, _| txs.iter().any(|tx| tx.sender() == *sender));
    }

    pub(super) fn insert(
        &mut self,
        admitted: Admitted,
        world: &World,
        now_ms: u64,
    ) -> Result<Inserted, SubmitError> {
        self.now_ms = self.now_ms.max(now_ms);
        let (hash, sender, nonce) = (admitted.tx.hash(), admitted.tx.sender(), admitted.nonce);
        if self.txs.iter().any(|tx| tx.hash() == hash) {
            return Err(SubmitError::AlreadyKnown);
        }
        let state = match self.known.get(&sender) {
            Some(state) => *state,
            None => world.account(&sender)?,
        };
        if nonce < state.nonce {
            return Err(SubmitError::NonceTooLow { next: state.nonce, nonce });
        }
        if state.code == SenderCode::Contract {
            return Err(SubmitError::SenderNotEoa(sender));
        }
        let (balance, cost) = (state.balance, admitted.cost);
        if cost > balance {
            return Err(SubmitError::InsufficientFunds { balance, cost });
        }
        let mine = self.of(&sender);
        let queued = mine.iter().map(|tx| tx.admitted.cost).sum();
        let next = state.nonce + self.run(&sender) as u64;
        let old = mine.iter().find(|tx| tx.admitted.nonce == nonce).map(|tx| (*tx).clone());
        let pending = match &old {
            Some(old) => {
                if old.in_flight {
                    return Err(SubmitError::NonceTooLow { next: nonce + 1, nonce });
                }
                let bump = cost.saturating_sub(old.admitted.cost);
                if !bump.is_zero() && queued + bump > balance {
                    return Err(SubmitError::BumpOverdraft { balance, queued, bump });
                }
                let percent = 100 + self.limits.price_bump_percent;
                let enough = |new: u128, old: u128| new > old && new >= old * percent / 100;
                if !enough(admitted.tip, old.admitted.tip)
                    || !enough(admitted.max_fee, old.admitted.max_fee)
                {
                    return Err(SubmitError::ReplacementUnderpriced);
                }
                self.is_pending(old)
            }
            None if mine.is_empty() => {
                if state.code == SenderCode::Delegated && nonce != state.nonce {
                    return Err(SubmitError::DelegatedGap);
                }
                nonce == state.nonce
            }
            None => {
                if queued + cost > balance {
                    return Err(SubmitError::Overdraft { balance, queued, cost });
                }
                if state.code == SenderCode::Delegated {
                    return Err(SubmitError::DelegatedLimit);
                }
                let behind_gap = mine.len() - self.run(&sender);
                if mine.len() >= self.limits.sender_count_max
                    || nonce != next && behind_gap >= self.limits.sender_queued_max
                {
                    return Err(SubmitError::AccountLimit(mine.len()));
                }
                nonce == next
            }
        };

        for victim in self.victims(&admitted, old.as_ref(), pending)? {
            self.drop_tx(victim, DropReason::Evicted);
        }
        if let Some(old) = old {
            self.drop_tx(old.hash(), DropReason::Replaced(hash));
        }
        self.known.insert(sender, state);
        self.txs.push(ModelTx {
            admitted,
            arrived_ms: self.now_ms,
            in_flight: false,
            arrival: self.arrivals,
            queued_ms: None,
            passed_over: false,
        });
        self.arrivals += 1;
        self.refresh();
        Ok(if pending { Inserted::Pending } else { Inserted::Queued })
    }

    /// Who makes room, or why nobody does.
    fn victims(
        &self,
        admitted: &Admitted,
        old: Option<&ModelTx>,
        pending: bool,
    ) -> Result<Vec<TxHash>, SubmitError> {
        let price = self.price(admitted);
        let mut candidates: Vec<_> = self
            .txs
            .iter()
            .filter(|tx| !tx.in_flight && (pending || self.is_queued(tx)))
            .map(|tx| (self.is_pending(tx), self.price(&tx.admitted), Reverse(tx.arrival), tx))
            .collect();
        candidates.sort_by_key(|(pending, price, arrival, _)| (*pending, *price, *arrival));
        let mut candidates = candidates.into_iter();
        let mut count = self.txs.len() + 1 - usize::from(old.is_some());
        let mut bytes = self.bytes() + admitted.tx.encoded().len();
        bytes -= old.map_or(0, |old| old.admitted.tx.encoded().len());
        let mut victims = Vec::new();
        while count > self.limits.count_max || bytes > self.limits.bytes_max {
            let Some((is_pending, its_price, _, tx)) = candidates.next() else {
                return Err(SubmitError::PoolFull);
            };
            let outranked = pending && !is_pending;
            if !outranked && its_price >= price {
                return Err(SubmitError::Underpriced);
            }
            if tx.sender() != admitted.tx.sender() {
                count -= 1;
                bytes -= tx.admitted.tx.encoded().len();
                victims.push(tx.hash());
            }
        }
        Ok(victims)
    }

    pub(super) fn open_block(&mut self, base_fee: u64) {
        self.base_fee = base_fee;
        self.txs.iter_mut().for_each(|tx| tx.passed_over = false);
    }

    pub(super) fn take_best(&mut self, count_max: usize, gas_max: u64) -> Vec<TxHash> {
        let mut taken = Vec::new();
        let mut gas_left = gas_max;
        while taken.len() < count_max {
            let heads = self.known.keys().filter_map(|sender| {
                self.of(sender).into_iter().find(|tx| !tx.in_flight).filter(|tx| self.is_in_run(tx))
            });
            let best = heads
                .filter(|tx| tx.admitted.max_fee >= self.base_fee.into())
                .filter(|tx| !tx.passed_over)
                .max_by_key(|tx| (self.price(&tx.admitted), Reverse(tx.arrival)));
            let Some((hash, gas)) = best.map(|tx| (tx.hash(), tx.admitted.gas)) else { break };
            let tx = self.txs.iter_mut().find(|tx| tx.hash() == hash).unwrap();
            if gas > gas_left {
                tx.passed_over = true;
                continue;
            }
            gas_left -= gas;
            tx.in_flight = true;
            taken.push(hash);
        }
        taken
    }

    pub(super) fn committed(
        &mut self,
        outcomes: &[(TxHash, Outcome)],
        accounts: &[(Address, SenderState)],
    ) {
        for (hash, outcome) in outcomes {
            let Some(index) = self.txs.iter().position(|tx| tx.hash() == *hash && tx.in_flight)
            else {
                continue;
            };
            match outcome {
                Outcome::Included => {
                    let tx = self.txs.remove(index);
                    self.move_nonce(tx.sender(), tx.admitted.nonce + 1);
                }
                Outcome::Rejected(reason) => {
                    self.drop_tx(*hash, DropReason::Rejected(reason.clone()));
                }
                Outcome::Deferred => self.txs[index].in_flight = false,
            }
            self.refresh();
        }
        for (sender, state) in accounts {
            if let Some(known) = self.known.get(sender).copied() {
                self.move_nonce(*sender, state.nonce.max(known.nonce));
                self.known
                    .insert(*sender, SenderState { nonce: state.nonce.max(known.nonce), ..*state });
                self.drop_unaffordable(*sender);
                self.refresh();
            }
        }
    }

    fn move_nonce(&mut self, sender: Address, nonce: u64) {
        self.known.get_mut(&sender).unwrap().nonce = nonce;
        let stale: Vec<_> = self
            .of(&sender)
            .into_iter()
            .filter(|tx| tx.admitted.nonce < nonce)
            .map(ModelTx::hash)
            .collect();
        for hash in stale {
            self.drop_tx(hash, DropReason::Stale);
        }
    }

    fn drop_unaffordable(&mut self, sender: Address) {
        let balance = self.known[&sender].balance;
        let poor: Vec<_> = self
            .of(&sender)
            .into_iter()
            .filter(|tx| tx.admitted.cost > balance && !tx.in_flight)
            .map(ModelTx::hash)
            .collect();
        for hash in poor {
            self.drop_tx(hash, DropReason::Unaffordable);
        }
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        let expired: Vec<_> = self
            .txs
            .iter()
            .filter(|tx| {
                tx.queued_ms
                    .is_some_and(|since| self.now_ms - since >= self.limits.queued_lifetime_ms)
            })
            .map(ModelTx::hash)
            .collect();
        for hash in expired {
            self.drop_tx(hash, DropReason::Expired);
        }
        self.refresh();
    }

    pub(super) fn reset(&mut self, rolled_back: Vec<Admitted>, world: &World, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        for sender in self.known.keys().copied().collect::<Vec<_>>() {
            for tx in self.txs.iter_mut().filter(|tx| tx.sender() == sender) {
                tx.in_flight = false;
            }
            self.known.insert(sender, world.get(&sender));
            self.move_nonce(sender, world.get(&sender).nonce);
            self.drop_unaffordable(sender);
        }
        self.refresh();
        for admitted in rolled_back {
            let hash = admitted.tx.hash();
            match self.insert(admitted, world, now_ms) {
                Ok(_) | Err(SubmitError::AlreadyKnown) => {}
                Err(error) => self.dropped.push((hash, DropReason::Refused(error))),
            }
        }
    }
}
