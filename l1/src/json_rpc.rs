//! JSON-RPC 2.0 envelopes: calls into bytes, bytes into answers. Pure; takes arbitrary bytes.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

use crate::endpoint::EndpointError;

/// A question to a node.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// Its parameters, an array.
    pub params: Value,
}

/// An error that a node reports: it understood the envelope, and refuses what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// The code; see [`RpcError::is_busy`] for how far these can be relied on.
    pub code: i64,
    /// The message, cut to a readable length.
    pub message: String,
    /// What came with it, such as a revert's data, as JSON.
    pub data: Option<Value>,
}

/// What one call came to.
pub(crate) type Answer = Result<Box<RawValue>, RpcError>;

/// Messages and excerpts are for logs, so they are kept short whatever a node sends.
const TEXT_MAX: usize = 300;

impl Call {
    /// A call by method and parameters.
    pub const fn new(method: &'static str, params: Value) -> Self {
        Self { method, params }
    }
}

impl RpcError {
    /// The node asks for fewer requests: another one should be asked meanwhile.
    pub fn is_busy(&self) -> bool {
        // -32005 is "limit exceeded" in EIP-1474; providers use the others.
        matches!(self.code, -32005 | -32016 | -32029 | 429)
    }

    /// The node doesn't know the method.
    pub fn is_unknown_method(&self) -> bool {
        self.code == -32601
    }

    /// The call ran and reverted: every node would say the same.
    pub fn is_revert(&self) -> bool {
        self.code == 3 || self.message.contains("revert")
    }
}

/// The body of a request with one call.
pub(crate) fn encode(id: u64, call: &Call) -> Vec<u8> {
    object(id, call).to_string().into_bytes()
}

/// The body of a request with several calls, whose ids count up from the first one.
pub(crate) fn encode_batch(first_id: u64, calls: &[Call]) -> Vec<u8> {
    let calls = calls.iter().enumerate().map(|(i, call)| object(first_id + i as u64, call));
    Value::Array(calls.collect()).to_string().into_bytes()
}

fn object(id: u64, call: &Call) -> Value {
    serde_json::json!({ "jsonrpc": "2.0", "id": id, "method": call.method, "params": call.params })
}

/// Reads the answer to one call.
pub(crate) fn decode(body: &[u8], id: u64) -> Result<Answer, EndpointError> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|_| EndpointError::NotJsonRpc(excerpt(body)))?;
    envelope.answer(|found| found == Some(id))
}

/// Reads the answers to several calls, whatever their order.
///
/// `None` means that the endpoint answered with a single error: it doesn't take several calls at once.
pub(crate) fn decode_batch(
    body: &[u8],
    first_id: u64,
    calls: usize,
) -> Result<Option<Vec<Answer>>, EndpointError> {
    let Ok(envelopes) = serde_json::from_slice::<Vec<Envelope<'_>>>(body) else {
        let single: Envelope<'_> =
            serde_json::from_slice(body).map_err(|_| EndpointError::NotJsonRpc(excerpt(body)))?;
        return match single.answer(|_| true)? {
            // A node that is busy says so with one error for all, which is no word about batches.
            Err(error) if error.is_busy() => Err(EndpointError::Rpc(error)),
            Err(_) => Ok(None),
            Ok(_) => Err(EndpointError::Envelope("one result for several calls")),
        };
    };
    let mut answers: Vec<Option<Answer>> = (0..calls).map(|_| None).collect();
    for envelope in envelopes {
        let place = envelope.id().and_then(|id| id.checked_sub(first_id)).map(|i| i as usize);
        let slot = place
            .and_then(|i| answers.get_mut(i))
            .filter(|slot| slot.is_none())
            .ok_or(EndpointError::Envelope("an id that was not asked"))?;
        *slot = Some(envelope.answer(|_| true)?);
    }
    let answers: Option<Vec<Answer>> = answers.into_iter().collect();
    answers.map(Some).ok_or(EndpointError::Envelope("fewer answers than calls"))
}

/// The beginning of what isn't JSON, for the log: mostly some proxy's web page.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * TEXT_MAX)]);
    shorten(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    id: Option<Value>,
    /// `null` is a result, too, so being there is told apart from being null.
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<WireError<'a>>,
}

#[derive(Deserialize)]
struct WireError<'a> {
    code: i64,
    #[serde(default, borrow)]
    message: Cow<'a, str>,
    #[serde(default)]
    data: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Envelope<'_> {
    fn id(&self) -> Option<u64> {
        self.id.as_ref().and_then(Value::as_u64)
    }

    fn answer(self, is_mine: impl Fn(Option<u64>) -> bool) -> Result<Answer, EndpointError> {
        // An error may come without an id: the node couldn't read so far, or a proxy wrote it.
        let is_orphan = self.id.as_ref().is_none_or(Value::is_null) && self.error.is_some();
        if !is_orphan && !is_mine(self.id()) {
            return Err(EndpointError::Envelope("an id that was not asked"));
        }
        match (self.result, self.error) {
            // Some nodes send `"error": null` beside a result, which reads as none.
            (Some(result), None) => Ok(Ok(result.to_owned())),
            (_, Some(error)) => Ok(Err(RpcError {
                code: error.code,
                message: shorten(&error.message),
                data: error.data,
            })),
            (None, None) => Err(EndpointError::Envelope("neither result nor error")),
        }
    }
}

/// `null`, for readers that take a missing result.
pub(crate) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(body: &str) -> Result<Answer, EndpointError> {
        decode(body.as_bytes(), 7)
    }

    #[test]
    fn an_answer_is_a_result_or_an_error() {
        let answer = one(r#"{"jsonrpc":"2.0","id":7,"result":{"a":[1]}}"#).unwrap().unwrap();
        assert_eq!(answer.get(), r#"{"a":[1]}"#);
        let null = one(r#"{"jsonrpc":"2.0","id":7,"result":null,"error":null}"#).unwrap().unwrap();
        assert!(is_null(&null));
        let error =
            one(r#"{"id":7,"error":{"code":3,"message":"execution reverted","data":"0x01"}}"#)
                .unwrap()
                .unwrap_err();
        assert!(error.is_revert());
        assert_eq!(error.data, Some(json!("0x01")));
        let error = one(r#"{"id":null,"error":{"code":-32005,"message":"slow \"down\""}}"#);
        assert!(error.unwrap().unwrap_err().is_busy());
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let check = |body: &str| assert!(one(body).is_err(), "{body}");
        check("");
        check("<html><body>502 Bad Gateway</body></html>");
        check(r#"{"id":8,"result":1}"#);
        check(r#"{"id":"7","result":1}"#);
        check(r#"{"result":1}"#);
        check(r#"{"id":7}"#);
        check(r#"{"id":7,"error":"no"}"#);
        check("[]");
        check(&"[".repeat(100_000));
        let page = format!("<html>{}", "ü ".repeat(5_000));
        let Err(EndpointError::NotJsonRpc(text)) = one(&page) else {
            panic!("a page is no answer")
        };
        assert!(text.chars().count() <= TEXT_MAX + 1);
    }

    #[test]
    fn answers_to_several_calls_come_in_any_order() {
        let body = br#"[{"id":11,"result":2},{"id":10,"error":{"code":1,"message":"m"}}]"#;
        let answers = decode_batch(body, 10, 2).unwrap().unwrap();
        assert_eq!(answers[0].as_ref().unwrap_err().code, 1);
        assert_eq!(answers[1].as_ref().unwrap().get(), "2");
    }

    #[test]
    fn answers_must_be_those_that_were_asked() {
        let check = |body: &str| assert!(decode_batch(body.as_bytes(), 10, 2).is_err(), "{body}");
        check(r#"[{"id":10,"result":2}]"#);
        check(r#"[{"id":10,"result":2},{"id":10,"result":2}]"#);
        check(r#"[{"id":10,"result":2},{"id":12,"result":2}]"#);
        check(r#"[{"id":10,"result":2},{"id":9,"result":2}]"#);
        check(r#"{"id":10,"result":2}"#);
        check(r#"{"id":null,"error":{"code":-32005,"message":"too many"}}"#);
        check("<html>");
    }

    #[test]
    fn an_endpoint_may_refuse_several_calls() {
        let body = br#"{"id":null,"error":{"code":-32600,"message":"batches are not supported"}}"#;
        assert!(decode_batch(body, 10, 2).unwrap().is_none());
    }

    #[test]
    fn calls_are_written_with_their_ids() {
        let calls = [Call::new("a", json!([])), Call::new("b", json!(["0x1", true]))];
        let written: Value = serde_json::from_slice(&encode_batch(5, &calls)).unwrap();
        assert_eq!(
            written,
            json!([
                { "jsonrpc": "2.0", "id": 5, "method": "a", "params": [] },
                { "jsonrpc": "2.0", "id": 6, "method": "b", "params": ["0x1", true] },
            ])
        );
        let written: Value = serde_json::from_slice(&encode(5, &calls[0])).unwrap();
        assert_eq!(written["id"], 5);
    }
}
