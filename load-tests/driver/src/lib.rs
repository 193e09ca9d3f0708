//! Load for any Ethereum JSON-RPC endpoint: transactions are signed ahead, sent at a rate or flat out, and looked for in
//! blocks. It knows an endpoint only by its URL, so that what it says of one can be held beside what it says of another.
//!
//! [`Cli`] is checked into a [`Config`]; [`run`] prepares the chain, signs, drives and watches, and gives a [`Report`].

mod clock;
mod config;
mod cpu;
mod drive;
mod http;
mod keys;
mod latency;
mod limits;
mod program;
mod report;
mod rpc;
mod run;
mod setup;
mod watch;
mod workload;

pub use config::{Cli, Config, ConfigError, Endpoint, Pace, Spread, Workload};
pub use report::Report;
pub use rpc::RpcError;
pub use run::{RunError, run};
pub use setup::SetupError;
