//! The sequencer as its neighbours meet it: databases, clients, operators and power cuts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clients;
mod hostile;
mod journal;
mod lifecycle;
mod support;
mod torture;
