//! The journal on real databases: what it promises, and what happens to the promises when things break.

mod crash;
pub(crate) mod fixture;
mod index;
mod kept_promises;
mod ledger;
mod postgres;
mod promises;
mod recovery;
mod rows;
pub(crate) mod server;
mod suite;
mod waypoints;
