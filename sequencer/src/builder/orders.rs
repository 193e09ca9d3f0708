//! What others ask of the thread that writes the chain.
//!
//! Only one thread appends blocks and takes them back. What L1 decides against the chain that we built reaches it here, and
//! comes before whatever that thread is doing.

use std::sync::Arc;

use alloy_primitives::BlockNumber;
use crossbeam_channel::{Receiver, Sender};
use millrace_derivation::Attributes;
use millrace_types::Block;
use tokio::sync::oneshot;

/// Orders that may wait. Whoever gives one waits for the answer, so there are never more than their givers.
const ORDERS_MAX: usize = 4;

/// Something that has to happen to the chain.
#[derive(Debug)]
pub(crate) enum Order {
    /// The block after `attributes.parent` is to be made of these. What stands there, and above, is taken back.
    Adopt {
        /// What L1 says about the block.
        attributes: Arc<Attributes>,
        /// Hears of the block, or why there can be none.
        answer: oneshot::Sender<Result<Arc<Block>, Refused>>,
    },
    /// Blocks that refer to L1 blocks which are gone are taken back. If none does, not even the open one, nothing happens.
    Rewind {
        /// The newest block that was found to refer to none, and so stays.
        to: BlockNumber,
        /// L1 blocks from this number on are gone.
        gone_from: u64,
        /// Hears when it is done.
        answer: oneshot::Sender<()>,
    },
}

impl Order {
    /// The order, unless it has no meaning for a chain whose newest block, sealed or open, refers to this L1 block: origins never
    /// decrease, so none refers to a later one. Then it is answered.
    pub(super) fn unless_done(self, newest_origin: u64) -> Option<Self> {
        match self {
            Self::Rewind { gone_from, answer, .. } if newest_origin < gone_from => {
                // Whoever waited for the answer may have gone away.
                answer.send(()).ok();
                None
            }
            order => Some(order),
        }
    }
}

/// A batch says something that cannot be a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// The thread that writes the chain has ended; why is known elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody writes the chain any more")]
pub(crate) struct Gone;

/// Gives orders.
#[derive(Debug, Clone)]
pub(crate) struct Orders(Sender<Order>);

impl Orders {
    pub(crate) fn new() -> (Self, Receiver<Order>) {
        let (sender, receiver) = crossbeam_channel::bounded(ORDERS_MAX);
        (Self(sender), receiver)
    }

    /// Has a block made of what L1 says.
    pub(crate) async fn adopt(
        &self,
        attributes: Arc<Attributes>,
    ) -> Result<Result<Arc<Block>, Refused>, Gone> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Order::Adopt { attributes, answer }).map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }

    /// Has blocks taken back whose L1 blocks are gone, down to `to` at most.
    pub(crate) async fn rewind(&self, to: BlockNumber, gone_from: u64) -> Result<(), Gone> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Order::Rewind { to, gone_from, answer }).map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }
}
