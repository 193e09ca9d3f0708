//! `eth_subscribe`: new heads, logs and pending transactions, over WebSocket only; and what is promised before it is sealed,
//! under the names that Flashblocks nodes gave it.

use std::sync::Arc;

use alloy_primitives::{Address, B128, Bloom};
use millrace_types::Transaction;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    args::Args,
    backend::{Backend, BlockEvent, LogFilter},
    edge::Edge,
    error::RpcError,
    json::{
        block::HeaderJson,
        executed::{self, Executed},
        filter::FilterArgs,
        hex::{Quantity, parse_fixed},
        log::{LogJson, logs_of_block},
        receipt,
        transaction::TransactionJson,
    },
    methods::Registry,
    promised::PromisedRun,
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
        "logs" => Kind::Logs(filter(args.optional()?, edge.config.filter_items_max)?),
        "newPendingTransactions" => Kind::Transactions { full: args.optional()?.unwrap_or(false) },
        "pendingLogs" => {
            Kind::PromisedLogs(filter(args.optional()?, edge.config.filter_items_max)?)
        }
        "newFlashblockTransactions" => Kind::Promised(match args.optional::<Detail>()? {
            None | Some(Detail::Full(false)) => Telling::Hashes,
            Some(Detail::Full(true)) => Telling::Full(None),
            Some(Detail::Filter(wanted)) => {
                Telling::Full(Some(filter(Some(wanted), edge.config.filter_items_max)?))
            }
        }),
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
        Kind::PromisedLogs(filter) => {
            let events = edge.backend.promised_transactions();
            request.start_after_answer(forward(subscription, events, move |to, run| {
                send_promised_logs(to, &filter, &run)
            }));
        }
        Kind::Promised(telling) => {
            let events = edge.backend.promised_transactions();
            request.start_after_answer(forward(subscription, events, move |to, run| {
                send_promised(to, &telling, &run)
            }));
        }
    }
    Ok(id)
}

fn filter(args: Option<FilterArgs>, items_max: usize) -> Result<LogFilter, RpcError> {
    Ok(args.unwrap_or_default().into_filter(1, items_max)?.1)
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
    PromisedLogs(LogFilter),
    Promised(Telling),
}

/// The second argument of `newFlashblockTransactions`.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "neither a boolean nor a filter")]
enum Detail {
    Full(bool),
    Filter(FilterArgs),
}

/// What is told about promised transactions.
enum Telling {
    /// The hash of each.
    Hashes,
    /// Everything, about those with a log that the filter wants.
    Full(Option<LogFilter>),
}

/// A promised transaction with what its execution came to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PromisedJson {
    #[serde(flatten)]
    transaction: TransactionJson,
    contract_address: Option<Address>,
    cumulative_gas_used: Quantity,
    gas_used: Quantity,
    logs: Vec<LogJson>,
    logs_bloom: Bloom,
    status: Quantity,
}

impl PromisedJson {
    fn new(executed: Executed<'_>) -> Self {
        Self {
            transaction: TransactionJson::promised(executed),
            contract_address: receipt::created(executed),
            cumulative_gas_used: Quantity::from(executed.receipt.cumulative_gas_used),
            gas_used: receipt::gas_used(executed),
            logs: executed.logs().map(LogJson::from).collect(),
            logs_bloom: executed.receipt.bloom(),
            status: Quantity::from(u64::from(executed.receipt.success)),
        }
    }
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

fn send_promised_logs(
    to: &Subscription,
    filter: &LogFilter,
    run: &PromisedRun,
) -> Result<(), Gone> {
    executed::of_run(run)
        .flat_map(|executed| executed.logs_matching(filter))
        .try_for_each(|log| send_json(to, &LogJson::from(log)))
}

fn send_promised(to: &Subscription, telling: &Telling, run: &PromisedRun) -> Result<(), Gone> {
    let filter = match telling {
        Telling::Hashes => {
            return run.transactions.iter().try_for_each(|(tx, _)| send_json(to, &tx.hash()));
        }
        Telling::Full(filter) => filter.as_ref(),
    };
    let wanted = |executed: &Executed<'_>| {
        filter.is_none_or(|filter| executed.receipt.logs.iter().any(|log| filter.matches(log)))
    };
    executed::of_run(run)
        .filter(wanted)
        .try_for_each(|executed| send_json(to, &PromisedJson::new(executed)))
}
