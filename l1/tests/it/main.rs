//! The L1 client against a real node, and against one that sits behind a proxy with faults.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod blobs;
mod client;
mod follower;
mod reader;
mod signer;
mod support;
