//! How far the chain can never be taken back.

use millrace_protocol::BlockId;

/// The newest block that finalized L1 holds, and the L1 block with which it was complete: derivation resumes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finalized {
    /// The block; genesis counts.
    pub l2: BlockId,
    /// The finalized L1 block that it was derived from.
    pub l1: BlockId,
}

impl Finalized {
    /// Whether this says less than `known` does: neither layer's finality goes back.
    pub(super) fn is_older_than(&self, known: &Self) -> bool {
        self.l2.number < known.l2.number || self.l1.number < known.l1.number
    }

    /// Whether both cannot be true: they name two L1 blocks of one number.
    pub(super) fn contradicts(&self, known: &Self) -> bool {
        self.l1.number == known.l1.number && self.l1.hash != known.l1.hash
    }
}
