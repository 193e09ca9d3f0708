//! The one method that a sequencer under load hears, ahead of the generic way to all methods.
//!
//! `eth_sendRawTransaction` with a single string of hex digits, alone or many in a batch, as every client writes it, is read here
//! in one pass and goes to the backend in groups. Anything else about it, and whatever is wrong with it, is left to the generic
//! way: answers are the same.

mod scan;

use std::{fmt, sync::Arc};

use alloy_primitives::{Bytes, TxHash, hex};
use futures::{FutureExt, future::BoxFuture};

use self::scan::Scanner;
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

/// A transaction that is handed in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Submission<'a> {
    /// The request's id, as JSON.
    pub(crate) id: &'a str,
    /// The transaction, encoded.
    pub(crate) encoded: Bytes,
}

/// The transaction in a request that does nothing but to hand one in.
pub(crate) fn single(text: &str) -> Option<Submission<'_>> {
    let mut scanner = Scanner::new(text);
    let submission = request(&mut scanner)?;
    scanner.is_at_end().then_some(submission)
}

/// The transactions in a batch of such requests, if it holds at least one and no more than `max`.
pub(crate) fn batch(text: &str, max: usize) -> Option<Vec<Submission<'_>>> {
    let mut scanner = Scanner::new(text);
    scanner.token(b'[')?;
    let mut submissions = Vec::new();
    loop {
        if submissions.len() == max {
            return None;
        }
        submissions.push(request(&mut scanner)?);
        if scanner.token(b',').is_none() {
            break;
        }
    }
    scanner.token(b']')?;
    scanner.is_at_end().then_some(submissions)
}

/// One request: each of its four members once, in whatever order, and no other.
fn request<'a>(scanner: &mut Scanner<'a>) -> Option<Submission<'a>> {
    let (mut id, mut encoded, mut has_version, mut has_method) = (None, None, false, false);
    scanner.token(b'{')?;
    for members in 0.. {
        if members > 0 && scanner.token(b',').is_none() {
            break;
        }
        let key = scanner.string()?;
        scanner.token(b':')?;
        let is_repeated = match key {
            "jsonrpc" if scanner.string()? == "2.0" => std::mem::replace(&mut has_version, true),
            "method" if scanner.string()? == METHOD => std::mem::replace(&mut has_method, true),
            "id" => id.replace(scanner.id()?).is_some(),
            "params" => encoded.replace(only_string(scanner)?).is_some(),
            _ => return None,
        };
        if is_repeated {
            return None;
        }
    }
    scanner.token(b'}')?;
    if !has_version || !has_method {
        return None;
    }
    Some(Submission { id: id?, encoded: decode(encoded?)? })
}

/// The transaction in parameters that are nothing but one.
pub(crate) fn params(text: &str) -> Option<Bytes> {
    let mut scanner = Scanner::new(text);
    let digits = only_string(&mut scanner)?;
    scanner.is_at_end().then_some(digits).and_then(decode)
}

/// The string in an array of one.
fn only_string<'a>(scanner: &mut Scanner<'a>) -> Option<&'a str> {
    scanner.token(b'[')?;
    let string = scanner.string()?;
    scanner.token(b']')?;
    Some(string)
}

/// The bytes that a string of hex digits stands for.
fn decode(text: &str) -> Option<Bytes> {
    let digits = text.strip_prefix("0x")?;
    // The decoder would take a second prefix.
    hex::decode(digits).ok().filter(|_| !digits.starts_with("0x")).map(Bytes::from)
}

/// A whole response that holds a transaction's hash.
pub(crate) fn hash_response(id: &str, hash: TxHash) -> String {
    let mut response = String::with_capacity(id.len() + 110);
    response.push_str(r#"{"jsonrpc":"2.0","id":"#);
    response.push_str(id);
    response.push_str(r#","result":""#);
    response.push_str(hex::Buffer::<32, true>::new().format(&hash.0));
    response.push_str("\"}");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(members: &[&str]) -> String {
        format!("{{{}}}", members.join(","))
    }

    const VERSION: &str = r#""jsonrpc":"2.0""#;
    const SEND: &str = r#""method":"eth_sendRawTransaction""#;
    const ID: &str = r#""id":7"#;
    const PARAMS: &str = r#""params":["0x0aFF"]"#;

    #[test]
    fn what_every_client_writes_goes_this_way() {
        let bytes = Bytes::from_static(&[0x0a, 0xff]);
        let expected = |id| Some(Submission { id, encoded: bytes.clone() });
        assert_eq!(single(&request(&[VERSION, ID, SEND, PARAMS])), expected("7"));
        assert_eq!(single(&request(&[PARAMS, SEND, ID, VERSION])), expected("7"));
        for id in ["0", "1234567890123456789", r#""""#, r#""a-b c""#] {
            let text = request(&[SEND, PARAMS, VERSION, &format!(r#""id":{id}"#)]);
            assert_eq!(single(&text), expected(id), "{text}");
        }
        let spaced = "\n{ \"jsonrpc\" :\t\"2.0\" , \"id\" : 7 ,\r\n \"method\":\"eth_sendRawTransaction\", \"params\" : [ \"0x0aff\" ] } ";
        assert_eq!(single(spaced), expected("7"));
        let empty = request(&[VERSION, ID, SEND, r#""params":["0x"]"#]);
        assert!(single(&empty).unwrap().encoded.is_empty());

        let text = request(&[VERSION, ID, SEND, PARAMS]);
        let two = format!(" [ {text} , {text} ] ");
        assert_eq!(batch(&two, 2), Some(vec![expected("7").unwrap(), expected("7").unwrap()]));
        assert_eq!(batch(&two, 1), None);
    }

    #[test]
    fn everything_else_goes_the_generic_way() {
        for params in [
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
            r#"["0x00 "]"#,
            r#"[["0x00"]]"#,
            r#"["0x00",null]"#,
            r#"["0x00",]"#,
        ] {
            let params = format!(r#""params":{params}"#);
            let text = request(&[VERSION, ID, SEND, &params]);
            assert_eq!(single(&text), None, "{text}");
        }
        for id in
            ["null", "-1", "1.5", "1e3", "01", "{}", "[1]", r#""a\"b""#, "\"\u{1}\"", "", "1 2"]
        {
            let text = request(&[VERSION, &format!(r#""id":{id}"#), SEND, PARAMS]);
            assert_eq!(single(&text), None, "{text}");
        }
        for members in [
            &[VERSION, SEND, PARAMS][..],
            &[ID, SEND, PARAMS],
            &[VERSION, ID, PARAMS],
            &[VERSION, ID, SEND],
            &[VERSION, VERSION, ID, SEND, PARAMS],
            &[VERSION, ID, ID, SEND, PARAMS],
            &[VERSION, ID, SEND, SEND, PARAMS],
            &[VERSION, ID, SEND, PARAMS, PARAMS],
            &[VERSION, ID, SEND, PARAMS, r#""x":1"#],
            &[VERSION, ID, SEND, PARAMS, ""],
            &["", VERSION, ID, SEND, PARAMS],
            &[r#""jsonrpc":"1.0""#, ID, SEND, PARAMS],
            &[r#""jsonrpc":2.0"#, ID, SEND, PARAMS],
            &[VERSION, ID, r#""method":"eth_sendRawTransactionSync""#, PARAMS],
            &[VERSION, ID, r#""method":"eth_call""#, PARAMS],
            &[],
        ] {
            let text = request(members);
            assert_eq!(single(&text), None, "{text}");
        }
        let text = request(&[VERSION, ID, SEND, PARAMS]);
        for wrong in ["x", "{", ",", "\u{a0}", "\u{c}"] {
            assert_eq!(single(&format!("{text}{wrong}")), None, "{wrong}");
            assert_eq!(single(&format!("{wrong}{text}")), None, "{wrong}");
            assert_eq!(batch(&format!("[{text}{wrong}]"), 9), None, "{wrong}");
            assert_eq!(batch(&format!("[{text}]{wrong}"), 9), None, "{wrong}");
        }
        for end in 0..text.len() {
            assert_eq!(single(&text[..end]), None, "{end}");
        }
        for other in ["", "[]", "[1]", "[[]]"] {
            assert_eq!((single(other), batch(other, 9)), (None, None), "{other}");
        }
    }

    #[test]
    fn the_response_is_what_the_generic_way_would_say() {
        let hash = TxHash::repeat_byte(0xab);
        let expected = format!(r#"{{"jsonrpc":"2.0","id":"a","result":"{hash}"}}"#);
        assert_eq!(hash_response(r#""a""#, hash), expected);
    }
}
