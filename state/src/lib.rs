//! The world state: accounts, storage and code after every recent block, their Merkle roots and proofs.
//!
//! A [`State`] takes blocks one after the other as [`StateDiff`](millrace_types::StateDiff)s. The newest are in memory
//! and readable at once; a background checkpoint makes them durable, as far as their owner has them journaled. A
//! [`View`] reads the state after one block, from any thread; [`Root`] and [`Proof`] are what Ethereum's headers and
//! `eth_getProof` say about it. It knows nothing of how blocks are executed, stored or served.
//!
//! Suggested reading order: `state` (the face), `world` (how a read stays exact while everything moves), `overlay`,
//! `roots`, `checkpoint`, `unwind`, `prove`, then `trie` and what lies beneath: `store`, `codec`, `cache`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cache;
mod checkpoint;
mod codec;
mod config;
mod error;
mod nodes;
mod overlay;
mod prove;
mod roots;
mod state;
mod store;
mod trie;
mod unwind;
mod view;
mod world;

pub use crate::{
    config::Config,
    error::{
        ApplyError, CommitError, CreateError, OpenError, ProofError, ReadError, RootError,
        StoreError, UnwindError, ViewError,
    },
    prove::Proof,
    state::{Progress, Root, State},
    trie::{
        AccountProof, NibblePath, NoSource, NodeSource, Scratch, SlotProof, StateTrie, TrieChanges,
        TrieError, TrieId,
    },
    view::View,
};
