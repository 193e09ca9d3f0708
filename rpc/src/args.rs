//! A request's parameters, taken one by one, with geth's words for what is wrong with them.

use http::Extensions;
use jsonrpsee::types::Params;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::RpcError;

/// What a handler is given: the parameters as they came, and what the transport attached to the request.
#[derive(Debug)]
pub(crate) struct Args {
    params: Params<'static>,
    extensions: Extensions,
}

impl Args {
    pub(crate) fn new(params: Params<'static>, extensions: Extensions) -> Self {
        Self { params, extensions }
    }

    /// What the transport attached, such as the WebSocket that the request came in on.
    pub(crate) fn attached<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.extensions.get().cloned()
    }

    /// The parameters in order, of which the method knows at most `max`.
    pub(crate) fn positional(&self, max: usize) -> Result<Positional<'_>, RpcError> {
        let values = match self.params.as_str() {
            None | Some("null") => Vec::new(),
            Some(text) if text.starts_with('[') => serde_json::from_str::<Vec<&RawValue>>(text)
                .map_err(|error| RpcError::invalid_params(without_position(&error)))?,
            Some(_) => return Err(RpcError::invalid_params("non-array args")),
        };
        if values.len() > max {
            return Err(RpcError::invalid_params(format!(
                "too many arguments, want at most {max}"
            )));
        }
        Ok(Positional { values, next: 0 })
    }

    /// For methods that take no parameters.
    pub(crate) fn none(&self) -> Result<(), RpcError> {
        self.positional(0).map(|_| ())
    }
}

/// An iterator over parameters that converts them.
#[derive(Debug)]
pub(crate) struct Positional<'a> {
    values: Vec<&'a RawValue>,
    next: usize,
}

impl<'a> Positional<'a> {
    /// The next parameter, which must be there.
    pub(crate) fn required<T: Deserialize<'a>>(&mut self) -> Result<T, RpcError> {
        let index = self.next;
        self.optional()?.ok_or_else(|| RpcError::missing_argument(index))
    }

    /// The next parameter, unless it is absent or null.
    pub(crate) fn optional<T: Deserialize<'a>>(&mut self) -> Result<Option<T>, RpcError> {
        let index = self.next;
        self.next += 1;
        match self.values.get(index).map(|value| value.get()) {
            None | Some("null") => Ok(None),
            Some(text) => serde_json::from_str(text)
                .map(Some)
                .map_err(|error| RpcError::invalid_argument(index, without_position(&error))),
        }
    }
}

/// serde_json's message without the line and column, which mean nothing to whoever built the request by machine.
fn without_position(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(end) = text.rfind(" at line ") {
        text.truncate(end);
    }
    // A message may quote the offending value, which may be large.
    if text.len() > 256 {
        let end = (0..=256).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
