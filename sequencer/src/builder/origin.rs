//! What a block takes from L1.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use millrace_protocol::{L1Attributes, L1Fees, OperatorFee};
use millrace_types::{SealedHeader, Transaction};

/// The part of a block that L1 decides: nobody's transactions can change it.
#[derive(Debug, Clone)]
pub(crate) struct Derived {
    /// The L1 attributes, then the deposits of the epoch if this is its first block.
    pub(crate) deposits: Vec<Arc<Transaction>>,
    /// The L1 origin's randomness.
    pub(crate) prev_randao: B256,
    /// The L1 origin's parent beacon block root.
    pub(crate) parent_beacon_block_root: B256,
}

/// Chooses each block's L1 origin.
pub(crate) trait Origin: Send {
    /// What the block after `parent` takes from L1.
    fn derive(&mut self, parent: &SealedHeader, timestamp: u64) -> Derived;
}

/// A chain without L1: one imaginary L1 block for ever, with the same prices, and no deposits but its attributes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoL1 {
    /// When the chain began.
    pub(crate) genesis_timestamp: u64,
    /// What L1 would charge.
    pub(crate) l1_fees: L1Fees,
}

impl Origin for NoL1 {
    fn derive(&mut self, parent: &SealedHeader, _timestamp: u64) -> Derived {
        let fees = self.l1_fees;
        let attributes = L1Attributes {
            l1_number: 0,
            l1_timestamp: self.genesis_timestamp,
            l1_hash: B256::ZERO,
            sequence_number: parent.number + 1,
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
        Derived {
            deposits: vec![Arc::new(Transaction::deposit(attributes.to_deposit()))],
            // Different in every block and known in advance, which is all that a chain without L1 can offer.
            prev_randao: keccak256(parent.hash()),
            parent_beacon_block_root: B256::ZERO,
        }
    }
}
