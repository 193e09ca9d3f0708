//! The life of a block, over and over.
//!
//! ```text
//! open ──► deposits ──► group ──► group ──► … ──► slot ends ──► finish ──► root ──► seal ──► journal ──► advance
//!             │           │         │                                                          │
//!             └───────────┴─────────┴── shown as pending                  shown as latest ─────┘
//! ```
//!
//! A plain thread: nothing here is async but the journal, which it waits for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use millrace_executor::{
    BlockAttributes, ExecuteError, Executor, Group, Limits, OpenBlock, Outcome, assemble,
};
use millrace_protocol::{BaseFeeError, predeploys::SEQUENCER_FEE_VAULT};
use millrace_types::{ExecutedBlock, SealedHeader};
use tokio::sync::watch;

use crate::{
    builder::{origin::Origin, slot::SlotClock},
    chain::{Chain, Open, Part},
    clock,
    health::Health,
    index::IndexError,
    intake::Intake,
    journal::{AppendError, WriteError},
    l1_cost,
    metrics::Metrics,
    roots::{RootsError, apply_for_roots},
    view::ChainView,
};

/// How many transactions are executed together at most: a few milliseconds' worth, so that `pending` is fresh and a
/// slot's end is not missed by much.
const GROUP_MAX: usize = 512;

/// How long to wait before a block that could not be journaled is offered to the journal again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Makes blocks. One a process.
pub(crate) struct Builder {
    pub(crate) chain: Arc<Chain>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) woken: Receiver<()>,
    pub(crate) executor: Executor,
    pub(crate) origin: Box<dyn Origin>,
    pub(crate) gas_limit: u64,
    pub(crate) block_time_s: u64,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
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
}

impl Builder {
    /// Makes blocks until told to stop: then the one at hand is finished at its slot's end.
    pub(crate) fn run(mut self) -> Result<(), BuilderError> {
        while !*self.stop.borrow() {
            self.build_block()?;
        }
        Ok(())
    }

    fn build_block(&mut self) -> Result<(), BuilderError> {
        let head = self.chain.head();
        let parent = head.block.block.header.clone();
        let clock = SlotClock::new(self.block_time_s);
        let now = clock::unix_time();
        let timestamp = clock.next_timestamp(parent.timestamp, now);
        let deadline = Instant::now() + clock.open_for(timestamp, now);

        let derived = self.origin.derive(&parent, timestamp);
        let attributes = BlockAttributes {
            timestamp,
            beneficiary: SEQUENCER_FEE_VAULT,
            gas_limit: self.gas_limit,
            base_fee: self.chain.spec.next_base_fee(&parent, timestamp)?,
            prev_randao: derived.prev_randao,
            parent_beacon_block_root: derived.parent_beacon_block_root,
            extra_data: self.chain.spec.eip1559_constants(timestamp).to_extra_data().into(),
            excess_blob_gas: 0,
            parent,
        };
        let base_fee = attributes.base_fee;
        let mut block = self.executor.open(attributes, Arc::new(head.view.clone()))?;
        let mut shown = Shown::default();
        let group = block.include_deposits(&derived.deposits)?;
        shown.add(&block, &group);
        self.chain.show_open(shown.open(&block));
        // A deposit uses up its sender's nonce, of which the pool may hold transactions.
        self.intake.settle(&[], &group);
        self.intake.open_block(base_fee, l1_cost::prices_set_by(&derived.deposits));

        self.fill(&mut block, &mut shown, deadline)?;
        self.seal(block)
    }

    /// Executes what arrives, in small groups, until the slot ends.
    fn fill(
        &self,
        block: &mut OpenBlock,
        shown: &mut Shown,
        deadline: Instant,
    ) -> Result<(), BuilderError> {
        while Instant::now() < deadline {
            let gas_left = self.gas_limit - block.gas_used();
            let candidates: Arc<[_]> = self.intake.take_best(GROUP_MAX, gas_left).into();
            if candidates.is_empty() {
                match self.woken.recv_deadline(deadline) {
                    Ok(()) => continue,
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            let expired = || Instant::now() >= deadline;
            let limits = Limits { expired: &expired, ..Limits::NONE };
            let group = block.run(candidates.clone(), limits)?;
            shown.add(block, &group);
            // Readers first: the pool forgets senders as their transactions leave, and then asks the open block.
            self.chain.show_open(shown.open(block));
            self.intake.settle(&candidates, &group);
        }
        Ok(())
    }

    /// Gives the block its header, makes it durable, and only then shows it.
    fn seal(&self, block: OpenBlock) -> Result<(), BuilderError> {
        let started = Instant::now();
        let executed = block.finish()?;
        let number = executed.attributes.number();
        let (view, roots) = apply_for_roots(&self.chain.state, number, &executed.diff, |error| {
            self.health.set_problem(format!("block {number} waits: {error}"));
        })?;
        self.health.clear_problem();
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
        Ok(())
    }

    /// Makes the block durable. A full disk closes the door until there is room again; anything worse is the end.
    fn journal(&self, block: &ExecutedBlock) -> Result<(), BuilderError> {
        let number = block.block.number();
        let mut complained = false;
        loop {
            let error = match self.runtime.block_on(self.chain.journal.append(block)) {
                Ok(()) => break,
                Err(AppendError::Write(
                    error @ (WriteError::DiskFull
                    | WriteError::NotStored(_)
                    | WriteError::Unknown(_)),
                )) => error,
                Err(error) => return Err(error.into()),
            };
            if !complained {
                complained = true;
                let problem = format!(
                    "no transactions are taken: block {number} cannot be journaled: {error}"
                );
                tracing::error!(block = number, %error, "journal failed; nothing is acknowledged until it recovers");
                self.intake.suspend(&problem);
                self.health.set_problem(problem);
            }
            if *self.stop.borrow() {
                // The block was never acknowledged, so nobody misses it.
                return Err(AppendError::Write(error).into());
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
        if complained {
            tracing::info!(block = number, "journal recovered");
            self.intake.resume();
            self.health.clear_problem();
        }
        Ok(())
    }
}

/// What readers see of the open block, grown group by group.
///
/// Each part is at least twice as long as the next, so that showing a block of thousands of small groups means sharing a
/// dozen parts, and each transaction is moved logarithmically often.
#[derive(Default)]
struct Shown {
    parts: Vec<Part>,
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
        while let Some(older) = self.parts.pop_if(|older| older.len() < 2 * newest.len()) {
            let mut merged = Arc::unwrap_or_clone(older);
            merged.append(&mut newest);
            newest = merged;
        }
        self.parts.push(Arc::new(newest));
    }

    fn open(&self, block: &OpenBlock) -> Open {
        Open {
            attributes: block.attributes().clone(),
            parts: self.parts.clone(),
            gas_used: block.gas_used(),
            view: block.view(),
        }
    }
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
