//! An L1 chain that grows at random, with deposits, changes of the system config, and a batcher.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use millrace_protocol::{
    BlockId, ChainSpec, Eip1559Params, L1Block, L1Header, OperatorFee, RollupConfig, RollupGenesis,
    SystemConfig,
};
use op_alloy_consensus::TxDeposit;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    batcher::{Batcher, Habits},
    execution::CHAIN_ID,
    model::Model,
};

const L1_GENESIS: u64 = 50;
const GENESIS_TIME: u64 = 10_000;

/// An L1 chain, and the safe chain that follows from it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) config: RollupConfig,
    /// From the genesis of the rollup on.
    pub(crate) l1: Vec<L1Block>,
    pub(crate) model: Model,
    batcher: Batcher,
    dice: StdRng,
}

impl World {
    /// Only genesis.
    pub(crate) fn new(seed: u64, habits: Habits) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let system_config = system_config();
        let header = header(L1_GENESIS, B256::ZERO, GENESIS_TIME, &mut dice);
        let config = RollupConfig {
            spec: ChainSpec::dev(CHAIN_ID),
            genesis: RollupGenesis {
                l1: header.id(),
                l2: BlockId { number: 0, hash: keccak256("genesis") },
                l2_time: GENESIS_TIME,
                system_config,
            },
            block_time: dice.random_range(1..4),
            max_sequencer_drift: dice.random_range(10..40),
            seq_window_size: dice.random_range(3..12),
            channel_timeout: dice.random_range(1..6),
            l1_chain_id: 900,
            batch_inbox: Address::ZERO,
            deposit_contract: Address::ZERO,
            system_config_contract: Address::ZERO,
        };
        let block = L1Block { header, system_config, deposits: Vec::new(), inbox: Vec::new() };
        let mut model = Model::new(config.clone());
        model.include(block.clone(), &[]);
        Self { config, l1: vec![block], model, batcher: Batcher::new(habits), dice }
    }

    /// A world with so many L1 blocks behind genesis.
    pub(crate) fn grown(seed: u64, habits: Habits, l1_blocks: usize) -> Self {
        let mut world = Self::new(seed, habits);
        world.grow(l1_blocks);
        world
    }

    /// The same past, and from now on another future.
    pub(crate) fn fork(&self, seed: u64) -> Self {
        Self { dice: StdRng::seed_from_u64(seed), ..self.clone() }
    }

    pub(crate) fn grow(&mut self, l1_blocks: usize) {
        for _ in 0..l1_blocks {
            let block = self.next_block();
            let (inbox, channels) =
                self.batcher.post(&self.config, &self.l1, &self.model, &mut self.dice);
            let block = L1Block { inbox, ..block };
            self.model.include(block.clone(), &channels);
            self.l1.push(block);
        }
    }

    /// The next L1 block with nothing of the batcher's in it.
    fn next_block(&mut self) -> L1Block {
        let dice = &mut self.dice;
        let last = self.l1.last().unwrap();
        let gap = match dice.random_range(0..20) {
            0 => dice.random_range(20..80),
            1..4 => 1,
            _ => dice.random_range(2..12),
        };
        let time = last.header.timestamp + gap;
        let header = header(last.header.number + 1, last.header.hash, time, dice);
        let mut system_config = last.system_config;
        match dice.random_range(0..30) {
            0 => system_config.gas_limit = dice.random_range(10_000_000..60_000_000),
            1 => system_config.base_fee_scalar = dice.random(),
            2 => system_config.eip1559 = Eip1559Params::new(dice.random_range(1..100), 3).ok(),
            3 => system_config.eip1559 = None,
            4 => system_config.operator_fee = OperatorFee { scalar: dice.random(), constant: 5 },
            _ => {}
        }
        let count = dice.random_range(0..6_usize).saturating_sub(3);
        let deposits = (0..count).map(|_| deposit(dice)).collect();
        L1Block { header, system_config, deposits, inbox: Vec::new() }
    }
}

fn header(number: u64, parent_hash: B256, timestamp: u64, dice: &mut StdRng) -> L1Header {
    L1Header {
        number,
        hash: B256::new(dice.random()),
        parent_hash,
        timestamp,
        base_fee: dice.random_range(1..1_000),
        blob_base_fee: dice.random_range(1..1_000),
        prev_randao: B256::new(dice.random()),
        parent_beacon_block_root: B256::new(dice.random()),
    }
}

fn system_config() -> SystemConfig {
    SystemConfig {
        batcher: Address::repeat_byte(0xba),
        gas_limit: 30_000_000,
        base_fee_scalar: 1_000,
        blob_base_fee_scalar: 2_000,
        eip1559: None,
        operator_fee: OperatorFee::default(),
    }
}

fn deposit(dice: &mut StdRng) -> TxDeposit {
    TxDeposit {
        source_hash: B256::new(dice.random()),
        from: Address::repeat_byte(dice.random()),
        to: TxKind::Call(Address::repeat_byte(dice.random())),
        mint: dice.random_range(0..10),
        value: U256::ZERO,
        gas_limit: 100_000,
        is_system_transaction: false,
        input: Bytes::new(),
    }
}
