//! The executor through its public face: the rules of the OP Stack, calls, estimates, and a block of mainnet.

#![allow(clippy::unwrap_used)]

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
mod world;
mod zoo;
