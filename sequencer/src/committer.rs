//! The committer: the thread after the builder's, which makes durable what that one has made, and only then shows it.
//!
//! ```text
//! builder    execute n ─► root n ─► execute n+1 ──────────► root n+1 ─► …
//!                 │ groups     │ block    │ groups                │
//! committer       └► promise   └► journal n, index, show ─► promise n+1 …
//! ```
//!
//! Work arrives in the order in which it was done and is made durable in that order, so that whatever is promised or shown
//! has everything before it on the disk. Groups that wait while the disk is busy are promised together: few at a time when
//! little happens, many under load. The builder is at most one block ahead.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use millrace_types::{ExecutedBlock, SealedHeader};

use crate::{
    chain::{Chain, Head, Open},
    index::IndexError,
    journal::{AppendError, PromiseError, PromisedHead, WriteError},
    metrics::Metrics,
    patience::Patience,
};

/// How many groups the builder may be ahead: a few thousand transactions when they come one by one.
const QUEUE_MAX: usize = 1_024;

/// Why nothing is made durable any more. The process has to end: a restart finds the journal's truth.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The journal did not take the block, and never will.
    #[error("journal block: {0}")]
    Append(#[from] AppendError),
    /// The journal did not take what the open block has come to, and never will.
    #[error("journal a promise: {0}")]
    Promise(#[from] PromiseError),
    /// The journal did not let go of what was promised, and never will.
    #[error("withdraw a promise: {0}")]
    Withdraw(#[from] WriteError),
    /// The index did not take the block.
    #[error("index block: {0}")]
    Index(#[from] IndexError),
}

/// The committer is gone, and knows why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the committer has ended")]
pub(crate) struct CommitterEnded;

/// What the builder has done.
enum Work {
    /// Executed more of the open block.
    Grown(Grown),
    /// Sealed it.
    Sealed(Box<Sealed>),
    /// Given it up.
    Withdrawn,
    /// Nothing, but it wants to know when the block before, or the withdrawal, is done.
    Asked(SyncSender<()>),
}

/// What the open block has come to, and what a promise of it begins with.
struct Grown {
    head: Arc<PromisedHead>,
    open: Arc<Open>,
}

/// A block with its hash, and how long that took.
pub(crate) struct Sealed {
    pub(crate) block: ExecutedBlock,
    pub(crate) head: Head,
    pub(crate) root_time: Duration,
}

/// The builder's end: hands over what it has done.
///
/// The standard library's channels, since they drop what nobody will receive any more: whoever waits for an answer hears so.
pub(crate) struct Commits {
    queue: SyncSender<Work>,
    /// Answered once the block that was sealed last is durable and shown.
    sealed: Option<Receiver<()>>,
}

impl Commits {
    /// Shows what the open block has come to, once that is durable.
    pub(crate) fn grown(
        &self,
        head: &Arc<PromisedHead>,
        open: Arc<Open>,
    ) -> Result<(), CommitterEnded> {
        self.send(Work::Grown(Grown { head: head.clone(), open }))
    }

    /// Makes a block durable and shows it. The one before must be ([`wait_for_block`](Self::wait_for_block)).
    pub(crate) fn sealed(&mut self, sealed: Sealed) -> Result<(), CommitterEnded> {
        self.send(Work::Sealed(Box::new(sealed)))?;
        self.sealed = Some(self.ask()?);
        Ok(())
    }

    /// Waits until the block that was sealed last is durable and shown.
    pub(crate) fn wait_for_block(&mut self) -> Result<(), CommitterEnded> {
        match self.sealed.take() {
            Some(sealed) => sealed.recv().map_err(|_| CommitterEnded),
            None => Ok(()),
        }
    }

    /// Shows no open block any more and forgets what was promised of it, and waits until all this and everything before is done.
    pub(crate) fn withdraw(&mut self) -> Result<(), CommitterEnded> {
        self.sealed = None;
        self.send(Work::Withdrawn)?;
        self.ask()?.recv().map_err(|_| CommitterEnded)
    }

    fn ask(&self) -> Result<Receiver<()>, CommitterEnded> {
        let (answer, answered) = sync_channel(1);
        self.send(Work::Asked(answer))?;
        Ok(answered)
    }

    fn send(&self, work: Work) -> Result<(), CommitterEnded> {
        self.queue.send(work).map_err(|_| CommitterEnded)
    }
}

/// Makes durable what the builder does. One a process.
pub(crate) struct Committer {
    work: Receiver<Work>,
    chain: Arc<Chain>,
    metrics: Arc<Metrics>,
    patience: Patience,
    /// The journal is async; this thread waits for it.
    runtime: tokio::runtime::Handle,
    promised: Promise,
}

/// How much of which block is promised, deposits not counted.
#[derive(Default)]
struct Promise {
    block: u64,
    transactions: usize,
}

impl Committer {
    pub(crate) fn new(
        chain: Arc<Chain>,
        metrics: Arc<Metrics>,
        patience: Patience,
        runtime: tokio::runtime::Handle,
    ) -> (Self, Commits) {
        let (queue, work) = sync_channel(QUEUE_MAX);
        let committer =
            Self { work, chain, metrics, patience, runtime, promised: Promise::default() };
        (committer, Commits { queue, sealed: None })
    }

    /// Goes on until the builder has ended and everything that it did is durable.
    pub(crate) fn run(mut self) -> Result<(), CommitError> {
        while let Ok(work) = self.work.recv() {
            let mut grown = None;
            let mut next = Some(work);
            // Groups that wait are promised together. A block that is sealed already needs no promise of its last ones.
            while let Some(work) = next.take() {
                match work {
                    Work::Grown(more) => {
                        grown = Some(more);
                        next = self.work.try_recv().ok();
                    }
                    Work::Sealed(sealed) => {
                        grown = None;
                        self.commit(*sealed)?;
                    }
                    Work::Withdrawn => {
                        grown = None;
                        self.withdraw()?;
                    }
                    Work::Asked(answer) => {
                        // Whoever asked may have gone away.
                        answer.send(()).ok();
                    }
                }
            }
            if let Some(grown) = grown {
                self.promise(grown)?;
            }
        }
        Ok(())
    }

    /// Makes durable what the open block has come to, and only then shows it.
    fn promise(&mut self, grown: Grown) -> Result<(), CommitError> {
        let Grown { head, open } = grown;
        if self.promised.block != head.number {
            self.promised = Promise { block: head.number, transactions: 0 };
        }
        let first = self.promised.transactions;
        let group: Vec<_> = open
            .from(head.prescribed.deposits.len() + first)
            .map(|(transaction, _)| transaction.clone())
            .collect();
        // What nobody sent is promised to nobody: the deposits are derived again.
        if !group.is_empty() {
            let started = Instant::now();
            self.patience.have(
                "promise",
                &format!("block {} cannot be promised", head.number),
                || self.runtime.block_on(self.chain.journal.promise(&head, first as u64, &group)),
                PromiseError::may_pass,
            )?;
            self.promised.transactions += group.len();
            self.metrics.promised(group.len(), started.elapsed());
        }
        self.chain.show_promised(open);
        Ok(())
    }

    /// Lets go of what was promised: L1 decides otherwise.
    fn withdraw(&mut self) -> Result<(), CommitError> {
        self.chain.withdraw_promised();
        self.promised = Promise::default();
        self.patience.have(
            "withdraw",
            "what was promised cannot be withdrawn",
            || self.runtime.block_on(self.chain.journal.withdraw_promise()),
            WriteError::may_pass,
        )?;
        Ok(())
    }

    /// Makes a block durable, and only then shows it.
    fn commit(&mut self, sealed: Sealed) -> Result<(), CommitError> {
        let Sealed { block, head, root_time } = sealed;
        let (header, number) = (&block.block.header, block.block.number());
        let started = Instant::now();
        // A full disk closes the door until there is room again; anything worse is the end.
        self.patience.have(
            "append",
            &format!("block {number} cannot be journaled"),
            || self.runtime.block_on(self.chain.journal.append(&block)),
            AppendError::may_pass,
        )?;
        // The journal has forgotten it. Should this block be taken back, another of its number begins from nothing.
        self.promised = Promise::default();
        let journal_time = started.elapsed();
        self.chain.state.allow_checkpoint(number);
        self.chain.index.add(&block.block, &block.receipts)?;
        self.chain.advance(head);
        let transactions = block.block.transactions.len();
        self.metrics.sealed(header, transactions, root_time, journal_time);
        log_block(header, transactions, root_time, journal_time);
        Ok(())
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
