//! What is fixed about a block before anything in it runs.

use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, B256, Bytes};
use millrace_types::{Header, SealedHeader};

/// All that a header needs and execution does not produce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockAttributes {
    /// The block that this one is built on.
    pub parent: SealedHeader,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// Whom tips are paid to.
    pub beneficiary: Address,
    /// The most gas that the block's transactions may use together.
    pub gas_limit: u64,
    /// What each unit of gas costs at least.
    pub base_fee: u64,
    /// The randomness of the beacon chain: on a rollup, that of the L1 origin.
    pub prev_randao: B256,
    /// The root of the parent beacon block: on a rollup, that of the L1 origin.
    pub parent_beacon_block_root: B256,
    /// Free bytes on Ethereum; the EIP-1559 parameters on a rollup since Holocene.
    pub extra_data: Bytes,
    /// What blobs cost, in the header's terms. Zero on a rollup.
    pub excess_blob_gas: u64,
}

impl BlockAttributes {
    /// What was fixed about a block that is already sealed.
    pub fn of(header: &Header, parent: SealedHeader) -> Self {
        Self {
            parent,
            timestamp: header.timestamp,
            beneficiary: header.beneficiary,
            gas_limit: header.gas_limit,
            base_fee: header.base_fee_per_gas.unwrap_or_default(),
            prev_randao: header.mix_hash,
            parent_beacon_block_root: header.parent_beacon_block_root.unwrap_or_default(),
            extra_data: header.extra_data.clone(),
            excess_blob_gas: header.excess_blob_gas.unwrap_or_default(),
        }
    }

    /// The block's number.
    pub fn number(&self) -> u64 {
        self.parent.number + 1
    }
}

/// What code can find out about the block that it runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockContext {
    /// The block's number.
    pub number: u64,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// Whom tips are paid to.
    pub beneficiary: Address,
    /// The most gas that the block's transactions may use together.
    pub gas_limit: u64,
    /// What each unit of gas costs at least.
    pub base_fee: u64,
    /// The randomness of the beacon chain.
    pub prev_randao: B256,
    /// What a unit of blob gas costs.
    pub blob_base_fee: BlobFee,
}

/// What blob gas costs: by the header's rule, or as a caller wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobFee {
    /// What this much excess blob gas makes it.
    Excess(u64),
    /// Exactly this.
    Fixed(u128),
}

impl BlobFee {
    /// The price of a unit of blob gas under these parameters.
    pub(crate) fn price(self, params: &BlobParams) -> u128 {
        match self {
            Self::Excess(excess) => params.calc_blob_fee(excess),
            Self::Fixed(price) => price,
        }
    }
}

impl From<&BlockAttributes> for BlockContext {
    fn from(attributes: &BlockAttributes) -> Self {
        Self {
            number: attributes.number(),
            timestamp: attributes.timestamp,
            beneficiary: attributes.beneficiary,
            gas_limit: attributes.gas_limit,
            base_fee: attributes.base_fee,
            prev_randao: attributes.prev_randao,
            blob_base_fee: BlobFee::Excess(attributes.excess_blob_gas),
        }
    }
}

/// Calls against a sealed block run as if they were part of it.
impl From<&Header> for BlockContext {
    fn from(header: &Header) -> Self {
        Self {
            number: header.number,
            timestamp: header.timestamp,
            beneficiary: header.beneficiary,
            gas_limit: header.gas_limit,
            base_fee: header.base_fee_per_gas.unwrap_or_default(),
            prev_randao: header.mix_hash,
            blob_base_fee: BlobFee::Excess(header.excess_blob_gas.unwrap_or_default()),
        }
    }
}
