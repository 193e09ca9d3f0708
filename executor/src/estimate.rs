//! How much gas a transaction needs: `eth_estimateGas`, by Geth's algorithm, to the unit.

use std::sync::Arc;

use alloy_primitives::{Bytes, TxKind, U256};

use crate::{
    BlockContext, CallError, CallOutcome, CallRequest, Executor, HaltReason, Invalid, Rejection,
    StateOverrides, StateView,
    call::simulate,
    evm::{Execution, Machine},
};

/// What any transaction costs.
const TRANSACTION_GAS: u64 = 21_000;
/// What a call that sends ether gives its callee, on top of what it asks for.
const CALL_STIPEND: u64 = 2_300;

/// The smallest gas limit with which a request succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GasEstimate {
    /// The limit.
    pub gas: u64,
}

/// Why there is no gas limit with which a request succeeds.
#[derive(Debug, thiserror::Error)]
pub enum EstimateError {
    /// It reverts.
    #[error("execution reverted")]
    Reverted {
        /// The reason, as the contract encoded it.
        output: Bytes,
    },
    /// The EVM stops it, and not for want of gas.
    #[error(transparent)]
    Halted(HaltReason),
    /// It needs more gas than it may have.
    #[error("gas required exceeds allowance ({allowance})")]
    Allowance {
        /// The smallest of the block's, the caller's and the executor's limits, and what the sender can pay for.
        allowance: u64,
    },
    /// The sender does not have the ether that it would send.
    #[error("insufficient funds for transfer")]
    InsufficientFunds,
    /// As a transaction it would be refused, or it could not be executed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Executor {
    /// Finds the smallest gas limit with which a request succeeds.
    pub fn estimate_gas(
        &self,
        view: Arc<dyn StateView>,
        block: &BlockContext,
        request: &CallRequest,
        overrides: &StateOverrides,
    ) -> Result<GasEstimate, EstimateError> {
        let mut machine = self.prepare(view, block, request, overrides)?;
        let limit = request.gas.filter(|gas| *gas >= TRANSACTION_GAS).unwrap_or(block.gas_limit);
        let limit = limit.min(affordable_gas(&mut machine, request)?);
        let allowance = limit.min(self.config().call_gas_max);
        search(&mut machine, request, allowance).map(|gas| GasEstimate { gas })
    }
}

/// The gas that the sender can pay for, once the value is sent.
fn affordable_gas(machine: &mut Machine, request: &CallRequest) -> Result<u64, EstimateError> {
    let fee_cap = request.fees.cap();
    if fee_cap == 0 {
        return Ok(u64::MAX);
    }
    let balance = machine.balance(request.from).map_err(CallError::from)?;
    if !request.value.is_zero() && request.value >= balance {
        return Err(EstimateError::InsufficientFunds);
    }
    Ok((balance - request.value)
        .checked_div(U256::from(fee_cap))
        .unwrap_or_default()
        .saturating_to())
}

fn search(
    machine: &mut Machine,
    request: &CallRequest,
    allowance: u64,
) -> Result<u64, EstimateError> {
    if is_plain_transfer(machine, request)?
        && let Ok(Some(execution)) = attempt(machine, request, TRANSACTION_GAS)
        && execution.is_success()
    {
        return Ok(TRANSACTION_GAS);
    }

    // With all the gas there is: if this fails, nothing helps.
    let Some(execution) = attempt(machine, request, allowance)? else {
        return Err(EstimateError::Allowance { allowance });
    };
    let used = execution.tx_gas_used();
    let refunded = execution.gas().final_refunded();
    match execution.into() {
        CallOutcome::Success { .. } => {}
        CallOutcome::Revert { output, .. } => return Err(EstimateError::Reverted { output }),
        CallOutcome::Halt { reason: HaltReason::OutOfGas, .. } => {
            return Err(EstimateError::Allowance { allowance });
        }
        CallOutcome::Halt { reason, .. } => return Err(EstimateError::Halted(reason)),
    }

    // The largest limit known to fail and the smallest known to succeed. What was used with plenty of gas is the least
    // that can be needed.
    let (mut fails, mut succeeds) = (used - 1, allowance);
    // Often enough: what was used, what was refunded only afterwards, and what each call holds back.
    let optimistic = (used + refunded + CALL_STIPEND) * 64 / 63;
    if optimistic < succeeds {
        let success = succeeds_with(machine, request, optimistic)?;
        *(if success { &mut succeeds } else { &mut fails }) = optimistic;
    }
    while fails + 1 < succeeds {
        // Most transactions need little more than they use: look low first.
        let middle = (fails + (succeeds - fails) / 2).min(fails.saturating_mul(2));
        let success = succeeds_with(machine, request, middle)?;
        *(if success { &mut succeeds } else { &mut fails }) = middle;
    }
    Ok(succeeds)
}

fn is_plain_transfer(machine: &mut Machine, request: &CallRequest) -> Result<bool, EstimateError> {
    match request.to {
        TxKind::Call(to) if request.input.is_empty() => {
            Ok(!machine.has_code(to).map_err(CallError::from)?)
        }
        _ => Ok(false),
    }
}

fn succeeds_with(
    machine: &mut Machine,
    request: &CallRequest,
    gas_limit: u64,
) -> Result<bool, EstimateError> {
    Ok(attempt(machine, request, gas_limit)?.is_some_and(|execution| execution.is_success()))
}

/// Runs the request; nothing when the limit does not even cover what is due before the first instruction.
fn attempt(
    machine: &mut Machine,
    request: &CallRequest,
    gas_limit: u64,
) -> Result<Option<Execution>, EstimateError> {
    match simulate(machine, request, gas_limit) {
        Ok(execution) => Ok(Some(execution)),
        Err(CallError::Rejected(Rejection::Invalid(
            Invalid::IntrinsicGas { .. } | Invalid::FloorGas { .. },
        ))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
