//! From sealed blocks to the L1 transactions that carry them.
//!
//! Blocks are written into channels, channels are cut into frames, frames travel as calldata or in blobs, whichever is
//! cheaper. Every L1 transaction is written down before anybody sees it, and watched until it is deep in L1's chain and
//! its blocks are safe. What L1 lost, or what derivation read in vain, is posted again: so that whatever dies, and
//! whenever, no block is skipped, and none counts twice.
//!
//! Progress: `settled ≤ posted ≤ read ≤ journaled`.
//!
//! Knows nothing of JSON-RPC, SQL or the mempool: it declares what it needs of its neighbours ([`SealedBlocks`],
//! [`L1`], [`Ledger`], [`Signer`]) and the spine implements it.
//!
//! Suggested reading order: [`faces`](SealedBlocks) and [`record`](Record), [`channel`](ChannelBuilder), `fees`, then
//! `state` with its `assembly` and `outbox`, `task`, [`handle`](Handle).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod channel;
mod config;
mod faces;
mod fees;
mod handle;
mod limits;
mod metrics;
mod payload;
mod record;
mod signer;
mod state;
mod task;

pub use crate::{
    channel::{ChannelBuilder, ChannelError, ChannelSettings, ClosedChannel, Pushed, Rates},
    config::{BatchFormat, Config, ConfigError, KindPolicy},
    faces::{
        Account, Derived, FaceError, Inclusion, L1, Ledger, Place, SealedBlock, SealedBlocks,
        SendError, Signer, UnsignedTx,
    },
    fees::{FeeCaps, Market, TxFees},
    handle::{Handle, Stopped},
    limits::{BLOBS_MAX, CALLDATA_BYTES_MAX, CHANNEL_RAW_BYTES_MAX},
    metrics::{Backlog, Figures},
    record::{BlockRange, Change, Fate, FrameRange, Kind, Loaded, Record},
    signer::LocalSigner,
    state::BatchError,
    task::{Batcher, Faces},
};
