//! The OP Stack's rules about a transaction, around Ethereum's.
//!
//! What differs from Ethereum: deposits bring their own ether, pay nothing and cannot be refused; everything else pays
//! for its data on L1 and to the operator; and each kind of fee has a vault. On a plain Ethereum chain nothing of this
//! applies.

use alloy_primitives::{Address, U256};
use millrace_protocol::{
    L1Fees, OpFork,
    predeploys::{BASE_FEE_VAULT, L1_BLOCK, L1_FEE_VAULT, OPERATOR_FEE_VAULT},
};
use millrace_types::TxType;
use revm::{
    Database,
    context::{
        Cfg, Transaction,
        journaled_state::account::JournaledAccountTr,
        result::{ExecutionResult, ResultGas},
    },
    context_interface::{Block as _, ContextTr, JournalTr, LocalContextTr},
    handler::{
        EvmTr, FrameResult, Handler, post_execution,
        pre_execution::validate_account_nonce_and_code_with_components, validation,
    },
    interpreter::InitialAndFloorGas,
};

use super::{
    Context, Evm,
    error::{Halt, Stop},
    tx::{EvmTx, Role},
};
use crate::{Invalid, Rejection, StateError};

/// What the rules of the OP Stack need to know while a block runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpState {
    /// Nothing on a plain Ethereum chain.
    pub(crate) fork: Option<OpFork>,
    /// This block's prices, once a transaction that pays them has come.
    pub(crate) fees: Option<L1Fees>,
    /// What the current transaction pays for its data.
    pub(crate) l1_fee: U256,
}

/// Stateless: everything lies in the EVM's context.
#[derive(Debug, Default)]
pub(crate) struct OpHandler;

impl Handler for OpHandler {
    type Evm = Evm;
    type Error = Stop;
    type HaltReason = Halt;

    fn validate_env(&self, evm: &mut Evm) -> Result<(), Stop> {
        let context = &mut evm.ctx;
        let tx = &context.tx;
        match tx.role {
            Role::Deposit { is_system, .. } => {
                if context.chain.fork.is_none() {
                    return Err(Rejection::from(Invalid::Type).into());
                }
                if is_system {
                    return Err(Rejection::from(Invalid::SystemTransaction).into());
                }
                if tx.to.is_create() && tx.input.len() > context.cfg.max_initcode_size() {
                    return Err(Rejection::from(Invalid::InitCodeSize).into());
                }
                Ok(())
            }
            _ => {
                let is_blob = tx.tx_type == TxType::Eip4844 as u8;
                if is_blob && context.chain.fork.is_some() {
                    return Err(Rejection::from(Invalid::Type).into());
                }
                let figures = (tx.fee_cap, context.block.basefee);
                validation::validate_env::<_, Stop>(context).map_err(|stop| match stop {
                    Stop::Rejected(Rejection::FeeCapBelowBaseFee { .. }) => {
                        let (fee_cap, base_fee) = figures;
                        Rejection::FeeCapBelowBaseFee { fee_cap, base_fee }.into()
                    }
                    stop => stop,
                })
            }
        }
    }

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Evm,
        _gas: &mut InitialAndFloorGas,
    ) -> Result<(), Stop> {
        match evm.ctx.tx.role {
            Role::Deposit { mint, .. } => admit_deposit(&mut evm.ctx, mint),
            _ => admit_and_charge(&mut evm.ctx),
        }
    }

    fn reimburse_caller(&self, evm: &mut Evm, result: &mut FrameResult) -> Result<(), Stop> {
        let context = &mut evm.ctx;
        let gas = result.gas();
        let unused_operator_fee = match (context.tx.role, context.chain.fees) {
            (Role::Signed(_), Some(fees)) => {
                fees.operator_fee(context.tx.gas_limit) - fees.operator_fee(gas.used())
            }
            _ => U256::ZERO,
        };
        post_execution::reimburse_caller(context, gas, unused_operator_fee)?;
        Ok(())
    }

    fn reward_beneficiary(&self, evm: &mut Evm, result: &mut FrameResult) -> Result<(), Stop> {
        let context = &mut evm.ctx;
        // What deposits use was paid for on L1, and nobody sees what a simulated transaction leaves behind.
        let Role::Signed(_) = context.tx.role else { return Ok(()) };
        for (recipient, amount) in
            rewards(context, &context.tx, result.gas().used(), context.chain.l1_fee)
        {
            credit(context, recipient, amount)?;
        }
        Ok(())
    }

    fn catch_error(&self, evm: &mut Evm, stop: Stop) -> Result<ExecutionResult<Halt>, Stop> {
        evm.ctx.local.clear();
        evm.ctx.journaled_state.discard_tx();
        evm.frame_stack().clear();
        match (evm.ctx.tx.role, stop) {
            // Where there is no rollup there are no deposits, and so none that fail.
            (Role::Deposit { mint, .. }, Stop::Rejected(rejection))
                if evm.ctx.chain.fork.is_some() =>
            {
                fail_deposit(&mut evm.ctx, mint, rejection)
            }
            (_, stop) => Err(stop),
        }
    }
}

/// Mints for the sender. Neither its nonce nor its code matter: L1 has vouched for it.
fn admit_deposit(context: &mut Context, mint: u128) -> Result<(), Stop> {
    let tx = &context.tx;
    let mut caller = context.journaled_state.load_account_mut(tx.caller)?.data;
    caller.incr_balance(U256::from(mint));
    let balance = *caller.balance();
    if tx.value > balance {
        return Err(Rejection::InsufficientFunds { required: tx.value, balance }.into());
    }
    if tx.to.is_call() {
        caller.bump_nonce();
    }
    caller.touch();
    Ok(())
}

/// Nothing refuses a deposit: one that is not valid keeps what it minted, bumps the nonce and uses all its gas.
fn fail_deposit(
    context: &mut Context,
    mint: u128,
    rejection: Rejection,
) -> Result<ExecutionResult<Halt>, Stop> {
    let tx = &context.tx;
    let mut caller = context.journaled_state.load_account_mut(tx.caller)?.data;
    caller.incr_balance(U256::from(mint));
    caller.bump_nonce();
    caller.touch();
    context.journaled_state.commit_tx();
    Ok(ExecutionResult::Halt {
        reason: Halt::FailedDeposit(Box::new(rejection)),
        gas: ResultGas::default().with_total_gas_spent(context.tx.gas_limit),
        logs: Vec::new(),
    })
}

/// Checks nonce, code and balance of the sender, and takes from it all that the transaction may cost.
fn admit_and_charge(context: &mut Context) -> Result<(), Stop> {
    let op_fees = op_fees(context)?;
    let (block, tx, cfg, journal, ..) = context.all_mut();
    let mut caller = journal.load_account_with_code_mut(tx.caller)?.data;
    validate_account_nonce_and_code_with_components(&caller.account().info, tx, cfg)?;

    let balance = *caller.balance();
    let afford = |cost: Option<U256>| match cost {
        Some(required) if required <= balance => Ok(required),
        cost => {
            let required = cost.unwrap_or(U256::MAX);
            Err(Rejection::InsufficientFunds { required, balance })
        }
    };
    afford(tx.max_balance_spending().ok().and_then(|cost| cost.checked_add(op_fees)))?;
    let (base_fee, blob_fee) =
        (u128::from(block.basefee), block.blob_gasprice().unwrap_or_default());
    let cost = tx.effective_balance_spending(base_fee, blob_fee).ok();
    let cost = afford(cost.and_then(|cost| cost.checked_add(op_fees)))?;
    caller.set_balance(balance - (cost - tx.value));
    if tx.to.is_call() {
        caller.bump_nonce();
    }
    Ok(())
}

/// The fees that only OP chains take, at the most.
fn op_fees(context: &mut Context) -> Result<U256, StateError> {
    context.chain.l1_fee = U256::ZERO;
    let Role::Signed(size) = context.tx.role else { return Ok(U256::ZERO) };
    let Some(fees) = l1_fees(context)? else { return Ok(U256::ZERO) };
    context.chain.l1_fee = fees.data_fee(size);
    Ok(context.chain.l1_fee.saturating_add(fees.operator_fee(context.tx.gas_limit)))
}

/// The block's prices; none where there is no L1 to pay for.
pub(super) fn l1_fees(context: &mut Context) -> Result<Option<L1Fees>, StateError> {
    let (Some(fork), None) = (context.chain.fork, context.chain.fees) else {
        return Ok(context.chain.fees);
    };
    // Behind the journal's back: this must not make the slots warm.
    let database = &mut context.journaled_state.database;
    let fees = L1Fees::read(fork, |slot| database.storage(L1_BLOCK, slot))?;
    context.chain.fees = Some(fees);
    Ok(context.chain.fees)
}

/// Whom the fees of a transaction go to. On plain Ethereum the vaults get nothing.
pub(super) fn rewards(
    context: &Context,
    tx: &EvmTx,
    gas_used: u64,
    l1_fee: U256,
) -> [(Address, U256); 4] {
    let used = u128::from(gas_used);
    let base_fee = u128::from(context.block.basefee);
    let tip = tx.effective_gas_price(base_fee).saturating_sub(base_fee);
    // Neither product overflows: the sender had a balance for more than their sum.
    let (burnt, operator_fee) = match context.chain.fees {
        Some(fees) => (U256::from(base_fee * used), fees.operator_fee(gas_used)),
        None => (U256::ZERO, U256::ZERO),
    };
    [
        (context.block.beneficiary, U256::from(tip * used)),
        (BASE_FEE_VAULT, burnt),
        (L1_FEE_VAULT, l1_fee),
        (OPERATOR_FEE_VAULT, operator_fee),
    ]
}

/// Pays a fee to an account that the transaction has probably not seen: then the database keeps count, and no transaction
/// has to load the account.
fn credit(context: &mut Context, recipient: Address, amount: U256) -> Result<(), StateError> {
    if amount.is_zero() {
        return Ok(());
    }
    let journal = &mut context.journaled_state;
    if journal.inner.state.contains_key(&recipient) {
        journal.load_account_mut(recipient)?.data.incr_balance(amount);
    } else {
        journal.database.credit(recipient, amount);
    }
    Ok(())
}
