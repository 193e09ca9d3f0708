//! Questions about a state: `eth_call`.

use std::sync::Arc;

use alloy_eips::{eip2930::AccessListItem, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, map::AddressMap};
use revm::{context::result::HaltReason as EvmHalt, state::Bytecode};

use crate::{
    BlobFee, BlockContext, ExecuteError, Executor, Rejection, StateError, StateView,
    evm::{EvmTx, Execution, Halt, Lists, Machine, Overlay, Role, Stop},
};

/// A transaction that nobody signed.
#[derive(Debug, Clone, Default)]
pub struct CallRequest {
    /// On whose behalf it runs.
    pub from: Address,
    /// What it calls, or that it creates.
    pub to: TxKind,
    /// The most gas that it may use: by default, and at most, what the executor allows.
    pub gas: Option<u64>,
    /// What it offers for gas. The sender must be able to pay it.
    pub fees: CallFees,
    /// Ether that goes along.
    pub value: U256,
    /// Calldata or init code.
    pub input: Bytes,
    /// Accounts and slots that it declares.
    pub access_list: Vec<AccessListItem>,
    /// Accounts that it delegates.
    pub authorizations: Vec<SignedAuthorization>,
}

/// What a call offers for gas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallFees {
    /// Nothing, and then the base fee does not matter and reads as zero.
    #[default]
    None,
    /// One price.
    Legacy(u128),
    /// A cap, and a cap on what of it goes to the block's beneficiary.
    Dynamic {
        /// On the whole price.
        fee_cap: u128,
        /// On the tip.
        tip_cap: u128,
    },
}

impl CallFees {
    /// The most that it pays for a unit of gas.
    pub(crate) const fn cap(self) -> u128 {
        match self {
            Self::None => 0,
            Self::Legacy(price) => price,
            Self::Dynamic { fee_cap, .. } => fee_cap,
        }
    }

    /// Whether gas is free.
    const fn are_zero(self) -> bool {
        matches!(self, Self::None | Self::Legacy(0) | Self::Dynamic { fee_cap: 0, tip_cap: 0 })
    }
}

/// Accounts that a call pretends are different.
pub type StateOverrides = AddressMap<AccountOverride>;

/// How one account is pretended to be different.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the account's field of that name")]
pub struct AccountOverride {
    pub balance: Option<U256>,
    pub nonce: Option<u64>,
    pub code: Option<Bytes>,
    pub storage: StorageOverride,
}

/// How an account's storage is pretended to be different.
#[derive(Debug, Clone, Default)]
pub enum StorageOverride {
    /// It is not.
    #[default]
    None,
    /// These slots are all there is.
    Replace(Vec<(U256, U256)>),
    /// These slots have other values.
    Change(Vec<(U256, U256)>),
}

/// How the block that a call runs in is pretended to be different.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "each is the context's field of that name")]
pub struct BlockOverrides {
    pub number: Option<u64>,
    pub timestamp: Option<u64>,
    pub beneficiary: Option<Address>,
    pub gas_limit: Option<u64>,
    pub base_fee: Option<u64>,
    pub prev_randao: Option<B256>,
    pub blob_base_fee: Option<u128>,
}

impl BlockOverrides {
    /// The block as it is pretended to be.
    pub fn apply(&self, block: &BlockContext) -> BlockContext {
        BlockContext {
            number: self.number.unwrap_or(block.number),
            timestamp: self.timestamp.unwrap_or(block.timestamp),
            beneficiary: self.beneficiary.unwrap_or(block.beneficiary),
            gas_limit: self.gas_limit.unwrap_or(block.gas_limit),
            base_fee: self.base_fee.unwrap_or(block.base_fee),
            prev_randao: self.prev_randao.unwrap_or(block.prev_randao),
            blob_base_fee: self.blob_base_fee.map_or(block.blob_base_fee, BlobFee::Fixed),
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// It ran to its end.
    Success {
        /// What it returned: for a creation, the code.
        output: Bytes,
        /// The gas that it used.
        gas_used: u64,
        /// What it logged.
        logs: Vec<Log>,
    },
    /// It took everything back, and gave a reason.
    Revert {
        /// The reason, as the contract encoded it.
        output: Bytes,
        /// The gas that it used.
        gas_used: u64,
    },
    /// The EVM stopped it.
    Halt {
        /// Why.
        reason: HaltReason,
        /// All of its gas.
        gas_used: u64,
    },
}

/// Why the EVM stopped, in Geth's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says what it is when displayed")]
pub enum HaltReason {
    #[error("out of gas")]
    OutOfGas,
    #[error("invalid opcode")]
    InvalidOpcode,
    #[error("invalid jump destination")]
    InvalidJump,
    #[error("stack underflow")]
    StackUnderflow,
    #[error("stack limit reached")]
    StackOverflow,
    #[error("return data out of bounds")]
    ReturnDataOutOfBounds,
    #[error("contract address collision")]
    AddressCollision,
    #[error("nonce uint64 overflow")]
    NonceOverflow,
    #[error("max code size exceeded")]
    CodeSize,
    #[error("max initcode size exceeded")]
    InitCodeSize,
    #[error("invalid code: must not begin with 0xef")]
    CodePrefix,
    #[error("write protection")]
    WriteProtection,
    #[error("insufficient balance for transfer")]
    InsufficientBalance,
    #[error("max call depth exceeded")]
    CallDepth,
    #[error("precompile: {0}")]
    Precompile(String),
}

/// Why a call has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// As a transaction it would be refused.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// It cannot be executed at all.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

impl Executor {
    /// Runs a call on a state, as if it were in this block, and forgets what it changed.
    ///
    /// The sender's nonce and code do not matter and data on L1 costs nothing.
    pub fn call(
        &self,
        view: Arc<dyn StateView>,
        block: &BlockContext,
        request: &CallRequest,
        overrides: &StateOverrides,
    ) -> Result<CallOutcome, CallError> {
        let mut machine = self.prepare(view, block, request, overrides)?;
        let gas_max = self.config().call_gas_max;
        let gas = request.gas.unwrap_or(gas_max).min(gas_max);
        Ok(simulate(&mut machine, request, gas)?.into())
    }

    /// An EVM for this request, with the overrides in place.
    pub(crate) fn prepare(
        &self,
        view: Arc<dyn StateView>,
        block: &BlockContext,
        request: &CallRequest,
        overrides: &StateOverrides,
    ) -> Result<Machine, CallError> {
        let mut overlay = Overlay::new(view);
        for (address, account) in overrides {
            override_account(&mut overlay, *address, account)?;
        }
        let mut block = *block;
        if request.fees.are_zero() {
            block.base_fee = 0;
        }
        Ok(self.simulator(&block, overlay)?)
    }
}

/// Runs a request with this much gas. The machine is as before afterwards, but has a warmer cache.
pub(crate) fn simulate(
    machine: &mut Machine,
    request: &CallRequest,
    gas_limit: u64,
) -> Result<Execution, CallError> {
    let execution = machine.run(transaction(request, gas_limit));
    machine.discard();
    execution.map_err(|stop| match stop {
        Stop::Rejected(rejection) => CallError::Rejected(rejection),
        Stop::State(error) => CallError::State(error),
        Stop::Evm(message) => CallError::Execute(ExecuteError::Evm(message)),
    })
}

fn transaction(request: &CallRequest, gas_limit: u64) -> EvmTx {
    const LEGACY: u8 = 0;
    const ACCESS_LIST: u8 = 1;
    const DYNAMIC: u8 = 2;
    const DELEGATING: u8 = 4;

    let tip_cap = match request.fees {
        CallFees::Dynamic { tip_cap, .. } => Some(tip_cap),
        CallFees::None | CallFees::Legacy(_) => None,
    };
    let tx_type = match (request.authorizations.is_empty(), tip_cap) {
        (false, _) => DELEGATING,
        (true, Some(_)) => DYNAMIC,
        (true, None) if request.access_list.is_empty() => LEGACY,
        (true, None) => ACCESS_LIST,
    };
    let lists = if tx_type == LEGACY {
        Lists::None
    } else {
        Lists::Given {
            access_list: request.access_list.clone(),
            authorizations: request.authorizations.clone(),
        }
    };
    EvmTx {
        role: Role::Simulated,
        tx_type,
        caller: request.from,
        nonce: 0,
        gas_limit,
        fee_cap: request.fees.cap(),
        tip_cap,
        to: request.to,
        value: request.value,
        input: request.input.clone(),
        chain_id: None,
        lists,
    }
}

fn override_account(
    overlay: &mut Overlay,
    address: Address,
    pretended: &AccountOverride,
) -> Result<(), StateError> {
    let code = pretended.code.as_ref().map(|code| {
        // Nobody can deploy what merely resembles a delegation, but a caller can pretend.
        Bytecode::new_raw_checked(code.clone())
            .unwrap_or_else(|_| Bytecode::new_legacy(code.clone()))
    });
    if pretended.balance.is_some() || pretended.nonce.is_some() || code.is_some() {
        let change = |account: &mut millrace_types::Account| {
            account.balance = pretended.balance.unwrap_or(account.balance);
            account.nonce = pretended.nonce.unwrap_or(account.nonce);
        };
        overlay.override_account(address, change, code)?;
    }
    match &pretended.storage {
        StorageOverride::None => Ok(()),
        StorageOverride::Replace(slots) => {
            overlay.override_storage(address, slots.iter().copied(), true)
        }
        StorageOverride::Change(slots) => {
            overlay.override_storage(address, slots.iter().copied(), false)
        }
    }
}

impl From<Execution> for CallOutcome {
    fn from(execution: Execution) -> Self {
        let gas_used = execution.tx_gas_used();
        match execution {
            Execution::Success { output, logs, .. } => {
                Self::Success { output: output.into_data(), gas_used, logs }
            }
            Execution::Revert { output, .. } => Self::Revert { output, gas_used },
            Execution::Halt { reason, .. } => Self::Halt { reason: reason.into(), gas_used },
        }
    }
}

impl From<Halt> for HaltReason {
    fn from(halt: Halt) -> Self {
        let reason = match halt {
            Halt::Evm(reason) => reason,
            Halt::FailedDeposit(rejection) => return Self::Precompile(rejection.to_string()),
        };
        match reason {
            EvmHalt::OutOfGas(_) => Self::OutOfGas,
            EvmHalt::OpcodeNotFound | EvmHalt::InvalidFEOpcode | EvmHalt::NotActivated => {
                Self::InvalidOpcode
            }
            EvmHalt::InvalidJump => Self::InvalidJump,
            EvmHalt::StackUnderflow => Self::StackUnderflow,
            EvmHalt::StackOverflow => Self::StackOverflow,
            EvmHalt::OutOfOffset => Self::ReturnDataOutOfBounds,
            EvmHalt::CreateCollision => Self::AddressCollision,
            EvmHalt::NonceOverflow => Self::NonceOverflow,
            EvmHalt::CreateContractSizeLimit => Self::CodeSize,
            EvmHalt::CreateInitCodeSizeLimit => Self::InitCodeSize,
            EvmHalt::CreateContractStartingWithEF => Self::CodePrefix,
            EvmHalt::StateChangeDuringStaticCall | EvmHalt::CallNotAllowedInsideStatic => {
                Self::WriteProtection
            }
            EvmHalt::OutOfFunds | EvmHalt::OverflowPayment => Self::InsufficientBalance,
            EvmHalt::CallTooDeep => Self::CallDepth,
            EvmHalt::PrecompileError => Self::Precompile("failed".to_owned()),
            EvmHalt::PrecompileErrorWithContext(reason) => Self::Precompile(reason),
        }
    }
}
