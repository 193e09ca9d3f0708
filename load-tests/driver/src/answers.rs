//! Answers while the clock runs: parsed only when they hold an error, since the driver shares its machine with the server.

use std::collections::BTreeMap;

use memchr::memmem;

use crate::{limits, rpc::Answer};

/// How often what was answered instead of success, by code (or `io`) and message.
#[derive(Debug, Default)]
pub(crate) struct Errors(BTreeMap<(String, String), u64>);

impl Errors {
    pub(crate) fn add(&mut self, code: impl ToString, message: impl ToString, count: u64) {
        // Some messages name hashes and balances: past a limit they are counted together.
        let mut kind = (code.to_string(), message.to_string());
        if !self.0.contains_key(&kind) && self.0.len() >= limits::ERROR_KINDS_MAX {
            kind = ("other".to_owned(), "any other error".to_owned());
        }
        *self.0.entry(kind).or_default() += count;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (code, message, count) in other.iter() {
            self.add(code, message, count);
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.0.iter().map(|((code, message), count)| (code.as_str(), message.as_str(), *count))
    }
}

/// How many of `count` transactions an answer accepts. Nothing is parsed while nothing is wrong.
pub(crate) fn accepted(answer: &[u8], count: u64, errors: &mut Errors) -> u64 {
    if memmem::find(answer, b"\"error\"").is_none()
        && memmem::find_iter(answer, b"\"result\"").count() as u64 == count
    {
        return count;
    }
    let answers = match answer.first() {
        Some(b'[') => serde_json::from_slice::<Vec<Answer<'_>>>(answer),
        _ => serde_json::from_slice(answer).map(|answer| vec![answer]),
    };
    let Ok(answers) = answers else {
        errors.add("malformed", "the answer is no JSON-RPC", count);
        return 0;
    };
    let mut accepted = 0;
    for answer in &answers {
        match &answer.error {
            Some(error) => errors.add(error.code, &error.message, 1),
            None if answer.result.is_some() => accepted += 1,
            None => errors.add("malformed", "an answer holds neither result nor error", 1),
        }
    }
    let accepted = accepted.min(count);
    // An endpoint that refuses a batch as a whole answers once.
    let silent = count.saturating_sub(answers.len() as u64);
    if silent > 0 {
        errors.add("unanswered", "the answer to a batch holds fewer answers", silent);
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: &str, count: u64, expected: u64, errors: &[(&str, &str, u64)]) {
        let mut seen = Errors::default();
        assert_eq!(accepted(answer.as_bytes(), count, &mut seen), expected, "{answer}");
        assert_eq!(seen.iter().collect::<Vec<_>>(), errors, "{answer}");
    }

    #[test]
    fn answers_are_counted() {
        let good = r#"{"jsonrpc":"2.0","id":0,"result":"0x12"}"#;
        let bad = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"nonce too low"}}"#;
        let nonce = ("-32000", "nonce too low", 1);
        check(good, 1, 1, &[]);
        check(&format!("[{good},{good}]"), 2, 2, &[]);
        check(bad, 1, 0, &[nonce]);
        check(&format!("[{good}, {bad}, {good}]"), 3, 2, &[nonce]);
        let silent = |count| ("unanswered", "the answer to a batch holds fewer answers", count);
        check(bad, 50, 0, &[nonce, silent(49)]);
        check(&format!("[{good}]"), 2, 1, &[silent(1)]);
        check("<html>", 3, 0, &[("malformed", "the answer is no JSON-RPC", 3)]);
        let neither = ("malformed", "an answer holds neither result nor error", 1);
        check(r#"{"jsonrpc":"2.0","id":0}"#, 1, 0, &[neither]);
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut errors = Errors::default();
        (0..100).for_each(|code| errors.add(code, "message", 1));
        assert_eq!((errors.iter().count(), errors.total()), (limits::ERROR_KINDS_MAX + 1, 100));
    }
}
