//! The rules of the OP Stack that are pure functions: who pays what, how a deposit is named, what a header says.
//!
//! Nothing here performs IO, holds state or knows the EVM: bytes and numbers in, bytes and numbers out. The public
//! specification is the authority, and every decoder accepts arbitrary bytes and answers with an error.
//!
//! Suggested reading order: [`ChainSpec`] (which rules hold when), [`predeploys`] (where things live), [`L1Fees`]
//! (what a transaction owes for its data), [`L1Attributes`] and the deposit functions (what comes from L1),
//! [`Eip1559Params`] (the base fee and the header's `extraData`), [`OutputRoot`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chain_spec;
mod eip1559_params;
mod fastlz;
mod fees;
pub mod predeploys;

pub use crate::{
    chain_spec::{
        ChainFamily, ChainSpec, ChainSpecError, EthereumForks, EvmFork, OpFork, OptimismSpec, Rules,
    },
    eip1559_params::{Eip1559Params, Eip1559ParamsError},
    fastlz::compressed_len,
    fees::{DataSize, L1Fees},
};
