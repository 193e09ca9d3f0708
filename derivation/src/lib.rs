//! From L1 blocks to the L2 chain that they define.
//!
//! L1 is the only source: whoever feeds the same L1 blocks gets the same L2 blocks, whether they came from us or not.
//! The pipeline is a pure state machine. L1 blocks go in, in order ([`Derivation::push`]); payload attributes come out,
//! one block at a time ([`Derivation::step`]); and what executing them gave goes in again ([`Derivation::accept`],
//! [`Derivation::reject`]). It performs no IO, reads no clock and executes nothing. The rules are those that Holocene
//! and Isthmus left, from genesis on, and the public specification is the authority.
//!
//! ```text
//! L1Block.inbox -> frames -> channel -> batches -> batch stage -> Attributes -> (execution) -> safe head
//!                                                  ^         ^
//!                        the safe head and its origin         '- the epochs: L1 blocks that can be origins
//! ```
//!
//! Each stage is pulled by the one behind it, so nothing is read from L1 data before all that came earlier has been
//! used up. That is not for speed but part of the rules: dropping the rest of a channel, or taking a deposits-only
//! block in a batch's place, must happen before anything later is looked at.
//!
//! Suggested reading order: [`Derivation`] (the machine), `frame_queue`, `channel`, `batch_source` (from bytes to
//! batches), `frontier` (the rules that make a batch valid), `batch_stage` (their order), [`Attributes`] (what a block
//! becomes), [`Start`] (where reading begins).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod attributes;
mod batch_source;
mod batch_stage;
mod channel;
mod derivation;
mod epochs;
#[cfg(test)]
mod fixtures;
mod frame_queue;
mod frontier;
mod safe_chain;
mod start;

pub use crate::{
    attributes::{Attributes, Provenance},
    derivation::{DepositsRefused, Derivation, PushError, Step},
    safe_chain::{L2Ref, SafeBlock, SafeChain},
    start::{Start, StartError},
};
