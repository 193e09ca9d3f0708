//! The JSON-RPC and WebSocket edge: what wallets and tools talk to.
//!
//! [`serve`] takes a listener and a [`Backend`], which is everything that the edge knows of the node behind it.
//! Errors have geth's codes and words, every limit is in [`Config`], and JSON is spoken nowhere else.
//!
//! Suggested reading order: `backend`, `server`, `plain` and `websocket` (connections), `answer` and `hot` (the JSON-RPC envelope),
//! `methods` (one file a subject), `json` (shapes), `session` (subscriptions).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod args;
mod backend;
mod config;
mod edge;
mod error;
mod hot;
mod json;
mod methods;
mod plain;
mod promised;
mod server;
mod session;
mod socket;
mod websocket;

pub use crate::{
    backend::{
        AccountOverride, AccountProof, Backend, BaseFeeParams, BlockEvent, BlockOverrides,
        BlockRef, CallError, CallFees, CallMessage, CallRequest, ChainBlock, ChainInfo, Heads,
        Inclusion, L1Fees, L1TxFee, LogFilter, LogHit, LogQuery, LogScope, LogsError, Lookup,
        ReadError, StateError, StorageOverride, StorageProof, SubmitError,
    },
    config::Config,
    error::RpcError,
    promised::{Before, PromisedRun, WaitError},
    server::serve,
};
