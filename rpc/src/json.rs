//! The JSON shapes of the Ethereum API, written by hand at the edge so that the types behind it stay plain.
//!
//! Reading order: [`hex`] (numbers and bytes as clients write them), [`block_ref`], [`call`] and [`filter`]
//! (what clients send), then [`block`], [`transaction`], [`executed`], [`receipt`] and [`log`] (what they get).

pub(crate) mod block;
pub(crate) mod block_ref;
pub(crate) mod call;
pub(crate) mod executed;
pub(crate) mod filter;
pub(crate) mod hex;
pub(crate) mod log;
pub(crate) mod proof;
pub(crate) mod receipt;
pub(crate) mod transaction;
