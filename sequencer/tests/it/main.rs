//! The sequencer as its neighbours meet it: databases, clients, operators and power cuts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "seeds and skipped tests are for whoever reads along")]

// Tests start in the order of their names. Its one test takes minutes, alone at the end if it were not the first.
mod acknowledged;
mod clients;
mod hostile;
mod journal;
mod lifecycle;
mod promises;
mod rollup;
mod support;
