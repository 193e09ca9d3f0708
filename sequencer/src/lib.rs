//! The spine of Millrace: it joins the crates into a node.
//!
//! Suggested reading order: `node` with `foundation`, `writer` and `l1_side` (what a node consists of), `builder` (the life
//! of a block), `deriver` (what L1 makes of it), `intake` and `mempool` (how transactions come in), `journal` (when they are
//! safe), `chain` and `backend` (how they are seen), `recovery` and `rebuild` (how it all comes back).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod banner;
mod blocking;
mod builder;
mod chain;
mod cli;
mod clock;
mod committer;
mod config;
mod deploy;
mod deriver;
mod devnet;
mod foundation;
mod genesis;
mod health;
pub mod index;
mod intake;
pub mod journal;
mod l1_cost;
mod l1_side;
mod l2_ref;
mod memory;
pub mod mempool;
mod metrics;
mod node;
mod ops;
mod patience;
mod posting;
mod rebuild;
mod recent;
mod recovery;
mod replay;
mod rollup;
mod roots;
mod verify;
mod view;
pub mod workbench;
mod writer;

pub use crate::{
    banner::{Listening, banner, devnet_banner},
    cli::{
        Cli, Command, ConfigCommand, DeployArgs, DevnetArgs, NodeArgs, RollupArgs, RollupFiles,
        VerifyArgs,
    },
    config::{
        BatcherConfig, BatcherSettings, Carrier, Compression, Config, FileError, Format, KeySource,
        L1Config, L1Settings, LogFormat, SettingError, Settings, Span,
    },
    deploy::{Funded, NewRollup, deploy},
    devnet::{Devnet, DevnetListening, run_devnet},
    memory::keep_memory,
    node::{Role, run_dev, run_node},
    rebuild::RestartNeeded,
    replay::run as replay,
    rollup::Rollup,
    verify::verify,
};
