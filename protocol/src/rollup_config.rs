//! What is fixed about a rollup for ever: where it begins, where it lives on L1, and its derivation constants.

use alloy_primitives::Address;

use crate::{
    chain_spec::ChainSpec, l1_attributes::OperatorFee, l1_block::BlockId,
    system_config::SystemConfig,
};

/// A rollup's identity: two nodes that agree on it derive the same chain from the same L1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupConfig {
    /// The chain id and forks of L2.
    pub spec: ChainSpec,
    /// Where both chains begin.
    pub genesis: RollupGenesis,
    /// Seconds between L2 blocks.
    pub block_time: u64,
    /// How far an L2 block's time may run ahead of its origin's before it must be empty, in seconds (1800 since Fjord).
    pub max_sequencer_drift: u64,
    /// How many L1 blocks after its epoch a batch may still be included.
    pub seq_window_size: u64,
    /// How many L1 blocks a channel may take from its first frame to its last.
    pub channel_timeout: u64,
    /// The chain id of L1.
    pub l1_chain_id: u64,
    /// Where batches are sent.
    pub batch_inbox: Address,
    /// The portal, whose events are deposits.
    pub deposit_contract: Address,
    /// The contract whose events change the system config.
    pub system_config_contract: Address,
}

/// Where a rollup begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollupGenesis {
    /// The origin of the genesis block; derivation reads L1 from the next one on.
    pub l1: BlockId,
    /// The genesis block.
    pub l2: BlockId,
    /// Its timestamp.
    pub l2_time: u64,
    /// The system config that it begins with.
    pub system_config: SystemConfig,
}

impl RollupConfig {
    /// A rollup with the constants that nearly all have, on no particular L1 and with no contracts there: for whoever needs
    /// a rollup before there is one, and for tests.
    pub fn usual(chain_id: u64) -> Self {
        let system_config = SystemConfig {
            batcher: Address::ZERO,
            gas_limit: 30_000_000,
            base_fee_scalar: 0,
            blob_base_fee_scalar: 0,
            eip1559: None,
            operator_fee: OperatorFee::default(),
        };
        let (l1, l2) = (BlockId::default(), BlockId::default());
        Self {
            spec: ChainSpec::dev(chain_id),
            genesis: RollupGenesis { l1, l2, l2_time: 1_000, system_config },
            block_time: 2,
            max_sequencer_drift: 1_800,
            seq_window_size: 3_600,
            channel_timeout: 50,
            l1_chain_id: 900,
            batch_inbox: Address::ZERO,
            deposit_contract: Address::ZERO,
            system_config_contract: Address::ZERO,
        }
    }
}
