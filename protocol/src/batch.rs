//! Batches: what of L2 blocks is posted to L1, so that anybody can build them again.
//!
//! A singular batch is one block; a span batch is many consecutive ones, in columns, so that like lies beside like.

mod bits;
mod cursor;
mod singular;
mod span;
mod span_builder;
mod span_tx;

use alloy_primitives::Bytes;

pub use self::{
    singular::SingularBatch,
    span::{SpanBatch, SpanBatchError, SpanElement, SpanElements},
    span_builder::{SpanBlock, SpanBuildError, SpanBuilder, SpanBytes},
};

/// A batch of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "batches are moved now and then, never kept in numbers"
)]
pub enum Batch {
    /// One block.
    Singular(SingularBatch),
    /// Consecutive blocks.
    Span(SpanBatch),
}

/// Why bytes are not a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Nothing at all.
    #[error("the batch is empty")]
    Empty,
    /// Neither kind begins like this.
    #[error("the batch has version {0}, which is unknown")]
    Version(u8),
    /// A singular batch that is not RLP of the right shape.
    #[error("decode singular batch: {0}")]
    Singular(alloy_rlp::Error),
    /// A span batch whose columns don't add up.
    #[error("decode span batch: {0}")]
    Span(#[from] SpanBatchError),
}

impl Batch {
    /// Reads a batch. Bytes that follow it count for nothing, as the specification has it.
    pub fn decode(batch: &Bytes) -> Result<Self, BatchError> {
        match *batch.first().ok_or(BatchError::Empty)? {
            SingularBatch::VERSION => SingularBatch::decode(&batch.slice(1..))
                .map(Self::Singular)
                .map_err(BatchError::Singular),
            SpanBatch::VERSION => Ok(Self::Span(SpanBatch::decode(&batch.slice(1..))?)),
            version => Err(BatchError::Version(version)),
        }
    }

    /// The batch as it stands in a channel, before RLP.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Singular(batch) => batch.encode(),
            Self::Span(batch) => batch.encode(),
        }
    }
}

#[cfg(test)]
mod tests;
