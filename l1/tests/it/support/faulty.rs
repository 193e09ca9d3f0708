//! A proxy in front of a real node that adds the faults of real providers.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// What the proxy does to answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// Passes everything on.
    None,
    /// A gateway's error page.
    BadGateway,
    /// A web page with status 200.
    Html,
    /// Never answers.
    Hangs,
    /// Another chain id.
    ChainId,
    /// Serves nothing newer than this block.
    StaleAt(u64),
    /// Knows no receipts of blocks, so many times.
    NullReceipts(u64),
    /// Leaves out the last log or receipt of a block.
    MissingReceipt,
    /// Leaves out a block's last transaction.
    MissingTransaction,
    /// Changes a header's base fee.
    OtherHeader,
    /// Announces no length and never stops.
    Endless,
    /// Answers under another id.
    WrongId,
    /// Refuses several calls at once.
    NoBatches,
    /// Changes a byte in each blob.
    OtherBlob,
    /// Asks for fewer requests.
    Busy,
    /// Prices blobs by a fork that we don't know.
    BlobFee,
    /// Passes requests on, but not the answers.
    LosesAnswers,
}

#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    fault: Mutex<Fault>,
    requests: AtomicU64,
}

impl Faulty {
    pub(crate) async fn start(upstream: &str, fault: Fault) -> Self {
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            http: reqwest::Client::new(),
            fault: Mutex::new(fault),
            requests: AtomicU64::new(0),
        });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared }
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// How many requests have come in.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let fault = shared.fault.lock().unwrap().clone();
    let mut request: Value = serde_json::from_slice(&body).unwrap();
    match fault {
        Fault::BadGateway => {
            return (StatusCode::BAD_GATEWAY, "<h1>Bad Gateway</h1>").into_response();
        }
        Fault::Html => return "<html><body>Please log in</body></html>".into_response(),
        Fault::Hangs => std::future::pending().await,
        Fault::Endless => {
            let chunk = Bytes::from(vec![b' '; 1 << 16]);
            let chunks =
                futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            return Body::from_stream(chunks).into_response();
        }
        Fault::NoBatches if request.is_array() => {
            let error = json!({ "code": -32600, "message": "batches are not supported" });
            return json!({ "jsonrpc": "2.0", "id": null, "error": error })
                .to_string()
                .into_response();
        }
        Fault::Busy => {
            let error = json!({ "code": -32005, "message": "limit exceeded" });
            let body = json!({ "jsonrpc": "2.0", "id": null, "error": error }).to_string();
            return (StatusCode::TOO_MANY_REQUESTS, body).into_response();
        }
        Fault::StaleAt(newest) => each(&mut request, |call| {
            if call["method"] == "eth_getBlockByNumber" && call["params"][0] == "latest" {
                call["params"][0] = json!(format!("{newest:#x}"));
            }
        }),
        _ => {}
    }
    let upstream = shared.http.post(&shared.upstream).header("content-type", "application/json");
    let Ok(response) = upstream.body(request.to_string()).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut reply: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    if fault == Fault::LosesAnswers {
        return StatusCode::GATEWAY_TIMEOUT.into_response();
    }
    let calls = match &request {
        Value::Array(calls) => calls.clone(),
        call => vec![call.clone()],
    };
    each(&mut reply, |reply| {
        let call = calls.iter().find(|call| call["id"] == reply["id"]).unwrap();
        distort(&shared, &fault, call, reply);
    });
    reply.to_string().into_response()
}

fn each(value: &mut Value, mut change: impl FnMut(&mut Value)) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(change),
        value => change(value),
    }
}

fn distort(shared: &Shared, fault: &Fault, call: &Value, reply: &mut Value) {
    let result = &mut reply["result"];
    match (fault, call["method"].as_str().unwrap()) {
        (Fault::ChainId, "eth_chainId") => *result = json!("0x5"),
        (Fault::NullReceipts(left), "eth_getBlockReceipts") => {
            *result = Value::Null;
            let left = left - 1;
            *shared.fault.lock().unwrap() =
                if left == 0 { Fault::None } else { Fault::NullReceipts(left) };
        }
        (Fault::MissingReceipt, "eth_getBlockReceipts") => {
            result.as_array_mut().unwrap().pop();
        }
        (Fault::MissingTransaction, "eth_getBlockByHash") => {
            result["transactions"].as_array_mut().unwrap().pop();
        }
        (Fault::OtherHeader, method) if method.starts_with("eth_getBlockBy") => {
            result["baseFeePerGas"] = json!("0x7");
        }
        (Fault::BlobFee, "eth_feeHistory") => result["baseFeePerBlobGas"][0] = json!("0x7"),
        (Fault::WrongId, _) => reply["id"] = json!(999_999),
        (Fault::OtherBlob, "anvil_getBlobByHash") => {
            let mut blob = result.as_str().unwrap().to_owned();
            let end = blob.len() - 2;
            blob.replace_range(end.., if blob.ends_with("00") { "01" } else { "00" });
            *result = json!(blob);
        }
        _ => {}
    }
}
