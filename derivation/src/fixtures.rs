//! A small rollup for unit tests: L1 blocks at chosen times, and a safe head at a chosen place.

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use millrace_protocol::{
    Batch, BlockId, ChainSpec, ChannelId, CompressionAlgo, Frame, L1Block, L1Header, OperatorFee,
    RollupConfig, RollupGenesis, SingularBatch, SpanBlock, SpanBuilder, SystemConfig, compress,
    encode_frames,
};

use crate::{epochs::Epochs, frontier::Frontier, safe_chain::L2Ref};

/// The first L1 block.
pub(crate) const L1_GENESIS: u64 = 100;
/// When both chains begin.
pub(crate) const GENESIS_TIME: u64 = 1_000;
pub(crate) const BLOCK_TIME: u64 = 2;
pub(crate) const WINDOW: u64 = 4;
pub(crate) const DRIFT: u64 = 20;

pub(crate) fn system_config() -> SystemConfig {
    SystemConfig {
        batcher: Address::repeat_byte(0xba),
        gas_limit: 30_000_000,
        base_fee_scalar: 1,
        blob_base_fee_scalar: 2,
        eip1559: None,
        operator_fee: OperatorFee::default(),
    }
}

pub(crate) fn config() -> RollupConfig {
    RollupConfig {
        spec: ChainSpec::dev(901),
        genesis: RollupGenesis {
            l1: BlockId { number: L1_GENESIS, hash: l1_hash(L1_GENESIS) },
            l2: BlockId { number: 0, hash: l2_hash(0) },
            l2_time: GENESIS_TIME,
            system_config: system_config(),
        },
        block_time: BLOCK_TIME,
        max_sequencer_drift: DRIFT,
        seq_window_size: WINDOW,
        channel_timeout: 3,
        l1_chain_id: 900,
        batch_inbox: Address::repeat_byte(1),
        deposit_contract: Address::repeat_byte(2),
        system_config_contract: Address::repeat_byte(3),
    }
}

pub(crate) fn l1_hash(number: u64) -> B256 {
    keccak256(format!("l1 {number}"))
}

pub(crate) fn l2_hash(number: u64) -> B256 {
    keccak256(format!("l2 {number}"))
}

pub(crate) fn l1_block(number: u64, timestamp: u64, inbox: Vec<Bytes>) -> L1Block {
    L1Block {
        header: L1Header {
            number,
            hash: l1_hash(number),
            parent_hash: l1_hash(number - 1),
            timestamp,
            base_fee: 7,
            blob_base_fee: 1,
            prev_randao: B256::repeat_byte(number as u8),
            parent_beacon_block_root: B256::repeat_byte(!number as u8),
        },
        system_config: system_config(),
        deposits: Vec::new(),
        inbox,
    }
}

/// The block of this number, with this origin.
pub(crate) fn l2_ref(number: u64, origin: u64) -> L2Ref {
    L2Ref {
        id: BlockId { number, hash: l2_hash(number) },
        parent_hash: l2_hash(number.wrapping_sub(1)),
        timestamp: GENESIS_TIME + number * BLOCK_TIME,
        origin: BlockId { number: origin, hash: l1_hash(origin) },
        sequence_number: 0,
    }
}

/// A safe head, and L1 blocks from its origin on.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) config: RollupConfig,
    pub(crate) safe: L2Ref,
    pub(crate) epochs: Epochs,
    pub(crate) l1: BlockId,
}

impl Place {
    /// The safe head has this number and origin; L1 blocks from that origin on have these times.
    pub(crate) fn new(safe: u64, origin: u64, l1_times: &[u64]) -> Self {
        let mut epochs = Epochs::default();
        let mut l1 = BlockId::default();
        for (number, time) in (origin..).zip(l1_times) {
            epochs.push(&l1_block(number, *time, Vec::new()));
            l1 = BlockId { number, hash: l1_hash(number) };
        }
        Self { config: config(), safe: l2_ref(safe, origin), epochs, l1 }
    }

    pub(crate) fn frontier(&self) -> Frontier<'_> {
        Frontier { config: &self.config, safe: &self.safe, epochs: &self.epochs, l1: self.l1 }
    }
}

/// A transaction that is well formed, and nothing more.
pub(crate) fn transaction(nonce: u64) -> Bytes {
    let transaction = TxEip1559 {
        chain_id: 901,
        nonce,
        to: Address::repeat_byte(0x70).into(),
        ..TxEip1559::default()
    };
    let signature = Signature::new(U256::from(1), U256::from(nonce + 1), false);
    transaction.into_signed(signature).encoded_2718().into()
}

/// A batch of one block, whose transactions have these nonces.
pub(crate) fn singular(number: u64, origin: u64, nonces: &[u64]) -> Vec<u8> {
    let batch = SingularBatch {
        parent_hash: l2_hash(number - 1),
        epoch: BlockId { number: origin, hash: l1_hash(origin) },
        timestamp: GENESIS_TIME + number * BLOCK_TIME,
        transactions: nonces.iter().copied().map(transaction).collect(),
    };
    Batch::Singular(batch).encode()
}

/// A batch of consecutive blocks behind the one of this number: the origin and the nonces of each.
pub(crate) fn span(parent: u64, parent_origin: u64, blocks: &[(u64, &[u64])]) -> SpanBuilder {
    let mut span = SpanBuilder::new(&config(), l2_hash(parent));
    let mut last_origin = parent_origin;
    for (number, (origin, nonces)) in (parent + 1..).zip(blocks) {
        let block = SpanBlock {
            timestamp: GENESIS_TIME + number * BLOCK_TIME,
            l1_origin: BlockId { number: *origin, hash: l1_hash(*origin) },
            sequence_number: u64::from(*origin == last_origin),
        };
        last_origin = *origin;
        let transactions: Vec<_> = nonces.iter().copied().map(transaction).collect();
        span.push(block, &transactions).unwrap();
    }
    span
}

/// What the batcher posts when it puts these batches into a channel of this name.
pub(crate) fn channel<B: AsRef<[u8]>>(name: u8, batches: &[B]) -> Bytes {
    let data = compress(batches, CompressionAlgo::Zlib { level: 6 }).unwrap().into();
    let frame = Frame { channel: ChannelId([name; 16]), number: 0, data, is_last: true };
    encode_frames(&[frame]).into()
}
