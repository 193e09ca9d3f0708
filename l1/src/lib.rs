//! L1 by JSON-RPC: several endpoints seen as one, none of them trusted further than it can be checked.
//!
//! An L1 node is somebody else's machine behind somebody else's proxy. It is slow, behind, confused about its chain or
//! gone, and answers with web pages. So every answer is bounded, every header is hashed, every list of transactions and
//! receipts is held against its header's root, every blob against its commitment, and an endpoint that fails any of
//! this is set aside while another one is asked.
//!
//! Suggested reading order: [`Endpoint`] (one node), [`L1Client`] (all of them: admission, fail-over, reads),
//! [`Reader`] (a block as the rollup sees it), [`Follower`] (the chain as it grows and reorganizes), [`RemoteSigner`]
//! (keys that live elsewhere).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backoff;
mod beacon;
mod blob_schedule;
mod blobs;
mod client;
mod config;
mod endpoint;
mod follower;
mod http;
mod json_rpc;
mod metrics;
mod reader;
mod reads;
mod remote_signer;
mod send;
mod verify;

pub use crate::{
    beacon::BeaconConfig,
    blob_schedule::{BlobSchedule, ScheduleVerdict},
    blobs::{BlobError, BlobSource},
    client::{Heads, L1Client, L1Error},
    config::{ClientConfig, ConfigError, EndpointConfig, TlsConfig},
    endpoint::{Endpoint, EndpointError},
    follower::{Event, Follower, FollowerConfig, FollowerHandle},
    json_rpc::{Call, RpcError},
    metrics::{Counter, EndpointMetrics, Gauge, L1Metrics},
    reader::{ReadError, Reader, VerifiedBlock},
    reads::{At, Fees, L1Receipt, NonceAt, TransactionPlace},
    remote_signer::{RemoteSigner, SignError},
    send::{SendError, Sent},
    verify::{FullBlock, L1HeaderSealed, L1Transaction},
};
