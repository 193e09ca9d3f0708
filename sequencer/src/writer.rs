//! The thread that writes the chain, with the doors through which work reaches it: users' transactions and L1's orders.

#[cfg(test)]
mod tests;

use std::{panic::resume_unwind, sync::Arc};

use millrace_batcher::Derived;
use millrace_executor::Executor;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    builder::{Builder, BuilderError, Orders, Origin},
    chain::Chain,
    committer::Committer,
    config::Config,
    deriver::Goal,
    health::Health,
    intake::{Intake, usable_gas},
    l1_side::Links,
    mempool::{Mempool, Rules},
    metrics::Metrics,
    patience::Patience,
};

/// A writer at work.
pub(crate) struct Writer {
    pub(crate) intake: Arc<Intake>,
    /// Ends when it was told to, or cannot go on.
    pub(crate) building: JoinHandle<Result<(), BuilderError>>,
    chain: Arc<Chain>,
    orders: Orders,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
}

/// What a writer has to do, and whom it tells.
pub(crate) struct Assignment {
    /// Who chooses its blocks' origins; nobody: it makes no blocks but those that it is ordered to.
    pub(crate) origin: Option<Box<dyn Origin>>,
    pub(crate) block_time_s: u64,
    /// The gas limit of the blocks to come, as far as it is known.
    pub(crate) gas_limit: u64,
    /// Turns true when blocks have to stay empty.
    pub(crate) throttle: watch::Receiver<bool>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Writer {
    /// Begins to write. Within the runtime, which the thread uses to reach the journal.
    pub(crate) fn start(
        chain: &Arc<Chain>,
        executor: &Executor,
        config: &Config,
        assignment: Assignment,
    ) -> Self {
        let Assignment { origin, block_time_s, gas_limit, throttle, health, metrics } = assignment;
        let rules = Rules::new(chain.spec.chain_id(), usable_gas(gas_limit));
        let rules = Rules { tip_min: config.pool_tip_min, ..rules };
        let base_fee = chain.head().block.block.header.base_fee_per_gas.unwrap_or_default();
        let pool = Mempool::new(config.pool.clone(), base_fee);
        let (intake, woken) = Intake::new(chain.clone(), rules, pool, metrics.clone());
        let (stop, stopped) = watch::channel(false);
        let (orders, ordered) = Orders::new();
        let runtime = tokio::runtime::Handle::current();
        let patience = Patience {
            intake: intake.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
            stop: stopped,
        };
        let (committer, commits) =
            Committer::new(chain.clone(), metrics.clone(), patience.clone(), runtime.clone());
        let builder = Builder {
            chain: chain.clone(),
            intake: intake.clone(),
            woken,
            executor: executor.clone(),
            origin,
            orders: ordered,
            throttle,
            block_time_s,
            health: health.clone(),
            metrics: metrics.clone(),
            stalled: None,
            commits,
            sealed: None,
            runtime,
            patience,
        };
        let building = tokio::task::spawn_blocking(move || {
            std::thread::scope(|scope| {
                let committing = scope.spawn(|| committer.run());
                let built = builder.run();
                // It ends when it has done what the builder left.
                let committed = committing.join().unwrap_or_else(|panic| resume_unwind(panic));
                // If the committer failed first, that is why the builder ended.
                committed.map_err(BuilderError::from).and(built)
            })
        });
        Self { intake, building, chain: chain.clone(), orders, health, metrics, stop }
    }

    /// Lets the block at hand be the last.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// What derivation needs to give it orders.
    pub(crate) fn links(
        &self,
        goal: Goal,
        on_progress: Box<dyn Fn(Derived) + Send + Sync>,
    ) -> Links {
        Links {
            chain: self.chain.clone(),
            orders: self.orders.clone(),
            health: self.health.clone(),
            metrics: self.metrics.clone(),
            goal,
            on_progress,
        }
    }
}
