//! What a block is to be made of.

use alloy_primitives::{B256, Bytes};
use millrace_protocol::{BlockId, Eip1559Params, L1Attributes, RollupConfig};
use op_alloy_consensus::TxDeposit;

use crate::{epochs::Epoch, safe_chain::L2Ref};

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
    /// How many blocks of the same origin come before this one.
    pub sequence_number: u64,
    /// The L1 attributes, then the deposits of the epoch if this is its first block.
    pub deposits: Vec<TxDeposit>,
    /// What the batch holds, in order. Nobody has looked inside: one that is no transaction, or can't be executed,
    /// makes the block invalid (see [`Derivation::reject`](crate::Derivation::reject)).
    pub transactions: Vec<Bytes>,
    /// The most gas that the block's transactions may use together.
    pub gas_limit: u64,
    /// How the base fee of the *next* block moves: what the header's `extraData` has to say.
    pub eip1559: Eip1559Params,
    /// The L1 origin's randomness.
    pub prev_randao: B256,
    /// The root of the parent beacon block of the L1 origin.
    pub parent_beacon_block_root: B256,
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
        let (header, system_config) = (&epoch.header, &epoch.system_config);
        let first_of_epoch = parent.origin.number != header.number;
        let sequence_number = if first_of_epoch { 0 } else { parent.sequence_number + 1 };
        let l1_attributes = L1Attributes::for_block(system_config, header, sequence_number);
        let user_deposits = if first_of_epoch { &epoch.deposits[..] } else { &[] };
        let mut deposits = Vec::with_capacity(1 + user_deposits.len());
        deposits.push(l1_attributes.to_deposit());
        deposits.extend_from_slice(user_deposits);
        let timestamp = parent.timestamp + config.block_time;
        Self {
            parent,
            timestamp,
            origin: header.id(),
            sequence_number,
            deposits,
            transactions,
            gas_limit: system_config.gas_limit,
            eip1559: system_config
                .eip1559
                .unwrap_or_else(|| config.spec.eip1559_constants(timestamp)),
            prev_randao: header.prev_randao,
            parent_beacon_block_root: header.parent_beacon_block_root,
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
            && block.sequence_number == self.sequence_number
    }
}
