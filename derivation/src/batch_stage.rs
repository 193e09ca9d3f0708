//! Strict ordering: which batch, if any, makes the next block.

use std::collections::VecDeque;

use alloy_primitives::Bytes;
use millrace_protocol::{Batch, Epoch, SpanBatch, SpanBatchError, SpanElement};
use tracing::{debug, warn};

use crate::{
    batch_source::BatchSource,
    frontier::{Frontier, Invalid, Validity},
    safe_chain::{L2Ref, SafeBlock, SafeChain},
};

/// Takes batches in the order of L1 and lets through those that are valid in exactly that order.
///
/// Nothing waits here for its turn. A batch from the past is skipped, an invalid one takes the rest of its span and of
/// its channel with it, and a valid one makes the next block. A span is checked as a whole before its first block, and
/// then block by block, each when the one before is safe: what was valid before an invalid block stays.
#[derive(Debug, Default)]
pub(crate) struct BatchStage {
    span: Option<StagedSpan>,
}

/// What a valid batch says about the next block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NextBlock<'a> {
    pub(crate) epoch: &'a Epoch,
    pub(crate) transactions: Vec<Bytes>,
}

/// A block of the safe chain is wanted, to compare a span with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted(pub(crate) u64);

impl BatchStage {
    /// The next block, nothing if L1 holds no valid batch for it so far, or the safe block that is needed to tell.
    pub(crate) fn next<'a>(
        &mut self,
        frontier: &Frontier<'a>,
        source: &mut BatchSource,
        chain: &dyn SafeChain,
    ) -> Result<Option<NextBlock<'a>>, Wanted> {
        loop {
            let judged = match &mut self.span {
                Some(span) => span.next(frontier, chain),
                None => match source.next(frontier.l1.number) {
                    None => return Ok(None),
                    Some(Batch::Singular(batch)) => match frontier.judge_singular(&batch) {
                        Ok(validity) => Ok(Judged::new(validity, batch.transactions)),
                        Err(reason) => Err(reason.into()),
                    },
                    Some(Batch::Span(batch)) => match StagedSpan::new(batch, frontier) {
                        Ok(span) => {
                            self.span = Some(span);
                            continue;
                        }
                        Err(error) => Err(Invalid::Malformed(error).into()),
                    },
                },
            };
            match judged {
                Ok(Judged::Next(block)) => return Ok(Some(block)),
                Ok(Judged::Past) => debug!("skip a batch from the past"),
                Ok(Judged::SpanEnd) => self.span = None,
                Err(Obstacle::Wanted(wanted)) => return Err(wanted),
                Err(Obstacle::Invalid(reason)) => {
                    let (safe, l1) = (frontier.safe.id.number, frontier.l1.number);
                    warn!(%reason, safe, l1, "drop an invalid batch and what follows it");
                    self.flush(source);
                }
            }
        }
    }

    /// Drops the rest of the span and of the channel.
    pub(crate) fn flush(&mut self, source: &mut BatchSource) {
        self.span = None;
        source.flush();
    }
}

/// What became of a batch, or of the next block of a span.
#[derive(Debug)]
enum Judged<'a> {
    Next(NextBlock<'a>),
    Past,
    /// The span holds nothing more.
    SpanEnd,
}

/// Why a batch was not judged, or how.
#[derive(Debug)]
enum Obstacle {
    Invalid(Invalid),
    Wanted(Wanted),
}

/// A span of which blocks are taken from the front.
#[derive(Debug)]
struct StagedSpan {
    batch: SpanBatch,
    /// The blocks that are not dealt with yet.
    elements: VecDeque<SpanElement>,
    check: Check,
}

/// How far the check of a span as a whole has come. It can be interrupted by a missing block of the safe chain.
///
/// ```text
/// Ends --parent and newest origin are right--> Overlap --every safe block compared--> Done
/// ```
#[derive(Debug, Clone, Copy)]
enum Check {
    /// Nothing is known of it.
    Ends,
    /// It follows upon a safe block, and its next element has to agree with the safe block of this number.
    Overlap { number: u64 },
    /// It extends the safe chain and contradicts it nowhere.
    Done,
}

impl<'a> Judged<'a> {
    fn new(validity: Validity<'a>, transactions: Vec<Bytes>) -> Self {
        match validity {
            Validity::Next(epoch) => Self::Next(NextBlock { epoch, transactions }),
            Validity::Past => Self::Past,
        }
    }
}

impl StagedSpan {
    /// Takes the span apart, all of it: what is malformed anywhere is invalid as a whole.
    ///
    /// Ten million empty blocks can be written in a few bytes, so no more blocks are kept than can possibly be valid.
    fn new(batch: SpanBatch, frontier: &Frontier<'_>) -> Result<Self, SpanBatchError> {
        let kept_max = frontier.span_len_max(batch.first_timestamp(frontier.config));
        let mut elements = VecDeque::new();
        for element in batch.elements(frontier.config)? {
            let element = element?;
            if elements.len() < kept_max {
                elements.push_back(element);
            }
        }
        Ok(Self { batch, elements, check: Check::Ends })
    }

    /// Judges the span as a whole as far as that has not been done, and then its next block.
    fn next<'a>(
        &mut self,
        frontier: &Frontier<'a>,
        chain: &dyn SafeChain,
    ) -> Result<Judged<'a>, Obstacle> {
        if self.ends_in_the_past(frontier) {
            return Ok(Judged::SpanEnd);
        }
        self.check(frontier, chain)?;
        // Blocks that were not kept cannot be valid.
        let element = self.elements.pop_front().ok_or(Invalid::Drift)?;
        let validity = frontier.judge_element(&element)?;
        Ok(Judged::new(validity, element.transactions))
    }

    /// Whether it says nothing about blocks to come.
    fn ends_in_the_past(&self, frontier: &Frontier<'_>) -> bool {
        self.batch.last_timestamp(frontier.config) < frontier.next_timestamp()
    }

    /// Checks the span as a whole. When that is done, its next element is the first behind the safe head.
    fn check(&mut self, frontier: &Frontier<'_>, chain: &dyn SafeChain) -> Result<(), Obstacle> {
        loop {
            match self.check {
                Check::Ends => {
                    let number = self.parent_number(frontier)?;
                    let parent = if number == frontier.safe.id.number {
                        *frontier.safe
                    } else {
                        safe_block(chain, number)?.block
                    };
                    self.judge_ends(frontier, &parent)?;
                    self.check = Check::Overlap { number: number + 1 };
                }
                Check::Overlap { number } if number > frontier.safe.id.number => {
                    self.check = Check::Done;
                }
                Check::Overlap { number } => {
                    let safe = safe_block(chain, number)?;
                    let element = self.elements.pop_front().ok_or(Invalid::Overlap)?;
                    if element.l1_number != safe.block.origin.number
                        || element.transactions != safe.transactions
                    {
                        return Err(Invalid::Overlap.into());
                    }
                    self.check = Check::Overlap { number: number + 1 };
                }
                Check::Done => return Ok(()),
            }
        }
    }

    /// The number of the safe block that the span claims to follow upon.
    fn parent_number(&self, frontier: &Frontier<'_>) -> Result<u64, Invalid> {
        let start = self.batch.first_timestamp(frontier.config);
        let behind = frontier.next_timestamp().checked_sub(start).ok_or(Invalid::Future)?;
        let block_time = frontier.config.block_time;
        if !behind.is_multiple_of(block_time) {
            return Err(Invalid::Misaligned);
        }
        let genesis = frontier.config.genesis.l2.number;
        let parent = frontier.safe.id.number.checked_sub(behind / block_time);
        parent.filter(|number| *number >= genesis).ok_or(Invalid::BeforeGenesis)
    }

    /// Judges what the span says about its parent and about L1. The newest L1 block that it names confirms all others.
    fn judge_ends(&self, frontier: &Frontier<'_>, parent: &L2Ref) -> Result<(), Invalid> {
        if !self.batch.follows(&parent.id.hash) {
            return Err(Invalid::Parent);
        }
        let first_origin = self.batch.first_l1_number().ok_or(Invalid::OriginBehind)?;
        let last_origin = self.batch.last_l1_number();
        frontier.judge_window(first_origin)?;
        if first_origin > parent.origin.number + 1 {
            return Err(Invalid::OriginAhead);
        }
        if first_origin < parent.origin.number {
            return Err(Invalid::OriginBehind);
        }
        // What is missing among the epochs is older than the safe head's origin, or was not even read yet where this
        // was included.
        let newest = frontier.epochs.get(last_origin).ok_or(Invalid::OriginHash)?;
        if !self.batch.ends_with_origin(&newest.header.hash) {
            return Err(Invalid::OriginHash);
        }
        Ok(())
    }
}

fn safe_block(chain: &dyn SafeChain, number: u64) -> Result<SafeBlock, Wanted> {
    chain.safe_block(number).ok_or(Wanted(number))
}

impl From<Invalid> for Obstacle {
    fn from(reason: Invalid) -> Self {
        Self::Invalid(reason)
    }
}

impl From<Wanted> for Obstacle {
    fn from(wanted: Wanted) -> Self {
        Self::Wanted(wanted)
    }
}

#[cfg(test)]
mod tests;
