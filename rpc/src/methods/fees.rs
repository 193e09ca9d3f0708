//! What to pay.
//!
//! The suggested tip follows op-geth's rule: while the newest block had room, tips buy nothing and the configured
//! floor is suggested; when it was full, its median tip and a tenth more, up to a configured ceiling.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_eips::{eip1559::calc_next_block_base_fee, eip7840::BlobParams};
use alloy_primitives::{U128, U256};
use millrace_types::SealedHeader;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    args::Args,
    backend::{Backend, BaseFeeParams, BlockRef, ChainBlock},
    edge::Edge,
    error::RpcError,
    json::{
        block_ref::BlockNumber,
        hex::{Quantity, parse_u64},
    },
    methods::Registry,
};

/// How many percentiles one fee history may ask for, as in geth.
const PERCENTILES_MAX: usize = 100;

pub(super) fn register<B: Backend>(methods: &mut Registry<B>) {
    methods.add("eth_gasPrice", gas_price);
    methods.add("eth_maxPriorityFeePerGas", max_priority_fee);
    methods.add("eth_blobBaseFee", blob_base_fee);
    methods.add("eth_feeHistory", fee_history);
}

/// Base fee and suggested tip.
async fn gas_price<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<U128, RpcError> {
    args.none()?;
    let header = latest(&edge).await?;
    let tip = suggested_tip(&edge).await?;
    Ok(U128::from(tip.saturating_add(header.base_fee_per_gas.unwrap_or_default().into())))
}

async fn max_priority_fee<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<U128, RpcError> {
    args.none()?;
    suggested_tip(&edge).await.map(U128::from)
}

async fn blob_base_fee<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<U128, RpcError> {
    args.none()?;
    Ok(U128::from(blob_fee(&*latest(&edge).await?)))
}

async fn latest<B: Backend>(edge: &Edge<B>) -> Result<SealedHeader, RpcError> {
    edge.backend.header(BlockRef::Latest).await?.ok_or_else(RpcError::header_not_found)
}

async fn suggested_tip<B: Backend>(edge: &Edge<B>) -> Result<u128, RpcError> {
    let block = edge.block(BlockRef::Latest).await?.ok_or_else(RpcError::header_not_found)?;
    let hash = block.block.header.hash();
    if let Some((of, tip)) = *edge.tip.lock()
        && of == hash
    {
        return Ok(tip);
    }
    let floor = edge.config.suggested_tip_min;
    let ceiling = edge.config.suggested_tip_max.max(floor);
    let tip = tip_of(&block).map_or(floor, |tip| tip.clamp(floor, ceiling));
    *edge.tip.lock() = Some((hash, tip));
    Ok(tip)
}

/// What a full block's transactions tipped, and a tenth more; nothing if the block had room.
fn tip_of(block: &ChainBlock) -> Option<u128> {
    let header = &block.block.header;
    let gas = Gas::of_each(block);
    // Full means that the largest of its transactions would not have fitted once more.
    let largest = gas.iter().map(|gas| gas.used).max().unwrap_or_default();
    if header.gas_used.saturating_add(largest) <= header.gas_limit {
        return None;
    }
    let mut tips: Vec<u128> = block
        .block
        .transactions
        .iter()
        .zip(&gas)
        .filter(|(tx, _)| !tx.is_deposit())
        .map(|(_, gas)| gas.tip)
        .collect();
    tips.sort_unstable();
    let median = *tips.get(tips.len() / 2)?;
    Some(median.saturating_add(median / 10))
}

/// What a transaction used and tipped.
struct Gas {
    used: u64,
    tip: u128,
}

impl Gas {
    fn of_each(block: &ChainBlock) -> Vec<Self> {
        let base_fee = block.block.header.base_fee_per_gas.unwrap_or_default();
        let mut before = 0;
        block
            .block
            .transactions
            .iter()
            .zip(block.receipts.iter())
            .map(|(tx, receipt)| {
                let used = receipt.cumulative_gas_used.saturating_sub(before);
                before = receipt.cumulative_gas_used;
                let tip = match tx.is_deposit() {
                    true => 0,
                    false => tx.effective_tip_per_gas(base_fee).unwrap_or_default(),
                };
                Self { used, tip }
            })
            .collect()
    }
}

/// A header's blob base fee: a constant on OP chains, whose excess is always zero.
fn blob_fee(header: &millrace_types::Header) -> u128 {
    BlobParams::prague().calc_blob_fee(header.excess_blob_gas.unwrap_or_default())
}

/// The base fee of the block after this one.
fn next_base_fee(header: &SealedHeader, fallback: BaseFeeParams) -> u64 {
    let params = holocene_params(&header.extra_data).unwrap_or(fallback);
    if params.denominator == 0 || params.elasticity == 0 {
        return header.base_fee_per_gas.unwrap_or_default();
    }
    calc_next_block_base_fee(
        header.gas_used,
        header.gas_limit,
        header.base_fee_per_gas.unwrap_or_default(),
        alloy_eips::eip1559::BaseFeeParams::new(
            params.denominator.into(),
            params.elasticity.into(),
        ),
    )
}

/// The parameters that an OP header carries since Holocene: a zero version, the denominator and the elasticity.
fn holocene_params(extra_data: &[u8]) -> Option<BaseFeeParams> {
    let [0, d0, d1, d2, d3, e0, e1, e2, e3] = *extra_data else { return None };
    let denominator = u32::from_be_bytes([d0, d1, d2, d3]);
    let elasticity = u32::from_be_bytes([e0, e1, e2, e3]);
    (denominator != 0 && elasticity != 0)
        .then_some(BaseFeeParams { denominator: denominator.into(), elasticity: elasticity.into() })
}

/// The answer of `eth_feeHistory`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct FeeHistory {
    oldest_block: Quantity,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<Vec<Vec<U256>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    base_fee_per_gas: Vec<Quantity>,
    gas_used_ratio: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    base_fee_per_blob_gas: Vec<U128>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blob_gas_used_ratio: Vec<f64>,
}

/// A count, which geth takes as hex, as decimal digits and as a number.
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "neither a number nor a string of one")]
        enum Text {
            Number(u64),
            Text(String),
        }
        match Text::deserialize(from)? {
            Text::Number(number) => Ok(Self(number)),
            Text::Text(text) => match text.starts_with("0x") {
                true => parse_u64(&text).map_err(de::Error::custom),
                false => text.parse().map_err(de::Error::custom),
            }
            .map(Self),
        }
    }
}

async fn fee_history<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<FeeHistory, RpcError> {
    let (count, newest, percentiles) = {
        let mut args = args.positional(3)?;
        let count = args.required::<Count>()?.0;
        let newest = args.optional::<BlockNumber>()?.map_or(BlockRef::Latest, |number| number.0);
        (count, newest, args.optional::<Vec<f64>>()?.unwrap_or_default())
    };
    check_percentiles(&percentiles)?;
    let heads = edge.backend.heads();
    let newest = match newest {
        BlockRef::Number(number) if number > heads.latest => {
            return Err(RpcError::failed(format!(
                "request beyond head block: requested {number}, head {}",
                heads.latest
            )));
        }
        BlockRef::Number(number) => number,
        BlockRef::Safe => heads.safe,
        BlockRef::Finalized => heads.finalized,
        BlockRef::Earliest => heads.earliest,
        BlockRef::Latest | BlockRef::Pending | BlockRef::Hash(_) => heads.latest,
    };
    let count = count
        .min(edge.config.fee_history_blocks_max)
        .min((newest + 1).saturating_sub(heads.earliest));
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    let oldest = newest + 1 - count;
    let _permit = edge.heavy()?;
    let mut history = FeeHistory {
        oldest_block: Quantity::from(oldest),
        reward: (!percentiles.is_empty()).then(Vec::new),
        ..Default::default()
    };
    let mut last = None;
    for number in oldest..=newest {
        let at = BlockRef::Number(number);
        let header = match &mut history.reward {
            Some(reward) => {
                let block = edge.block(at).await?.ok_or_else(RpcError::header_not_found)?;
                reward.push(rewards(&block, &percentiles));
                block.block.header.clone()
            }
            None => edge.backend.header(at).await?.ok_or_else(RpcError::header_not_found)?,
        };
        history.base_fee_per_gas.push(Quantity::from(header.base_fee_per_gas.unwrap_or_default()));
        history.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
        history.base_fee_per_blob_gas.push(U128::from(blob_fee(&header)));
        history.blob_gas_used_ratio.push(ratio(
            header.blob_gas_used.unwrap_or_default(),
            BlobParams::prague().max_blob_gas_per_block(),
        ));
        last = Some(header);
    }
    if let Some(header) = last {
        let next = next_base_fee(&header, edge.backend.chain().base_fee);
        history.base_fee_per_gas.push(Quantity::from(next));
        let blobs = BlobParams::prague();
        let excess = header
            .excess_blob_gas
            .unwrap_or_default()
            .saturating_add(header.blob_gas_used.unwrap_or_default())
            .saturating_sub(blobs.target_blob_gas_per_block());
        history.base_fee_per_blob_gas.push(U128::from(blobs.calc_blob_fee(excess)));
    }
    Ok(history)
}

fn ratio(used: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { used as f64 / of as f64 }
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), RpcError> {
    if percentiles.len() > PERCENTILES_MAX {
        return Err(RpcError::failed(format!(
            "invalid reward percentile: over the query limit {PERCENTILES_MAX}"
        )));
    }
    for (index, percentile) in percentiles.iter().enumerate() {
        if !(0.0..=100.0).contains(percentile) {
            return Err(RpcError::failed(format!("invalid reward percentile: {percentile:.6}")));
        }
        if let Some(before) = index.checked_sub(1).and_then(|before| percentiles.get(before))
            && before >= percentile
        {
            return Err(RpcError::failed(format!(
                "invalid reward percentile: #{}:{before:.6} >= #{index}:{percentile:.6}",
                index - 1
            )));
        }
    }
    Ok(())
}

/// The tips at these percentiles of a block's gas, as geth weighs them.
fn rewards(block: &ChainBlock, percentiles: &[f64]) -> Vec<U256> {
    let mut gas = Gas::of_each(block);
    gas.sort_by_key(|gas| gas.tip);
    let total = block.block.header.gas_used as f64;
    let mut gas = gas.iter();
    let mut current = gas.next();
    let mut sum = current.map_or(0, |gas| gas.used);
    percentiles
        .iter()
        .map(|percentile| {
            let threshold = (total * percentile / 100.0) as u64;
            while sum < threshold {
                let Some(next) = gas.next() else { break };
                sum += next.used;
                current = Some(next);
            }
            current.map_or(U256::ZERO, |gas| U256::from(gas.tip))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_carries_the_base_fee_rule() {
        let extra = [0, 0, 0, 0, 250, 0, 0, 0, 6];
        let params = holocene_params(&extra).unwrap();
        assert_eq!(params, BaseFeeParams { denominator: 250, elasticity: 6 });
        for extra in [&[0; 9][..], &[1, 0, 0, 0, 250, 0, 0, 0, 6], &[0; 8], b"hello wor"] {
            assert_eq!(holocene_params(extra), None);
        }
    }

    #[test]
    fn percentiles_rise_from_0_to_100() {
        for good in [&[][..], &[0.0, 100.0], &[0.5, 25.0]] {
            assert!(check_percentiles(good).is_ok());
        }
        for bad in [&[-1.0][..], &[100.1], &[f64::NAN], &[5.0, 5.0], &[5.0, 4.0], &[0.0; 101]] {
            assert!(check_percentiles(bad).is_err(), "{bad:?}");
        }
    }
}
