//! About the node itself: `web3_*`, `net_*`, the chain id and what it is up to.

use std::sync::Arc;

use alloy_primitives::{Address, B256, keccak256};

use crate::{
    args::Args,
    backend::Backend,
    edge::Edge,
    error::RpcError,
    json::hex::{Data, Quantity},
    methods::Registry,
};

pub(super) fn register<B: Backend>(methods: &mut Registry<B>) {
    methods.add("web3_clientVersion", client_version);
    methods.add("web3_sha3", sha3);
    methods.add("net_version", network_id);
    methods.add("net_listening", listening);
    methods.add("net_peerCount", peer_count);
    methods.add("eth_chainId", chain_id);
    methods.add("eth_syncing", syncing);
    methods.add("eth_accounts", accounts);
    methods.add("eth_blockNumber", block_number);
}

async fn client_version<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<String, RpcError> {
    args.none()?;
    Ok(edge.backend.chain().client_version)
}

async fn sha3<B: Backend>(_: Arc<Edge<B>>, args: Args) -> Result<B256, RpcError> {
    let data: Data = args.positional(1)?.required()?;
    Ok(keccak256(data.0))
}

/// The network id, in decimal. It is the chain id.
async fn network_id<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<String, RpcError> {
    args.none()?;
    Ok(edge.backend.chain().chain_id.to_string())
}

async fn listening<B: Backend>(_: Arc<Edge<B>>, args: Args) -> Result<bool, RpcError> {
    args.none()?;
    Ok(true)
}

/// A sequencer has no peers.
async fn peer_count<B: Backend>(_: Arc<Edge<B>>, args: Args) -> Result<Quantity, RpcError> {
    args.none()?;
    Ok(Quantity::ZERO)
}

async fn chain_id<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<Quantity, RpcError> {
    args.none()?;
    Ok(Quantity::from(edge.backend.chain().chain_id))
}

/// Who makes the chain is never behind it.
async fn syncing<B: Backend>(_: Arc<Edge<B>>, args: Args) -> Result<bool, RpcError> {
    args.none()?;
    Ok(false)
}

/// We hold nobody's keys.
async fn accounts<B: Backend>(_: Arc<Edge<B>>, args: Args) -> Result<[Address; 0], RpcError> {
    args.none()?;
    Ok([])
}

async fn block_number<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<Quantity, RpcError> {
    args.none()?;
    Ok(Quantity::from(edge.backend.heads().latest))
}
