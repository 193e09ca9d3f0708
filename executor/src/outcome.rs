//! What became of transactions.

use std::{sync::Arc, time::Instant};

use alloy_primitives::{B256, U256};
use millrace_protocol::{DataSize, OpFork, compressed_len};
use millrace_types::{StateDiff, Transaction};

use crate::StateError;

/// A transaction that may become part of a block, with what was found out about it at admission.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// The room that it is estimated to take on L1; its L1 fee follows from it.
    pub data_size: DataSize,
}

impl Candidate {
    /// Estimates the transaction's size, unless that was done before.
    pub fn new(transaction: Arc<Transaction>) -> Self {
        let data_size = data_size(&transaction);
        Self { transaction, data_size }
    }
}

/// The room that a transaction is estimated to take on L1.
///
/// The first estimate takes a microsecond or two, which is longer than executing a transfer. The transaction remembers it, so
/// that admission, execution and whoever asks for fees share one.
pub fn data_size(transaction: &Transaction) -> DataSize {
    DataSize::from_compressed_len(transaction.compressed_len(compressed_len))
}

/// What a block may hold, besides its gas limit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most gas that all transactions may use, if less than the block's gas limit.
    pub gas: u64,
    /// The most room, in bytes, that all transactions that are not deposits are estimated to take on L1.
    pub data_bytes: u64,
    /// When no more transactions are to be begun, on whatever thread. Somebody looks every few milliseconds.
    pub deadline: Option<Instant>,
}

impl Limits {
    /// Nothing beyond the block's own gas limit.
    pub const NONE: Self = Self { gas: u64::MAX, data_bytes: u64::MAX, deadline: None };

    /// Whether the time is up.
    pub(crate) fn expired(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// What became of a group of candidates.
#[derive(Debug, Clone)]
pub struct Group {
    /// One outcome a candidate, in their order.
    pub outcomes: Vec<Outcome>,
    /// What the group changed, step by step, the oldest first.
    pub diffs: Vec<Arc<StateDiff>>,
}

/// What became of one candidate.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is part of the block.
    Included(Included),
    /// It is not, and left no trace.
    Rejected(Rejection),
    /// It is not, for lack of room: it may fit the next block.
    DoesNotFit(Full),
}

/// A transaction that is part of a block. Its receipt is the block's at the same index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Included {
    /// Its place in the block.
    pub index: usize,
    /// The gas that it used.
    pub gas_used: u64,
    /// What it paid for its data on L1, whatever its gas.
    pub l1_fee: U256,
}

/// Which limit leaves no room for a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Its gas limit exceeds the gas that is left.
    Gas,
    /// Its data exceeds what is left of the block's share of L1.
    Data,
    /// Its turn did not come before the time was up.
    Time,
}

/// Why a transaction cannot be part of a block at this point.
///
/// The messages begin with the words that wallets look for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The sender's earlier transactions are missing.
    #[error("nonce too high: next nonce {state}, tx nonce {transaction}")]
    NonceTooHigh {
        /// The transaction's nonce.
        transaction: u64,
        /// The sender's.
        state: u64,
    },
    /// Another transaction took its place.
    #[error("nonce too low: next nonce {state}, tx nonce {transaction}")]
    NonceTooLow {
        /// The transaction's nonce.
        transaction: u64,
        /// The sender's.
        state: u64,
    },
    /// The sender cannot pay for it: value, gas at the fee cap, data and operator fee together.
    #[error("insufficient funds for gas * price + value: have {balance} want {required}")]
    InsufficientFunds {
        /// What it may cost.
        required: U256,
        /// What the sender has.
        balance: U256,
    },
    /// Its fee cap is below the block's base fee.
    #[error(
        "max fee per gas less than block base fee: maxFeePerGas: {fee_cap}, baseFee: {base_fee}"
    )]
    FeeCapBelowBaseFee {
        /// The most that it pays for a unit of gas.
        fee_cap: u128,
        /// The block's price.
        base_fee: u64,
    },
    /// The sender's account holds code that is no delegation (EIP-3607).
    #[error("sender not an eoa")]
    SenderHasCode,
    /// It can never be part of a block under these rules.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl Rejection {
    /// Whether it might be accepted later, in this block or another, without being signed again.
    pub const fn is_temporary(&self) -> bool {
        !matches!(self, Self::NonceTooLow { .. } | Self::Invalid(_))
    }
}

/// What is wrong with a transaction, whatever the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It pays less gas than it needs before its first instruction.
    #[error("intrinsic gas too low: gas {gas_limit}, minimum needed {required}")]
    IntrinsicGas {
        /// What it pays.
        gas_limit: u64,
        /// What it needs.
        required: u64,
    },
    /// It pays less gas than its calldata costs at least (EIP-7623).
    #[error("insufficient gas for floor data gas cost: gas {gas_limit}, minimum needed {required}")]
    FloorGas {
        /// What it pays.
        gas_limit: u64,
        /// What it needs.
        required: u64,
    },
    /// Its gas limit is above that of a block or of a transaction.
    #[error("exceeds block gas limit")]
    GasLimit,
    /// Its tip is above its fee cap.
    #[error("max priority fee per gas higher than max fee per gas")]
    TipAboveFeeCap,
    /// Its init code is too long (EIP-3860).
    #[error("max initcode size exceeded")]
    InitCodeSize,
    /// It was signed for another chain, or for none.
    #[error("invalid chain id for signer")]
    ChainId,
    /// Its nonce is the largest, which would have no successor.
    #[error("nonce has max value")]
    NonceMax,
    /// The chain does not know transactions of its type.
    #[error("transaction type not supported")]
    Type,
    /// A delegating transaction that delegates nothing (EIP-7702).
    #[error("EIP-7702 transaction with empty auth list")]
    NoAuthorizations,
    /// A blob transaction whose blobs are wrong.
    #[error("invalid blobs: {0}")]
    Blobs(&'static str),
    /// A deposit that calls itself a system transaction, which Regolith abolished.
    #[error("system transactions are not supported")]
    SystemTransaction,
    /// A deposit where only signed transactions belong, or the other way round.
    #[error("deposits cannot be candidates, and only they come first")]
    Misplaced,
    /// Anything else that the EVM refuses.
    #[error("{0}")]
    Other(String),
}

/// Why a block could not be executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The state could not be read. The block must be abandoned.
    #[error(transparent)]
    State(#[from] StateError),
    /// Blocks this old follow rules that are not implemented.
    #[error("blocks before {} cannot be executed, and this one follows {}", OpFork::OLDEST_EXECUTED.name(), .0.name())]
    UnsupportedFork(OpFork),
    /// A fixed block holds a transaction that cannot be part of it.
    #[error("transaction {index} ({hash}): {reason}")]
    InvalidTransaction {
        /// Its place.
        index: usize,
        /// Its hash.
        hash: B256,
        /// What is wrong.
        reason: Box<Rejection>,
    },
    /// A fixed block, or the deposits of one, needs more gas than the block has.
    #[error("transaction {index} ({hash}): gas limit reached")]
    GasLimitReached {
        /// Its place.
        index: usize,
        /// Its hash.
        hash: B256,
    },
    /// The EVM broke a promise.
    #[error("evm: {0}")]
    Evm(String),
}
