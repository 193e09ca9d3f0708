//! Load for any Ethereum JSON-RPC endpoint: transactions are signed ahead, sent at a rate or flat out, and looked for in
//! blocks. It knows an endpoint only by its URL, so that what it says of one can be held beside what it says of another.
//!
//! [`Cli`] is checked into a [`Task`]. [`run`] prepares the chain, signs, drives and watches, and gives a [`Report`].
//! [`reads`] sends a few transactions likewise, and measures how fast an endpoint answers questions about them.

mod answers;
mod clock;
mod config;
mod drive;
mod http;
mod interval;
mod keys;
mod latency;
mod limits;
mod process;
mod program;
mod reads;
mod report;
mod rpc;
mod run;
mod setup;
mod slots;
mod watch;
mod workload;

pub use config::{
    Cli, Config, ConfigError, Endpoint, Method, Pace, ReadsConfig, Spread, Task, Workload,
};
pub use interval::Interval;
pub use reads::{Reads, ReadsReport, reads};
pub use report::Report;
pub use rpc::RpcError;
pub use run::{Progress, RunError, run};
pub use setup::SetupError;
