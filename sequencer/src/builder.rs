//! The builder: one thread that makes one block after the other.
//!
//! Suggested reading order: `task` (the life of a block), `slot` (when it is due), `origin` (what L1 decides).

mod origin;
mod slot;
mod task;

pub(crate) use self::{origin::NoL1, task::Builder};
