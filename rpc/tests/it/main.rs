//! The edge from outside: raw bytes in, exact bytes out, over real sockets on the loopback interface.

#![allow(clippy::unwrap_used, missing_docs)]

mod client;
mod envelope;
mod fixture;
mod limits;
mod malformed;
mod methods;
mod plain;
mod subscriptions;
mod sync;
