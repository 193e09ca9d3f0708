//! `eth_subscribe`: new heads, logs and pending transactions, over WebSocket only.

use std::sync::Arc;

use alloy_primitives::B128;
use millrace_types::Transaction;
use serde::Serialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    args::Args,
    backend::{Backend, BlockEvent, LogFilter},
    edge::Edge,
    error::RpcError,
    json::{
        block::HeaderJson,
        filter::FilterArgs,
        hex::parse_fixed,
        log::{LogJson, logs_of_block},
        transaction::TransactionJson,
    },
    methods::Registry,
    session::{Gone, SessionRequest, Subscription},
};

pub(super) fn register<B: Backend>(methods: &mut Registry<B>) {
    methods.add("eth_subscribe", subscribe);
    methods.add("eth_unsubscribe", unsubscribe);
}

async fn subscribe<B: Backend>(edge: Arc<Edge<B>>, args: Args) -> Result<B128, RpcError> {
    let Some(request) = args.attached::<SessionRequest>() else {
        return Err(RpcError::notifications_unsupported());
    };
    let mut args = args.positional(2)?;
    let kind: String = args.required()?;
    let kind = match kind.as_str() {
        "newHeads" => Kind::Heads,
        "logs" => {
            let filter: FilterArgs = args.optional()?.unwrap_or_default();
            Kind::Logs(filter.into_filter(1, edge.config.filter_items_max)?.1)
        }
        "newPendingTransactions" => Kind::Transactions { full: args.optional()?.unwrap_or(false) },
        _ => return Err(RpcError::unknown_subscription(&kind)),
    };
    let subscription = request.session.subscribe().ok_or_else(RpcError::too_many_subscriptions)?;
    let id = subscription.id();
    // Subscribed here, before the answer: what happens from now on is not missed.
    match kind {
        Kind::Heads => {
            let events = edge.backend.block_events();
            request.start_after_answer(forward(subscription, events, send_head));
        }
        Kind::Logs(filter) => {
            let events = edge.backend.block_events();
            request.start_after_answer(forward(subscription, events, move |to, event| {
                send_logs(to, &filter, event)
            }));
        }
        Kind::Transactions { full } => {
            let events = edge.backend.pooled_transactions();
            request.start_after_answer(forward(subscription, events, move |to, txs| {
                send_transactions(to, full, &txs)
            }));
        }
    }
    Ok(id)
}

async fn unsubscribe<B: Backend>(_: Arc<Edge<B>>, args: Args) -> Result<bool, RpcError> {
    let request = args.attached::<SessionRequest>();
    let id: String = args.positional(1)?.required()?;
    let id = parse_fixed::<16>(&id, "rpc.ID").map(B128::from);
    match (request, id) {
        (Some(request), Ok(id)) if request.session.unsubscribe(id) => Ok(true),
        _ => Err(RpcError::subscription_not_found()),
    }
}

enum Kind {
    Heads,
    Logs(LogFilter),
    Transactions { full: bool },
}

/// Passes events on until somebody has had enough.
async fn forward<T: Clone>(
    to: Subscription,
    mut events: Receiver<T>,
    mut send: impl FnMut(&Subscription, T) -> Result<(), Gone>,
) {
    loop {
        let event = tokio::select! {
            () = to.ended().cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(event) => {
                if send(&to, event).is_err() {
                    return;
                }
            }
            Err(RecvError::Lagged(missed)) => {
                return to.fail(&format!("subscription fell behind and missed {missed} events"));
            }
            Err(RecvError::Closed) => return to.fail("the node is stopping"),
        }
    }
}

fn send_json(to: &Subscription, value: &impl Serialize) -> Result<(), Gone> {
    match serde_json::to_string(value) {
        Ok(json) => to.send(&json),
        Err(error) => {
            tracing::error!(%error, "serialize an event");
            Ok(())
        }
    }
}

/// A head that is taken back is not announced; the one that replaces it is.
fn send_head(to: &Subscription, event: BlockEvent) -> Result<(), Gone> {
    match event {
        BlockEvent::Sealed(block) => send_json(to, &HeaderJson::new(&block.block.header, false)),
        BlockEvent::Removed(_) => Ok(()),
    }
}

fn send_logs(to: &Subscription, filter: &LogFilter, event: BlockEvent) -> Result<(), Gone> {
    let (block, removed) = match event {
        BlockEvent::Sealed(block) => (block, false),
        BlockEvent::Removed(block) => (block, true),
    };
    logs_of_block(&block, filter).into_iter().map(LogJson::from).try_for_each(|log| match removed {
        false => send_json(to, &log),
        true => send_json(to, &log.removed()),
    })
}

fn send_transactions(to: &Subscription, full: bool, txs: &[Arc<Transaction>]) -> Result<(), Gone> {
    txs.iter().try_for_each(|tx| match full {
        false => send_json(to, &tx.hash()),
        true => send_json(to, &TransactionJson::pooled(tx)),
    })
}
