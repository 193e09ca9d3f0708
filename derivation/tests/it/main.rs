//! Derivation through its public face, on made-up L1 chains with a batcher that does everything it should and should
//! not. What has to come out is computed by a second implementation of the rules, which never sees a byte.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print their seeds")]

mod batcher;
mod drive;
mod execution;
mod faces;
mod model;
mod random;
mod world;
