//! How far L1 vouches for the chain, for everybody to read.

use std::sync::Arc;

use arc_swap::ArcSwap;
use millrace_derivation::L2Ref;
use millrace_protocol::BlockId;

/// What derivation has come to. One value at a time: its parts belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The newest block that was derived from L1.
    pub(crate) safe: L2Ref,
    /// The newest block that was derived from final blocks of L1.
    pub(crate) finalized: L2Ref,
    /// The newest L1 block that was read.
    pub(crate) l1_read: BlockId,
    /// L1's newest block.
    pub(crate) l1_head: BlockId,
    /// L1's newest safe block.
    pub(crate) l1_safe: BlockId,
    /// L1's newest final block.
    pub(crate) l1_finalized: BlockId,
}

/// Derivation's progress: one writes, everybody reads.
#[derive(Debug)]
pub(crate) struct SafeHeads(ArcSwap<Progress>);

impl SafeHeads {
    /// Nothing is known but where derivation begins.
    pub(crate) fn at(start: L2Ref) -> Self {
        let nothing = BlockId::default();
        Self(ArcSwap::from_pointee(Progress {
            safe: start,
            finalized: start,
            l1_read: nothing,
            l1_head: nothing,
            l1_safe: nothing,
            l1_finalized: nothing,
        }))
    }

    pub(crate) fn get(&self) -> Progress {
        **self.0.load()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.get();
        change(&mut progress);
        self.0.store(Arc::new(progress));
    }
}
