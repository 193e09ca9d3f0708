//! The system config: what the rollup's owner can change on L1 while the chain runs.

use alloy_primitives::Address;

use crate::{eip1559_params::Eip1559Params, l1_attributes::OperatorFee};

/// What the rollup's owner can change on L1 while the chain runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemConfig {
    /// Whose transactions to the inbox count.
    pub batcher: Address,
    /// The gas limit of L2 blocks.
    pub gas_limit: u64,
    /// Weighs the L1 base fee in data fees, in millionths.
    pub base_fee_scalar: u32,
    /// Weighs the L1 blob base fee in data fees, in millionths.
    pub blob_base_fee_scalar: u32,
    /// How the base fee of L2 moves; nothing means by the chain's constants.
    pub eip1559: Option<Eip1559Params>,
    /// What the operator asks for beside L1's cost.
    pub operator_fee: OperatorFee,
}
