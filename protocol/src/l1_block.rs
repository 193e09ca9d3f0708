//! An L1 block as the rollup sees it: everything that derivation reads of it, and nothing else.

use alloy_primitives::{B256, Bytes};
use op_alloy_consensus::TxDeposit;

use crate::system_config::SystemConfig;

/// A block's number and hash, on either layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct BlockId {
    /// The number.
    pub number: u64,
    /// The hash.
    pub hash: B256,
}

/// The facts of an L1 header that reach L2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L1Header {
    /// The number.
    pub number: u64,
    /// The hash.
    pub hash: B256,
    /// The parent's hash.
    pub parent_hash: B256,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// The base fee, in wei.
    pub base_fee: u64,
    /// What a unit of blob gas costs, in wei.
    pub blob_base_fee: u128,
    /// The randomness of the beacon chain.
    pub prev_randao: B256,
    /// The root of the parent beacon block.
    pub parent_beacon_block_root: B256,
}

/// An L1 block with what it holds for the rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct L1Block {
    /// What its header says.
    pub header: L1Header,
    /// The system config with every update of this block applied: it holds from this origin on, for batches too.
    pub system_config: SystemConfig,
    /// The deposits of users, in the order of their logs.
    pub deposits: Vec<TxDeposit>,
    /// What the batcher posted, a byte string for each transaction by calldata and for each blob, in order.
    pub inbox: Vec<Bytes>,
}

impl L1Header {
    /// Number and hash.
    pub const fn id(&self) -> BlockId {
        BlockId { number: self.number, hash: self.hash }
    }
}
