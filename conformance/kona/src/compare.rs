//! A derived payload beside the block that a node serves in its place.

use std::fmt::Display;

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_eips::{
    eip1559::{BaseFeeParams, calc_next_block_base_fee},
    eip2718::Encodable2718,
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::{B64, Bytes, U256, keccak256};
use kona_genesis::RollupConfig;
use kona_protocol::OpAttributesWithParent;
use op_alloy_consensus::OpTxType;

use crate::l2::L2Block;

/// The first thing in which a block is not what was derived.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} differs: derived {derived}, served {served}")]
pub(crate) struct Difference {
    field: String,
    derived: String,
    served: String,
}

/// Leaves the deposits of a payload only: what is built in its place when its other transactions turn out to be invalid.
pub(crate) fn keep_deposits(attributes: &mut OpAttributesWithParent) {
    if let Some(transactions) = &mut attributes.inner.transactions {
        transactions.retain(|transaction| transaction.first() == Some(&(OpTxType::Deposit as u8)));
    }
}

/// Compares everything of a block that is known without executing it.
pub(crate) fn compare(
    config: &RollupConfig,
    parent: &L2Block,
    attributes: &OpAttributesWithParent,
    served: &L2Block,
) -> Result<(), Difference> {
    let payload = &attributes.inner.payload_attributes;
    let header = &served.block.header;
    check("number", attributes.block_number(), header.number)?;
    check("parent hash", parent.hash, header.parent_hash)?;
    check("timestamp", payload.timestamp, header.timestamp)?;
    check("prevRandao", payload.prev_randao, header.mix_hash)?;
    check("fee recipient", payload.suggested_fee_recipient, header.beneficiary)?;
    check_option(
        "parent beacon block root",
        payload.parent_beacon_block_root,
        header.parent_beacon_block_root,
    )?;
    let withdrawals = served.block.body.withdrawals.as_ref();
    check_option(
        "number of withdrawals",
        payload.withdrawals.as_ref().map(Vec::len),
        withdrawals.map(|list| list.len()),
    )?;
    check_option("gas limit", attributes.inner.gas_limit, Some(header.gas_limit))?;
    let extra_data = attributes.inner.eip_1559_params.map(|params| extra_data(config, params));
    check_option("extra data", extra_data, Some(header.extra_data.clone()))?;
    compare_transactions(attributes.inner.transactions.as_deref().unwrap_or_default(), served)?;
    compare_rules(&parent.block.header, header)
}

/// Deposits and batched transactions, byte by byte.
fn compare_transactions(derived: &[Bytes], served: &L2Block) -> Result<(), Difference> {
    let served = &served.block.body.transactions;
    for (index, (derived, served)) in derived.iter().zip(served).enumerate() {
        let served = Bytes::from(served.encoded_2718());
        if *derived != served {
            // Of some kilobytes nobody sees where they differ, so the hash names the transaction and the bytes follow.
            let describe = |bytes: &Bytes| format!("{} ({bytes})", keccak256(bytes));
            return Err(Difference {
                field: format!("transaction {index}"),
                derived: describe(derived),
                served: describe(&served),
            });
        }
    }
    check("number of transactions", derived.len(), served.len())
}

/// What a header has to say whoever built it, as far as its parent and the rules decide.
fn compare_rules(parent: &Header, header: &Header) -> Result<(), Difference> {
    check_option("base fee", base_fee(parent), header.base_fee_per_gas)?;
    check("ommers hash", EMPTY_OMMER_ROOT_HASH, header.ommers_hash)?;
    check("difficulty", U256::ZERO, header.difficulty)?;
    check("nonce", B64::ZERO, header.nonce)?;
    check_option("blob gas used", Some(0), header.blob_gas_used)?;
    check_option("excess blob gas", Some(0), header.excess_blob_gas)?;
    check_option("requests hash", Some(EMPTY_REQUESTS_HASH), header.requests_hash)
}

/// Nine bytes: a zero and both parameters, the chain's constants where the system config says nothing.
fn extra_data(config: &RollupConfig, params: B64) -> Bytes {
    let params = if params.is_zero() {
        let constants = config.chain_op_config.as_canyon_base_fee_params();
        let [denominator, elasticity] =
            [constants.max_change_denominator, constants.elasticity_multiplier];
        B64::from((denominator << 32 | elasticity) as u64)
    } else {
        params
    };
    [&[0], params.as_slice()].concat().into()
}

/// By the parent's parameters, which its extra data says. Nothing if it says none.
fn base_fee(parent: &Header) -> Option<u64> {
    let [0, d0, d1, d2, d3, e0, e1, e2, e3] = parent.extra_data[..] else { return None };
    let [denominator, elasticity] =
        [[d0, d1, d2, d3], [e0, e1, e2, e3]].map(|bytes| u128::from(u32::from_be_bytes(bytes)));
    if denominator == 0 || elasticity == 0 || u128::from(parent.gas_limit) < elasticity {
        return None;
    }
    let params = BaseFeeParams::new(denominator, elasticity);
    let base_fee = parent.base_fee_per_gas?;
    Some(calc_next_block_base_fee(parent.gas_used, parent.gas_limit, base_fee, params))
}

fn check<T: PartialEq + Display>(
    field: &'static str,
    derived: T,
    served: T,
) -> Result<(), Difference> {
    check_option(field, Some(derived), Some(served))
}

fn check_option<T: PartialEq + Display>(
    field: &'static str,
    derived: Option<T>,
    served: Option<T>,
) -> Result<(), Difference> {
    if derived == served {
        return Ok(());
    }
    let [derived, served] =
        [derived, served].map(|value| value.map_or("nothing".into(), |value| value.to_string()));
    Err(Difference { field: field.into(), derived, served })
}
