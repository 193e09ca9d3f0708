//! Our contracts on L2, and the genesis state that holds them.
//!
//! The Solidity is in `src/l2`; `make contracts` compiles it into `artifacts/`, which is checked in and embedded here,
//! so building the node needs no Solidity compiler. This crate turns that into the world at block zero and knows
//! neither the EVM nor the trie: the caller computes the roots.
//!
//! Suggested reading order: [`Contract`] (what was compiled), [`Predeploys`] (what is where, and with which settings),
//! [`Genesis`] (a chain's first state and header), its JSON form, and [`DevGenesis`] (the development chain).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod artifact;
mod dev;
mod genesis;
mod json;
mod predeploys;

pub use crate::{
    artifact::Contract,
    dev::{DEV_ACCOUNTS, DEV_CHAIN_ID, DEV_MNEMONIC, DevGenesis},
    genesis::{Genesis, GenesisAccount, GenesisRoots},
    json::GenesisError,
    predeploys::{FeeVault, Predeploys, WithdrawalNetwork, implementation_address},
};
