//! The EVM, made in one place: revm with our database, our transactions and the OP Stack's rules.
//!
//! Nothing outside this module names a type of revm.

mod calldata;
mod code_cache;
mod error;
mod frozen;
mod habits;
mod handler;
mod hashes;
mod instructions;
mod join;
mod overlay;
mod precompiles;
mod touches;
mod transfer;
mod tx;

use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use millrace_protocol::{
    EvmFork, L1Fees, Rules,
    predeploys::{BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT},
};
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
    calldata::{Call, CodeFunction, CodeName, Owner, Selector, Word},
    error::{Halt, Stop},
    frozen::Frozen,
    hashes::Preimages,
    join::{Join, Keep, Redo, Verdict},
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

/// What machines for the same block have in common. A machine stays on its thread; this and the state travel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blueprint {
    pub(crate) chain_id: u64,
    pub(crate) rules: Rules,
    pub(crate) block: BlockContext,
    pub(crate) checks: Checks,
    /// The block's prices, when they are known.
    pub(crate) fees: Option<L1Fees>,
}

/// What a transaction that is part of a block did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) success: bool,
    pub(crate) gas_used: u64,
    /// What it paid for its data.
    pub(crate) l1_fee: U256,
    pub(crate) logs: Vec<Log>,
}

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
    /// An EVM on this state.
    pub(crate) fn new(blueprint: &Blueprint, mut overlay: Overlay) -> Self {
        let Blueprint { chain_id, rules, block, checks, fees } = *blueprint;
        overlay.fee_recipients = match rules.optimism {
            Some(_) => [block.beneficiary, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT],
            None => [block.beneficiary; 4],
        };
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
            block: block_env(&block, rules),
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
            instruction: instructions::instructions(spec),
            precompiles: precompiles(rules),
            frame_stack: FrameStack::new_prealloc(8),
        };
        Self { evm }
    }

    /// Runs a transaction as part of a block. One that is stopped leaves no trace.
    pub(crate) fn include(&mut self, tx: EvmTx) -> Result<Ran, Stop> {
        if transfer::run(&mut self.evm.ctx, &tx)? {
            let l1_fee = self.evm.ctx.chain.l1_fee;
            let gas_used = transfer::TRANSFER_GAS;
            return Ok(Ran { success: true, gas_used, l1_fee, logs: Vec::new() });
        }
        match self.run(tx) {
            Ok(execution) => {
                self.commit();
                self.learn();
                Ok(Ran {
                    success: execution.is_success(),
                    gas_used: execution.tx_gas_used(),
                    l1_fee: self.evm.ctx.chain.l1_fee,
                    logs: execution.into_logs(),
                })
            }
            Err(stop) => {
                self.discard();
                self.overlay().forget_misses();
                Err(stop)
            }
        }
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

    /// Learns what to expect of transactions like the last one.
    fn learn(&mut self) {
        let Context { tx, journaled_state, .. } = &mut self.evm.ctx;
        match tx.to {
            TxKind::Call(to) => {
                let call = Call { sender: tx.caller, to, input: &tx.input };
                journaled_state.database.learn(call);
            }
            TxKind::Create => journaled_state.database.forget_misses(),
        }
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

    /// The block's prices, read from the state if need be.
    pub(crate) fn l1_fees(&mut self) -> Result<Option<L1Fees>, StateError> {
        handler::l1_fees(&mut self.evm.ctx)
    }

    /// The block's prices, if they have been read.
    pub(crate) fn known_l1_fees(&self) -> Option<L1Fees> {
        self.evm.ctx.chain.fees
    }

    /// Forgets the block's prices, so that they are read again.
    pub(crate) fn forget_l1_fees(&mut self) {
        self.evm.ctx.chain.fees = None;
    }

    /// Whom the fees of a transaction that did this went to.
    pub(crate) fn rewards(&self, tx: &EvmTx, ran: &Ran) -> [(Address, U256); 4] {
        handler::rewards(&self.evm.ctx, tx, ran.gas_used, ran.l1_fee)
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

    /// The state, for what is not a transaction.
    pub(crate) fn overlay(&mut self) -> &mut Overlay {
        &mut self.evm.ctx.journaled_state.database
    }

    /// The state, when nothing is run any more.
    pub(crate) fn into_overlay(self) -> Overlay {
        self.evm.ctx.journaled_state.database
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
