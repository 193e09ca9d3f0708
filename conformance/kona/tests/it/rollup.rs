//! Makes a rollup by hand: L1 blocks with deposits and config updates, the L2 blocks that follow from them, and the
//! batches that say so. Nothing is executed; state roots and gas are whatever comes to mind.

use std::{fs, ops::RangeInclusive, path::PathBuf};

use alloy_consensus::{
    Block, BlockBody, Header, SignableTransaction, TxEip1559, TxEip2930, TxLegacy, proofs,
};
use alloy_eips::{
    eip1559::{BaseFeeParams, calc_next_block_base_fee},
    eip2718::Encodable2718,
    eip7685::EMPTY_REQUESTS_HASH,
    eip7840::BlobParams,
};
use alloy_primitives::{
    Address, B256, Bytes, Sealable, Signature, TxKind, U256, address, keccak256,
};
use kona_protocol::{Batch, SingleBatch, SpanBatch};
use op_alloy_consensus::{OpBlock, OpTxEnvelope, TxDeposit};
use serde_json::json;
use tempfile::TempDir;

use crate::anvil::{self, Anvil, BATCHER, STRANGER};

pub(crate) const CHAIN_ID: u64 = 901;
pub(crate) const INBOX: Address = address!("ff00000000000000000000000000000000000901");
const PORTAL: Address = address!("00000000000000000000000000000000000a0001");
const SYSTEM_CONFIG: Address = address!("00000000000000000000000000000000000a0002");

const BEGIN: u64 = 1_700_000_000;
const L1_BLOCK_TIME: u64 = 6;
const BLOCK_TIME: u64 = 2;
const BASE_FEE_SCALAR: u32 = 1_368;
const BLOB_BASE_FEE_SCALAR: u32 = 810_949;
const OPERATOR_FEE: (u32, u64) = (7, 9);

/// Emit what they are called with: so many topics, and the rest as data.
const LOG4: &str = "0x608036038060805f376060356040356020355f35845fa400";
const LOG3: &str = "0x606036038060605f376040356020355f35835fa300";

/// What happens on L1 and shows on L2.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Deposit {
        from: Address,
        to: TxKind,
        mint: u128,
        value: u128,
        gas: u64,
        data: Bytes,
    },
    GasLimit(u64),
    /// Denominator and elasticity.
    Eip1559(u32, u32),
}

#[derive(Debug)]
pub(crate) struct Rollup {
    pub(crate) anvil: Anvil,
    folder: TempDir,
    origins: Vec<Origin>,
    /// Where the newest L2 block is: origin and sequence number.
    origin: usize,
    sequence_number: u64,
    gas_limit: u64,
    eip1559: (u32, u32),
    /// From the genesis block on.
    pub(crate) blocks: Vec<OpBlock>,
}

#[derive(Debug)]
struct Origin {
    header: Header,
    hash: B256,
    events: Vec<Event>,
}

impl Rollup {
    pub(crate) fn begin(seq_window_size: u64) -> Self {
        let anvil = Anvil::start(BEGIN);
        anvil.call("anvil_setCode", json!([PORTAL, LOG4]));
        anvil.call("anvil_setCode", json!([SYSTEM_CONFIG, LOG3]));
        let header = anvil.mine(BEGIN + L1_BLOCK_TIME);
        let genesis = Header {
            timestamp: header.timestamp,
            gas_limit: 60_000_000,
            base_fee_per_gas: Some(1_000_000_000),
            extra_data: extra_data((250, 6)),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            withdrawals_root: Some(B256::ZERO),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        };
        let body = BlockBody { withdrawals: Some(Default::default()), ..BlockBody::default() };
        let rollup = Self {
            folder: TempDir::new().unwrap(),
            origins: vec![Origin { hash: header.hash_slow(), header, events: Vec::new() }],
            origin: 0,
            sequence_number: 0,
            gas_limit: genesis.gas_limit,
            eip1559: (0, 0),
            blocks: vec![Block::new(genesis, body)],
            anvil,
        };
        fs::write(rollup.file(), rollup.json(seq_window_size).to_string()).unwrap();
        rollup
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("rollup.json")
    }

    fn json(&self, seq_window_size: u64) -> serde_json::Value {
        let (l1, l2) = (&self.origins[0], &self.blocks[0].header);
        let mut scalar = [0; 32];
        scalar[0] = 1;
        scalar[24..28].copy_from_slice(&BLOB_BASE_FEE_SCALAR.to_be_bytes());
        scalar[28..].copy_from_slice(&BASE_FEE_SCALAR.to_be_bytes());
        let mut operator_fee = [0; 32];
        operator_fee[20..24].copy_from_slice(&OPERATOR_FEE.0.to_be_bytes());
        operator_fee[24..].copy_from_slice(&OPERATOR_FEE.1.to_be_bytes());
        json!({
            "genesis": {
                "l1": { "hash": l1.hash, "number": l1.header.number },
                "l2": { "hash": l2.hash_slow(), "number": 0 },
                "l2_time": l2.timestamp,
                "system_config": {
                    "batcherAddr": BATCHER,
                    "overhead": B256::ZERO,
                    "scalar": B256::from(scalar),
                    "gasLimit": l2.gas_limit,
                    "eip1559Params": "0x0000000000000000",
                    "operatorFeeParams": B256::from(operator_fee),
                }
            },
            "block_time": BLOCK_TIME,
            "max_sequencer_drift": 1800,
            "seq_window_size": seq_window_size,
            "channel_timeout": 50,
            "l1_chain_id": anvil::CHAIN_ID,
            "l2_chain_id": CHAIN_ID,
            "regolith_time": 0, "canyon_time": 0, "delta_time": 0, "ecotone_time": 0,
            "fjord_time": 0, "granite_time": 0, "holocene_time": 0, "isthmus_time": 0,
            "batch_inbox_address": INBOX,
            "deposit_contract_address": PORTAL,
            "l1_system_config_address": SYSTEM_CONFIG,
            "protocol_versions_address": Address::ZERO,
            "chain_op_config": {
                "eip1559Elasticity": 6,
                "eip1559Denominator": 250,
                "eip1559DenominatorCanyon": 250,
            },
        })
    }

    /// Mines an L1 block of everything that was sent, and of these events.
    pub(crate) fn mine(&mut self, events: &[Event]) {
        for event in events {
            let (to, input) = event.call();
            self.anvil.send(STRANGER, to, input);
        }
        let timestamp = self.origins[self.origins.len() - 1].header.timestamp + L1_BLOCK_TIME;
        let header = self.anvil.mine(timestamp);
        self.origins.push(Origin { hash: header.hash_slow(), header, events: events.to_vec() });
    }

    /// Builds blocks of so many transactions each until the newest L1 block is the origin of one.
    pub(crate) fn build(&mut self, transactions: usize) {
        while self.origin + 1 < self.origins.len() {
            self.build_one(transactions);
        }
    }

    pub(crate) fn build_one(&mut self, transactions: usize) {
        let parent = &self.blocks[self.blocks.len() - 1].header;
        let timestamp = parent.timestamp + BLOCK_TIME;
        let next = self.origins.get(self.origin + 1);
        let advances = next.is_some_and(|next| next.header.timestamp <= timestamp);
        self.origin += usize::from(advances);
        self.sequence_number = if advances { 0 } else { self.sequence_number + 1 };
        let origin = &self.origins[self.origin];
        let mut deposits = vec![attributes(origin, self.sequence_number)];
        for (index, event) in origin.events.iter().enumerate().filter(|_| advances) {
            match event {
                Event::Deposit { .. } => deposits.push(event.deposit(origin.hash, index)),
                Event::GasLimit(limit) => self.gas_limit = *limit,
                Event::Eip1559(denominator, elasticity) => {
                    self.eip1559 = (*denominator, *elasticity);
                }
            }
        }
        let deposits = deposits.into_iter().map(|tx| OpTxEnvelope::Deposit(tx.seal_slow()));
        let salt = self.blocks.len() as u64 * 1_000;
        let batched = (0..transactions as u64).map(|index| transaction(salt + index));
        let (denominator, elasticity) = base_fee_params(&parent.extra_data);
        let header = Header {
            parent_hash: parent.hash_slow(),
            beneficiary: address!("4200000000000000000000000000000000000011"),
            state_root: keccak256(timestamp.to_be_bytes()),
            receipts_root: B256::repeat_byte(3),
            number: parent.number + 1,
            gas_limit: self.gas_limit,
            gas_used: 21_000 * (1 + transactions as u64),
            timestamp,
            mix_hash: origin.header.mix_hash,
            base_fee_per_gas: Some(calc_next_block_base_fee(
                parent.gas_used,
                parent.gas_limit,
                parent.base_fee_per_gas.unwrap(),
                BaseFeeParams::new(denominator.into(), elasticity.into()),
            )),
            extra_data: extra_data(if self.eip1559 == (0, 0) { (250, 6) } else { self.eip1559 }),
            parent_beacon_block_root: Some(
                origin.header.parent_beacon_block_root.unwrap_or_default(),
            ),
            withdrawals_root: Some(B256::repeat_byte(4)),
            ..self.blocks[0].header.clone()
        };
        let transactions = deposits.chain(batched).collect();
        let body = BlockBody { transactions, ..self.blocks[0].body.clone() };
        let mut block = Block::new(header, body);
        commit_to_transactions(&mut block);
        self.blocks.push(block);
    }

    /// The batches of the blocks from a number on.
    pub(crate) fn batches(&self, from: usize) -> Vec<SingleBatch> {
        self.blocks[from..].iter().map(|block| self.batch(block)).collect()
    }

    /// One batch for some blocks.
    pub(crate) fn span(&self, blocks: RangeInclusive<usize>) -> Batch {
        let genesis_timestamp = self.blocks[0].header.timestamp;
        let mut span = SpanBatch { chain_id: CHAIN_ID, genesis_timestamp, ..SpanBatch::default() };
        for block in &self.blocks[blocks] {
            let OpTxEnvelope::Deposit(attributes) = &block.body.transactions[0] else { panic!() };
            let sequence_number = u64::from_be_bytes(attributes.input[12..20].try_into().unwrap());
            let mut batch = self.batch(block);
            // The encoder reads transactions as they travel between nodes: the typed ones inside a string.
            for bytes in batch.transactions.iter_mut().filter(|bytes| bytes[0] < 0x80) {
                *bytes = alloy_rlp::encode(&*bytes).into();
            }
            span.append_singular_batch(batch, sequence_number).unwrap();
        }
        Batch::Span(span)
    }

    fn batch(&self, block: &OpBlock) -> SingleBatch {
        let is_batched = |tx: &&OpTxEnvelope| !matches!(tx, OpTxEnvelope::Deposit(_));
        let batched = block.body.transactions.iter().filter(is_batched);
        let OpTxEnvelope::Deposit(attributes) = &block.body.transactions[0] else { panic!() };
        SingleBatch {
            parent_hash: block.header.parent_hash,
            epoch_num: u64::from_be_bytes(attributes.input[28..36].try_into().unwrap()),
            epoch_hash: B256::from_slice(&attributes.input[100..132]),
            timestamp: block.header.timestamp,
            transactions: batched.map(|tx| tx.encoded_2718().into()).collect(),
        }
    }
}

/// After a change of a block's body.
pub(crate) fn commit_to_transactions(block: &mut OpBlock) {
    block.header.transactions_root = proofs::calculate_transaction_root(&block.body.transactions);
}

impl Event {
    /// The call that makes a contract emit the event.
    fn call(&self) -> (Address, Bytes) {
        let word = |value: u128| B256::from(U256::from(value));
        let update = |kind, value| {
            let topics =
                [keccak256("ConfigUpdate(uint256,uint8,bytes)"), word(0), word(kind)].concat();
            let data = [word(32), word(32), word(value)].concat();
            (SYSTEM_CONFIG, [topics, data].concat().into())
        };
        match self {
            Self::GasLimit(limit) => update(2, (*limit).into()),
            Self::Eip1559(denominator, elasticity) => {
                update(4, u128::from(*denominator) << 32 | u128::from(*elasticity))
            }
            Self::Deposit { from, to, mint, value, gas, data } => {
                let signature = "TransactionDeposited(address,address,uint256,bytes)";
                let receiver = to.to().copied().unwrap_or_default();
                let topics =
                    [keccak256(signature), from.into_word(), receiver.into_word(), word(0)];
                let mut opaque = [word(*mint), word(*value)].concat();
                opaque.extend(gas.to_be_bytes());
                opaque.push(to.is_create().into());
                opaque.extend(data);
                let length = word(opaque.len() as u128);
                opaque.resize(opaque.len().next_multiple_of(32), 0);
                let topics = topics.concat();
                let head = [word(32), length].concat();
                (PORTAL, [topics, head, opaque].concat().into())
            }
        }
    }

    /// The transaction on L2 that it makes, from the specification.
    fn deposit(&self, l1_hash: B256, log_index: usize) -> TxDeposit {
        let Self::Deposit { from, to, mint, value, gas, data } = self else { panic!() };
        TxDeposit {
            source_hash: source_hash(0, l1_hash, log_index as u64),
            from: *from,
            to: *to,
            mint: *mint,
            value: U256::from(*value),
            gas_limit: *gas,
            is_system_transaction: false,
            input: data.clone(),
        }
    }
}

fn source_hash(domain: u64, l1_hash: B256, number: u64) -> B256 {
    let word = |number| B256::from(U256::from(number));
    let inner = keccak256([l1_hash, word(number)].concat());
    keccak256([word(domain), inner].concat())
}

/// The first transaction of a block, from the specification.
fn attributes(origin: &Origin, sequence_number: u64) -> TxDeposit {
    let l1 = &origin.header;
    let mut input = vec![0x09, 0x89, 0x99, 0xbe];
    input.extend(BASE_FEE_SCALAR.to_be_bytes());
    input.extend(BLOB_BASE_FEE_SCALAR.to_be_bytes());
    input.extend(sequence_number.to_be_bytes());
    input.extend(l1.timestamp.to_be_bytes());
    input.extend(l1.number.to_be_bytes());
    input.extend(B256::from(U256::from(l1.base_fee_per_gas.unwrap())));
    input.extend(B256::from(U256::from(l1.blob_fee(BlobParams::prague()).unwrap())));
    input.extend(origin.hash);
    input.extend(BATCHER.into_word());
    input.extend(OPERATOR_FEE.0.to_be_bytes());
    input.extend(OPERATOR_FEE.1.to_be_bytes());
    TxDeposit {
        source_hash: source_hash(1, origin.hash, sequence_number),
        from: address!("deaddeaddeaddeaddeaddeaddeaddeaddead0001"),
        to: address!("4200000000000000000000000000000000000015").into(),
        mint: 0,
        value: U256::ZERO,
        gas_limit: 1_000_000,
        is_system_transaction: false,
        input: input.into(),
    }
}

/// Of each type in turn. Nobody recovers the signature.
fn transaction(number: u64) -> OpTxEnvelope {
    let signature = Signature::test_signature();
    let to = TxKind::Call(Address::repeat_byte(number as u8));
    let (chain_id, value) = (CHAIN_ID, U256::from(number));
    match number % 3 {
        0 => TxLegacy { chain_id: Some(CHAIN_ID), nonce: number, to, value, ..TxLegacy::default() }
            .into_signed(signature)
            .into(),
        1 => TxEip2930 { chain_id, nonce: number, to, value, ..TxEip2930::default() }
            .into_signed(signature)
            .into(),
        _ => TxEip1559 { chain_id, nonce: number, to, value, ..TxEip1559::default() }
            .into_signed(signature)
            .into(),
    }
}

fn extra_data((denominator, elasticity): (u32, u32)) -> Bytes {
    [&[0][..], &denominator.to_be_bytes(), &elasticity.to_be_bytes()].concat().into()
}

fn base_fee_params(extra_data: &[u8]) -> (u32, u32) {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    (number(&extra_data[1..5]), number(&extra_data[5..]))
}
