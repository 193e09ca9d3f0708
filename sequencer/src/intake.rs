//! From raw bytes to the pool, and from the pool to the builder.
//!
//! Everything expensive (decoding, recovering the sender, sizing) happens here without the pool's lock, on the thread that
//! brings a single transaction or on rayon's for several; the builder's thread only ever takes that lock for a group.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use alloy_primitives::{Address, Bytes, TxHash, U256, map::AddressMap};
use crossbeam_channel::{Receiver, Sender};
use millrace_executor::{Candidate, Group, StateView, data_size};
use millrace_protocol::L1Fees;
use millrace_types::{Account, Transaction};
use parking_lot::Mutex;
use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use tokio::sync::{broadcast, oneshot};

use crate::{
    chain::Chain,
    clock,
    mempool::{
        Accounts, AccountsUnavailable, Admitted, DropReason, Event, Mempool, Outcome, Rules,
        SenderCode, SenderState, SubmitError,
    },
    metrics::Metrics,
};

/// How many groups of new transactions a slow subscriber may be behind.
const ADMITTED_GROUPS_MAX: usize = 4_096;

/// The door of the sequencer.
#[derive(Debug)]
pub(crate) struct Intake {
    chain: Arc<Chain>,
    terms: Mutex<Terms>,
    pool: Mutex<Mempool>,
    closed: Mutex<Closed>,
    wake: Sender<()>,
    admitted: broadcast::Sender<Arc<[Arc<Transaction>]>>,
    metrics: Arc<Metrics>,
}

/// What a transaction has to meet at the block that is being built.
#[derive(Debug, Clone)]
struct Terms {
    rules: Rules,
    /// What L1 costs: a sender must be able to pay it.
    prices: L1Fees,
}

/// What the first transaction of each block may use.
const L1_ATTRIBUTES_GAS: u64 = 1_000_000;

/// The most gas that a user's transaction may ask for in a block of this gas limit: with more it would fit no block, ever.
pub(crate) const fn usable_gas(block_gas_limit: u64) -> u64 {
    block_gas_limit.saturating_sub(L1_ATTRIBUTES_GAS)
}

/// What became of transactions that were given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenBack {
    /// So many are in the pool.
    pub(crate) returned: usize,
    /// So many are not valid any more.
    pub(crate) refused: usize,
}

/// What was found out about a transaction without the pool's lock.
type Examined = Result<(Arc<Transaction>, Admitted), IntakeError>;

/// Why nothing is taken, if nothing is.
#[derive(Debug, Default)]
struct Closed {
    /// For good: the process ends.
    ended: Option<String>,
    /// Until further notice.
    suspended: Option<String>,
}

/// Why a transaction was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    /// It is no transaction.
    #[error("{0}")]
    Decode(#[from] millrace_types::TransactionError),
    /// The pool refused it.
    #[error(transparent)]
    Refused(#[from] SubmitError),
    /// The door is closed.
    #[error("{0}")]
    Closed(String),
    /// Looking at it ended in a panic, of which everybody else is spared.
    #[error("looking at the transaction failed")]
    Panicked,
}

impl Intake {
    /// An open door. The receiver hears whenever there is something new for the builder.
    pub(crate) fn new(
        chain: Arc<Chain>,
        rules: Rules,
        pool: Mempool,
        metrics: Arc<Metrics>,
    ) -> (Arc<Self>, Receiver<()>) {
        // One message is enough to say "look again"; more would say the same.
        let (wake, woken) = crossbeam_channel::bounded(1);
        let intake = Self {
            chain,
            terms: Mutex::new(Terms { rules, prices: L1Fees::default() }),
            pool: Mutex::new(pool),
            closed: Mutex::default(),
            wake,
            admitted: broadcast::Sender::new(ADMITTED_GROUPS_MAX),
            metrics,
        };
        (Arc::new(intake), woken)
    }

    /// Takes nothing more, for good, and tells everybody why.
    pub(crate) fn close(&self, reason: impl Into<String>) {
        self.closed.lock().ended = Some(reason.into());
    }

    /// Takes nothing until [`resume`](Self::resume), and tells everybody why.
    pub(crate) fn suspend(&self, reason: impl Into<String>) {
        self.closed.lock().suspended = Some(reason.into());
    }

    /// Takes transactions again, unless the door is closed for good.
    pub(crate) fn resume(&self) {
        self.closed.lock().suspended = None;
    }

    /// Transactions as they are admitted.
    pub(crate) fn admitted(&self) -> broadcast::Receiver<Arc<[Arc<Transaction>]>> {
        self.admitted.subscribe()
    }

    /// Looks at the pool under its lock.
    pub(crate) fn with_pool<T>(&self, look: impl FnOnce(&Mempool) -> T) -> T {
        look(&self.pool.lock())
    }

    /// Offers an encoded transaction. An error means that it was not kept.
    pub(crate) async fn submit(self: &Arc<Self>, encoded: Bytes) -> Result<TxHash, IntakeError> {
        self.submit_all(vec![encoded]).await.pop().unwrap_or(Err(IntakeError::Panicked))
    }

    /// Offers several, in this order; one answer each.
    ///
    /// One is looked at right here, which takes some fifty microseconds and less than waking another thread up and being
    /// woken by it. More of them keep all threads busy for a while.
    pub(crate) async fn submit_all(
        self: &Arc<Self>,
        encoded: Vec<Bytes>,
    ) -> Vec<Result<TxHash, IntakeError>> {
        let count = encoded.len();
        let results = if count == 1 {
            self.take_in(encoded)
        } else {
            let (answer, answered) = oneshot::channel();
            let intake = self.clone();
            rayon::spawn(move || {
                // A caller that went away needs no answer.
                answer.send(intake.take_in(encoded)).ok();
            });
            // Nobody answers only if the thread was not spared a panic, and then the process is about to end.
            let lost =
                || std::iter::repeat_with(|| Err(IntakeError::Panicked)).take(count).collect();
            answered.await.unwrap_or_else(|_| lost())
        };
        for result in &results {
            self.metrics.submitted(result.is_ok());
        }
        results
    }

    /// Offers several that this process has decoded itself, in this order; one answer each.
    pub(crate) fn take_recovered(
        &self,
        transactions: Vec<Arc<Transaction>>,
    ) -> Vec<Result<TxHash, IntakeError>> {
        self.take(transactions, |transaction| {
            let admitted = self.admit(transaction.clone())?;
            Ok((transaction, admitted))
        })
    }

    fn take_in(&self, encoded: Vec<Bytes>) -> Vec<Result<TxHash, IntakeError>> {
        self.take(encoded, |encoded| self.examine_stranger(encoded))
    }

    /// Looks at each of them, and hands the good ones to the pool.
    fn take<T: Send>(
        &self,
        offered: Vec<T>,
        look: impl Fn(T) -> Examined + Send + Sync,
    ) -> Vec<Result<TxHash, IntakeError>> {
        let closed = {
            let closed = self.closed.lock();
            closed.ended.as_ref().or(closed.suspended.as_ref()).cloned()
        };
        if let Some(reason) = closed {
            return offered.iter().map(|_| Err(IntakeError::Closed(reason.clone()))).collect();
        }
        let state = NewestState(&self.chain);
        let mut examined: Vec<_> = match offered.len() {
            1 => offered.into_iter().map(look).collect(),
            _ => offered.into_par_iter().map(look).collect(),
        };
        self.read_silent_senders(&mut examined, &state);
        let (mut results, mut admitted) = (Vec::with_capacity(examined.len()), Vec::new());
        let _pool_is_vital = Vital;
        let events = {
            let now_ms = clock::unix_time_ms();
            let mut pool = self.pool.lock();
            let gas_max = self.terms.lock().rules.block_gas_limit;
            for examined in examined {
                results.push(examined.and_then(|(transaction, valid)| {
                    // Blocks may have become smaller since it was examined, and whoever was too large for them dropped.
                    if valid.gas() > gas_max {
                        return Err(SubmitError::BlockGasLimit.into());
                    }
                    pool.insert(valid, &state, now_ms)?;
                    let hash = transaction.hash();
                    admitted.push(transaction);
                    Ok(hash)
                }));
            }
            pool.take_events()
        };
        self.note(&events);
        if admitted.is_empty() {
            return results;
        }
        if self.admitted.receiver_count() > 0 {
            self.admitted.send(admitted.into()).ok();
        }
        // A full channel will do: the builder has not yet heard of an earlier one, and will see these too.
        self.wake.try_send(()).ok();
        results
    }

    /// Refuses what is too long to be looked at.
    pub(crate) fn check_size(&self, encoded: &[u8]) -> Result<(), SubmitError> {
        let (size, limit) = (encoded.len(), self.terms.lock().rules.tx_bytes_max);
        if size > limit { Err(SubmitError::Oversized { size, limit }) } else { Ok(()) }
    }

    /// Looks at what a stranger sent.
    ///
    /// Only this runs on what nobody has looked at yet, so that a panic costs its sender alone. What comes after changes
    /// the pool, and a panic there has to end the process.
    fn examine_stranger(&self, encoded: Bytes) -> Examined {
        // Refused before the costly recovery: whoever sends megabytes pays for them himself.
        self.check_size(&encoded)?;
        let examine = || self.examine(encoded);
        panic::catch_unwind(AssertUnwindSafe(examine)).unwrap_or(Err(IntakeError::Panicked))
    }

    /// Reads the senders of whom the pool has nothing, and so will ask the state: whoever was long silent is on the disk, and
    /// the builder should not have to wait for that. Of the others the pool knows nonce and balance.
    fn read_silent_senders(&self, examined: &mut [Examined], state: &NewestState<'_>) {
        let is_silent = |pool: &Mempool, examined: &Examined| {
            examined.as_ref().is_ok_and(|(tx, _)| pool.next_nonce(&tx.sender()).is_none())
        };
        let silent: Vec<_> = {
            let pool = self.pool.lock();
            examined.iter_mut().filter(|examined| is_silent(&pool, examined)).collect()
        };
        let read = |examined: &mut Examined| {
            if let Ok((transaction, _)) = examined
                && let Err(error) = state.account(&transaction.sender())
            {
                *examined = Err(SubmitError::from(error).into());
            }
        };
        match silent.len() {
            0 | 1 => silent.into_iter().for_each(read),
            _ => silent.into_par_iter().for_each(read),
        }
    }

    /// Everything that takes time and no lock.
    fn examine(&self, encoded: Bytes) -> Examined {
        let transaction = Arc::new(Transaction::decode(encoded)?);
        let admitted = self.admit(transaction.clone())?;
        Ok((transaction, admitted))
    }

    /// Checks what needs no state; what L1 and the operator charge is part of what the sender must be able to pay.
    fn admit(&self, transaction: Arc<Transaction>) -> Result<Admitted, SubmitError> {
        use alloy_consensus::Transaction as _;

        let Terms { rules, prices } = self.terms.lock().clone();
        let rollup_fee = if self.chain.spec.as_optimism().is_some() {
            let data_fee = prices.data_fee(data_size(&transaction));
            data_fee.saturating_add(prices.operator_fee(transaction.gas_limit()))
        } else {
            U256::ZERO
        };
        rules.admit(transaction, rollup_fee)
    }

    /// Judges everything by the block that is being built: its prices, and its gas limit, which L1 may change any time. What
    /// would fit no block any more is dropped.
    pub(crate) fn open_block(&self, base_fee: u64, gas_limit: u64, prices: Option<L1Fees>) {
        let gas_max = usable_gas(gas_limit);
        let has_shrunk = {
            let mut terms = self.terms.lock();
            terms.prices = prices.unwrap_or_default();
            std::mem::replace(&mut terms.rules.block_gas_limit, gas_max) > gas_max
        };
        let events = {
            let mut pool = self.pool.lock();
            if has_shrunk {
                pool.drop_larger_than(gas_max);
            }
            pool.open_block(base_fee);
            pool.expire(clock::unix_time_ms());
            pool.take_events()
        };
        self.note(&events);
    }

    /// The best transactions for the open block, sized and ready to be executed.
    pub(crate) fn take_best(&self, count_max: usize, gas_max: u64) -> Vec<Candidate> {
        let taken = self.pool.lock().take_best(count_max, gas_max);
        taken.into_iter().map(Candidate::new).collect()
    }

    /// Tells the pool what became of a group. The open block that readers see must hold the group already.
    pub(crate) fn settle(&self, candidates: &[Candidate], group: &Group) {
        use millrace_executor::Outcome as Executed;

        let outcomes = candidates.iter().zip(&group.outcomes).map(|(candidate, outcome)| {
            let outcome = match outcome {
                Executed::Included(_) => Outcome::Included,
                Executed::DoesNotFit(_) => Outcome::Deferred,
                // Its predecessor did not fit, or was thrown out: the pool knows which.
                Executed::Rejected(millrace_executor::Rejection::NonceTooHigh { .. }) => {
                    Outcome::Deferred
                }
                Executed::Rejected(reason) => Outcome::Rejected(reason.to_string().into()),
            };
            (candidate.transaction.hash(), outcome)
        });
        let view = newest_view(&self.chain);
        let events = {
            let mut pool = self.pool.lock();
            // Most accounts of a group never send: contracts, recipients, vaults.
            let accounts = group.diffs.iter().flat_map(|diff| diff.accounts());
            let newest: AddressMap<_> = accounts
                .filter(|(diff, _)| pool.next_nonce(&diff.address).is_some())
                .map(|(diff, _)| (diff.address, diff.account))
                .collect();
            let senders: Vec<_> = newest
                .into_iter()
                .map(|(address, account)| (address, sender_state(account.as_ref(), &*view)))
                // What cannot be read is not news: the pool keeps what it knew, and the builder will hear of the disk.
                .filter_map(|(address, state)| Some((address, state.ok()?)))
                .collect();
            pool.committed(outcomes, senders);
            pool.take_events()
        };
        self.note(&events);
    }

    /// Takes back the transactions of blocks that were taken back, in the blocks' order, and everything that the builder
    /// holds. The chain must show the block that it went back to, and no open block.
    ///
    /// They pass every check again, at the prices of the block that was built last, and at its gas limit or the one of the
    /// block gone back to, whichever is larger: the next block to be opened drops what is too large for it. What is not valid any more is dropped
    /// as if it had waited here all the time; deposits are derived again and not kept. They are not announced again to
    /// subscribers of new transactions. Nothing changes when the state cannot be read.
    pub(crate) fn give_back(
        &self,
        transactions: impl IntoIterator<Item = Arc<Transaction>>,
    ) -> Result<GivenBack, AccountsUnavailable> {
        let transactions: Vec<_> =
            transactions.into_iter().filter(|transaction| !transaction.is_deposit()).collect();
        let offered = transactions.len();
        self.allow_gas_of_head();
        let state = NewestState(&self.chain);
        // Senders are read from the disk here, before anybody has to wait for the lock.
        transactions.par_iter().try_for_each(|tx| state.account(&tx.sender()).map(drop))?;
        let examined: Vec<_> = transactions
            .into_par_iter()
            .map(|transaction| (self.admit(transaction.clone()), transaction))
            .collect();
        let (mut admitted, mut refused) = (Vec::with_capacity(offered), Vec::new());
        for (examined, transaction) in examined {
            match examined {
                Ok(valid) => admitted.push(valid),
                Err(error) => refused.push((transaction, error)),
            }
        }
        let (returned, mut events) = {
            let mut pool = self.pool.lock();
            let returned = pool.reset(admitted, &state, clock::unix_time_ms())?;
            (returned, pool.take_events())
        };
        for (transaction, error) in refused {
            use alloy_consensus::Transaction as _;

            events.push(Event::Dropped {
                hash: transaction.hash(),
                sender: transaction.sender(),
                nonce: transaction.nonce(),
                reason: DropReason::Refused(error),
            });
        }
        self.note(&events);
        self.wake.try_send(()).ok();
        Ok(GivenBack { returned, refused: offered - returned })
    }

    /// The head may allow more gas than the block that was opened last, if L1 has taken back a smaller limit.
    fn allow_gas_of_head(&self) {
        let gas_max = usable_gas(self.chain.head().block.block.header.gas_limit);
        let limit = &mut self.terms.lock().rules.block_gas_limit;
        *limit = gas_max.max(*limit);
    }

    fn note(&self, events: &[Event]) {
        for event in events {
            if let Event::Dropped { hash, sender, nonce, reason } = event {
                self.metrics.dropped(reason);
                self.chain.waiters.dropped(hash, reason);
                tracing::debug!(tx = %hash, %sender, nonce, %reason, "transaction dropped");
            }
        }
    }
}

/// Ends the process when a panic passes by: what it has left half done is everybody's.
struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// The newest executed state: the open block's, or the head's.
pub(crate) fn newest_view(chain: &Chain) -> Arc<dyn StateView> {
    let head = chain.head();
    match chain.open() {
        // Between two blocks the open one is the head itself, or older if the head came from L1.
        Some(open) if open.attributes.number() > head.block.block.number() => {
            Arc::new(open.view.clone())
        }
        _ => Arc::new(head.view.clone()),
    }
}

/// The newest executed state, as the pool looks at it.
struct NewestState<'a>(&'a Chain);

impl Accounts for NewestState<'_> {
    fn account(&self, address: &Address) -> Result<SenderState, AccountsUnavailable> {
        let view = newest_view(self.0);
        let account = view.account(address).map_err(unavailable)?;
        sender_state(account.as_ref(), &*view)
    }
}

/// An account as a sender; `view` knows its code.
fn sender_state(
    account: Option<&Account>,
    view: &dyn StateView,
) -> Result<SenderState, AccountsUnavailable> {
    /// What the code of a delegated account begins with (EIP-7702).
    const DELEGATION: [u8; 3] = [0xef, 0x01, 0x00];
    let Some(account) = account else { return Ok(SenderState::default()) };
    let code = match &account.bytecode_hash {
        None => SenderCode::Empty,
        Some(hash) if view.code(hash).map_err(unavailable)?.starts_with(&DELEGATION) => {
            SenderCode::Delegated
        }
        Some(_) => SenderCode::Contract,
    };
    Ok(SenderState { nonce: account.nonce, balance: account.balance, code })
}

fn unavailable(error: millrace_executor::StateError) -> AccountsUnavailable {
    AccountsUnavailable(error.to_string())
}
