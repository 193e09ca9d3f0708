//! L1's chain as it grows: every block once and in order, and every reorganization before the blocks that replace what
//! it removed.
//!
//! What the follower reports is a chain by construction: a block is reported only if its parent is the block reported
//! before it, so gaps, endpoints that contradict each other and answers from both sides of a reorganization can delay
//! it, and nothing else. A head that is merely behind contradicts nothing, and changes nothing. A head that contradicts
//! what was reported is followed if its chain is at least as long as ours was seen to be, or if it stays: an endpoint
//! that is stuck on a dead fork for a moment isn't followed. What is final is never taken back: an endpoint that
//! contradicts it is reported and set aside, and the follower waits for a better one, or for a person.

mod chain;
mod task;

use std::{fmt, sync::Arc, time::Duration};

use alloy_primitives::B256;
use millrace_protocol::{BlockId, L1Header};
use parking_lot::RwLock;
use tokio::sync::mpsc;

use crate::{
    blob_schedule::BlobSchedule,
    client::{L1Client, L1Error},
    follower::chain::Chain,
    reads::At,
};

/// What happens on L1, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The next block of the chain, at the confirmation depth. Its parent is the block that was reported before it, or
    /// what the last reorganization went back to, or the block that the follower began with.
    Block(L1Header),
    /// Everything above this block is gone. Blocks that replace it follow, if there are any yet.
    Reorg {
        /// The newest block that stays. After a reorganization deeper than what the follower remembers, it is an older
        /// one: the newest final block.
        to: BlockId,
        /// The block that was the newest one until now.
        from: BlockId,
    },
    /// L1's newest block, whatever the confirmation depth. It may contradict what was reported, and go back.
    Head(BlockId),
    /// The newest reported block that is safe. It only goes back with a reorganization.
    Safe(BlockId),
    /// The newest reported block that is final. It never goes back.
    Finalized(BlockId),
    /// L1 contradicts what was final, or has none of the blocks that the follower was to begin with. The follower goes
    /// on asking, other endpoints first, and reports no blocks until one agrees. If none does, a person must look.
    Contradiction {
        /// The block that was final.
        ours: BlockId,
        /// What L1 has instead.
        theirs: Option<B256>,
    },
    /// L1 agrees with what was final, after a [`Event::Contradiction`].
    Agreement,
    /// L1 gives no answer. The follower goes on asking. Reported once, and again when the reason is another one.
    Lost {
        /// What became of the last attempt.
        error: L1Error,
    },
    /// L1 gives answers again.
    Found,
}

/// How to follow L1.
#[derive(Debug, Clone)]
pub struct FollowerConfig {
    /// How many blocks below the head the newest reported block lies. Nought means the head itself.
    pub confirmations: u64,
    /// How often to look for a new head. L1's blocks come every 12 seconds.
    pub poll_interval: Duration,
    /// How many headers are remembered. A deeper reorganization goes back to the newest final block.
    pub headers_max: usize,
    /// How many events may wait for the consumer. When it is full, the follower waits, too.
    pub events_max: usize,
    /// After how many looks in a row a contradicting chain is followed though it is shorter than ours was.
    pub shorter_looks: u32,
    /// Blocks to begin with, oldest first: the newest of them that is on the canonical chain is the one whose child is
    /// reported first. If that isn't the last of the list, a reorganization is reported. The first should be final.
    pub start: Vec<BlockId>,
}

impl FollowerConfig {
    /// Follows from these blocks on, at the head.
    pub const fn new(start: Vec<BlockId>) -> Self {
        Self {
            confirmations: 0,
            poll_interval: Duration::from_secs(2),
            headers_max: 1024,
            events_max: 256,
            shorter_looks: 5,
            start,
        }
    }
}

/// Follows L1; see [`Follower::run`].
pub struct Follower {
    client: L1Client,
    schedule: BlobSchedule,
    config: FollowerConfig,
    shared: Arc<RwLock<View>>,
    events: mpsc::Sender<Event>,
}

/// What the follower knows, for reading. It may be ahead of the events that the consumer has taken.
#[derive(Clone)]
pub struct FollowerHandle {
    client: L1Client,
    schedule: BlobSchedule,
    shared: Arc<RwLock<View>>,
}

/// What both sides see.
#[derive(Debug)]
struct View {
    /// Nothing until the beginning is found.
    chain: Option<Chain>,
    head: Option<BlockId>,
    safe: Option<BlockId>,
    finalized: Option<BlockId>,
}

impl Follower {
    /// A follower, what others may read of it, and its events.
    pub fn new(
        client: L1Client,
        schedule: BlobSchedule,
        config: FollowerConfig,
    ) -> (Self, FollowerHandle, mpsc::Receiver<Event>) {
        let (events, receiver) = mpsc::channel(config.events_max.max(1));
        let view = View { chain: None, head: None, safe: None, finalized: None };
        let shared = Arc::new(RwLock::new(view));
        let handle = FollowerHandle {
            client: client.clone(),
            schedule: schedule.clone(),
            shared: shared.clone(),
        };
        (Self { client, schedule, config, shared, events }, handle, receiver)
    }

    /// Follows until `shutdown` is ready or nobody takes events any more.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        tokio::select! {
            () = task::run(self) => {}
            () = shutdown => {}
        }
    }
}

impl FollowerHandle {
    /// The newest block at the confirmation depth.
    pub fn tip(&self) -> Option<BlockId> {
        self.shared.read().chain.as_ref().map(Chain::tip)
    }

    /// L1's newest block.
    pub fn head(&self) -> Option<BlockId> {
        self.shared.read().head
    }

    /// The newest reported block that is safe.
    pub fn safe(&self) -> Option<BlockId> {
        self.shared.read().safe
    }

    /// The newest reported block that is final.
    pub fn finalized(&self) -> Option<BlockId> {
        self.shared.read().finalized
    }

    /// The block at this height of the chain that was reported, if it is remembered.
    pub fn remembered(&self, number: u64) -> Option<L1Header> {
        self.shared.read().chain.as_ref()?.header_at(number)
    }

    /// The block at this height of the canonical chain. Nothing above the newest reported block; below what is
    /// remembered, L1 is asked.
    pub async fn canonical(&self, number: u64) -> Result<Option<L1Header>, L1Error> {
        if let Some(header) = self.remembered(number) {
            return Ok(Some(header));
        }
        if self.tip().is_none_or(|tip| number > tip.number) {
            return Ok(None);
        }
        let header = self.client.header(At::Number(number)).await?;
        Ok(header.and_then(|header| self.schedule.l1_header(&header)))
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for FollowerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowerHandle").field("view", &*self.shared.read()).finish_non_exhaustive()
    }
}
