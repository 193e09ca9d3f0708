//! sequencer
pub mod index;
pub mod journal;

pub mod mempool;
