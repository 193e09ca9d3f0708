//! sequencer
pub mod journal;

pub mod mempool;
