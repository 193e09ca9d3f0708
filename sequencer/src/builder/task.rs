//! The life of a block, over and over.
//!
//! ```text
//! open ──► deposits ──► group ──► group ──► … ──► slot ends ──► finish ──► root ──► seal ──► the next block
//!             │           │         │                                                │
//!             └───────────┴─────────┴──────────────► committer ◄─────────────────────┘
//! ```
//!
//! A plain thread: nothing here is async but the journal when blocks are taken back, which it waits for. Orders of derivation
//! come before everything: the open block is abandoned, its transactions go back to the pool, and what L1 says is done.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::BlockNumber;
use crossbeam_channel::{Receiver, never, select};
use millrace_derivation::Attributes;
use millrace_executor::{
    ExecuteError, Executed, Executor, Group, Limits, OpenBlock, Outcome, assemble,
};
use millrace_protocol::{BaseFeeError, L1Attributes};
use millrace_types::{Block, Transaction};
use tokio::sync::watch;

use crate::{
    builder::{
        attributes::{block_attributes, deposits},
        orders::{Order, Refused},
        origin::{Origin, Plan, Stalled},
        slot::SlotClock,
    },
    chain::{Chain, Head, Open, Places, RewindError, Run},
    clock,
    committer::{CommitError, Commits, CommitterEnded, Sealed},
    health::{Health, Part},
    intake::Intake,
    journal::PromisedHead,
    l1_cost, l2_ref,
    mempool::AccountsUnavailable,
    metrics::Metrics,
    patience::Patience,
    roots::{RootsError, apply_for_roots},
    view::ChainView,
};

/// How many transactions are executed together at most: a few milliseconds' worth, so that `pending` is fresh and a
/// slot's end is not missed by much.
const GROUP_MAX: usize = 512;

/// How far apart groups begin, unless one is full: a group has its price, which transactions that come at about the same time
/// share. The first after a pause does not wait.
const GROUP_INTERVAL: Duration = Duration::from_millis(2);

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
    pub(crate) commits: Commits,
    /// The block to build on, if it is newer than the chain's head: on its way into the journal.
    pub(crate) sealed: Option<Head>,
    /// The journal is async; this thread waits for it when blocks are taken back.
    pub(crate) runtime: tokio::runtime::Handle,
    /// With which it does so. Stopping it lets the block at hand be the last.
    pub(crate) patience: Patience,
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
    /// What was made cannot be made durable.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The same, and it is not for us to say why.
    #[error(transparent)]
    CommitterEnded(#[from] CommitterEnded),
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
        while !self.patience.is_stopped() {
            let order = self.orders.try_recv().ok();
            match order.and_then(|order| order.unless_done(self.newest_origin())) {
                Some(order) => self.obey(order, None)?,
                None => self.build_block()?,
            }
        }
        Ok(())
    }

    /// The newest block there is, journaled or not.
    fn newest(&self) -> Head {
        self.sealed.clone().unwrap_or_else(|| Head::clone(&self.chain.head()))
    }

    /// The number of the L1 block that it refers to: no block there is refers to a later one.
    fn newest_origin(&self) -> u64 {
        // Genesis does not say, and is not taken back.
        l2_ref::l1_attributes(&self.newest().block.block)
            .map_or(0, |attributes| attributes.l1_number)
    }

    fn build_block(&mut self) -> Result<(), BuilderError> {
        let head = self.newest();
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
        let mut block = self.executor.open(attributes, Arc::new(head.view))?;
        let head = PromisedHead {
            number: block.attributes().number(),
            parent_hash: block.attributes().parent.hash(),
            timestamp,
            prescribed,
        };
        let mut shown = Shown { head: Arc::new(head), runs: Vec::new(), places: Arc::default() };
        let group = block.include_deposits(&deposits)?;
        shown.add(&block, &group);
        self.show(&shown, &block)?;
        // A deposit uses up its sender's nonce, of which the pool may hold transactions.
        self.intake.settle(&[], &group);
        self.intake.open_block(base_fee, gas_limit, l1_cost::prices_set_by(&deposits));

        match self.fill(&mut block, &mut shown, deadline, deposits_only)? {
            Slot::Over => self.seal(block.finish()?).map(drop),
            Slot::Cut(order) => {
                drop(block);
                // First what is on its way: until the pool has the block's transactions again, they are found in it.
                self.commits.withdraw()?;
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
        let origin = shown.origin();
        let mut paused_until = Instant::now();
        while Instant::now() < deadline {
            if let Some(order) = self.wait(paused_until, &never(), origin) {
                return Ok(Slot::Cut(order));
            }
            if deposits_only || *self.throttle.borrow() {
                paused_until = deadline.min(Instant::now() + STALLED_INTERVAL);
                continue;
            }
            let began = Instant::now();
            let gas_left = block.attributes().gas_limit - block.gas_used();
            let candidates: Arc<[_]> = self.intake.take_best(GROUP_MAX, gas_left).into();
            if candidates.is_empty() {
                if let Some(order) = self.wait(deadline, &self.woken, origin) {
                    return Ok(Slot::Cut(order));
                }
                continue;
            }
            let limits = Limits { deadline: Some(deadline), ..Limits::NONE };
            let group = block.run(candidates.clone(), limits)?;
            shown.add(block, &group);
            // Readers first: the pool forgets senders as their transactions leave, and then asks the open block.
            self.show(shown, block)?;
            self.intake.settle(&candidates, &group);
            if candidates.len() < GROUP_MAX {
                paused_until = deadline.min(began + GROUP_INTERVAL);
            }
        }
        Ok(Slot::Over)
    }

    /// Waits until then, or until something is `woken`, or for an order that concerns blocks of L1 blocks up to `origin`.
    fn wait(&self, until: Instant, woken: &Receiver<()>, origin: u64) -> Option<Order> {
        let left = until.saturating_duration_since(Instant::now());
        select! {
            recv(self.orders) -> order => match order {
                Ok(order) => order.unless_done(origin),
                Err(_) => {
                    std::thread::sleep(left);
                    None
                }
            },
            recv(woken) -> _ => None,
            default(left) => None,
        }
    }

    /// Shows the pool at once what the block has come to, and everybody else as soon as it is durable.
    fn show(&self, shown: &Shown, block: &OpenBlock) -> Result<(), BuilderError> {
        let open = Arc::new(shown.open(block));
        self.chain.show_open(open.clone());
        Ok(self.commits.grown(&shown.head, open)?)
    }

    /// Says once why there is no next block, and waits a little.
    fn stall(&mut self, stalled: &Stalled) -> Result<(), BuilderError> {
        // Whoever hands nothing over does not hear why what was handed over could not be made durable.
        self.settle()?;
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
        match self.wait(Instant::now() + STALLED_INTERVAL, &never(), self.newest_origin()) {
            Some(order) => self.obey(order, None),
            None => Ok(()),
        }
    }

    /// Does what derivation wants. Transactions that lose their place go back to the pool, after those of an open block
    /// that was `abandoned` for it. Whoever waited for the answer may have gone away.
    fn obey(
        &mut self,
        order: Order,
        abandoned: Option<Vec<Arc<Transaction>>>,
    ) -> Result<(), BuilderError> {
        // Whether there is an open block or not: one that an earlier process promised may be in the journal still.
        self.commits.withdraw()?;
        self.sealed = None;
        match order {
            Order::Rewind { to, gone_from, answer } => {
                // A block may have been sealed since somebody looked for the newest one that stays.
                let stays = self.newest_origin() < gone_from;
                let displaced = if stays { None } else { self.rewind(to)? };
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

    /// Waits until everything that was sealed is journaled and shown.
    fn settle(&mut self) -> Result<(), BuilderError> {
        self.commits.wait_for_block()?;
        self.sealed = None;
        Ok(())
    }

    /// Takes back every block above a number; the transactions in them, but for deposits, have lost their place. Nothing, if
    /// there is no such block.
    fn rewind(&self, to: BlockNumber) -> Result<Option<Vec<Arc<Transaction>>>, BuilderError> {
        if self.chain.head().block.block.number() <= to {
            return Ok(None);
        }
        let mut rewinding = self.chain.rewinding(to)?;
        self.patience.have(
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
    fn adopt(
        &mut self,
        attributes: &Attributes,
    ) -> Result<Result<Arc<Block>, Refused>, BuilderError> {
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
        self.settle()?;
        // The pool hears whose nonces have moved.
        self.intake.settle(&[], &Group { outcomes: Vec::new(), diffs: vec![diff] });
        Ok(Ok(block))
    }

    /// Gives the block its header, and hands it over to be made durable and shown.
    fn seal(&mut self, executed: Executed) -> Result<Arc<Block>, BuilderError> {
        let started = Instant::now();
        let number = executed.attributes.number();
        let (view, roots) = apply_for_roots(&self.chain.state, number, &executed.diff, |error| {
            self.health.set_problem(Part::State, format!("block {number} waits: {error}"));
        })?;
        self.health.clear_problem(Part::State);
        let block = assemble(executed, roots);
        let root_time = started.elapsed();
        self.chain.hashes.push(number, block.block.header.hash());
        let head = Head::new(&block, ChainView::new(view, self.chain.hashes.clone()));
        self.commits.wait_for_block()?;
        self.chain.show_sealing();
        self.sealed = Some(head.clone());
        let sealed = block.block.clone();
        self.commits.sealed(Sealed { block, head, root_time })?;
        Ok(sealed)
    }
}

/// What readers see of the open block, grown group by group.
///
/// Each run is at least twice as long as the next, so that showing a block of thousands of small groups means sharing a
/// dozen runs, and each transaction is moved logarithmically often.
struct Shown {
    head: Arc<PromisedHead>,
    runs: Vec<Run>,
    places: Arc<Places>,
}

impl Shown {
    /// The number of the L1 block that the open block refers to.
    fn origin(&self) -> u64 {
        let first = self.head.prescribed.deposits.first();
        let attributes = first.and_then(|deposit| L1Attributes::decode(&deposit.input).ok());
        attributes.map_or(u64::MAX, |attributes| attributes.l1_number)
    }

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

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}
