//! Accounts, their code and storage, and proofs. A missing block parameter means the latest block.

use std::sync::Arc;

use alloy_primitives::{B256, Bytes, U256};

use crate::{
    args::{Args, Positional},
    backend::{Backend, BlockRef},
    edge::Edge,
    error::RpcError,
    json::{
        block_ref::BlockId,
        hex::{AddressText, Quantity, Slot},
        proof::ProofJson,
    },
    methods::Registry,
};

pub(super) fn register<B: Backend>(methods: &mut Registry<B>) {
    methods.add("eth_getBalance", balance);
    methods.add("eth_getTransactionCount", transaction_count);
    methods.add("eth_getCode", code);
    methods.add("eth_getStorageAt", storage);
    methods.add("eth_getProof", proof);
}

/// The next argument: any way to name a block, the latest when missing.
pub(super) fn at(args: &mut Positional<'_>) -> Result<BlockRef, RpcError> {
    Ok(args.optional::<BlockId>()?.map_or(BlockRef::Latest, |id| id.0))
}

async fn balance<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<U256, RpcError> {
    let (address, at) = {
        let mut args = args.positional(2)?;
        (args.required::<AddressText>()?.0, at(&mut args)?)
    };
    Ok(edge.backend.account(address, at).await?.map_or(U256::ZERO, |account| account.balance))
}

async fn transaction_count<B: Backend>(
    edge: Arc<Edge<B>>,
    args: Args,
) -> Result<Quantity, RpcError> {
    let (address, at) = {
        let mut args = args.positional(2)?;
        (args.required::<AddressText>()?.0, at(&mut args)?)
    };
    let nonce = match at {
        BlockRef::Pending => edge.backend.next_nonce(address).await?,
        at => edge.backend.account(address, at).await?.map_or(0, |account| account.nonce),
    };
    Ok(Quantity::from(nonce))
}

async fn code<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<Bytes, RpcError> {
    let (address, at) = {
        let mut args = args.positional(2)?;
        (args.required::<AddressText>()?.0, at(&mut args)?)
    };
    Ok(edge.backend.code(address, at).await?)
}

async fn storage<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<B256, RpcError> {
    let (address, slot, at) = {
        let mut args = args.positional(3)?;
        (args.required::<AddressText>()?.0, args.required::<Slot>()?.0, at(&mut args)?)
    };
    Ok(edge.backend.storage(address, slot.into(), at).await?.into())
}

async fn proof<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<ProofJson, RpcError> {
    let (address, keys, at) = {
        let mut args = args.positional(3)?;
        let address = args.required::<AddressText>()?.0;
        let keys: Vec<Key> = args.optional()?.unwrap_or_default();
        (address, keys, at(&mut args)?)
    };
    let max = edge.config.proof_slots_max;
    if keys.len() > max {
        return Err(RpcError::invalid_params(format!(
            "too many slots in one proof: {}, limit {max}",
            keys.len()
        )));
    }
    let (slots, names) = keys.into_iter().map(|key| (key.slot, key.name)).unzip();
    let backend = edge.backend.clone();
    let proof = edge.run_heavy(async move { Ok(backend.proof(address, slots, at).await?) }).await?;
    Ok(ProofJson::new(address, names, proof))
}

/// A slot, and how the answer names it: geth gives a full-length key back as it is, and a short one as a number.
struct Key {
    slot: B256,
    name: String,
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = crate::json::hex::string(from)?;
        let slot: Slot = serde::Deserialize::deserialize(serde::de::value::CowStrDeserializer::<
            D::Error,
        >::new(text.clone()))?;
        let full = text.strip_prefix("0x").unwrap_or(&text).len() == 64;
        let name =
            if full { slot.0.to_string() } else { format!("{:#x}", U256::from_be_bytes(slot.0.0)) };
        Ok(Self { slot: slot.0, name })
    }
}
