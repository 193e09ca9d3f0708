//! What the integration tests share.

pub(crate) mod anvil;
pub(crate) mod fault;
pub(crate) mod node;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod signer;
pub(crate) mod wallet;
