//! The JSON-RPC and WebSocket edge.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;

pub use crate::backend::{
    AccountOverride, AccountProof, Backend, BaseFeeParams, BlockEvent, BlockOverrides, BlockRef,
    CallError, CallFees, CallMessage, CallRequest, ChainBlock, ChainInfo, Heads, L1Fees, L1TxFee,
    LogFilter, LogHit, LogQuery, LogScope, LogsError, Lookup, ReadError, StateError,
    StorageOverride, StorageProof, SubmitError,
};
