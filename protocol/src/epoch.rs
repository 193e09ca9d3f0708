//! An L1 block as the origin of L2 blocks, and what it prescribes for them.

use alloy_primitives::B256;
use op_alloy_consensus::TxDeposit;

use crate::{
    chain_spec::ChainSpec,
    eip1559_params::Eip1559Params,
    l1_attributes::L1Attributes,
    l1_block::{L1Block, L1Header},
    system_config::SystemConfig,
};

/// An L1 block as an origin: without what the batcher posted, so that a whole sequencing window fits into memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// What its header says.
    pub header: L1Header,
    /// The system config that holds from this origin on.
    pub system_config: SystemConfig,
    /// The deposits of users, for the epoch's first block.
    pub deposits: Vec<TxDeposit>,
}

/// Where a block stands among those of its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochPlace {
    /// The origin's number.
    pub l1_number: u64,
    /// How many blocks of the same origin come before.
    pub sequence_number: u64,
}

/// The part of a block that its origin decides: nobody's transactions can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prescribed {
    /// How many blocks of the same origin come before this one.
    pub sequence_number: u64,
    /// The L1 attributes, then the deposits of the epoch if this is its first block.
    pub deposits: Vec<TxDeposit>,
    /// The most gas that the block's transactions may use together.
    pub gas_limit: u64,
    /// How the base fee of the *next* block moves: what the header's `extraData` has to say.
    pub eip1559: Eip1559Params,
    /// The L1 origin's randomness.
    pub prev_randao: B256,
    /// The root of the parent beacon block of the L1 origin.
    pub parent_beacon_block_root: B256,
}

impl Epoch {
    /// What a block of this origin has to be, at this time and with a parent at this place.
    pub fn prescribe(&self, spec: &ChainSpec, parent: EpochPlace, timestamp: u64) -> Prescribed {
        let Self { header, system_config, deposits } = self;
        let is_first = parent.l1_number != header.number;
        let sequence_number = if is_first { 0 } else { parent.sequence_number + 1 };
        let attributes = L1Attributes::for_block(system_config, header, sequence_number);
        let of_users = if is_first { deposits.as_slice() } else { &[] };
        let deposits = std::iter::once(attributes.to_deposit()).chain(of_users.iter().cloned());
        let eip1559 = system_config.eip1559.unwrap_or_else(|| spec.eip1559_constants(timestamp));
        Prescribed {
            sequence_number,
            deposits: deposits.collect(),
            gas_limit: system_config.gas_limit,
            eip1559,
            prev_randao: header.prev_randao,
            parent_beacon_block_root: header.parent_beacon_block_root,
        }
    }
}

impl From<&L1Block> for Epoch {
    fn from(block: &L1Block) -> Self {
        let (header, system_config) = (block.header, block.system_config);
        Self { header, system_config, deposits: block.deposits.clone() }
    }
}
