//! A proxy in front of L1 with the faults of real providers. A test switches them while a node talks to it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_consensus::{
    BlobTransactionSidecar, EthereumTxEnvelope, Transaction, TxEip4844WithSidecar,
};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, Bytes};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    anvil::{Anvil, text},
    node::{Rpc, wait_for},
    server::Server,
};

/// A transaction as it travels, with its blobs.
type Pooled = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecar>>;

/// What the proxy does to L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Takes its time over every answer.
    Slow(Duration),
    /// Refuses connections.
    Refuses,
    /// Answers with a web page, and says that all is well.
    Html,
    /// A gateway's error page.
    BadGateway,
    /// Serves another chain, to judge by its id.
    OtherChain,
    /// Serves L1 as it was at some time.
    Stale(Tags),
    /// The same for every other request, as providers with several nodes do.
    Flapping(Tags),
    /// Knows blocks and no receipts.
    NullReceipts,
    /// Asks for so much, in wei, for a unit of blob gas. What offers less is taken into the pool, and into no block.
    BlobPrice(u128),
}

/// What L1's names meant at some time, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tags {
    latest: u64,
    safe: u64,
    finalized: u64,
}

impl Tags {
    /// What they mean now.
    pub(crate) fn of(l1: &Anvil) -> Self {
        let [latest, safe, finalized] = ["latest", "safe", "finalized"].map(|tag| l1.number(tag));
        Self { latest, safe, finalized }
    }
}

/// Where a call is held up: on its way to L1, or on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// L1 never sees the call, not even once it is let go.
    There,
    /// L1 has seen it, and its answer doesn't arrive.
    Back,
}

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: Rpc,
    fault: Mutex<Fault>,
    /// How many requests came in while it flapped.
    requests: AtomicU64,
    /// Which method is held up, and where.
    hold: watch::Sender<Option<(&'static str, Way)>>,
    /// The calls that are or were held up since the last change of what is.
    held: Mutex<Vec<Value>>,
    /// How many calls came in, by method.
    calls: Mutex<BTreeMap<String, u64>>,
}

impl Proxy {
    /// Starts one that passes everything on.
    pub(crate) fn start(upstream: &str) -> Self {
        let shared = Arc::new(Shared {
            upstream: Rpc::new(upstream.to_owned()),
            fault: Mutex::new(Fault::None),
            requests: AtomicU64::new(0),
            hold: watch::Sender::new(None),
            held: Mutex::default(),
            calls: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        Self { server: Server::start(router), shared }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// From now on this is wrong, and nothing else.
    pub(crate) fn set(&mut self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
        match fault {
            Fault::Refuses => self.server.refuse(),
            _ => self.server.listen(),
        }
    }

    /// From now on calls of this method are held up, and those that were held up before are let go.
    pub(crate) fn hold(&self, method: &'static str, way: Way) {
        self.shared.held.lock().unwrap().clear();
        self.shared.hold.send_replace(Some((method, way)));
    }

    /// Holds up nothing any more.
    pub(crate) fn release(&self) {
        self.shared.hold.send_replace(None);
    }

    /// Waits until a call is held up.
    pub(crate) fn held(&self) -> Value {
        wait_for("a call to be held up", || self.shared.held.lock().unwrap().first().cloned())
    }

    /// The same, where calls hand over transactions: the first one's hash and nonce.
    pub(crate) fn held_transaction(&self) -> (B256, u64) {
        let raw: Bytes = text(&self.held()["params"][0]).parse().expect("hex");
        let transaction = Pooled::decode_2718_exact(&raw).expect("a transaction");
        (*transaction.tx_hash(), transaction.nonce())
    }

    /// The calls that came in so far, by method.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.calls.lock().unwrap().clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, body: axum::body::Bytes) -> Response {
    let Ok(mut request) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    each(&mut request, |call| {
        let method = call["method"].as_str().unwrap_or_default().to_owned();
        *shared.calls.lock().unwrap().entry(method).or_default() += 1;
    });
    let fault = shared.fault();
    match fault {
        Fault::Html => return "<html><body>Please log in</body></html>".into_response(),
        Fault::BadGateway => {
            return (StatusCode::BAD_GATEWAY, "<h1>Bad Gateway</h1>").into_response();
        }
        Fault::Slow(pause) => tokio::time::sleep(pause).await,
        Fault::Stale(tags) => each(&mut request, |call| name_numbers(call, tags)),
        _ => {}
    }
    if shared.hold_up(&request, Way::There).await {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    // It may have changed while the request was held up.
    if let Fault::BlobPrice(price) = *shared.fault.lock().unwrap()
        && let Some(hash) = too_cheap(&request, price)
    {
        let taken = json!({ "jsonrpc": "2.0", "id": request["id"], "result": hash });
        return taken.to_string().into_response();
    }
    let (upstream, sent) = (shared.upstream.clone(), request.to_string());
    let answered = tokio::task::spawn_blocking(move || upstream.post(sent.as_bytes())).await;
    let Ok(Ok((_, reply))) = answered else { return StatusCode::BAD_GATEWAY.into_response() };
    shared.hold_up(&request, Way::Back).await;
    let Ok(mut reply) = serde_json::from_str::<Value>(&reply) else {
        return reply.into_response();
    };
    each(&mut reply, |reply| {
        let call = match &request {
            Value::Array(calls) => calls.iter().find(|call| call["id"] == reply["id"]),
            call => Some(call),
        };
        if let Some(call) = call {
            distort(fault, call, reply);
        }
    });
    reply.to_string().into_response()
}

impl Shared {
    /// What is wrong for one request.
    fn fault(&self) -> Fault {
        let fault = *self.fault.lock().unwrap();
        let Fault::Flapping(tags) = fault else { return fault };
        let requests = self.requests.fetch_add(1, Ordering::Relaxed);
        if requests.is_multiple_of(2) { Fault::Stale(tags) } else { Fault::None }
    }

    /// Keeps the request for as long as one of its calls is to be held up here. Says whether it was.
    async fn hold_up(&self, request: &Value, here: Way) -> bool {
        let mut hold = self.hold.subscribe();
        let found = match *hold.borrow_and_update() {
            Some((method, way)) if way == here => find(request, method).cloned(),
            _ => None,
        };
        let Some(call) = found else { return false };
        self.held.lock().unwrap().push(call);
        // It can't be closed while somebody waits here.
        hold.changed().await.ok();
        true
    }
}

fn find<'a>(request: &'a Value, method: &str) -> Option<&'a Value> {
    match request {
        Value::Array(calls) => calls.iter().find(|call| call["method"] == method),
        call => Some(call).filter(|call| call["method"] == method),
    }
}

fn each(value: &mut Value, mut change: impl FnMut(&mut Value)) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(change),
        value => change(value),
    }
}

/// Asks for what a name meant once.
fn name_numbers(call: &mut Value, tags: Tags) {
    for param in call["params"].as_array_mut().into_iter().flatten() {
        let number = match param.as_str() {
            Some("latest" | "pending") => tags.latest,
            Some("safe") => tags.safe,
            Some("finalized") => tags.finalized,
            _ => continue,
        };
        *param = json!(format!("{number:#x}"));
    }
}

/// The hash of a blob transaction that offers less than this for its blobs, if the request hands over one.
fn too_cheap(request: &Value, price: u128) -> Option<B256> {
    let call = find(request, "eth_sendRawTransaction")?;
    let raw: Bytes = call["params"][0].as_str()?.parse().ok()?;
    let transaction = Pooled::decode_2718_exact(&raw).ok()?;
    let offered = transaction.max_fee_per_blob_gas()?;
    (offered < price).then(|| *transaction.tx_hash())
}

fn distort(fault: Fault, call: &Value, reply: &mut Value) {
    let method = call["method"].as_str().unwrap_or_default();
    let result = &mut reply["result"];
    match fault {
        Fault::OtherChain if method == "eth_chainId" => *result = json!("0x5"),
        Fault::BlobPrice(price) if method == "eth_blobBaseFee" => {
            *result = json!(format!("{price:#x}"));
        }
        Fault::NullReceipts if method.contains("Receipt") => *result = Value::Null,
        Fault::Stale(tags) => {
            let number = |value: &Value| {
                let text = value.as_str()?.strip_prefix("0x")?;
                u64::from_str_radix(text, 16).ok()
            };
            let of = if method.contains("Receipts") { &result[0] } else { &*result };
            let newest = number(&of["number"]).or_else(|| number(&of["blockNumber"]));
            if newest.is_some_and(|newest| newest > tags.latest) {
                *result = Value::Null;
            }
        }
        _ => {}
    }
}
