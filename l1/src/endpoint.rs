//! One L1 node: calls out, answers or plain reasons back. It neither retries nor judges; [`L1Client`] does.
//!
//! [`L1Client`]: crate::L1Client

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::value::RawValue;

use crate::{
    config::{ConfigError, EndpointConfig},
    http::Http,
    json_rpc::{self, Answer, Call, RpcError},
};

/// A JSON-RPC endpoint over HTTP(S).
#[derive(Debug)]
pub struct Endpoint {
    http: Http,
    batch_calls_max: usize,
    /// Ids only have to differ within what is in flight. Relaxed: nothing else is ordered by it.
    next_id: AtomicU64,
    /// Cleared for good when the endpoint refuses several calls in one request. Relaxed: being late by a request costs
    /// that request a detour.
    takes_batches: AtomicBool,
}

/// Why an endpoint gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No connection, or a broken one.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// More than we are willing to read.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// HTTP says no, without any JSON-RPC in it.
    #[error("HTTP status {status}: {body}")]
    Status {
        /// The status.
        status: u16,
        /// The beginning of what came with it.
        body: String,
    },
    /// Not JSON-RPC at all, such as a proxy's web page; the beginning of it.
    #[error("not JSON-RPC: {0}")]
    NotJsonRpc(String),
    /// JSON-RPC, but not an answer to what was asked.
    #[error("not an answer to the call: {0}")]
    Envelope(&'static str),
    /// The node refuses.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A result that is not what the method returns, or that contradicts what it must match.
    #[error("an untrue answer: {0}")]
    Untrue(String),
    /// The endpoint serves another chain than ours.
    #[error("another chain: {0}")]
    OtherChain(String),
    /// What was asked for isn't there, though it has to be.
    #[error("it doesn't have what it must have: {0}")]
    Missing(&'static str),
}

impl EndpointError {
    /// It is the endpoint that failed, and not the call that was wrong: whether to set it aside.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Rpc(error) => error.is_busy(),
            Self::Missing(_) => false,
            _ => true,
        }
    }
}

/// How many calls are under way at once where an endpoint takes them only one by one.
const SINGLE_CALLS_AT_ONCE: usize = 8;

impl Endpoint {
    /// Prepares to talk to an endpoint; nothing is sent yet.
    pub fn new(config: &EndpointConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            http: Http::new(config)?,
            batch_calls_max: config.batch_calls_max,
            next_id: AtomicU64::new(1),
            takes_batches: AtomicBool::new(true),
        })
    }

    /// How logs and metrics call it.
    pub fn name(&self) -> &str {
        self.http.name()
    }

    /// Makes one call.
    pub async fn call(&self, call: &Call) -> Result<Box<RawValue>, EndpointError> {
        Ok(self.single(call).await??)
    }

    /// Makes several calls, in one request where the endpoint takes it; the answers come in the order of the calls.
    pub async fn call_all(
        &self,
        calls: &[Call],
    ) -> Result<Vec<Result<Box<RawValue>, RpcError>>, EndpointError> {
        let mut answers = Vec::with_capacity(calls.len());
        for calls in calls.chunks(self.batch_calls_max) {
            answers.extend(self.batch(calls).await?);
        }
        Ok(answers)
    }

    async fn batch(&self, calls: &[Call]) -> Result<Vec<Answer>, EndpointError> {
        if calls.len() > 1 && self.takes_batches.load(Ordering::Relaxed) {
            let first_id = self.next_id.fetch_add(calls.len() as u64, Ordering::Relaxed);
            let (status, body) =
                self.http.post_json(json_rpc::encode_batch(first_id, calls)).await?;
            let answers = json_rpc::decode_batch(&body, first_id, calls.len())
                .map_err(|error| with_status(error, status, &body))?;
            if let Some(answers) = answers {
                return Ok(answers);
            }
            tracing::info!(endpoint = self.name(), "takes calls only one by one");
            self.takes_batches.store(false, Ordering::Relaxed);
        }
        let singles: Vec<_> = calls.iter().map(|call| self.single(call)).collect();
        stream::iter(singles).buffered(SINGLE_CALLS_AT_ONCE).try_collect().await
    }

    async fn single(&self, call: &Call) -> Result<Answer, EndpointError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (status, body) = self.http.post_json(json_rpc::encode(id, call)).await?;
        json_rpc::decode(&body, id).map_err(|error| with_status(error, status, &body))
    }
}

/// Where there is no JSON-RPC and HTTP itself says what is wrong, its word is the better reason.
fn with_status(error: EndpointError, status: reqwest::StatusCode, body: &[u8]) -> EndpointError {
    if matches!(error, EndpointError::NotJsonRpc(_)) && !status.is_success() {
        return EndpointError::Status { status: status.as_u16(), body: json_rpc::excerpt(body) };
    }
    error
}
