//! What a client is told when a request fails: geth's codes and geth's words, because wallets match on them.
//!
//! Some libraries retry on -1, -32005, -32603 and -32007, so a failure that would repeat never carries one of those.

use std::borrow::Cow;

use alloy_primitives::{Bytes, U256};
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use serde_json::value::RawValue;

use crate::{
    backend::{CallError, LogsError, ReadError, StateError, SubmitError},
    promised::WaitError,
};

/// A request's failure as the client sees it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    code: i32,
    message: Cow<'static, str>,
    data: Option<Box<RawValue>>,
}

impl RpcError {
    const FAILED: i32 = -32000;
    const TIMED_OUT: i32 = -32002;
    const RESPONSE_TOO_LARGE: i32 = -32003;
    const PARSE: i32 = -32700;
    const INVALID_REQUEST: i32 = -32600;
    const METHOD_NOT_FOUND: i32 = -32601;
    const INVALID_PARAMS: i32 = -32602;
    const INTERNAL: i32 = -32603;
    const REVERTED: i32 = 3;
    const PRUNED: i32 = 4444;
    /// EIP-7966: a transaction was taken, and has no receipt yet.
    const NOT_IN_TIME: i32 = 4;
    /// EIP-7966: a transaction was taken, and nothing will come of it unless its sender does something.
    const NOT_READY: i32 = 5;

    const fn fixed(code: i32, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message), data: None }
    }

    fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The JSON-RPC error code.
    pub const fn code(&self) -> i32 {
        self.code
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The request is sound and was refused, or failed, for this reason.
    pub(crate) fn failed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Self::FAILED, message)
    }

    pub(crate) fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Self::INVALID_PARAMS, message)
    }

    pub(crate) fn missing_argument(index: usize) -> Self {
        Self::invalid_params(format!("missing value for required argument {index}"))
    }

    pub(crate) fn invalid_argument(index: usize, why: impl std::fmt::Display) -> Self {
        Self::invalid_params(format!("invalid argument {index}: {why}"))
    }

    pub(crate) fn method_not_found(method: &str) -> Self {
        // The name is the client's own; a megabyte of it helps nobody.
        let mut end = method.len().min(128);
        while !method.is_char_boundary(end) {
            end -= 1;
        }
        Self::new(
            Self::METHOD_NOT_FOUND,
            format!("the method {} does not exist/is not available", &method[..end]),
        )
    }

    pub(crate) fn unknown_subscription(kind: &str) -> Self {
        Self::new(
            Self::METHOD_NOT_FOUND,
            format!(
                "no {:?} subscription in eth namespace",
                kind.chars().take(64).collect::<String>()
            ),
        )
    }

    pub(crate) const fn notifications_unsupported() -> Self {
        Self::fixed(Self::METHOD_NOT_FOUND, "notifications not supported")
    }

    pub(crate) const fn subscription_not_found() -> Self {
        Self::fixed(Self::FAILED, "subscription not found")
    }

    pub(crate) const fn too_many_subscriptions() -> Self {
        Self::fixed(Self::FAILED, "too many subscriptions on this connection")
    }

    pub(crate) const fn parse() -> Self {
        Self::fixed(Self::PARSE, "parse error")
    }

    pub(crate) const fn invalid_request() -> Self {
        Self::fixed(Self::INVALID_REQUEST, "invalid request")
    }

    pub(crate) const fn empty_batch() -> Self {
        Self::fixed(Self::INVALID_REQUEST, "empty batch")
    }

    pub(crate) const fn batch_too_large() -> Self {
        Self::fixed(Self::INVALID_REQUEST, "batch too large")
    }

    pub(crate) const fn request_too_large() -> Self {
        Self::fixed(Self::INVALID_REQUEST, "request too large")
    }

    pub(crate) const fn response_too_large() -> Self {
        Self::fixed(Self::RESPONSE_TOO_LARGE, "response too large")
    }

    pub(crate) const fn timed_out() -> Self {
        Self::fixed(Self::TIMED_OUT, "request timed out")
    }

    /// A handler panicked. It would again, so this is not the code that libraries retry on.
    pub(crate) const fn crashed() -> Self {
        Self::fixed(Self::FAILED, "method handler crashed")
    }

    pub(crate) const fn busy() -> Self {
        Self::fixed(Self::FAILED, "server busy, try again later")
    }

    pub(crate) const fn header_not_found() -> Self {
        Self::fixed(Self::FAILED, "header not found")
    }

    const fn pruned() -> Self {
        Self::fixed(Self::PRUNED, "pruned history unavailable")
    }

    /// Something of ours broke, which may pass: recorded in full, told in two words.
    fn internal(what: &'static str, detail: &str) -> Self {
        tracing::error!(detail, "{what}");
        Self::fixed(Self::INTERNAL, "internal error")
    }

    /// A contract's revert: the reason in the message if it can be read, the data as hex whatever it is.
    pub(crate) fn reverted(data: &Bytes) -> Self {
        let message = match revert_reason(data) {
            Some(reason) => format!("execution reverted: {reason}").into(),
            None => Cow::Borrowed("execution reverted"),
        };
        Self { code: Self::REVERTED, message, data: serde_json::value::to_raw_value(data).ok() }
    }
}

/// Reads `Error(string)` and `Panic(uint256)`, which Solidity reverts with.
fn revert_reason(data: &[u8]) -> Option<Cow<'static, str>> {
    const ERROR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
    const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];
    let (selector, body) = data.split_first_chunk::<4>()?;
    let word = |at: usize| body.get(at..at.checked_add(32)?).map(U256::from_be_slice);
    match *selector {
        ERROR => {
            let at: usize = word(0)?.try_into().ok()?;
            let length: usize = word(at)?.try_into().ok()?;
            let start = at.checked_add(32)?;
            let text = body.get(start..start.checked_add(length)?)?;
            Some(String::from_utf8_lossy(text).into_owned().into())
        }
        PANIC => {
            let code = word(0)?;
            Some(match u64::try_from(code).unwrap_or(u64::MAX) {
                0x00 => "generic panic".into(),
                0x01 => "assert(false)".into(),
                0x11 => "arithmetic underflow or overflow".into(),
                0x12 => "division or modulo by zero".into(),
                0x21 => "enum overflow".into(),
                0x22 => "invalid encoded storage byte array accessed".into(),
                0x31 => "out-of-bounds array access; popping on an empty array".into(),
                0x32 => "out-of-bounds access of an array or bytesN".into(),
                0x41 => "out of memory".into(),
                0x51 => "uninitialized function".into(),
                _ => format!("unknown panic code: {code:#x}").into(),
            })
        }
        _ => None,
    }
}

impl From<ReadError> for RpcError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Pruned => Self::pruned(),
            ReadError::Internal(detail) => Self::internal("read the chain", &detail),
        }
    }
}

impl From<StateError> for RpcError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::UnknownBlock => Self::header_not_found(),
            StateError::Pruned { .. } | StateError::Unprovable(_) => {
                Self::failed(error.to_string())
            }
            StateError::Internal(detail) => Self::internal("read the state", &detail),
        }
    }
}

impl From<SubmitError> for RpcError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Rejected(why) | SubmitError::Unavailable(why) => Self::failed(why),
            SubmitError::Internal(detail) => Self::internal("submit a transaction", &detail),
        }
    }
}

impl From<WaitError> for RpcError {
    fn from(error: WaitError) -> Self {
        let message = error.to_string();
        let (code, hash) = match error {
            WaitError::Submit(error) => return error.into(),
            WaitError::Read(error) => return error.into(),
            WaitError::TimedOut { hash, .. } => (Self::NOT_IN_TIME, hash),
            WaitError::Gapped { hash, .. } | WaitError::Dropped { hash, .. } => {
                (Self::NOT_READY, hash)
            }
        };
        // The hash, so that whoever gave up can ask for the transaction.
        let data = serde_json::value::to_raw_value(&hash).ok();
        Self { code, message: message.into(), data }
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::State(error) => error.into(),
            CallError::Reverted(data) => Self::reverted(&data),
            CallError::Failed(why) => Self::failed(why),
            CallError::Timeout(_) => Self::failed(error.to_string()),
            CallError::Busy => Self::busy(),
        }
    }
}

impl From<LogsError> for RpcError {
    fn from(error: LogsError) -> Self {
        match error {
            LogsError::UnknownBlock => Self::failed("unknown block"),
            LogsError::Pruned => Self::pruned(),
            // The caller knows the range and says better; this is for a caller that forgot to.
            LogsError::TooMany { .. } => Self::invalid_params("query returns too many logs"),
            LogsError::Busy => Self::busy(),
            LogsError::Internal(detail) => Self::internal("query logs", &detail),
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        ErrorObject::owned(error.code, error.message, error.data)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;

    fn check(data: &[u8], message: &str) {
        let error = RpcError::reverted(&data.to_vec().into());
        assert_eq!((error.code(), error.message()), (3, message));
        let data = format!("\"{}\"", hex::encode_prefixed(data));
        assert_eq!(error.data.unwrap().get(), data);
    }

    #[test]
    fn reverts_read_as_geth_says_them() {
        let mut reason = hex!("08c379a0").to_vec();
        reason.extend(U256::from(32).to_be_bytes::<32>());
        reason.extend(U256::from(5).to_be_bytes::<32>());
        reason.extend(b"nope!");
        reason.resize(4 + 96, 0);
        check(&reason, "execution reverted: nope!");

        let mut panic = hex!("4e487b71").to_vec();
        panic.extend(U256::from(0x11).to_be_bytes::<32>());
        check(&panic, "execution reverted: arithmetic underflow or overflow");
        panic[35] = 0x99;
        check(&panic, "execution reverted: unknown panic code: 0x99");

        check(&[], "execution reverted");
        check(&hex!("deadbeef01"), "execution reverted");
        // Offsets and lengths are the contract's to choose.
        let mut hostile = hex!("08c379a0").to_vec();
        hostile.extend(U256::MAX.to_be_bytes::<32>());
        check(&hostile, "execution reverted");
        let mut hostile = hex!("08c379a0").to_vec();
        hostile.extend(U256::from(32).to_be_bytes::<32>());
        hostile.extend(U256::from(usize::MAX).to_be_bytes::<32>());
        check(&hostile, "execution reverted");
    }

    #[test]
    fn a_long_method_name_is_cut_at_a_character() {
        let error = RpcError::method_not_found(&"é".repeat(1000));
        assert!(error.message().len() < 200);
    }
}
