//! The nouns of Millrace: transactions, receipts, blocks and changes of state.
//!
//! Plain values that every other crate passes along. Nothing here performs IO, knows JSON, or decides a rule of the
//! chain: encodings that consensus fixes (RLP, EIP-2718) are the only behaviour.
//!
//! Suggested reading order: [`transaction`](Transaction), [`receipt`](Receipt), [`block`](Block),
//! [`state_diff`](StateDiff), [`waypoint`](Waypoint).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod block;
mod receipt;
mod state_diff;
mod transaction;
mod waypoint;

pub use alloy_consensus::Header;
pub use reth_primitives_traits::{Account, SealedHeader};

pub use crate::{
    block::{Block, ExecutedBlock},
    receipt::{DepositReceipt, Receipt},
    state_diff::{AccountDiff, DiffBuilder, SlotDiff, StateDiff},
    transaction::{Transaction, TransactionError, TxEnvelope, TxType},
    waypoint::Waypoint,
};
