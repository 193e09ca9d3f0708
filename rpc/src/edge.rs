//! What every handler holds: the node, the limits, and the permits for heavy work.

use std::sync::Arc;

use alloy_primitives::B256;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    backend::{Backend, BlockRef, ChainBlock},
    config::Config,
    error::RpcError,
};

/// Shared by all handlers.
#[derive(Debug)]
pub(crate) struct Edge<B> {
    pub(crate) backend: Arc<B>,
    pub(crate) config: Config,
    heavy: Semaphore,
    /// The tip last suggested, and the hash of the block that it was read from.
    pub(crate) tip: Mutex<Option<(B256, u128)>>,
}

impl<B: Backend> Edge<B> {
    pub(crate) fn new(backend: Arc<B>, config: Config) -> Self {
        let heavy = Semaphore::new(config.heavy_requests_max);
        Self { backend, config, heavy, tip: Mutex::new(None) }
    }

    /// Admits one heavy request until the permit is dropped, or says at once that there are too many: a queue here
    /// would only make everybody wait for answers that their clients have given up on.
    pub(crate) fn heavy(&self) -> Result<SemaphorePermit<'_>, RpcError> {
        self.heavy.try_acquire().map_err(|_| RpcError::busy())
    }

    /// A block, or nothing.
    pub(crate) async fn block(&self, at: BlockRef) -> Result<Option<Arc<ChainBlock>>, RpcError> {
        Ok(self.backend.block(at).await?)
    }
}
