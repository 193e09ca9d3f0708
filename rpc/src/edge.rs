//! What every handler holds: the node, the limits, and the permits for what is heavy or takes long.

use std::{future::Future, sync::Arc};

use alloy_primitives::B256;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

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
    heavy: Arc<Semaphore>,
    waiting: Semaphore,
    /// The tip last suggested, and the hash of the block that it was read from.
    pub(crate) tip: Mutex<Option<(B256, u128)>>,
}

impl<B: Backend> Edge<B> {
    pub(crate) fn new(backend: Arc<B>, config: Config) -> Self {
        let heavy = Arc::new(Semaphore::new(config.heavy_requests_max));
        let waiting = Semaphore::new(config.sync_waiting_max);
        Self { backend, config, heavy, waiting, tip: Mutex::new(None) }
    }

    /// Admits one heavy request until the permit is dropped, or says at once that there are too many: a queue here
    /// would only make everybody wait for answers that their clients have given up on.
    pub(crate) fn heavy(&self) -> Result<OwnedSemaphorePermit, RpcError> {
        self.heavy.clone().try_acquire_owned().map_err(|_| RpcError::busy())
    }

    /// Admits one sender who waits for a receipt, until the permit is dropped.
    pub(crate) fn wait(&self) -> Result<SemaphorePermit<'_>, RpcError> {
        self.waiting.try_acquire().map_err(|_| RpcError::busy())
    }

    /// Runs heavy work that goes on when nobody waits for it any more, as threads of the backend do: the permit is
    /// held until it ends, so that whoever hangs up and calls again gets no more of the machine.
    pub(crate) async fn run_heavy<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, RpcError>> + Send + 'static,
    ) -> Result<T, RpcError> {
        let permit = self.heavy()?;
        let work = async move {
            let _permit = permit;
            work.await
        };
        match tokio::spawn(work).await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// A block, or nothing.
    pub(crate) async fn block(&self, at: BlockRef) -> Result<Option<Arc<ChainBlock>>, RpcError> {
        Ok(self.backend.block(at).await?)
    }
}
