//! The spine of Millrace: it joins the crates into a node.
//!
//! Suggested reading order: `node` (what a node consists of), `builder` (the life of a block), `intake` and `mempool`
//! (how transactions come in), `journal` (when they are safe), `chain` and `backend` (how they are seen), `recovery`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod banner;
mod blocking;
mod builder;
mod chain;
mod cli;
mod clock;
mod config;
mod genesis;
mod health;
pub mod index;
mod intake;
pub mod journal;
mod l1_cost;
pub mod mempool;
mod metrics;
mod node;
mod ops;
mod recent;
mod recovery;
mod replay;
mod roots;
mod view;

pub use crate::{
    banner::{Listening, banner},
    cli::{Cli, Command, ConfigCommand, NodeArgs},
    config::{Config, FileError, LogFormat, SettingError, Settings, Span},
    node::run_dev,
    replay::run as replay,
};
