//! The chain as L1 has it: derives it, holds it against ours, and makes ours agree.
//!
//! ```text
//! follower ──► reader ──► derivation ──► attributes ──► the same block as ours? ──► yes: it is safe
//!    │                                                                       └─► no: ours is taken back, L1's is made
//!    └──► L1's reorganizations: whatever refers to a block that is gone is taken back
//! ```
//!
//! A sequencer learns here how much of its chain is safe; a verifier gets all its blocks from here; and a node that has lost
//! its data begins here. What is derived is decided by L1 alone, never by what we have.
//!
//! Suggested reading order: `task` (the loop), `safe_blocks` (what was derived and may yet be lost), `agreement` (whether
//! a block of ours is what L1 says), `fetching` and `search` (where blocks come from), `heads` (what everybody may know of
//! it), `silence` (L1 that makes no blocks).

mod agreement;
mod fetching;
mod heads;
mod safe_blocks;
mod search;
pub(crate) mod silence;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    heads::SafeHeads,
    silence::SILENCE_MAX,
    task::{Deriver, DeriverError, Goal},
};
