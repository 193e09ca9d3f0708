//! Transactions and a view of the state in; outcomes, receipts and blocks out.
//!
//! The sequencer opens a block with [`Executor::open`], runs deposits and groups of candidates in it and closes it with
//! [`OpenBlock::finish`]; [`assemble`] makes a header of the result. [`Executor::replay`] executes a block whose
//! transactions are fixed. [`Executor::call`] and [`Executor::estimate_gas`] answer questions.
//!
//! Suggested reading order: `view` (what is read), `attributes`, `outcome`, `open_block`, `assemble`, `call`,
//! `estimate`; `parallel` for several threads; then `evm`, which alone knows revm.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod assemble;
mod attributes;
mod call;
mod estimate;
mod evm;
mod executor;
mod open_block;
mod outcome;
mod parallel;
mod view;

pub use crate::{
    assemble::{Executed, StateRoots, assemble},
    attributes::{BlobFee, BlockAttributes, BlockContext},
    call::{
        AccountOverride, BlockOverrides, CallError, CallFees, CallOutcome, CallRequest, HaltReason,
        StateOverrides, StorageOverride,
    },
    estimate::{EstimateError, GasEstimate},
    executor::{Executor, ExecutorConfig},
    open_block::OpenBlock,
    outcome::{
        Candidate, ExecuteError, Full, Group, Included, Invalid, Limits, Outcome, Rejection,
        data_size,
    },
    parallel::ExecutorStats,
    view::{LayeredView, StateError, StateView},
};
