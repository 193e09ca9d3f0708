//! What derivation has to know of the chain that it derived.

use alloy_primitives::{B256, Bytes};
use millrace_protocol::{BlockId, EpochPlace};

/// A derived block by name, with what places it in both chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L2Ref {
    /// Number and hash.
    pub id: BlockId,
    /// The parent's hash.
    pub parent_hash: B256,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// The L1 block that it refers to.
    pub origin: BlockId,
    /// How many blocks of the same origin came before this one.
    pub sequence_number: u64,
}

impl L2Ref {
    /// Where it stands among the blocks of its origin.
    pub const fn place(&self) -> EpochPlace {
        EpochPlace { l1_number: self.origin.number, sequence_number: self.sequence_number }
    }
}

/// A safe block as far as a span batch can contradict it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SafeBlock {
    /// Which block it is.
    pub block: L2Ref,
    /// Its transactions without the deposits, EIP-2718 encoded, in order.
    pub transactions: Vec<Bytes>,
}

/// Reads the safe chain, which span batches may overlap.
///
/// Only blocks between genesis and the safe head are asked for, both included.
pub trait SafeChain {
    /// The safe block of this number, or nothing if it can't be said without waiting. Then [`step`] answers
    /// [`NeedSafeBlock`] and asks again when it is called again, so an implementation can answer from memory alone.
    ///
    /// [`step`]: crate::Derivation::step
    /// [`NeedSafeBlock`]: crate::Step::NeedSafeBlock
    fn safe_block(&self, number: u64) -> Option<SafeBlock>;
}
