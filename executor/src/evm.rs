//! The EVM, made in one place: revm with our database, our transactions and the OP Stack's rules.
//!
//! Nothing outside this module names a type of revm.

mod error;
mod handler;
mod overlay;
mod precompiles;
mod tx;

use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, Bytes, U256};
use millrace_protocol::{EvmFork, L1Fees, Rules};
use revm::{
    Database,
    context::{BlockEnv, CfgEnv, FrameStack, Journal, JournalTr, result::ExecutionResult},
    context_interface::block::BlobExcessGasAndPrice,
    handler::{EthFrame, EthPrecompiles, Handler, instructions::EthInstructions},
    interpreter::interpreter::EthInterpreter,
    primitives::hardfork::SpecId,
    state::AccountInfo,
};

pub(crate) use self::{
    error::{Halt, Stop},
    overlay::Overlay,
    tx::{EvmTx, Lists, Role},
};
use self::{
    handler::{OpHandler, OpState},
    precompiles::{precompiles, spec_id},
};
use crate::{BlockContext, StateError};

type Context =
    revm::context::Context<BlockEnv, EvmTx, CfgEnv<SpecId>, Overlay, Journal<Overlay>, OpState>;

type Evm = revm::context::Evm<
    Context,
    (),
    EthInstructions<EthInterpreter, Context>,
    EthPrecompiles,
    EthFrame<EthInterpreter>,
>;

/// What a transaction's execution produced.
pub(crate) type Execution = ExecutionResult<Halt>;

/// Which checks a transaction is spared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    /// None: it is part of a block.
    All,
    /// Chain id, nonce, the sender's code and the block's gas limit: it is a question.
    Simulation,
}

/// An EVM in the middle of a block. It lives on one thread; what has to survive it is the [`Overlay`].
pub(crate) struct Machine {
    evm: Evm,
}

impl Machine {
    /// An EVM for transactions of this block. `fees` are the block's prices, when they are known.
    pub(crate) fn new(
        chain_id: u64,
        rules: Rules,
        block: &BlockContext,
        checks: Checks,
        overlay: Overlay,
        fees: Option<L1Fees>,
    ) -> Self {
        let spec = spec_id(rules.evm);
        let mut cfg = CfgEnv::new_with_spec(spec).with_chain_id(chain_id);
        cfg.tx_chain_id_check = checks == Checks::All;
        cfg.max_blobs_per_tx = Some(blob_params(rules.evm).max_blobs_per_tx);
        if checks == Checks::Simulation {
            cfg.disable_nonce_check = true;
            cfg.disable_eip3607 = true;
            cfg.disable_block_gas_limit = true;
            cfg.tx_gas_limit_cap = Some(u64::MAX);
        }
        let mut journal = Journal::new(overlay);
        // Transactions set it themselves, system calls do not.
        journal.set_spec_id(spec);
        let context = Context {
            block: block_env(block, rules),
            tx: EvmTx::system(Address::ZERO, Bytes::new()),
            cfg,
            journaled_state: journal,
            chain: OpState { fork: rules.optimism, fees, l1_fee: U256::ZERO },
            local: Default::default(),
            error: Ok(()),
        };
        let evm = Evm {
            ctx: context,
            inspector: (),
            instruction: EthInstructions::new_mainnet_with_spec(spec),
            precompiles: precompiles(rules),
            frame_stack: FrameStack::new_prealloc(8),
        };
        Self { evm }
    }

    /// Runs a transaction. Its changes wait for [`commit`](Self::commit) or [`discard`](Self::discard); a transaction
    /// that is stopped has none.
    pub(crate) fn run(&mut self, tx: EvmTx) -> Result<Execution, Stop> {
        let is_system = tx.role == Role::System;
        self.evm.ctx.tx = tx;
        if is_system {
            OpHandler.run_system_call(&mut self.evm)
        } else {
            OpHandler.run(&mut self.evm)
        }
    }

    /// Makes the changes of the last transaction visible to the next.
    pub(crate) fn commit(&mut self) {
        let journal = &mut self.evm.ctx.journaled_state;
        journal.database.commit(&mut journal.inner.state);
        self.tidy();
    }

    /// Forgets the changes of the last transaction.
    pub(crate) fn discard(&mut self) {
        self.evm.ctx.journaled_state.inner.state.clear();
        self.tidy();
    }

    /// The map keeps its memory from one transaction to the next, except when an exceptional one has blown it up: going
    /// over an empty map takes time by its capacity.
    fn tidy(&mut self) {
        const CAPACITY_MAX: usize = 256;
        let state = &mut self.evm.ctx.journaled_state.inner.state;
        if state.capacity() > CAPACITY_MAX {
            *state = Default::default();
        }
    }

    /// What the last transaction paid for its data.
    pub(crate) fn l1_fee(&self) -> U256 {
        self.evm.ctx.chain.l1_fee
    }

    /// The nonce of an account, which the transaction about to run will find.
    pub(crate) fn nonce(&mut self, address: Address) -> Result<u64, StateError> {
        Ok(self.account(address)?.nonce)
    }

    /// The balance of an account.
    pub(crate) fn balance(&mut self, address: Address) -> Result<U256, StateError> {
        Ok(self.account(address)?.balance)
    }

    /// Whether an account holds code.
    pub(crate) fn has_code(&mut self, address: Address) -> Result<bool, StateError> {
        Ok(!self.account(address)?.is_empty_code_hash())
    }

    fn account(&mut self, address: Address) -> Result<AccountInfo, StateError> {
        let database = &mut self.evm.ctx.journaled_state.database;
        Ok(database.basic(address)?.unwrap_or_default())
    }

    /// The state, with the block's prices if they have been read.
    pub(crate) fn into_parts(self) -> (Overlay, Option<L1Fees>) {
        (self.evm.ctx.journaled_state.database, self.evm.ctx.chain.fees)
    }
}

fn block_env(block: &BlockContext, rules: Rules) -> BlockEnv {
    let params = blob_params(rules.evm);
    let blob_gasprice = block.blob_base_fee.price(&params);
    let excess_blob_gas = 0;
    BlockEnv {
        number: U256::from(block.number),
        beneficiary: block.beneficiary,
        timestamp: U256::from(block.timestamp),
        gas_limit: block.gas_limit,
        basefee: block.base_fee,
        difficulty: U256::ZERO,
        prevrandao: Some(block.prev_randao),
        // Only the price is visible to code.
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice }),
        slot_num: 0,
    }
}

fn blob_params(fork: EvmFork) -> BlobParams {
    match fork {
        EvmFork::Paris | EvmFork::Shanghai | EvmFork::Cancun => BlobParams::cancun(),
        EvmFork::Prague => BlobParams::prague(),
        EvmFork::Osaka => BlobParams::osaka(),
    }
}
