//! What is measured: a state and blocks of transactions on top of it, and short ways to write them.

use std::{rc::Rc, sync::Arc};

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::{
    eip2718::Encodable2718, eip2935::HISTORY_STORAGE_ADDRESS, eip2935::HISTORY_STORAGE_CODE,
    eip4788::BEACON_ROOTS_ADDRESS, eip4788::BEACON_ROOTS_CODE,
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use millrace_executor::{BlockAttributes, Candidate};
use millrace_types::{Header, SealedHeader, Transaction, TxEnvelope};
use revm::context::TxEnv;

use crate::{memory::Memory, plain};

/// The number of the first block, and its time.
pub(crate) const FIRST_BLOCK: u64 = 1_000;

const BASE_FEE: u64 = 1_000_000_000;
const TIP: u128 = 1_000_000_000;

/// A state and the blocks that are executed on it.
pub(crate) struct Scene {
    pub(crate) chain_id: u64,
    pub(crate) memory: Memory,
    pub(crate) blocks: Vec<Block>,
    /// Whether each block begins with the scene's state, rather than with what the block before has left.
    pub(crate) independent: bool,
}

/// A block to be executed, in the forms that either side wants.
pub(crate) struct Block {
    pub(crate) attributes: BlockAttributes,
    pub(crate) candidates: Arc<[Candidate]>,
    pub(crate) transactions: Vec<Arc<Transaction>>,
    /// For the baseline.
    pub(crate) envs: Vec<Rc<TxEnv>>,
}

impl Scene {
    /// These transactions as one block.
    pub(crate) fn one_block(memory: Memory, transactions: Vec<Arc<Transaction>>) -> Self {
        Self::chain(memory, vec![transactions])
    }

    /// Blocks of these transactions, one on top of the other.
    pub(crate) fn chain(mut memory: Memory, blocks: Vec<Vec<Arc<Transaction>>>) -> Self {
        memory.deploy(BEACON_ROOTS_ADDRESS, &BEACON_ROOTS_CODE);
        memory.deploy(HISTORY_STORAGE_ADDRESS, &HISTORY_STORAGE_CODE);
        // As on any chain that is not in its first block.
        memory.fund(beneficiary(), U256::from(1));
        let blocks = blocks
            .into_iter()
            .zip(FIRST_BLOCK..)
            .map(|(transactions, number)| Block::new(attributes(number), transactions))
            .collect();
        Self { chain_id: 1, memory, blocks, independent: false }
    }

    /// How many transactions there are.
    pub(crate) fn transactions(&self) -> usize {
        self.blocks.iter().map(|block| block.transactions.len()).sum()
    }
}

impl Block {
    pub(crate) fn new(attributes: BlockAttributes, transactions: Vec<Arc<Transaction>>) -> Self {
        Self {
            attributes,
            candidates: transactions.iter().cloned().map(Candidate::new).collect(),
            envs: transactions
                .iter()
                .map(|transaction| Rc::new(plain::tx_env(transaction)))
                .collect(),
            transactions,
        }
    }
}

/// Somebody. Different indices, different addresses, in no order.
pub(crate) fn user(index: usize) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

/// More than anybody can spend.
pub(crate) fn wealth() -> U256 {
    U256::from(10).pow(U256::from(24))
}

/// A state in which so many users are rich.
pub(crate) fn rich(users: usize) -> Memory {
    let mut memory = Memory::default();
    for index in 0..users {
        memory.fund(user(index), wealth());
    }
    memory
}

/// A transfer of one wei.
pub(crate) fn transfer(from: Address, nonce: u64, to: Address) -> Arc<Transaction> {
    let value = U256::from(1);
    transaction(from, TxEip1559 { nonce, gas_limit: 21_000, to: to.into(), value, ..priced() })
}

/// A call of a contract.
pub(crate) fn call(
    from: Address,
    nonce: u64,
    to: Address,
    gas_limit: u64,
    input: Bytes,
) -> Arc<Transaction> {
    transaction(from, TxEip1559 { nonce, gas_limit, to: TxKind::Call(to), input, ..priced() })
}

fn priced() -> TxEip1559 {
    TxEip1559 {
        chain_id: 1,
        max_fee_per_gas: 2 * u128::from(BASE_FEE) + TIP,
        max_priority_fee_per_gas: TIP,
        ..TxEip1559::default()
    }
}

/// Signed by nobody: both sides believe the sender that they are told. What stands for the signature makes the hash
/// differ from that of somebody else's transaction with the same content.
fn transaction(from: Address, tx: TxEip1559) -> Arc<Transaction> {
    let signature = Signature::new(from.into_word().into(), U256::from(1), false);
    enveloped(TxEnvelope::Eip1559(tx.into_signed(signature)), from)
}

pub(crate) fn enveloped(envelope: TxEnvelope, sender: Address) -> Arc<Transaction> {
    let encoded = envelope.encoded_2718().into();
    Arc::new(Transaction::decode_with_sender(encoded, sender).unwrap())
}

fn beneficiary() -> Address {
    Address::repeat_byte(0xbe)
}

fn attributes(number: u64) -> BlockAttributes {
    let parent = Header { number: number - 1, timestamp: number - 1, ..Header::default() };
    BlockAttributes {
        parent: SealedHeader::seal_slow(parent),
        timestamp: number,
        beneficiary: beneficiary(),
        gas_limit: u64::MAX / 2,
        base_fee: BASE_FEE,
        prev_randao: B256::repeat_byte(0x5a),
        parent_beacon_block_root: B256::repeat_byte(0xb0),
        extra_data: Bytes::new(),
        excess_blob_gas: 0,
    }
}
