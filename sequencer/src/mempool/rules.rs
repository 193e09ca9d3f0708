//! The door: what can be said about a transaction without knowing any state.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{TxKind, U256};
use millrace_types::{Transaction, TxType};

use crate::mempool::{SubmitError, floor_gas, intrinsic_gas};

/// What the chain and its operator ask of every transaction.
///
/// The forks up to Prague (Isthmus) are taken as active. Fees above 2^128 are refused by the decoder, as no balance
/// could pay them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The chain that a transaction must be signed for.
    pub chain_id: u64,
    /// The most gas that a block may use.
    pub block_gas_limit: u64,
    /// The longest encoding.
    pub tx_bytes_max: usize,
    /// The longest init code (EIP-3860).
    pub init_code_bytes_max: usize,
    /// The least priority fee, in wei a gas.
    pub tip_min: u128,
    /// Whether legacy transactions without a chain id are welcome.
    pub unprotected_allowed: bool,
}

impl Rules {
    /// The limits that geth has, for a chain with this id and block gas limit, at no least tip.
    pub const fn new(chain_id: u64, block_gas_limit: u64) -> Self {
        Self {
            chain_id,
            block_gas_limit,
            tx_bytes_max: 128 << 10,
            init_code_bytes_max: 49_152,
            tip_min: 0,
            unprotected_allowed: false,
        }
    }

    /// Checks everything that needs no state. Call it without holding the pool's lock.
    ///
    /// `rollup_fee` is what the transaction pays for L1 data and to the operator at the newest prices; zero on chains
    /// without such fees.
    pub fn admit(&self, tx: Arc<Transaction>, rollup_fee: U256) -> Result<Admitted, SubmitError> {
        match tx.tx_type() {
            TxType::Legacy | TxType::Eip2930 | TxType::Eip1559 | TxType::Eip7702 => {}
            TxType::Eip4844 | TxType::Deposit => return Err(SubmitError::TypeNotSupported),
        }
        let size = tx.encoded().len();
        if size > self.tx_bytes_max {
            return Err(SubmitError::Oversized { size, limit: self.tx_bytes_max });
        }
        match tx.chain_id() {
            Some(have) if have != self.chain_id => {
                return Err(SubmitError::ChainId { have, want: self.chain_id });
            }
            None if !self.unprotected_allowed => return Err(SubmitError::Unprotected),
            _ => {}
        }
        if tx.kind() == TxKind::Create && tx.input().len() > self.init_code_bytes_max {
            return Err(SubmitError::InitCodeSize {
                size: tx.input().len(),
                limit: self.init_code_bytes_max,
            });
        }
        let gas = tx.gas_limit();
        if gas > self.block_gas_limit {
            return Err(SubmitError::BlockGasLimit);
        }
        let (tip, max_fee) = (tx.priority_fee_or_price(), tx.max_fee_per_gas());
        if tip > max_fee {
            return Err(SubmitError::TipAboveFeeCap { tip, max_fee });
        }
        if tx.nonce() == u64::MAX {
            return Err(SubmitError::NonceMax);
        }
        let needed = intrinsic_gas(&tx);
        if gas < needed {
            return Err(SubmitError::IntrinsicGas { gas, needed });
        }
        let needed = floor_gas(&tx);
        if gas < needed {
            return Err(SubmitError::FloorDataGas { gas, needed });
        }
        if tip < self.tip_min {
            return Err(SubmitError::TipTooLow { tip, needed: self.tip_min });
        }
        if tx.authorization_list().is_some_and(|list| list.is_empty()) {
            return Err(SubmitError::EmptyAuthorizationList);
        }
        // Neither product can overflow: 64 + 128 bits. A sum past 256 bits is more than anybody has.
        let cost = (U256::from(gas) * U256::from(max_fee))
            .saturating_add(tx.value())
            .saturating_add(rollup_fee);
        Ok(Admitted { nonce: tx.nonce(), gas, tip, max_fee, cost, tx })
    }
}

/// A transaction that passed [`Rules::admit`]: the only kind that the pool takes.
#[derive(Debug, Clone)]
pub struct Admitted {
    pub(super) tx: Arc<Transaction>,
    pub(super) nonce: u64,
    pub(super) gas: u64,
    pub(super) tip: u128,
    pub(super) max_fee: u128,
    /// The most that it can cost its sender.
    pub(super) cost: U256,
}

impl Admitted {
    /// The transaction itself.
    pub const fn transaction(&self) -> &Arc<Transaction> {
        &self.tx
    }

    /// The most that it can cost its sender: gas at the fee cap, value, L1 and operator fees.
    pub const fn cost(&self) -> U256 {
        self.cost
    }
}
