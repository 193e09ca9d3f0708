//! JSON-RPC over HTTP, one request at a time: there is nothing to win by more beside a node on the same machine.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use ureq::Agent;

/// A block of ten thousand transactions as JSON is some ten megabytes; whatever is far beyond that is no answer.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
const TIMEOUT: Duration = Duration::from_secs(60);

/// A node, by its URL.
#[derive(Debug, Clone)]
pub(crate) struct Rpc {
    agent: Agent,
    url: String,
}

/// Why a node has not told what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RpcError {
    /// It could not be reached, or did not answer in time.
    #[error("{method} at {url}: {source}")]
    Transport { method: &'static str, url: String, source: ureq::Error },
    /// It answered something that is not what the method answers.
    #[error("{method} at {url} answered what cannot be read: {source}")]
    Format { method: &'static str, url: String, source: serde_json::Error },
    /// It refused.
    #[error("{method} at {url} was refused: {message}")]
    Refused { method: &'static str, url: String, message: String },
    /// It does not know the thing.
    #[error("{method} at {url} knows nothing of {params}")]
    Missing { method: &'static str, url: String, params: Value },
}

#[derive(Deserialize)]
struct Answer<T> {
    result: Option<T>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Rpc {
    pub(crate) fn new(url: String) -> Self {
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).build();
        Self { agent: config.into(), url }
    }

    /// Asks for something that has to be there.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        let missing =
            || RpcError::Missing { method, url: self.url.clone(), params: params.clone() };
        self.find(method, &params)?.ok_or_else(missing)
    }

    /// Asks for something that may not be there.
    pub(crate) fn find<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<Option<T>, RpcError> {
        let url = || self.url.clone();
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self
            .agent
            .post(&self.url)
            .content_type("application/json")
            .send(request.to_string())
            .and_then(|answer| {
                answer.into_body().into_with_config().limit(ANSWER_BYTES_MAX).read_to_vec()
            })
            .map_err(|source| RpcError::Transport { method, url: url(), source })?;
        let answer: Answer<T> = serde_json::from_slice(&answer)
            .map_err(|source| RpcError::Format { method, url: url(), source })?;
        match answer.error {
            Some(Refusal { message }) => Err(RpcError::Refused { method, url: url(), message }),
            None => Ok(answer.result),
        }
    }
}
