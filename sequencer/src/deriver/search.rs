//! Finding blocks of ours by their origin, which never goes back from one block to the next.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use alloy_primitives::BlockNumber;
use futures::future::{BoxFuture, FutureExt};
use millrace_derivation::L2Ref;
use millrace_protocol::{Eip1559ParamsError, RollupConfig, SystemConfig};
use millrace_types::Block;

use crate::{
    chain::Chain,
    health::{Health, Part},
    journal::ReadError,
    l2_ref,
    metrics::Metrics,
};

/// How long to wait before a journal that does not answer is asked again: twice as long each time, within these bounds.
const RETRY_INTERVALS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(8)];

/// Why a block could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// A block that should be there is not.
    #[error("block {0} is not in the journal")]
    Missing(BlockNumber),
    /// Its header does not say its parameters.
    #[error("block {number}: {source}")]
    Parameters {
        /// The block.
        number: BlockNumber,
        /// What is wrong.
        source: Eip1559ParamsError,
    },
}

/// Our chain, with its origins.
///
/// Whatever is asked waits for a journal that is out of reach for a while: nothing can be derived without it, and nothing
/// is lost by waiting.
#[derive(Debug, Clone)]
pub(super) struct Search {
    pub(super) chain: Arc<Chain>,
    pub(super) rollup: Arc<RollupConfig>,
    pub(super) health: Arc<Health>,
    pub(super) metrics: Arc<Metrics>,
}

impl Search {
    /// A block, if we have it.
    ///
    /// The future is boxed: through the layers of borrowing below, the compiler cannot see that it may change threads.
    pub(super) fn get(
        &self,
        number: BlockNumber,
    ) -> BoxFuture<'static, Result<Option<Arc<Block>>, ReadError>> {
        let Self { chain, health, metrics, .. } = self.clone();
        let [mut pause, pause_max] = RETRY_INTERVALS;
        let mut complained = false;
        async move {
            let found = loop {
                let error = match chain.block(number).await {
                    Err(error) if error.may_pass() => error,
                    found => break found,
                };
                tracing::warn!(block = number, %error, ?pause, "our own chain cannot be read; asking again");
                metrics.journal_retried("read");
                health.set_problem(Part::Reading, format!("read block {number}: {error}"));
                complained = true;
                tokio::time::sleep(pause).await;
                pause = pause_max.min(2 * pause);
            };
            // What does not pass ends the process, and is no reason to call it well.
            if complained && found.is_ok() {
                tracing::info!(block = number, "our own chain can be read again");
                health.clear_problem(Part::Reading);
            }
            Ok(found?.map(|served| served.block.clone()))
        }
        .boxed()
    }

    /// A block that is there.
    pub(super) async fn block(&self, number: BlockNumber) -> Result<Arc<Block>, SearchError> {
        self.get(number).await?.ok_or(SearchError::Missing(number))
    }

    /// Where it stands in both chains.
    pub(super) async fn reference(&self, number: BlockNumber) -> Result<L2Ref, SearchError> {
        Ok(l2_ref::of_ours(&*self.block(number).await?, &self.rollup))
    }

    /// The newest block between these two whose origin is not above an L1 block. The first one's is not.
    pub(super) async fn newest_by_origin(
        &self,
        first: BlockNumber,
        last: BlockNumber,
        l1_number: u64,
    ) -> Result<BlockNumber, SearchError> {
        // The origin of `low` is low enough, that of `high` is not, or there is no such block.
        let (mut low, mut high) = (first, last + 1);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.reference(middle).await?.origin.number <= l1_number {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The system config that held before an L1 block, as our chain up to a safe block tells it.
    pub(super) async fn system_config_before(
        &self,
        l1_number: u64,
        safe: BlockNumber,
    ) -> Result<SystemConfig, SearchError> {
        let genesis = &self.rollup.genesis;
        if l1_number <= genesis.l1.number {
            return Ok(genesis.system_config);
        }
        let number = self.newest_by_origin(genesis.l2.number, safe, l1_number - 1).await?;
        if number == genesis.l2.number {
            return Ok(genesis.system_config);
        }
        let block = self.block(number).await?;
        let attributes = l2_ref::l1_attributes_of_ours(&block);
        SystemConfig::of_l2_block(&block.header, &attributes)
            .map_err(|source| SearchError::Parameters { number, source })
    }
}
