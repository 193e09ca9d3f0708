//! What a block takes from L1.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use millrace_derivation::Attributes;
use millrace_protocol::{ChainSpec, Eip1559Params, L1Attributes, L1Fees, OperatorFee};
use millrace_types::{Block, Transaction};

/// The part of a block that L1 decides: nobody's transactions can change it.
#[derive(Debug, Clone)]
pub(crate) struct Derived {
    /// The L1 attributes, then the deposits of the epoch if this is its first block.
    pub(crate) deposits: Vec<Arc<Transaction>>,
    /// The L1 origin's randomness.
    pub(crate) prev_randao: B256,
    /// The L1 origin's parent beacon block root.
    pub(crate) parent_beacon_block_root: B256,
    /// The most gas that the block's transactions may use together.
    pub(crate) gas_limit: u64,
    /// How the base fee of the next block moves.
    pub(crate) eip1559: Eip1559Params,
    /// The block is so far ahead of its origin that nothing but deposits may be in it.
    pub(crate) deposits_only: bool,
}

impl From<&Attributes> for Derived {
    fn from(attributes: &Attributes) -> Self {
        let deposits = attributes.deposits.iter().cloned();
        Self {
            deposits: deposits.map(|deposit| Arc::new(Transaction::deposit(deposit))).collect(),
            prev_randao: attributes.prev_randao,
            parent_beacon_block_root: attributes.parent_beacon_block_root,
            gas_limit: attributes.gas_limit,
            eip1559: attributes.eip1559,
            deposits_only: attributes.transactions.is_empty(),
        }
    }
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
    fn derive(&mut self, parent: &Block, timestamp: u64) -> Result<Derived, Stalled>;

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
    fn derive(&mut self, parent: &Block, timestamp: u64) -> Result<Derived, Stalled> {
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
        Ok(Derived {
            deposits: vec![Arc::new(Transaction::deposit(attributes.to_deposit()))],
            // Different in every block and known in advance, which is all that a chain without L1 can offer.
            prev_randao: keccak256(parent.header.hash()),
            parent_beacon_block_root: B256::ZERO,
            gas_limit: self.gas_limit,
            eip1559: self.spec.eip1559_constants(timestamp),
            deposits_only: false,
        })
    }

    fn may_skip_time(&self) -> bool {
        true
    }
}
