//! The one method that a sequencer under load hears, ahead of the generic way to all methods.
//!
//! `eth_sendRawTransaction` with a single string of hex digits, as every client writes it, is read here in one pass and goes to the
//! backend in groups. Anything else about it, and whatever is wrong with it, is left to the generic way: answers are the same.

use std::{fmt, sync::Arc};

use alloy_primitives::{Bytes, TxHash, hex};
use futures::{FutureExt, future::BoxFuture};
use serde_json::value::RawValue;

use crate::backend::{Backend, SubmitError};

/// The method.
pub(crate) const METHOD: &str = "eth_sendRawTransaction";

/// Transactions of a batch that are handed over together: enough to share what a hand-over costs.
pub(crate) const GROUP_MAX: usize = 64;

/// Takes transactions in, whatever the backend.
pub(crate) trait Submit: Send + Sync {
    /// Offers encoded transactions, in this order; one answer each.
    fn submit_all(&self, encoded: Vec<Bytes>) -> BoxFuture<'_, Vec<Result<TxHash, SubmitError>>>;
}

/// A backend's way in.
pub(crate) struct Door<B>(pub(crate) Arc<B>);

impl<B: Backend> Submit for Door<B> {
    fn submit_all(&self, encoded: Vec<Bytes>) -> BoxFuture<'_, Vec<Result<TxHash, SubmitError>>> {
        self.0.submit_all(encoded).boxed()
    }
}

impl fmt::Debug for dyn Submit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Submit")
    }
}

/// The bytes in `["0x…"]`. Nothing: the parameters are not quite that.
pub(crate) fn encoded(params: Option<&RawValue>) -> Option<Bytes> {
    let inner = params?.get().strip_prefix('[')?.strip_suffix(']')?.trim_ascii();
    let digits = inner.strip_prefix("\"0x")?.strip_suffix('"')?;
    // Whatever is no digit, an escape or a second element included, fails here.
    hex::decode(digits).ok().filter(|_| !digits.starts_with("0x")).map(Bytes::from)
}

/// A whole response that holds a transaction's hash.
pub(crate) fn hash_response(id: &RawValue, hash: TxHash) -> String {
    let mut response = String::with_capacity(id.get().len() + 110);
    response.push_str(r#"{"jsonrpc":"2.0","id":"#);
    response.push_str(id.get());
    response.push_str(r#","result":"0x"#);
    response.push_str(&hex::encode(hash));
    response.push_str("\"}");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(params: &str) -> Option<Bytes> {
        encoded(Some(&RawValue::from_string(params.to_owned()).unwrap()))
    }

    #[test]
    fn only_what_every_client_writes_goes_this_way() {
        assert_eq!(read(r#"["0x0aFF"]"#), Some(Bytes::from_static(&[0x0a, 0xff])));
        assert_eq!(read(r#"[ "0x" ]"#), Some(Bytes::new()));
        for other in [
            "[]",
            "{}",
            "null",
            r#""0x00""#,
            r#"["0x0"]"#,
            r#"["00"]"#,
            r#"["0X00"]"#,
            r#"["0x0x00"]"#,
            r#"["0x00","0x00"]"#,
            r#"["0x\u0030\u0030"]"#,
            r#"["0xgg"]"#,
            r#"[["0x00"]]"#,
            r#"["0x00",null]"#,
        ] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(encoded(None), None);
    }

    #[test]
    fn the_response_is_what_the_generic_way_would_say() {
        let id = RawValue::from_string(r#""a""#.to_owned()).unwrap();
        let hash = TxHash::repeat_byte(0xab);
        let expected = format!(r#"{{"jsonrpc":"2.0","id":"a","result":"{hash}"}}"#);
        assert_eq!(hash_response(&id, hash), expected);
    }
}
