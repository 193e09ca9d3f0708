//! The life of a block, over and over.
//!
//! ```text
//! open ──► deposits ──► group ──► group ──► … ──► slot ends ──► finish ──► root ──► seal ──► journal ──► advance
//!             │           │         │                                                          │
//!             └───────────┴─────────┴── shown as pending                  shown as latest ─────┘
//! ```
//!
//! A plain thread: nothing here is async but the journal, which it waits for. Orders of derivation come before everything:
//! the open block is abandoned, its transactions go back to the pool, and what L1 says is done.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::BlockNumber;
use crossbeam_channel::{Receiver, RecvTimeoutError, select};
use millrace_derivation::Attributes;
use millrace_executor::{
    ExecuteError, Executed, Executor, Group, Limits, OpenBlock, Outcome, assemble,
};
use millrace_protocol::BaseFeeError;
use millrace_types::{Block, ExecutedBlock, SealedHeader, Transaction};
use tokio::sync::watch;

use crate::{
    builder::{
        attributes::{block_attributes, deposits},
        orders::{Order, Refused},
        origin::{Origin, Plan, Stalled},
        slot::SlotClock,
    },
    chain::{Chain, Open, Places, RewindError, Run},
    clock,
    health::{Health, Part},
    index::IndexError,
    intake::Intake,
    journal::AppendError,
    l1_cost,
    mempool::AccountsUnavailable,
    metrics::Metrics,
    roots::{RootsError, apply_for_roots},
    view::ChainView,
};

/// How many transactions are executed together at most: a few milliseconds' worth, so that `pending` is fresh and a
/// slot's end is not missed by much.
const GROUP_MAX: usize = 512;

/// How long to wait before a block that could not be journaled is offered to the journal again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How long a builder that cannot go on waits before it looks again, unless an order comes.
const STALLED_INTERVAL: Duration = Duration::from_millis(100);

/// Writes the chain. One a process.
pub(crate) struct Builder {
    pub(crate) chain: Arc<Chain>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) woken: Receiver<()>,
    pub(crate) executor: Executor,
    /// Nothing: this node makes no blocks of its own, it only follows L1.
    pub(crate) origin: Option<Box<dyn Origin>>,
    pub(crate) orders: Receiver<Order>,
    /// Turns true when what we make does not reach L1 fast enough: then blocks stay empty until it does.
    pub(crate) throttle: watch::Receiver<bool>,
    pub(crate) block_time_s: u64,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    /// Why no blocks are made, once that has been said.
    pub(crate) stalled: Option<String>,
    /// The journal is async; this thread waits for it.
    pub(crate) runtime: tokio::runtime::Handle,
    /// Turns true when the block at hand shall be the last.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Why no more blocks are made. The process has to end: a restart finds the journal's truth.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuilderError {
    /// The chain's own header is not one that can have a child.
    #[error(transparent)]
    BaseFee(#[from] BaseFeeError),
    /// The block could not be executed.
    #[error("execute block: {0}")]
    Execute(#[from] ExecuteError),
    /// The state did not take the block.
    #[error(transparent)]
    State(#[from] RootsError),
    /// The journal did not take the block, and never will.
    #[error("journal block: {0}")]
    Journal(#[from] AppendError),
    /// The index did not take the block.
    #[error("index block: {0}")]
    Index(#[from] IndexError),
    /// Blocks could not be taken back.
    #[error("take blocks back: {0}")]
    Rewind(#[from] RewindError),
    /// Transactions that lost their place could not be judged again.
    #[error("give transactions back to the pool: {0}")]
    GiveBack(#[from] AccountsUnavailable),
}

/// How an open block's slot ended.
enum Slot {
    /// By the clock.
    Over,
    /// An order came: the block is not to be.
    Cut(Order),
}

impl Builder {
    /// Makes blocks until told to stop: then the one at hand is finished at its slot's end.
    pub(crate) fn run(mut self) -> Result<(), BuilderError> {
        while !self.is_stopped() {
            match self.orders.try_recv() {
                Ok(order) => self.obey(order, None)?,
                Err(_) => self.build_block()?,
            }
        }
        Ok(())
    }

    /// Whether somebody said so, or nobody is left who could.
    fn is_stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    fn build_block(&mut self) -> Result<(), BuilderError> {
        let head = self.chain.head();
        let parent = head.block.block.header.clone();
        let Some(origin) = &mut self.origin else { return self.wait_for_order() };
        let clock = SlotClock::new(self.block_time_s, origin.may_skip_time());
        let now = clock::unix_time();
        let timestamp = clock.next_timestamp(parent.timestamp, now);
        let deadline = Instant::now() + clock.open_for(timestamp, now);

        let Plan { prescribed, deposits_only } = match origin.plan(&head.block.block, timestamp) {
            Ok(plan) => plan,
            Err(stalled) => return self.stall(&stalled),
        };
        self.go_on();
        let attributes = block_attributes(&self.chain.spec, parent, timestamp, &prescribed)?;
        let deposits = deposits(&prescribed);
        let (base_fee, gas_limit) = (attributes.base_fee, attributes.gas_limit);
        let mut block = self.executor.open(attributes, Arc::new(head.view.clone()))?;
        let mut shown = Shown::default();
        let group = block.include_deposits(&deposits)?;
        shown.add(&block, &group);
        self.chain.show_open(shown.open(&block));
        // A deposit uses up its sender's nonce, of which the pool may hold transactions.
        self.intake.settle(&[], &group);
        self.intake.open_block(base_fee, gas_limit, l1_cost::prices_set_by(&deposits));

        match self.fill(&mut block, &mut shown, deadline, deposits_only)? {
            Slot::Over => self.seal(block.finish()?).map(drop),
            Slot::Cut(order) => {
                drop(block);
                let abandoned = self.chain.withdraw_open();
                self.obey(order, Some(abandoned))
            }
        }
    }

    /// Executes what arrives, in small groups, until the slot ends.
    fn fill(
        &self,
        block: &mut OpenBlock,
        shown: &mut Shown,
        deadline: Instant,
        deposits_only: bool,
    ) -> Result<Slot, BuilderError> {
        while Instant::now() < deadline {
            if let Ok(order) = self.orders.try_recv() {
                return Ok(Slot::Cut(order));
            }
            let gas_left = block.attributes().gas_limit - block.gas_used();
            let is_open = !deposits_only && !*self.throttle.borrow();
            let count_max = if is_open { GROUP_MAX } else { 0 };
            let candidates: Arc<[_]> = self.intake.take_best(count_max, gas_left).into();
            if candidates.is_empty() {
                let left = deadline.saturating_duration_since(Instant::now());
                let left = if is_open { left } else { left.min(STALLED_INTERVAL) };
                select! {
                    recv(self.woken) -> _ => continue,
                    recv(self.orders) -> order => match order {
                        Ok(order) => return Ok(Slot::Cut(order)),
                        Err(_) => std::thread::sleep(left),
                    },
                    default(left) => continue,
                }
                continue;
            }
            let limits = Limits { deadline: Some(deadline), ..Limits::NONE };
            let group = block.run(candidates.clone(), limits)?;
            shown.add(block, &group);
            // Readers first: the pool forgets senders as their transactions leave, and then asks the open block.
            self.chain.show_open(shown.open(block));
            self.intake.settle(&candidates, &group);
        }
        Ok(Slot::Over)
    }

    /// Says once why there is no next block, and waits a little.
    fn stall(&mut self, stalled: &Stalled) -> Result<(), BuilderError> {
        let problem = format!("no blocks are made: {stalled}");
        if self.stalled.as_ref() != Some(&problem) {
            match stalled {
                Stalled::Deriving => {
                    tracing::info!("no blocks are made while the chain is derived from L1")
                }
                Stalled::OriginGone { .. } | Stalled::Drift { .. } => {
                    tracing::error!(reason = %stalled, "no blocks are made");
                }
            }
            self.metrics.stalled(true);
            self.health.set_problem(Part::Builder, problem.clone());
            self.stalled = Some(problem);
        }
        self.wait_for_order()
    }

    /// Takes back what [`stall`](Self::stall) said.
    fn go_on(&mut self) {
        if self.stalled.take().is_some() {
            tracing::info!("blocks are made again");
            self.metrics.stalled(false);
            self.health.clear_problem(Part::Builder);
        }
    }

    fn wait_for_order(&mut self) -> Result<(), BuilderError> {
        match self.orders.recv_timeout(STALLED_INTERVAL) {
            Ok(order) => self.obey(order, None),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(STALLED_INTERVAL);
                Ok(())
            }
        }
    }

    /// Does what derivation wants. Transactions that lose their place go back to the pool, after those of an open block
    /// that was `abandoned` for it. Whoever waited for the answer may have gone away.
    fn obey(
        &mut self,
        order: Order,
        abandoned: Option<Vec<Arc<Transaction>>>,
    ) -> Result<(), BuilderError> {
        match order {
            Order::Rewind { to, answer } => {
                let displaced = self.rewind(to)?;
                self.give_back(displaced, abandoned)?;
                answer.send(()).ok();
            }
            Order::Adopt { attributes, answer } => {
                let displaced = self.rewind(attributes.parent.id.number)?;
                let adopted = self.adopt(&attributes)?;
                self.give_back(displaced, abandoned)?;
                answer.send(adopted).ok();
            }
        }
        Ok(())
    }

    /// Takes back every block above a number; the transactions in them, but for deposits, have lost their place. Nothing, if
    /// there is no such block.
    fn rewind(&self, to: BlockNumber) -> Result<Option<Vec<Arc<Transaction>>>, BuilderError> {
        if self.chain.head().block.block.number() <= to {
            return Ok(None);
        }
        let mut rewinding = self.chain.rewinding(to)?;
        self.patiently(
            "rewind",
            &format!("the blocks above {to} cannot be taken back"),
            || self.runtime.block_on(rewinding.run()),
            RewindError::may_pass,
        )?;
        let blocks = rewinding.finish();
        self.metrics.taken_back(blocks.len());
        Ok(Some(blocks.iter().flat_map(|block| signed(&block.transactions).cloned()).collect()))
    }

    /// Lets the pool begin again on the state as it is now, if it went back anywhere: even a block of deposits alone had used
    /// up nonces.
    fn give_back(
        &self,
        displaced: Option<Vec<Arc<Transaction>>>,
        abandoned: Option<Vec<Arc<Transaction>>>,
    ) -> Result<(), BuilderError> {
        if displaced.is_none() && abandoned.is_none() {
            return Ok(());
        }
        let transactions = displaced.into_iter().chain(abandoned).flatten();
        let given_back = self.intake.give_back(transactions)?;
        tracing::info!(
            returned = given_back.returned,
            refused = given_back.refused,
            "transactions that lost their place went back to the pool"
        );
        Ok(())
    }

    /// Makes the next block of what L1 says.
    fn adopt(&self, attributes: &Attributes) -> Result<Result<Arc<Block>, Refused>, BuilderError> {
        let head = self.chain.head();
        let parent = head.block.block.header.clone();
        assert_eq!(
            (parent.number, parent.hash()),
            (attributes.parent.id.number, attributes.parent.id.hash),
            "derivation builds on the safe head, which is part of this chain"
        );
        let prescribed = &attributes.prescribed;
        let signed = attributes.transactions.iter().cloned().map(Transaction::decode);
        let signed = signed.map(|transaction| transaction.map(Arc::new));
        let transactions: Result<Vec<_>, _> =
            deposits(prescribed).into_iter().map(Ok).chain(signed).collect();
        let transactions = match transactions {
            Ok(transactions) => transactions,
            Err(error) => return Ok(Err(Refused(error.to_string()))),
        };
        let timestamp = attributes.timestamp;
        let block = block_attributes(&self.chain.spec, parent, timestamp, prescribed)?;
        let view = Arc::new(head.view.clone());
        let executed = match self.executor.replay(block, &transactions, &[], view) {
            Ok(executed) => executed,
            Err(
                error @ (ExecuteError::InvalidTransaction { .. }
                | ExecuteError::GasLimitReached { .. }),
            ) => return Ok(Err(Refused(error.to_string()))),
            Err(error) => return Err(error.into()),
        };
        let diff = executed.diff.clone();
        let block = self.seal(executed)?;
        // The pool hears whose nonces have moved.
        self.intake.settle(&[], &Group { outcomes: Vec::new(), diffs: vec![diff] });
        Ok(Ok(block))
    }

    /// Gives the block its header, makes it durable, and only then shows it.
    fn seal(&self, executed: Executed) -> Result<Arc<Block>, BuilderError> {
        let started = Instant::now();
        let number = executed.attributes.number();
        let (view, roots) = apply_for_roots(&self.chain.state, number, &executed.diff, |error| {
            self.health.set_problem(Part::State, format!("block {number} waits: {error}"));
        })?;
        self.health.clear_problem(Part::State);
        let block = assemble(executed, roots);
        let rooted = Instant::now();
        self.journal(&block)?;
        let journaled = Instant::now();

        self.chain.state.allow_checkpoint(number);
        self.chain.index.add(&block.block, &block.receipts)?;
        self.chain.hashes.push(number, block.block.header.hash());
        self.chain.advance(&block, ChainView::new(view, self.chain.hashes.clone()));

        let (root_time, journal_time) = (rooted - started, journaled - rooted);
        self.metrics.sealed(
            &block.block.header,
            block.block.transactions.len(),
            root_time,
            journal_time,
        );
        log_block(&block.block.header, block.block.transactions.len(), root_time, journal_time);
        Ok(block.block)
    }

    /// Makes the block durable. A full disk closes the door until there is room again; anything worse is the end.
    fn journal(&self, block: &ExecutedBlock) -> Result<(), BuilderError> {
        self.patiently(
            "append",
            &format!("block {} cannot be journaled", block.block.number()),
            || self.runtime.block_on(self.chain.journal.append(block)),
            AppendError::may_pass,
        )
    }

    /// Has the journal do something, again and again while it is out of room or out of reach. Until it recovers the door is
    /// closed, and whoever looks hears the `problem`.
    fn patiently<E>(
        &self,
        operation: &str,
        problem: &str,
        mut attempt: impl FnMut() -> Result<(), E>,
        may_pass: impl Fn(&E) -> bool,
    ) -> Result<(), BuilderError>
    where
        E: Display,
        BuilderError: From<E>,
    {
        let mut complained = false;
        loop {
            let error = match attempt() {
                Ok(()) => break,
                Err(error) if may_pass(&error) => error,
                Err(error) => return Err(error.into()),
            };
            self.metrics.journal_retried(operation);
            if !complained {
                complained = true;
                tracing::error!(%error, problem, "journal failed; nothing is acknowledged until it recovers");
                let problem = format!("no transactions are taken: {problem}: {error}");
                self.intake.suspend(&problem);
                self.health.set_problem(Part::Journal, problem);
            }
            if self.is_stopped() {
                // A block that is not journaled was never acknowledged, so nobody misses it; and what should have been
                // taken back stands where it stood, to be contradicted again.
                return Err(error.into());
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
        if complained {
            tracing::info!("journal recovered");
            self.intake.resume();
            self.health.clear_problem(Part::Journal);
        }
        Ok(())
    }
}

/// What readers see of the open block, grown group by group.
///
/// Each run is at least twice as long as the next, so that showing a block of thousands of small groups means sharing a
/// dozen runs, and each transaction is moved logarithmically often.
#[derive(Default)]
struct Shown {
    runs: Vec<Run>,
    places: Arc<Places>,
}

impl Shown {
    fn add(&mut self, block: &OpenBlock, group: &Group) {
        let included = group.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Included(included) => {
                let index = included.index;
                Some((
                    index,
                    (block.transactions()[index].clone(), block.receipts()[index].clone()),
                ))
            }
            Outcome::Rejected(_) | Outcome::DoesNotFit(_) => None,
        });
        // Outcomes are in the candidates' order, which is not always the block's.
        let mut newest: Vec<_> = included.collect();
        newest.sort_unstable_by_key(|(index, _)| *index);
        let mut newest: Vec<_> = newest.into_iter().map(|(_, part)| part).collect();
        if newest.is_empty() {
            return;
        }
        self.places.add(&newest);
        while let Some(older) = self.runs.pop_if(|older| older.len() < 2 * newest.len()) {
            let mut merged = Arc::unwrap_or_clone(older);
            merged.append(&mut newest);
            newest = merged;
        }
        self.runs.push(Arc::new(newest));
    }

    fn open(&self, block: &OpenBlock) -> Open {
        Open {
            attributes: block.attributes().clone(),
            runs: self.runs.clone(),
            gas_used: block.gas_used(),
            view: block.view(),
            places: self.places.clone(),
        }
    }
}

/// All but the deposits.
fn signed(transactions: &[Arc<Transaction>]) -> impl Iterator<Item = &Arc<Transaction>> {
    transactions.iter().filter(|transaction| !transaction.is_deposit())
}

fn log_block(header: &SealedHeader, transactions: usize, root: Duration, journal: Duration) {
    let (block, hash, gas) = (header.number, header.hash(), header.gas_used);
    let (root_us, journal_us) = (root.as_micros() as u64, journal.as_micros() as u64);
    // The L1 attributes are in every block: one transaction means that nobody sent any.
    if transactions > 1 {
        tracing::info!(block, %hash, transactions, gas, root_us, journal_us, "sealed");
    } else {
        tracing::debug!(block, %hash, root_us, journal_us, "sealed empty");
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}
