//! The state as its users see it, against a plain map of each block.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print their seeds")]

mod crash;
mod limits;
mod model;
mod random;
mod threads;
