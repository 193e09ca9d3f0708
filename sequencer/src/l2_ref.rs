//! Where one of our blocks stands in both chains.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use millrace_derivation::{L2Ref, SafeBlock};
use millrace_protocol::{BlockId, L1Attributes, L1AttributesError, RollupConfig};
use millrace_types::Block;

/// Why a block's origin cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum L2RefError {
    /// It holds nothing, as only genesis may.
    #[error("block {0} has no L1 attributes")]
    Empty(u64),
    /// Its first transaction says something else.
    #[error("block {0}: {1}")]
    Attributes(u64, L1AttributesError),
}

/// What a block says about its L1 origin. Genesis says nothing.
pub(crate) fn l1_attributes(block: &Block) -> Result<L1Attributes, L2RefError> {
    let number = block.number();
    let first = block.transactions.first().ok_or(L2RefError::Empty(number))?;
    L1Attributes::decode(first.input()).map_err(|error| L2RefError::Attributes(number, error))
}

/// The block's name, its origin and its place in the epoch.
pub(crate) fn of(block: &Block, rollup: &RollupConfig) -> Result<L2Ref, L2RefError> {
    let header = &block.header;
    let (origin, sequence_number) = if header.number == rollup.genesis.l2.number {
        (rollup.genesis.l1, 0)
    } else {
        let attributes = l1_attributes(block)?;
        let origin = BlockId { number: attributes.l1_number, hash: attributes.l1_hash };
        (origin, attributes.sequence_number)
    };
    Ok(L2Ref {
        id: id(block),
        parent_hash: header.parent_hash,
        timestamp: header.timestamp,
        origin,
        sequence_number,
    })
}

/// The same of a block that we have executed: it would not be in our journal if it did not begin with L1 attributes.
///
/// # Panics
///
/// If it does not.
pub(crate) fn of_ours(block: &Block, rollup: &RollupConfig) -> L2Ref {
    match of(block, rollup) {
        Ok(reference) => reference,
        Err(error) => panic!("a block of this chain: {error}"),
    }
}

/// What a block that we have executed says about its L1 origin.
///
/// # Panics
///
/// If it says nothing, as only genesis may.
pub(crate) fn l1_attributes_of_ours(block: &Block) -> L1Attributes {
    match l1_attributes(block) {
        Ok(attributes) => attributes,
        Err(error) => panic!("a block of this chain: {error}"),
    }
}

/// Number and hash.
pub(crate) fn id(block: &Block) -> BlockId {
    BlockId { number: block.number(), hash: block.header.hash() }
}

/// The block as a span batch can contradict it.
pub(crate) fn safe_block(block: &Arc<Block>, rollup: &RollupConfig) -> SafeBlock {
    let signed = block.transactions.iter().filter(|transaction| !transaction.is_deposit());
    SafeBlock {
        block: of_ours(block, rollup),
        transactions: signed.map(|transaction| transaction.encoded().clone()).collect(),
    }
}
