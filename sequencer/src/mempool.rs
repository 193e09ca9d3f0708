//! Where transactions wait until the builder takes them.
//!
//! A pure data structure: no lock, no clock, no IO. Times come in as milliseconds, the newest executed state through the
//! [`Accounts`] trait, and what happens to transactions that nobody asked about leaves as [`Event`]s.
//!
//! The path of a transaction, one line a thread that walks it:
//!
//! ```text
//! any thread   Transaction::decode ─► Rules::admit                  (no lock: signature, gas, size, fees)
//! under lock   Mempool::insert_many ─► queued ◄─► pending           (nonce, balance, replacement, bounds)
//! builder      Mempool::take_best ─► in flight ─► Mempool::committed
//!                                        └─ deferred ─► pending
//! ```
//!
//! *Pending* transactions follow each other without a gap from their sender's nonce; *queued* ones wait for a
//! predecessor. A pending one whose fee cap is below the base fee is *parked*: it stays where it is and is not offered
//! until the base fee falls. *In flight* are those that the builder holds; they remain known, and their successors
//! remain pending.
//!
//! The signers of EIP-7702 authorisations inside pooled transactions are not tracked. Such an authorisation can make
//! other pooled transactions of its signer fail, which costs the builder a rejection each and nobody a fee.
//!
//! Suggested reading order: [`limits`](Limits), [`rules`](Rules), [`sender`](SenderState), `offers`, `worst`,
//! [`pool`](Mempool), `insert`, `build`, `views`.

mod ages;
mod build;
mod entry;
mod error;
mod event;
mod gas;
mod heap;
mod insert;
mod limits;
mod offers;
mod pool;
mod rules;
mod sender;
mod slab;
mod views;
mod worst;

#[cfg(test)]
mod model;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use self::{
    build::Outcome,
    error::{AccountsUnavailable, SubmitError},
    event::{DropReason, Event},
    gas::{floor_gas, intrinsic_gas},
    insert::Inserted,
    limits::Limits,
    pool::Mempool,
    rules::{Admitted, Rules},
    sender::{Accounts, SenderCode, SenderState},
    views::{SenderContent, Stats},
};
