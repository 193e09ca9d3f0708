//! The contracts of L2 as they are at genesis, and those of L1 as the plan deploys them, run on a plain EVM; and the genesis
//! itself against independent code.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod abi;
mod anvil;
mod chain;
mod deployment;
mod fee_vaults;
mod forge;
mod gas_price_oracle;
mod genesis;
mod interfaces;
mod l1_block;
mod message_passer;
mod proxies;
mod system_contracts;
mod tools;
