//! What a block is to be made of.

use alloy_primitives::Bytes;
use millrace_protocol::{BlockId, Epoch, Prescribed, RollupConfig};

use crate::safe_chain::L2Ref;

/// All that L1 decides about a block: with its parent's state, that is everything about it.
///
/// What is not here follows from the rules: tips go to the sequencer fee vault, and the base fee comes from the parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The block that this one is built on.
    pub parent: L2Ref,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// The L1 block that it refers to.
    pub origin: BlockId,
    /// What that decides.
    pub prescribed: Prescribed,
    /// What the batch holds, in order. Nobody has looked inside: one that is no transaction, or can't be executed,
    /// makes the block invalid (see [`Derivation::reject`](crate::Derivation::reject)).
    pub transactions: Vec<Bytes>,
    /// The newest L1 block that was read to know all this. Once it is final, so is the block.
    pub derived_from: BlockId,
    /// Why the block is what it is.
    pub provenance: Provenance,
}

/// Why a block is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// A batch says so.
    Batch,
    /// No batch came before the sequencing window expired: the block holds deposits only.
    WindowExpired,
    /// What a batch said was invalid when it was executed: the block holds deposits only.
    Replacement,
}

impl Attributes {
    /// The block's number.
    pub const fn number(&self) -> u64 {
        self.parent.id.number + 1
    }

    /// The next block in this epoch.
    pub(crate) fn build(
        config: &RollupConfig,
        parent: L2Ref,
        epoch: &Epoch,
        transactions: Vec<Bytes>,
        derived_from: BlockId,
        provenance: Provenance,
    ) -> Self {
        let timestamp = parent.timestamp + config.block_time;
        Self {
            parent,
            timestamp,
            origin: epoch.header.id(),
            prescribed: epoch.prescribe(&config.spec, parent.place(), timestamp),
            transactions,
            derived_from,
            provenance,
        }
    }

    /// The same block with nothing in it but deposits.
    pub(crate) fn without_batch(&self) -> Self {
        Self { transactions: Vec::new(), provenance: Provenance::Replacement, ..self.clone() }
    }

    /// Whether a block with this reference can be the one that was made of these attributes.
    pub(crate) fn describe(&self, block: &L2Ref) -> bool {
        block.id.number == self.number()
            && block.parent_hash == self.parent.id.hash
            && block.timestamp == self.timestamp
            && block.origin == self.origin
            && block.sequence_number == self.prescribed.sequence_number
    }
}
