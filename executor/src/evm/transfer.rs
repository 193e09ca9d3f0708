//! Plain transfers without the EVM: the most common transaction does nothing that needs an interpreter.
//!
//! The shortcut is taken only where the outcome is beyond doubt: a transaction without data or lists, between two
//! accounts without code, that is valid and succeeds. Everything else, and everything that fails, goes through revm, which
//! knows the reasons. The differential tests hold the two against each other.

use alloy_eips::eip7825::MAX_TX_GAS_LIMIT_OSAKA;
use alloy_primitives::{Address, TxKind, U256};
use revm::context_interface::transaction::Transaction as _;

use super::{
    Context, handler,
    overlay::Transfer,
    tx::{EvmTx, Lists, Role},
};
use crate::StateError;

/// What every transaction pays, and a transfer pays no more.
pub(super) const TRANSFER_GAS: u64 = 21_000;

/// Runs a transaction that is a plain transfer. `false`: it is not, or may fail, and nothing has happened.
pub(super) fn run(context: &mut Context, tx: &EvmTx) -> Result<bool, StateError> {
    let Some(recipient) = recipient(tx, &context.journaled_state.database.fee_recipients) else {
        return Ok(false);
    };
    let Role::Signed(data_size) = tx.role else { return Ok(false) };
    let base_fee = context.block.basefee;
    let Some(price) = gas_price(tx, base_fee) else { return Ok(false) };
    if tx.chain_id != Some(context.cfg.chain_id)
        || !(TRANSFER_GAS..=MAX_TX_GAS_LIMIT_OSAKA).contains(&tx.gas_limit)
        || tx.nonce == u64::MAX
    {
        return Ok(false);
    }
    // Gas limits below 2^24 and prices below 2^96 multiply to less than 128 bits.
    if tx.fee_cap >> 96 != 0 {
        return Ok(false);
    }
    let fees = handler::l1_fees(context)?;
    let (l1_fee, operator_fee_max, operator_fee) = match &fees {
        Some(fees) => (
            fees.data_fee(data_size),
            fees.operator_fee(tx.gas_limit),
            fees.operator_fee(TRANSFER_GAS),
        ),
        None => (U256::ZERO, U256::ZERO, U256::ZERO),
    };
    let sum = |gas: u128, operator_fee: U256| {
        tx.value.checked_add(U256::from(gas))?.checked_add(l1_fee)?.checked_add(operator_fee)
    };
    let used = u128::from(TRANSFER_GAS);
    let funds_min = sum(u128::from(tx.gas_limit) * tx.fee_cap, operator_fee_max);
    let (Some(funds_min), Some(cost)) = (funds_min, sum(used * price, operator_fee)) else {
        return Ok(false);
    };
    let database = &mut context.journaled_state.database;
    let transfer = Transfer {
        sender: tx.caller,
        nonce: tx.nonce,
        recipient,
        value: tx.value,
        funds_min,
        cost,
    };
    if !database.transfer(transfer)? {
        return Ok(false);
    }
    for (recipient, amount) in handler::rewards(context, tx, TRANSFER_GAS, l1_fee) {
        context.journaled_state.database.credit(recipient, amount);
    }
    context.chain.l1_fee = l1_fee;
    Ok(true)
}

/// Whom a transaction that looks like a plain transfer pays.
fn recipient(tx: &EvmTx, fee_recipients: &[Address]) -> Option<Address> {
    let TxKind::Call(recipient) = tx.to else { return None };
    let plain = tx.input.is_empty() && matches!(tx.lists, Lists::None) && !tx.value.is_zero();
    // Precompiled contracts have small addresses; what fees accrue to has a balance that is not up to date.
    let special = recipient[..18] == [0; 18]
        || recipient == tx.caller
        || fee_recipients.contains(&recipient)
        || fee_recipients.contains(&tx.caller);
    (plain && !special).then_some(recipient)
}

/// What the transaction pays for a unit of gas, if that is allowed.
fn gas_price(tx: &EvmTx, base_fee: u64) -> Option<u128> {
    let allowed =
        tx.fee_cap >= u128::from(base_fee) && tx.tip_cap.is_none_or(|tip| tip <= tx.fee_cap);
    allowed.then(|| tx.effective_gas_price(u128::from(base_fee)))
}
