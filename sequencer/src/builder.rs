//! The builder: one thread that writes the chain, block after block.
//!
//! Suggested reading order: `task` (the life of a block), `slot` (when it is due), `origin` with `l1_origins` (what L1
//! decides) with `attributes`, `orders` (what L1 decides against us).

mod attributes;
mod l1_origins;
mod orders;
mod origin;
mod slot;
mod task;

#[cfg(test)]
pub(crate) use self::origin::{Plan, Stalled};
pub(crate) use self::{
    attributes::{block_attributes, deposits},
    l1_origins::{L1Origins, L1Window},
    orders::{Gone, Orders, Refused},
    origin::{NoL1, Origin},
    task::{Builder, BuilderError},
};
