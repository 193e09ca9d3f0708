//! What decides whether a block was executed rightly: somebody else executes its transactions one by one, in the order
//! of the block, and everything that can be seen must be the same.
//!
//! On Ethereum that is revm as it comes, over a plain map. The rules of a rollup exist only once in this repository, so
//! there it is the executor itself, on one thread and with one transaction at a time.

mod check;
mod memory;
mod plain;
mod sequential;

use std::sync::Arc;

use alloy_primitives::{Address, Bytes, Log, U256};
use millrace_executor::{BlockAttributes, Candidate, Rejection};
use millrace_types::{Account, Transaction};

pub(crate) use self::{
    check::{Build, build, check, check_replay},
    memory::Memory,
};
use self::{plain::PlainRevm, sequential::Sequential};

/// Whose rules a chain follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Ethereum,
    Rollup,
}

/// What executing one transaction gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) success: bool,
    pub(crate) gas_used: u64,
    pub(crate) l1_fee: U256,
    pub(crate) logs: Vec<Log>,
}

/// Why a transaction is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Plain revm says so, in words that are not the executor's.
    Words(#[expect(dead_code, reason = "printed when a transaction should be valid")] String),
    Reason(Rejection),
    NoRoom,
}

/// A block that is executed one transaction at a time.
#[derive(Debug)]
pub(crate) enum Oracle {
    Plain(Box<PlainRevm>),
    Sequential(Box<Sequential>),
}

impl Oracle {
    /// Begins the block: does what precedes its first transaction.
    pub(crate) fn open(
        family: Family,
        chain_id: u64,
        attributes: &BlockAttributes,
        before: &Memory,
    ) -> Self {
        match family {
            Family::Ethereum => {
                Self::Plain(Box::new(PlainRevm::open(chain_id, attributes, before)))
            }
            Family::Rollup => {
                Self::Sequential(Box::new(Sequential::open(chain_id, attributes, before)))
            }
        }
    }

    /// Executes the next transaction. One that is refused leaves no trace.
    pub(crate) fn execute(&mut self, transaction: &Arc<Transaction>) -> Result<Verdict, Refusal> {
        match self {
            Self::Plain(plain) => plain.execute(transaction).map_err(Refusal::Words),
            Self::Sequential(sequential) => {
                if transaction.is_deposit() {
                    return Ok(sequential.include_deposit(transaction));
                }
                let candidate = Candidate::new(transaction.clone());
                sequential.execute(&candidate)
            }
        }
    }

    /// An account at this point of the block.
    pub(crate) fn account(&self, address: &Address) -> Option<Account> {
        match self {
            Self::Plain(plain) => plain.state().account_at(address),
            Self::Sequential(sequential) => sequential.state().account_at(address),
        }
    }

    /// A slot at this point of the block.
    pub(crate) fn slot(&self, address: &Address, slot: &U256) -> U256 {
        match self {
            Self::Plain(plain) => plain.state().slot_at(address, slot),
            Self::Sequential(sequential) => sequential.state().slot_at(address, slot),
        }
    }

    /// The code of an account, empty where there is none.
    pub(crate) fn code(&self, account: &Account) -> Bytes {
        match self {
            Self::Plain(plain) => plain.state().code_of(account),
            Self::Sequential(sequential) => sequential.state().code_of(account),
        }
    }

    /// The state after the block.
    pub(crate) fn close(self) -> Memory {
        match self {
            Self::Plain(plain) => plain.close(),
            Self::Sequential(sequential) => sequential.close(),
        }
    }
}
