//! What a block takes from L1.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use millrace_protocol::{ChainSpec, L1Attributes, L1Fees, OperatorFee, Prescribed};
use millrace_types::Block;

/// What the next block takes from L1.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What its origin decides.
    pub(crate) prescribed: Prescribed,
    /// The block is so far ahead of its origin that nothing but deposits may be in it.
    pub(crate) deposits_only: bool,
}

/// Why there can be no next block at the moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stalled {
    /// L1 may decide against what we would build: first all that it says has to be known.
    #[error("the chain is still being derived from L1")]
    Deriving,
    /// The newest block's origin is not (any more) a block of L1 that we know.
    #[error("L1 block {number}, the origin of our newest block, is not on L1 any more")]
    OriginGone {
        /// The origin's number.
        number: u64,
    },
    /// The next block would be further ahead of its origin than the rules allow, and the next origin is not known yet.
    #[error(
        "the next block is {ahead_s} seconds ahead of L1 block {origin}, more than the rules allow, and L1 block {} is not \
         known or not confirmed yet",
        origin + 1
    )]
    Drift {
        /// The origin's number.
        origin: u64,
        /// How far ahead.
        ahead_s: u64,
    },
}

/// Chooses each block's L1 origin.
pub(crate) trait Origin: Send {
    /// What the block after `parent` takes from L1.
    fn plan(&mut self, parent: &Block, timestamp: u64) -> Result<Plan, Stalled>;

    /// Whether the chain may leave out time in which nothing ran, because nobody derives it from anywhere.
    fn may_skip_time(&self) -> bool;
}

/// A chain without L1: one imaginary L1 block for ever, with the same prices, and no deposits but its attributes.
#[derive(Debug, Clone)]
pub(crate) struct NoL1 {
    pub(crate) spec: Arc<ChainSpec>,
    /// When the chain began.
    pub(crate) genesis_timestamp: u64,
    /// What L1 would charge.
    pub(crate) l1_fees: L1Fees,
    pub(crate) gas_limit: u64,
}

impl Origin for NoL1 {
    fn plan(&mut self, parent: &Block, timestamp: u64) -> Result<Plan, Stalled> {
        let fees = self.l1_fees;
        let attributes = L1Attributes {
            l1_number: 0,
            l1_timestamp: self.genesis_timestamp,
            l1_hash: B256::ZERO,
            sequence_number: parent.number() + 1,
            base_fee: fees.base_fee,
            blob_base_fee: fees.blob_base_fee,
            base_fee_scalar: fees.base_fee_scalar,
            blob_base_fee_scalar: fees.blob_base_fee_scalar,
            batcher_hash: B256::ZERO,
            operator_fee: Some(OperatorFee {
                scalar: fees.operator_fee_scalar,
                constant: fees.operator_fee_constant,
            }),
        };
        let prescribed = Prescribed {
            sequence_number: attributes.sequence_number,
            deposits: vec![attributes.to_deposit()],
            // Different in every block and known in advance, which is all that a chain without L1 can offer.
            prev_randao: keccak256(parent.header.hash()),
            parent_beacon_block_root: B256::ZERO,
            gas_limit: self.gas_limit,
            eip1559: self.spec.eip1559_constants(timestamp),
        };
        Ok(Plan { prescribed, deposits_only: false })
    }

    fn may_skip_time(&self) -> bool {
        true
    }
}
