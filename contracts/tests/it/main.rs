//! The contracts as they are at genesis, run on a plain EVM, and the genesis itself against independent code.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod abi;
mod chain;
mod fee_vaults;
mod gas_price_oracle;
mod genesis;
mod interfaces;
mod l1_block;
mod message_passer;
mod proxies;
mod system_contracts;
mod tools;
