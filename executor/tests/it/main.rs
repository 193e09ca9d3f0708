//! The executor through its public face: the rules of the OP Stack, calls, estimates, a block of mainnet, and made-up
//! blocks on many threads against plain revm.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, which print their seeds")]

mod adversarial;
mod calls;
mod candidates;
mod deposits;
mod differential;
mod estimates;
mod fees;
mod forks;
mod mainnet;
mod oracle;
mod threads;
mod world;
mod zoo;
