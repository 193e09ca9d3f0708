//! Running transactions without sending them.

use std::sync::Arc;

use alloy_primitives::Bytes;

use crate::{
    args::Args,
    backend::{Backend, CallRequest},
    edge::Edge,
    error::RpcError,
    json::{
        call::{BlockOverrideArgs, CallArgs, StateOverrideArgs},
        hex::Quantity,
    },
    methods::{Registry, state::at},
};

pub(super) fn register<B: Backend>(methods: &mut Registry<B>) {
    methods.add("eth_call", call);
    methods.add("eth_estimateGas", estimate_gas);
}

async fn call<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<Bytes, RpcError> {
    let request = request(&args)?;
    let backend = edge.backend.clone();
    edge.run_heavy(async move { Ok(backend.call(request).await?) }).await
}

async fn estimate_gas<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<Quantity, RpcError> {
    let request = request(&args)?;
    let backend = edge.backend.clone();
    let gas = edge.run_heavy(async move { Ok(backend.estimate_gas(request).await?) }).await?;
    Ok(Quantity::from(gas))
}

/// Both methods take the call, a block, changes to the state and changes to the block.
fn request(args: &Args) -> Result<CallRequest, RpcError> {
    let mut args = args.positional(4)?;
    let message = args.required::<CallArgs>()?.try_into()?;
    let at = at(&mut args)?;
    let state: StateOverrideArgs = args.optional()?.unwrap_or_default();
    let block: BlockOverrideArgs = args.optional()?.unwrap_or_default();
    Ok(CallRequest {
        at,
        message,
        state_overrides: state.into_overrides()?,
        block_overrides: block.into(),
    })
}
