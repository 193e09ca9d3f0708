//! JSON-RPC: text in, text out, whatever the transport.
//!
//! jsonrpsee holds and runs the methods; the envelope is read and written here, because jsonrpsee answers malformed
//! requests, unknown methods and limits in words of its own, takes no id but strings and natural numbers, and on a
//! WebSocket starts any number of requests at once.

use std::{borrow::Cow, panic::AssertUnwindSafe};

use futures::FutureExt;
use http::Extensions;
use jsonrpsee::{
    ConnectionId, MethodCallback, MethodResponse, Methods,
    types::{Id, Params, error::OVERSIZED_RESPONSE_CODE},
};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use crate::{config::Config, error::RpcError};

/// Answers requests.
#[derive(Debug)]
pub(crate) struct Answerer {
    methods: Methods,
    response_bytes_max: usize,
    batch_requests_max: usize,
}

/// One message, as far as it could be understood.
enum Message<'a> {
    Call { id: &'a RawValue, method: Cow<'a, str>, params: Option<&'a RawValue> },
    Notification,
    Invalid { id: Option<&'a RawValue> },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OnlyId<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// Tells an id of `null`, which wants an answer, from a missing one, which does not.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl<'a> Message<'a> {
    fn parse(text: &'a RawValue) -> Self {
        let Ok(envelope) = serde_json::from_str::<Envelope<'a>>(text.get()) else {
            let id = serde_json::from_str::<OnlyId<'a>>(text.get()).ok().and_then(|only| only.id);
            return Self::Invalid { id: id.filter(|id| is_scalar(id)) };
        };
        let id = envelope.id.filter(|id| is_scalar(id));
        let valid =
            envelope.jsonrpc.as_deref() == Some("2.0") && envelope.id.is_some() == id.is_some();
        match (envelope.method, id) {
            (Some(method), Some(id)) if valid && !method.is_empty() => {
                Self::Call { id, method, params: envelope.params }
            }
            (Some(method), None) if valid && !method.is_empty() => Self::Notification,
            (_, id) => Self::Invalid { id },
        }
    }
}

fn is_scalar(id: &RawValue) -> bool {
    !id.get().starts_with(['{', '['])
}

/// The elements of an array, no more of them than a batch may hold.
struct Batch<'a> {
    elements: Vec<&'a RawValue>,
    too_large: bool,
}

impl<'a> Batch<'a> {
    fn parse(text: &'a str, max: usize) -> Result<Self, serde_json::Error> {
        struct BatchVisitor(usize);
        impl<'de> Visitor<'de> for BatchVisitor {
            type Value = Batch<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of requests")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Batch<'de>, A::Error> {
                let mut batch = Batch { elements: Vec::new(), too_large: false };
                while let Some(element) = seq.next_element()? {
                    if batch.elements.len() < self.0 {
                        batch.elements.push(element);
                    } else {
                        batch.too_large = true;
                    }
                }
                Ok(batch)
            }
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let batch = json.deserialize_seq(BatchVisitor(max))?;
        json.end()?;
        Ok(batch)
    }
}

/// A whole response that holds an error.
pub(crate) fn error_response(id: Option<&RawValue>, error: RpcError) -> String {
    let id = id.map_or("null", RawValue::get);
    with_id(id, MethodResponse::error(PLACEHOLDER_ID, error))
}

/// Stands for the client's id inside jsonrpsee, which cannot hold all of them.
const PLACEHOLDER_ID: Id<'static> = Id::Number(0);

/// Puts the client's id where the placeholder is, byte for byte as it came.
fn with_id(id: &str, response: MethodResponse) -> String {
    let json = response.into_json();
    match json.get().strip_prefix(r#"{"jsonrpc":"2.0","id":0,"#) {
        Some(rest) => {
            let mut text = String::with_capacity(rest.len() + id.len() + 24);
            text.push_str(r#"{"jsonrpc":"2.0","id":"#);
            text.push_str(id);
            text.push(',');
            text.push_str(rest);
            text
        }
        // Pinned by a test: jsonrpsee begins every response so.
        None => json.get().to_owned(),
    }
}

impl Answerer {
    pub(crate) fn new(methods: Methods, config: &Config) -> Self {
        Self {
            methods,
            response_bytes_max: config.response_bytes_max,
            batch_requests_max: config.batch_requests_max,
        }
    }

    /// Answers a request or a batch. `None`: there is nothing to say, because nothing was asked.
    pub(crate) async fn answer(
        &self,
        body: &[u8],
        extensions: &Extensions,
        deadline: Instant,
    ) -> Option<String> {
        let Ok(text) = std::str::from_utf8(body) else {
            return Some(error_response(None, RpcError::parse()));
        };
        if text.trim_ascii_start().starts_with('[') {
            return self.answer_batch(text, extensions, deadline).await;
        }
        match serde_json::from_str::<&RawValue>(text) {
            Ok(message) => self.answer_one(message, extensions, deadline).await,
            Err(_) => Some(error_response(None, RpcError::parse())),
        }
    }

    async fn answer_one(
        &self,
        message: &RawValue,
        extensions: &Extensions,
        deadline: Instant,
    ) -> Option<String> {
        match Message::parse(message) {
            Message::Call { id, method, params } => {
                Some(self.call(id, &method, params, extensions, deadline).await)
            }
            // Nothing that we offer is worth doing without an answer.
            Message::Notification => None,
            Message::Invalid { id } => Some(error_response(id, RpcError::invalid_request())),
        }
    }

    /// Answers a batch in order, one request at a time: clients send transactions in the order of their nonces.
    async fn answer_batch(
        &self,
        text: &str,
        extensions: &Extensions,
        deadline: Instant,
    ) -> Option<String> {
        let Ok(batch) = Batch::parse(text, self.batch_requests_max) else {
            return Some(error_response(None, RpcError::parse()));
        };
        if batch.too_large {
            // As geth does: one error, under the first id that there is.
            let id = batch.elements.iter().find_map(|element| match Message::parse(element) {
                Message::Call { id, .. } => Some(id),
                _ => None,
            });
            return Some(format!("[{}]", error_response(id, RpcError::batch_too_large())));
        }
        if batch.elements.is_empty() {
            return Some(error_response(None, RpcError::empty_batch()));
        }
        let mut answers = String::from("[");
        let mut full = false;
        for element in batch.elements {
            let mut answer = match Message::parse(element) {
                Message::Call { id, .. } if full => {
                    error_response(Some(id), RpcError::response_too_large())
                }
                _ => match self.answer_one(element, extensions, deadline).await {
                    Some(answer) => answer,
                    None => continue,
                },
            };
            if !full && answers.len() + answer.len() > self.response_bytes_max {
                full = true;
                if let Message::Call { id, .. } = Message::parse(element) {
                    answer = error_response(Some(id), RpcError::response_too_large());
                }
            }
            if answers.len() > 1 {
                answers.push(',');
            }
            answers.push_str(&answer);
        }
        answers.push(']');
        (answers.len() > 2).then_some(answers)
    }

    async fn call(
        &self,
        id: &RawValue,
        method: &str,
        params: Option<&RawValue>,
        extensions: &Extensions,
        deadline: Instant,
    ) -> String {
        let Some(MethodCallback::Async(handler)) = self.methods.method(method) else {
            return error_response(Some(id), RpcError::method_not_found(method));
        };
        let params = Params::new(params.map(RawValue::get)).into_owned();
        let handler = handler.clone();
        let run = async move {
            let connection = ConnectionId(0);
            handler(PLACEHOLDER_ID, params, connection, self.response_bytes_max, extensions.clone())
                .await
        };
        let response = match timeout_at(deadline, AssertUnwindSafe(run).catch_unwind()).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => {
                tracing::error!(method, "a method handler panicked");
                return error_response(Some(id), RpcError::crashed());
            }
            Err(_) => return error_response(Some(id), RpcError::timed_out()),
        };
        if response.as_error_code() == Some(OVERSIZED_RESPONSE_CODE) {
            return error_response(Some(id), RpcError::response_too_large());
        }
        with_id(id.get(), response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_id_replaces_the_placeholder() {
        let response = |id: &str| {
            let id: Box<RawValue> = RawValue::from_string(id.to_owned()).unwrap();
            error_response(Some(&id), RpcError::parse())
        };
        for id in ["null", "-1", "1.5", "1e400", "true", r#""a\u0000b""#, "18446744073709551616"] {
            assert_eq!(
                response(id),
                format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32700,"message":"parse error"}}}}"#
                )
            );
        }
    }
}
