//! What the integration tests share.

pub(crate) mod fault;
pub(crate) mod node;
pub(crate) mod wallet;
