//! JSON-RPC as it is convenient, for what is not measured: the preparation, and walking blocks.

use alloy_primitives::{B256, U256};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    config::Endpoint,
    http::{Connection, HttpError, render},
};

/// Calls to one endpoint, over a connection that is opened again when it broke.
#[derive(Debug)]
pub(crate) struct Rpc {
    endpoint: Endpoint,
    connection: Option<Connection>,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The endpoint did not answer, or not in HTTP.
    #[error("{0}")]
    Unreachable(String),
    /// The endpoint answered something else.
    #[error("the answer to {method} is not what it should be: {problem}")]
    Malformed {
        /// What was called.
        method: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
    /// The endpoint refused.
    #[error("{method}: {message} (code {code})")]
    Refused {
        /// What was called.
        method: &'static str,
        /// The error's code.
        code: i64,
        /// The error's message.
        message: String,
    },
}

/// An answer, as far as it matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer<'a> {
    pub(crate) id: Option<u64>,
    #[serde(borrow)]
    pub(crate) result: Option<&'a RawValue>,
    pub(crate) error: Option<AnswerError>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AnswerError {
    pub(crate) code: i64,
    pub(crate) message: String,
}

/// What is read of a block. Everything borrows: a large block is mostly hashes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block<'a> {
    pub(crate) number: &'a str,
    pub(crate) hash: B256,
    pub(crate) parent_hash: B256,
    pub(crate) timestamp: &'a str,
    pub(crate) gas_used: &'a str,
    pub(crate) gas_limit: &'a str,
    pub(crate) base_fee_per_gas: Option<&'a str>,
    pub(crate) transactions: Vec<&'a str>,
}

/// What is read of a receipt.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    pub(crate) status: U256,
}

impl Rpc {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, connection: None }
    }

    /// Posts a body and hands its answer to `read`.
    pub(crate) async fn post<T>(
        &mut self,
        body: &[u8],
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, RpcError> {
        let request = render(&self.endpoint, body);
        let unreachable = |error: HttpError| {
            RpcError::Unreachable(format!("http://{}: {error}", self.endpoint.host))
        };
        let mut connection = match self.connection.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => Connection::open(&self.endpoint).await.map_err(unreachable)?,
        };
        let value = read(connection.exchange(&request).await.map_err(unreachable)?);
        self.connection = Some(connection);
        Ok(value)
    }

    /// One call.
    pub(crate) async fn call<T: for<'a> Deserialize<'a>>(
        &mut self,
        method: &'static str,
        params: Value,
    ) -> Result<T, RpcError> {
        let body = request(0, method, &params).to_string();
        self.post(body.as_bytes(), |answer| result(method, parse(method, answer)?)).await?
    }

    /// The same call with several parameters, in one request. Results are in the order of the parameters.
    pub(crate) async fn calls<T: for<'a> Deserialize<'a>>(
        &mut self,
        method: &'static str,
        params: &[Value],
    ) -> Result<Vec<T>, RpcError> {
        let requests: Vec<Value> =
            params.iter().enumerate().map(|(id, params)| request(id, method, params)).collect();
        let read = |answer: &[u8]| {
            let mut answers: Vec<Answer<'_>> = parse(method, answer)?;
            answers.sort_by_key(|answer| answer.id);
            if !answers.iter().map(|answer| answer.id).eq((0..params.len() as u64).map(Some)) {
                return Err(malformed(method, "answers are missing"));
            }
            answers.into_iter().map(|answer| result(method, answer)).collect()
        };
        self.post(Value::from(requests).to_string().as_bytes(), read).await?
    }
}

/// `0x…` as a number.
pub(crate) fn quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

pub(crate) fn malformed(method: &'static str, problem: impl ToString) -> RpcError {
    RpcError::Malformed { method, problem: problem.to_string() }
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(
    method: &'static str,
    answer: &'a [u8],
) -> Result<T, RpcError> {
    serde_json::from_slice(answer).map_err(|error| malformed(method, error))
}

/// A result of `null` is read as such: ask for an `Option` where it may come.
pub(crate) fn result<'a, T: Deserialize<'a>>(
    method: &'static str,
    answer: Answer<'a>,
) -> Result<T, RpcError> {
    if let Some(AnswerError { code, message }) = answer.error {
        return Err(RpcError::Refused { method, code, message });
    }
    let text = answer.result.map_or("null", RawValue::get);
    serde_json::from_str(text).map_err(|error| malformed(method, error))
}

/// A request's body.
pub(crate) fn request(id: usize, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}
