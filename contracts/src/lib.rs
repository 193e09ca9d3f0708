//! Our contracts on both layers: how they come to be on L1, and the genesis state that holds them on L2.
//!
//! The Solidity is in `src/l1` and `src/l2`; `make contracts` compiles it into `artifacts/`, which is checked in and
//! embedded here, so building the node needs no Solidity compiler. This crate turns that into transactions for L1 and into
//! the world at block zero of L2. It sends nothing, and knows neither the EVM nor the trie: the caller computes the roots.
//!
//! Suggested reading order: [`Contract`] (what was compiled), [`Deployment`] (what to send to L1), [`Predeploys`] (what is
//! where on L2, and with which settings), [`Genesis`] (a chain's first state and header), its JSON form, [`NewRollup`]
//! and [`DevGenesis`] (how chains begin), [`read_rollup`] (what verifiers have to know).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod artifact;
mod deployment;
mod dev;
mod genesis;
mod json;
mod new_rollup;
mod predeploys;
mod rollup;

pub use crate::{
    artifact::Contract,
    deployment::{
        CREATE2_DEPLOYER_TRANSACTION, Deployment, DeploymentConfig, DeploymentError,
        DeploymentStep, KeylessTransaction, L1Contracts, RollupBeginning, default_batch_inbox,
    },
    dev::{DEV_ACCOUNTS, DEV_CHAIN_ID, DEV_MNEMONIC, DevGenesis},
    genesis::{Genesis, GenesisAccount, GenesisRoots},
    json::GenesisError,
    new_rollup::NewRollup,
    predeploys::{FeeVault, Predeploys, WithdrawalNetwork, implementation_address},
    rollup::{CHANNEL_TIMEOUT, MAX_SEQUENCER_DRIFT, RollupFileError, read_rollup, write_rollup},
};
