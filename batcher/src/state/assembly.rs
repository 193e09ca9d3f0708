//! From the journal to closed channels: which blocks are read next, the channel that is open, those that are closed.
//!
//! To encode takes time, so the open channel travels to where the work is done and comes back. In the meantime blocks
//! may be rolled back: then a new generation begins, and what comes back from an older one is dropped.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use alloy_primitives::B256;
use millrace_protocol::BlockId;

use crate::{
    channel::{ChannelBuilder, ChannelError, ChannelSettings, ClosedChannel, Pushed, Rates},
    faces::SealedBlock,
    limits::CLOSED_CHANNELS_MAX,
};

#[derive(Debug)]
pub(crate) struct Assembly {
    generation: u64,
    /// The number of the next block to read.
    next: u64,
    /// The hash of the block before that, if one was read.
    last_hash: Option<B256>,
    /// Blocks that were read and are not in a channel.
    blocks: VecDeque<Arc<SealedBlock>>,
    open: Place,
    closed: VecDeque<ClosedChannel>,
    rates: Rates,
    /// When the last block with transactions was read.
    last_transaction: Duration,
}

#[derive(Debug)]
enum Place {
    Empty,
    Here(Open),
    /// Where the work is done. So many bytes of transactions went there.
    Away(u64),
}

/// The open channel and what decides when it is closed.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) builder: ChannelBuilder,
    /// The L1 block that was newest when it was opened.
    pub(crate) since_l1: u64,
    /// The epoch of its first block.
    pub(crate) first_epoch: u64,
}

/// Why a channel was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    Flushed,
    Duration,
    Window,
    Idle,
}

/// Blocks to put into channels.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) generation: u64,
    settings: ChannelSettings,
    rates: Rates,
    l1_head: u64,
    open: Option<Open>,
    blocks: Vec<Arc<SealedBlock>>,
    close: Option<CloseReason>,
}

/// What became of them.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) generation: u64,
    open: Option<Open>,
    closed: Vec<ClosedChannel>,
}

impl Work {
    /// How many bytes there are to compress or to copy, about.
    pub(crate) fn bytes(&self) -> usize {
        let new: usize = self.blocks.iter().map(|block| block.transaction_bytes()).sum();
        let old = self.open.as_ref().map_or(0, |open| open.builder.transaction_bytes());
        new + old as usize
    }

    pub(crate) fn run(self) -> Result<Done, ChannelError> {
        let (mut open, mut closed, mut rates) = (self.open, Vec::new(), self.rates);
        for block in self.blocks {
            let fresh = |rates| Open {
                builder: ChannelBuilder::new(self.settings.clone(), rates),
                since_l1: self.l1_head,
                first_epoch: block.epoch.number,
            };
            let mut current = open.take().unwrap_or_else(|| fresh(rates));
            if let Pushed::Closed(channel) = current.builder.push(&block)? {
                rates = channel.rates;
                closed.push(channel);
                current = fresh(rates);
                // An empty channel takes any block.
                current.builder.push(&block)?;
            }
            open = Some(current);
        }
        if self.close.is_some()
            && let Some(last) = open.take()
        {
            closed.extend(last.builder.finish()?);
        }
        Ok(Done { generation: self.generation, open, closed })
    }
}

impl Assembly {
    pub(crate) const fn new(next: u64, rates: Rates) -> Self {
        Self {
            generation: 0,
            next,
            last_hash: None,
            blocks: VecDeque::new(),
            open: Place::Empty,
            closed: VecDeque::new(),
            rates,
            last_transaction: Duration::ZERO,
        }
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of the next block to read.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Forgets everything that is not posted, and goes on with this block.
    pub(crate) fn restart(&mut self, next: u64, last_hash: Option<B256>) {
        self.generation += 1;
        self.next = next;
        self.last_hash = last_hash;
        self.blocks.clear();
        self.open = Place::Empty;
        self.closed.clear();
    }

    /// Whether every block that was read is in a closed channel.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && matches!(self.open, Place::Empty)
    }

    /// Whether more blocks may be read: one reading's worth waits at a time, and few closed channels.
    pub(crate) fn wants_blocks(&self) -> bool {
        self.blocks.is_empty() && self.closed.len() < CLOSED_CHANNELS_MAX
    }

    /// Whether the chain with this tip can't be the one that was read.
    pub(crate) fn contradicts(&self, tip: BlockId) -> bool {
        tip.number + 1 < self.next
            || (tip.number + 1 == self.next && self.last_hash.is_some_and(|hash| hash != tip.hash))
    }

    /// Takes blocks that were read. Says no if they don't continue what was read before.
    pub(crate) fn take(&mut self, blocks: Vec<Arc<SealedBlock>>, now: Duration) -> bool {
        for block in blocks {
            let follows = block.id.number == self.next
                && self.last_hash.is_none_or(|hash| hash == block.parent_hash);
            if !follows {
                return false;
            }
            self.next += 1;
            self.last_hash = Some(block.id.hash);
            if !block.transactions.is_empty() {
                self.last_transaction = now;
            }
            self.blocks.push_back(block);
        }
        true
    }

    /// The open channel, if it is here.
    pub(crate) const fn open(&self) -> Option<&Open> {
        match &self.open {
            Place::Here(open) => Some(open),
            _ => None,
        }
    }

    /// When the last block with transactions was read.
    pub(crate) const fn last_transaction(&self) -> Duration {
        self.last_transaction
    }

    /// Work to do, if there is any and the channel is here.
    pub(crate) fn work(
        &mut self,
        settings: ChannelSettings,
        l1_head: u64,
        close: Option<CloseReason>,
    ) -> Option<Work> {
        let idle = self.blocks.is_empty() && close.is_none();
        if idle || matches!(self.open, Place::Away(_)) {
            return None;
        }
        let bytes = self.unclosed_bytes();
        let open = match std::mem::replace(&mut self.open, Place::Away(bytes)) {
            Place::Here(open) => Some(open),
            _ => None,
        };
        let blocks = self.blocks.drain(..).collect();
        let (generation, rates) = (self.generation, self.rates);
        Some(Work { generation, settings, rates, l1_head, open, blocks, close })
    }

    /// Takes back what was worked on. Gives the sizes of the channels that were closed.
    pub(crate) fn done(&mut self, done: Done) -> Vec<usize> {
        if done.generation != self.generation {
            return Vec::new();
        }
        self.open = done.open.map_or(Place::Empty, Place::Here);
        if let Some(last) = done.closed.last() {
            self.rates = last.rates;
        }
        let sizes = done.closed.iter().map(|closed| closed.data.len()).collect();
        self.closed.extend(done.closed);
        sizes
    }

    /// The oldest closed channel.
    pub(crate) fn front(&self) -> Option<&ClosedChannel> {
        self.closed.front()
    }

    /// Takes the oldest closed channel.
    pub(crate) fn pop(&mut self) -> Option<ClosedChannel> {
        self.closed.pop_front()
    }

    /// Bytes of transactions in what is here.
    pub(crate) fn bytes(&self) -> u64 {
        let closed: u64 = self.closed.iter().map(|closed| closed.blocks.transaction_bytes).sum();
        closed + self.unclosed_bytes()
    }

    fn unclosed_bytes(&self) -> u64 {
        let waiting: usize = self.blocks.iter().map(|block| block.transaction_bytes()).sum();
        let open = match &self.open {
            Place::Empty => 0,
            Place::Here(open) => open.builder.transaction_bytes(),
            Place::Away(bytes) => *bytes,
        };
        waiting as u64 + open
    }
}
