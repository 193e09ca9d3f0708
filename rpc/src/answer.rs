//! JSON-RPC: text in, text out, whatever the transport.
//!
//! jsonrpsee holds and runs the methods; the envelope is read and written here, because jsonrpsee answers malformed
//! requests, unknown methods and limits in words of its own, takes no id but strings and natural numbers, and on a
//! WebSocket starts any number of requests at once.

use std::{borrow::Cow, panic::AssertUnwindSafe, pin::pin, task::Poll};

use futures::{FutureExt, poll};
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
use tokio::time::{Instant, error::Elapsed, timeout_at};

use crate::{
    config::Config,
    error::RpcError,
    hot::{self, Submission, Submit},
};

/// Answers requests.
#[derive(Debug)]
pub(crate) struct Answerer {
    methods: Methods,
    door: Box<dyn Submit>,
    response_bytes_max: usize,
    batch_requests_max: usize,
}

/// One message, as far as it could be understood.
enum Message<'a> {
    Call { id: &'a str, method: Cow<'a, str>, params: Option<&'a RawValue> },
    Notification,
    Invalid { id: Option<&'a str> },
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
            return Self::Invalid { id: id.map(RawValue::get).filter(|id| is_scalar(id)) };
        };
        let id = envelope.id.map(RawValue::get).filter(|id| is_scalar(id));
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

    /// The id of a request that is one.
    fn call_id(&self) -> Option<&'a str> {
        match self {
            Self::Call { id, .. } => Some(id),
            Self::Notification | Self::Invalid { .. } => None,
        }
    }

    /// The transaction that it hands in, if it does so as every client does.
    fn submission(&self) -> Option<Submission<'a>> {
        match self {
            Self::Call { id, method, params: Some(params) } if method == hot::METHOD => {
                Some(Submission { id, encoded: hot::params(params.get())? })
            }
            _ => None,
        }
    }
}

/// The answers to a batch, no more bytes of them than allowed.
struct Answers {
    text: String,
    bytes_max: usize,
    /// There was one that did not fit: nothing more is done.
    full: bool,
}

impl Answers {
    fn new(bytes_max: usize) -> Self {
        Self { text: String::from("["), bytes_max, full: false }
    }

    /// Adds the answer to a request, which had this id if it had a valid one.
    fn add(&mut self, id: Option<&str>, answer: String) {
        let mut answer = answer;
        if !self.full && self.text.len() + answer.len() > self.bytes_max {
            self.full = true;
            if let Some(id) = id {
                answer = error_response(Some(id), RpcError::response_too_large());
            }
        }
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push_str(&answer);
    }

    fn finish(mut self) -> Option<String> {
        self.text.push(']');
        (self.text.len() > 2).then_some(self.text)
    }
}

fn is_scalar(id: &str) -> bool {
    !id.starts_with(['{', '['])
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
pub(crate) fn error_response(id: Option<&str>, error: RpcError) -> String {
    with_id(id.unwrap_or("null"), MethodResponse::error(PLACEHOLDER_ID, error))
}

/// Waits no longer than allowed, and sets no alarm for what is done at once.
async fn within<T>(deadline: Instant, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut work = pin!(work);
    match poll!(work.as_mut()) {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => timeout_at(deadline, work).await,
    }
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
    pub(crate) fn new(methods: Methods, door: Box<dyn Submit>, config: &Config) -> Self {
        Self {
            methods,
            door,
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
            return match hot::batch(text, self.batch_requests_max) {
                Some(submissions) => self.answer_submissions(submissions, deadline).await,
                None => self.answer_batch(text, extensions, deadline).await,
            };
        }
        if let Some(submission) = hot::single(text) {
            return self.submit(vec![submission], deadline).await.pop();
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
        self.answer_parsed(Message::parse(message), extensions, deadline).await
    }

    async fn answer_parsed(
        &self,
        message: Message<'_>,
        extensions: &Extensions,
        deadline: Instant,
    ) -> Option<String> {
        if let Some(submission) = message.submission() {
            return self.submit(vec![submission], deadline).await.pop();
        }
        match message {
            Message::Call { id, method, params } => {
                Some(self.call(id, &method, params, extensions, deadline).await)
            }
            // Nothing that we offer is worth doing without an answer.
            Message::Notification => None,
            Message::Invalid { id } => Some(error_response(id, RpcError::invalid_request())),
        }
    }

    /// Answers a batch in order, one request at a time: clients send transactions in the order of their nonces. Those that
    /// follow each other are handed in together.
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
            let mut messages = batch.elements.into_iter().map(Message::parse);
            let id = messages.find_map(|message| message.call_id());
            return Some(format!("[{}]", error_response(id, RpcError::batch_too_large())));
        }
        if batch.elements.is_empty() {
            return Some(error_response(None, RpcError::empty_batch()));
        }
        let mut answers = Answers::new(self.response_bytes_max);
        // All at once: an iterator that parses as it goes could not be held while something is awaited.
        let messages: Vec<_> = batch.elements.into_iter().map(Message::parse).collect();
        let mut messages = messages.into_iter().peekable();
        while let Some(message) = messages.next() {
            if answers.full {
                if let Some(id) = message.call_id() {
                    answers.add(Some(id), error_response(Some(id), RpcError::response_too_large()));
                } else if let Some(answer) = self.answer_parsed(message, extensions, deadline).await
                {
                    answers.add(None, answer);
                }
                continue;
            }
            if let Some(first) = message.submission() {
                let mut group = vec![first];
                while group.len() < hot::GROUP_MAX
                    && let Some(next) = messages.peek().and_then(Message::submission)
                {
                    messages.next();
                    group.push(next);
                }
                self.submit_group(group, &mut answers, deadline).await;
                continue;
            }
            let id = message.call_id();
            if let Some(answer) = self.answer_parsed(message, extensions, deadline).await {
                answers.add(id, answer);
            }
        }
        answers.finish()
    }

    /// Answers a batch of nothing but transactions, which is read already.
    async fn answer_submissions(
        &self,
        submissions: Vec<Submission<'_>>,
        deadline: Instant,
    ) -> Option<String> {
        let mut answers = Answers::new(self.response_bytes_max);
        let mut submissions = submissions.into_iter();
        loop {
            let group: Vec<_> = submissions.by_ref().take(hot::GROUP_MAX).collect();
            match group.is_empty() {
                true => return answers.finish(),
                false => self.submit_group(group, &mut answers, deadline).await,
            }
        }
    }

    /// Hands transactions in together and adds the answers, if there is room for any.
    async fn submit_group(
        &self,
        group: Vec<Submission<'_>>,
        answers: &mut Answers,
        deadline: Instant,
    ) {
        let ids: Vec<_> = group.iter().map(|submission| submission.id).collect();
        if answers.full {
            for id in ids {
                answers.add(Some(id), error_response(Some(id), RpcError::response_too_large()));
            }
            return;
        }
        for (id, answer) in ids.into_iter().zip(self.submit(group, deadline).await) {
            answers.add(Some(id), answer);
        }
    }

    /// Hands transactions in together, in their order; one answer each.
    async fn submit(&self, submissions: Vec<Submission<'_>>, deadline: Instant) -> Vec<String> {
        let (ids, encoded): (Vec<_>, Vec<_>) =
            submissions.into_iter().map(|submission| (submission.id, submission.encoded)).unzip();
        let submit = AssertUnwindSafe(async { self.door.submit_all(encoded).await }).catch_unwind();
        let all = |error: fn() -> RpcError| {
            ids.iter().map(|id| error_response(Some(id), error())).collect()
        };
        let results = match within(deadline, submit).await {
            Ok(Ok(results)) => results,
            Ok(Err(_)) => {
                tracing::error!(method = hot::METHOD, "a method handler panicked");
                return all(RpcError::crashed);
            }
            Err(_) => return all(RpcError::timed_out),
        };
        let answers = ids.iter().zip(results).map(|(id, result)| match result {
            Ok(hash) => hot::hash_response(id, hash),
            Err(error) => error_response(Some(id), error.into()),
        });
        answers.collect()
    }

    async fn call(
        &self,
        id: &str,
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
        let response = match within(deadline, AssertUnwindSafe(run).catch_unwind()).await {
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
        with_id(id, response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_id_replaces_the_placeholder() {
        let response = |id: &str| error_response(Some(id), RpcError::parse());
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
