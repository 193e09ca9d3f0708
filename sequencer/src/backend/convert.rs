//! Between the edge's words for calls and proofs and the executor's and the state's.

use alloy_primitives::{BlockNumber, Bytes, TxKind, U256};
use millrace_executor::{
    self as executor, BlockContext, CallOutcome, EstimateError, StateOverrides,
};
use millrace_rpc::{
    self as rpc, AccountProof, CallError, CallFees, CallRequest, StateError, StorageOverride,
    StorageProof,
};
use millrace_state::{Proof, ProofError};

/// What the executor needs for a call: the request, the pretended accounts, the pretended block.
pub(super) fn call(
    request: CallRequest,
    chain_id: u64,
    block: &BlockContext,
) -> Result<(executor::CallRequest, StateOverrides, BlockContext), CallError> {
    let message = request.message;
    if let Some(named) = message.chain_id
        && named != chain_id
    {
        return Err(CallError::Failed(format!(
            "chainId does not match node's (have={named}, want={chain_id})"
        )));
    }
    let overrides = request
        .state_overrides
        .into_iter()
        .map(|(address, account)| Ok((address, account_override(account)?)))
        .collect::<Result<_, CallError>>()?;
    let call = executor::CallRequest {
        from: message.from,
        to: message.to.map_or(TxKind::Create, TxKind::Call),
        gas: message.gas,
        fees: match message.fees {
            CallFees::Free => executor::CallFees::None,
            CallFees::GasPrice(price) => executor::CallFees::Legacy(price),
            CallFees::Dynamic { max_fee, max_priority_fee } => {
                executor::CallFees::Dynamic { fee_cap: max_fee, tip_cap: max_priority_fee }
            }
        },
        value: message.value,
        input: message.input,
        access_list: message.access_list.map(|list| list.0).unwrap_or_default(),
        authorizations: message.authorization_list.unwrap_or_default(),
    };
    Ok((call, overrides, pretended_block(request.block_overrides, block)?))
}

fn account_override(account: rpc::AccountOverride) -> Result<executor::AccountOverride, CallError> {
    if account.move_precompile_to.is_some() {
        return Err(CallError::Failed("movePrecompileToAddress is not supported".into()));
    }
    let slots = |slots: alloy_primitives::map::B256Map<alloy_primitives::B256>| {
        slots.into_iter().map(|(slot, value)| (slot.into(), value.into())).collect()
    };
    Ok(executor::AccountOverride {
        balance: account.balance,
        nonce: account.nonce,
        code: account.code,
        storage: match account.storage {
            StorageOverride::Keep => executor::StorageOverride::None,
            StorageOverride::Patch(changes) => executor::StorageOverride::Change(slots(changes)),
            StorageOverride::Replace(all) => executor::StorageOverride::Replace(slots(all)),
        },
    })
}

fn pretended_block(
    overrides: rpc::BlockOverrides,
    block: &BlockContext,
) -> Result<BlockContext, CallError> {
    /// Numbers beyond these bounds stand in no block, so a caller who pretends them is mistaken.
    fn bounded<T: TryFrom<U256>>(name: &str, value: Option<U256>) -> Result<Option<T>, CallError> {
        let convert = |value: U256| {
            T::try_from(value)
                .map_err(|_| CallError::Failed(format!("block override {name} is too large")))
        };
        value.map(convert).transpose()
    }
    let overrides = executor::BlockOverrides {
        number: bounded("number", overrides.number)?,
        timestamp: overrides.timestamp,
        beneficiary: overrides.fee_recipient,
        gas_limit: overrides.gas_limit,
        base_fee: bounded("baseFeePerGas", overrides.base_fee)?,
        prev_randao: overrides.prev_randao,
        blob_base_fee: bounded("blobBaseFee", overrides.blob_base_fee)?,
    };
    Ok(overrides.apply(block))
}

/// What a call came to.
pub(super) fn outcome(
    outcome: Result<CallOutcome, executor::CallError>,
) -> Result<Bytes, CallError> {
    match outcome {
        Ok(CallOutcome::Success { output, .. }) => Ok(output),
        Ok(CallOutcome::Revert { output, .. }) => Err(CallError::Reverted(output)),
        Ok(CallOutcome::Halt { reason, .. }) => Err(CallError::Failed(reason.to_string())),
        Err(error) => Err(call_error(error)),
    }
}

/// What an estimate came to.
pub(super) fn estimate(
    estimate: Result<executor::GasEstimate, EstimateError>,
) -> Result<u64, CallError> {
    match estimate {
        Ok(estimate) => Ok(estimate.gas),
        Err(EstimateError::Reverted { output }) => Err(CallError::Reverted(output)),
        Err(EstimateError::Call(error)) => Err(call_error(error)),
        Err(
            error @ (EstimateError::Halted(_)
            | EstimateError::Allowance { .. }
            | EstimateError::InsufficientFunds),
        ) => Err(CallError::Failed(error.to_string())),
    }
}

fn call_error(error: executor::CallError) -> CallError {
    match error {
        executor::CallError::Rejected(rejection) => CallError::Failed(rejection.to_string()),
        executor::CallError::State(error) => StateError::Internal(error.to_string()).into(),
        executor::CallError::Execute(error) => StateError::Internal(error.to_string()).into(),
    }
}

/// A proof, or why there is none.
pub(super) fn proof(
    number: BlockNumber,
    proof: Result<Proof, ProofError>,
) -> Result<AccountProof, StateError> {
    let proof = proof.map_err(|error| match error {
        ProofError::Pruned { oldest } => StateError::Pruned { number, oldest },
        ProofError::NotYet { .. } => StateError::UnknownBlock,
        // For whoever asks it is the same: the state that far back cannot be proved any more.
        ProofError::TooFar { .. } => StateError::Unprovable(error.to_string()),
        ProofError::Store(error) => StateError::Internal(error.to_string()),
    })?;
    let account = proof.account;
    let storage = account.storage.into_iter().map(|slot| StorageProof {
        slot: slot.slot,
        value: slot.value,
        proof: slot.proof,
    });
    Ok(AccountProof {
        account: account.account,
        storage_root: account.storage_root,
        proof: account.proof,
        storage: storage.collect(),
    })
}
