//! The loop: reads L1, derives, and holds what comes out against our chain.

use std::{sync::Arc, time::Duration};

use millrace_batcher::Derived;
use millrace_derivation::{
    Attributes, DepositsRefused, Derivation, PushError, SafeBlock, SafeChain, Start, StartError,
    Step,
};
use millrace_l1::{Event, FollowerHandle, ReadError as L1ReadError, Reader};
use millrace_protocol::{BlockId, L1Block, RollupConfig, SystemConfig};
use tokio::sync::mpsc;

use super::{
    agreement,
    fetching::Fetching,
    heads::SafeHeads,
    safe_blocks::{Safe, SafeBlocks},
    search::{Search, SearchError},
};
use crate::{
    builder::{Gone, L1Window, Orders, Refused},
    chain::Chain,
    health::{Health, Part},
    journal::{FinalizeError, Finalized, ReadError},
    l2_ref,
    metrics::Metrics,
};

/// How often L1 may fail to fit what was read of it, without a word of a reorganization, before derivation begins anew.
const MISFITS_MAX: u32 = 10;

/// How long to wait before L1 is asked again for what it did not give.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Derives the chain from L1 and makes ours agree. One a process.
pub(crate) struct Deriver {
    pub(crate) rollup: Arc<RollupConfig>,
    pub(crate) chain: Arc<Chain>,
    pub(crate) orders: Orders,
    pub(crate) reader: Arc<Reader>,
    pub(crate) follower: FollowerHandle,
    pub(crate) events: mpsc::Receiver<Event>,
    /// Where the builder finds origins.
    pub(crate) window: Arc<L1Window>,
    pub(crate) heads: Arc<SafeHeads>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) goal: Goal,
    /// Hears how far derivation has come, whenever all of L1 that was read is used up.
    pub(crate) on_progress: Box<dyn Fn(Derived) + Send + Sync>,
}

/// When derivation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Never by itself: it follows L1.
    Follow,
    /// When this L1 block is read and used up.
    Until(u64),
}

/// Why derivation cannot go on. The process has to end: nobody could say what is safe.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeriverError {
    /// The thread that writes the chain has ended, and knows why.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// Our own blocks could not be read.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The journal did not take how far the chain is final.
    #[error("note the final block: {0}")]
    Finalized(#[from] FinalizeError),
    /// There is no beginning.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Derivation contradicts itself.
    #[error(transparent)]
    Deposits(#[from] DepositsRefused),
    /// L1 says something that this program does not understand.
    #[error("read L1: {0}")]
    Unreadable(L1ReadError),
    /// L1 blocks came in a wrong order: a mistake of ours.
    #[error("read L1: {0}")]
    Order(PushError),
    /// The follower has ended.
    #[error("L1 is not followed any more")]
    FollowerEnded,
}

impl From<ReadError> for DeriverError {
    fn from(error: ReadError) -> Self {
        Self::Search(error.into())
    }
}

/// How one stretch of deriving ended.
enum Ended {
    /// L1 was reorganized below what had been read: derivation begins anew after this L1 block.
    Reorg(BlockId),
    /// L1 does not fit what had been read, and nobody says why: derivation begins anew after what is final.
    Anew,
    /// All that was to be read is read.
    Done,
}

impl Deriver {
    /// Derives from the newest final block on.
    pub(crate) async fn run(mut self) -> Result<(), DeriverError> {
        let finalized = self.beginning().await?;
        let (mut safe, mut read) = (SafeBlocks::new(finalized), finalized.from);
        loop {
            self.window.set_complete(false);
            match self.derive(&mut safe, read).await? {
                Ended::Done => return Ok(()),
                Ended::Reorg(to) => read = to,
                Ended::Anew => {
                    let finalized = self.beginning().await?;
                    (safe, read) = (SafeBlocks::new(finalized), finalized.from);
                }
            }
        }
    }

    /// The newest block that is known to be final, and the L1 block that made it so.
    async fn beginning(&self) -> Result<Safe, DeriverError> {
        Ok(match self.chain.journal.finalized() {
            None => {
                let genesis = Start::genesis(&self.rollup).safe;
                Safe { block: genesis, from: self.rollup.genesis.l1 }
            }
            Some(finalized) => {
                let search = self.search();
                let block = search.reference(finalized.l2.number).await?;
                Safe { block, from: finalized.l1 }
            }
        })
    }

    fn search(&self) -> Search {
        Search {
            chain: self.chain.clone(),
            rollup: self.rollup.clone(),
            health: self.health.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// Derives until L1 is reorganized under what was derived.
    async fn derive(
        &mut self,
        safe: &mut SafeBlocks,
        read: BlockId,
    ) -> Result<Ended, DeriverError> {
        let newest = safe.newest().block;
        let start = Start::resumed(newest, read);
        self.metrics.l1_used_up(read.number);
        let mut derivation = Derivation::new(self.rollup.clone(), start)?;
        let first = start.first_l1(&self.rollup);
        let search = self.search();
        let mut system_config = search.system_config_before(first, newest.id.number).await?;
        let mut l1 = Fetching::new(self.reader.clone(), self.follower.clone());
        let mut at_hand = AtHand::default();
        let mut misfits = 0;
        loop {
            // What the start relies on is part of what was read, even while it is read again.
            let relied = derivation.l1().filter(|l1| l1.number > read.number).unwrap_or(read);
            while let Ok(event) = self.events.try_recv() {
                if let Some(to) = self.hear(event, safe, relied, &mut l1).await? {
                    return Ok(Ended::Reorg(to));
                }
            }
            match derivation.step(&at_hand) {
                Step::Attributes(attributes) => {
                    at_hand = AtHand::default();
                    self.decide(&mut derivation, safe, &attributes).await?;
                }
                Step::NeedSafeBlock { number } => {
                    let block = search.block(number).await?;
                    at_hand = AtHand(Some((number, l2_ref::safe_block(&block, &self.rollup))));
                }
                Step::NeedL1 { number } => {
                    if let Some(used_up) = derivation.l1() {
                        let derived = derivation.safe().id.number;
                        let batcher = system_config.batcher;
                        let l1_number = used_up.number;
                        (self.on_progress)(Derived { l1_number, safe: derived, batcher });
                        self.metrics.l1_used_up(l1_number);
                        self.finalize(safe, used_up).await?;
                    }
                    if let Goal::Until(last) = self.goal
                        && number > last
                    {
                        return Ok(Ended::Done);
                    }
                    let tip = self.follower.tip().map_or(0, |tip| tip.number);
                    if number > tip {
                        // The follower may itself be on its way to the head.
                        if self.follower.head().is_some_and(|head| head.number <= tip) {
                            self.window.set_complete(true);
                        }
                        let event = self.events.recv().await.ok_or(DeriverError::FollowerEnded)?;
                        if let Some(to) = self.hear(event, safe, relied, &mut l1).await? {
                            return Ok(Ended::Reorg(to));
                        }
                        continue;
                    }
                    let Some(block) = self.read(&mut l1, number, tip, &system_config).await? else {
                        continue;
                    };
                    match derivation.push(&block) {
                        Ok(()) => misfits = 0,
                        // The follower is about to tell how far back it goes.
                        Err(error @ PushError::Reorg { .. }) => {
                            l1.forget();
                            misfits += 1;
                            tracing::warn!(%error, misfits, "L1 does not fit what was read of it");
                            if misfits == MISFITS_MAX {
                                return Ok(Ended::Anew);
                            }
                            tokio::time::sleep(RETRY_INTERVAL).await;
                            continue;
                        }
                        Err(error) => return Err(DeriverError::Order(error)),
                    }
                    system_config = block.system_config;
                    self.window.push(&block);
                    self.heads.update(|heads| heads.l1_read = block.header.id());
                }
            }
        }
    }

    /// Reads an L1 block. Nothing if that has to be tried again.
    async fn read(
        &self,
        l1: &mut Fetching,
        number: u64,
        tip: u64,
        system_config: &SystemConfig,
    ) -> Result<Option<L1Block>, DeriverError> {
        let block = match l1.block(number, tip).await {
            Ok(Some(fetched)) => self.reader.read(&fetched, system_config).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match block {
            Ok(Some(block)) => {
                self.health.clear_problem(Part::Derivation);
                Ok(Some(block))
            }
            Ok(None) => {
                tracing::debug!(l1_block = number, "L1 has no such block at the moment");
                tokio::time::sleep(RETRY_INTERVAL).await;
                Ok(None)
            }
            Err(error) => self.wait_for_l1(number, error).await,
        }
    }

    /// Says what L1 does not give, and waits a little.
    async fn wait_for_l1(
        &self,
        number: u64,
        error: L1ReadError,
    ) -> Result<Option<L1Block>, DeriverError> {
        if let L1ReadError::Deposit { .. } | L1ReadError::TooOld(_) = error {
            return Err(DeriverError::Unreadable(error));
        }
        tracing::warn!(l1_block = number, %error, "L1 does not tell a block; asking again");
        self.health.set_problem(Part::Derivation, format!("L1 block {number}: {error}"));
        tokio::time::sleep(RETRY_INTERVAL).await;
        Ok(None)
    }

    /// Holds a derived block against ours, and makes it ours if it is not.
    async fn decide(
        &mut self,
        derivation: &mut Derivation,
        safe: &mut SafeBlocks,
        attributes: &Arc<Attributes>,
    ) -> Result<(), DeriverError> {
        let number = attributes.number();
        let block = match self.search().get(number).await? {
            Some(block) => match agreement::compare(&block, attributes) {
                Ok(()) => block,
                Err(difference) => {
                    let ours = block.header.hash();
                    tracing::error!(
                        block = number, %ours, %difference, provenance = ?attributes.provenance,
                        "L1 contradicts our chain: it is taken back to agree"
                    );
                    self.metrics.contradicted();
                    // What we would build meanwhile would most likely be contradicted, too.
                    self.window.set_complete(false);
                    match self.orders.adopt(attributes.clone()).await? {
                        Ok(block) => block,
                        Err(refused) => return self.refuse(derivation, number, &refused),
                    }
                }
            },
            None => match self.orders.adopt(attributes.clone()).await? {
                Ok(block) => block,
                Err(refused) => return self.refuse(derivation, number, &refused),
            },
        };
        let reference = l2_ref::of_ours(&block, &self.rollup);
        derivation.accept(reference);
        safe.push(Safe { block: reference, from: attributes.derived_from });
        self.heads.update(|heads| heads.safe = reference);
        self.metrics.safe(&reference);
        Ok(())
    }

    fn refuse(
        &self,
        derivation: &mut Derivation,
        number: u64,
        refused: &Refused,
    ) -> Result<(), DeriverError> {
        tracing::warn!(block = number, reason = %refused, "a batch on L1 makes no valid block");
        Ok(derivation.reject()?)
    }

    /// Takes note of what happens on L1. When something of what was read is gone, the answer is the newest that stays.
    async fn hear(
        &mut self,
        event: Event,
        safe: &mut SafeBlocks,
        relied: BlockId,
        l1: &mut Fetching,
    ) -> Result<Option<BlockId>, DeriverError> {
        match event {
            Event::Block(_) => {}
            Event::Head(head) => self.heads.update(|heads| heads.l1_head = head),
            Event::Safe(block) => self.heads.update(|heads| heads.l1_safe = block),
            Event::Finalized(block) => self.heads.update(|heads| heads.l1_finalized = block),
            Event::Lost { error } => {
                tracing::error!(%error, "L1 gives no answer; asking on");
                self.health.set_problem(Part::L1Lost, format!("L1 gives no answer: {error}"));
            }
            Event::Found => {
                tracing::info!("L1 gives answers again");
                self.health.clear_problem(Part::L1Lost);
            }
            Event::Contradiction { ours, theirs } => {
                tracing::error!(
                    ?ours,
                    ?theirs,
                    "L1 contradicts what was final; a person must look"
                );
                let problem = format!("L1 contradicts its final block {}", ours.number);
                self.health.set_problem(Part::L1Contradiction, problem);
            }
            Event::Agreement => {
                tracing::info!("L1 agrees with what was final again");
                self.health.clear_problem(Part::L1Contradiction);
            }
            Event::Reorg { to, from } => {
                tracing::warn!(to = to.number, from = from.number, "L1 was reorganized");
                self.metrics.l1_reorg(from.number.saturating_sub(to.number));
                l1.forget();
                self.window.truncate(to.number);
                self.take_back(to.number, safe).await?;
                return Ok((relied.number > to.number).then_some(to));
            }
        }
        Ok(None)
    }

    /// Finds out how far the chain is final: as far as it was derived from final blocks of L1.
    ///
    /// What is written down is where a later start resumes, so the L1 block has to be one that is used up.
    async fn finalize(&self, safe: &mut SafeBlocks, used_up: BlockId) -> Result<(), DeriverError> {
        let l1_finalized = self.heads.get().l1_finalized;
        let l1 = if l1_finalized.number <= used_up.number { l1_finalized } else { used_up };
        let Some(newest) = safe.finalizable(l1.number) else { return Ok(()) };
        let finalized = Finalized { l2: newest.block.id, l1 };
        match self.chain.journal.set_finalized(finalized).await {
            Ok(()) => {
                safe.finalize(l1.number);
                self.health.clear_problem(Part::Finality);
            }
            // It is no less final, and will be noted when there is room again.
            Err(FinalizeError::Write(error)) if error.may_pass() => {
                let block = newest.block.id.number;
                tracing::warn!(%error, block, "a final block could not be noted");
                self.metrics.journal_retried("finalize");
                let problem =
                    format!("block {block} is final and cannot be noted as such: {error}");
                self.health.set_problem(Part::Finality, problem);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        self.heads.update(|heads| heads.finalized = newest.block);
        self.metrics.finalized(&newest.block);
        self.window.forget_below(newest.block.origin.number);
        Ok(())
    }

    /// Takes back whatever refers to L1 blocks that are gone.
    async fn take_back(&self, l1_number: u64, safe: &mut SafeBlocks) -> Result<(), DeriverError> {
        safe.forget_above(l1_number);
        let newest = safe.newest().block;
        self.heads.update(|heads| heads.safe = newest);
        self.metrics.safe(&newest);
        let head = self.chain.head().block.block.number();
        let first = safe.finalized().block.id.number;
        let search = self.search();
        let stays = search.newest_by_origin(first, head, l1_number).await?;
        // Even if no sealed block has to go: the open one may refer to a block that is gone.
        Ok(self.orders.rewind(stays, l1_number + 1).await?)
    }
}

/// The safe block that derivation asked for last. It asks for one after the other, and a span may reach far back.
#[derive(Debug, Default)]
struct AtHand(Option<(u64, SafeBlock)>);

impl SafeChain for AtHand {
    fn safe_block(&self, number: u64) -> Option<SafeBlock> {
        self.0.as_ref().filter(|(known, _)| *known == number).map(|(_, block)| block.clone())
    }
}
