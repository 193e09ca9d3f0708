//! The heart of a node without its edges: what stands between a recovered transaction and a journaled block, for benchmarks.
//!
//! Nothing here is special: it is opened as a node is, by the same code, and has the same threads.

use std::sync::Arc;

use anyhow::Context as _;
use millrace_contracts::{DevGenesis, Genesis};
use millrace_types::Transaction;
use tokio::sync::watch;

use crate::{
    builder::NoL1,
    chain::Chain,
    config::Config,
    foundation::{Foundation, Home},
    health::Health,
    metrics::Metrics,
    recovery::Promises,
    writer::{Assignment, Writer},
};

/// A chain that takes transactions from its own process.
pub struct Workbench {
    chain: Arc<Chain>,
    writer: Writer,
    metrics: Arc<Metrics>,
    /// Locks the directory as long as the chain is open.
    _home: Home,
}

impl Workbench {
    /// Opens the chain in the configured directory, or begins it there. Within a runtime of several threads; once a process.
    pub async fn start(config: &Config, genesis: &Genesis) -> anyhow::Result<Self> {
        let home = Home::open(config)?;
        let laid =
            Foundation::lay(&home, config, genesis, Promises::Keep, std::future::pending()).await?;
        let Foundation { chain, executor } = laid.context("open the chain")?;
        let metrics = Arc::new(Metrics::new(executor.clone()));
        let origin = NoL1 {
            spec: Arc::new(genesis.spec.clone()),
            genesis_timestamp: genesis.timestamp,
            l1_fees: DevGenesis::L1_FEES,
            gas_limit: config.gas_limit,
        };
        let assignment = Assignment {
            origin: Some(Box::new(origin)),
            block_time_s: config.block_time_s,
            gas_limit: config.gas_limit,
            throttle: watch::channel(false).1,
            health: Arc::new(Health::default()),
            metrics: metrics.clone(),
        };
        let writer = Writer::start(&chain, &executor, config, assignment);
        Ok(Self { chain, writer, metrics, _home: home })
    }

    /// Offers transactions to the pool, and says how many it took. Not from a thread of the runtime.
    pub fn offer(&self, transactions: Vec<Arc<Transaction>>) -> usize {
        self.writer.intake.take_recovered(transactions).iter().filter(|taken| taken.is_ok()).count()
    }

    /// How many transactions the pool holds.
    pub fn pooled(&self) -> usize {
        self.writer.intake.with_pool(|pool| pool.stats().count())
    }

    /// What the metrics are, as operators get them.
    pub fn metrics(&self) -> String {
        self.metrics.text()
    }

    /// Finishes the block at hand and brings the state to the disk. Says the last block's number.
    pub async fn stop(self) -> anyhow::Result<u64> {
        self.writer.stop();
        self.writer.building.await.context("join the builder")?.context("build blocks")?;
        tokio::task::block_in_place(|| self.chain.state.flush()).context("write a checkpoint")?;
        Ok(self.chain.head().block.block.number())
    }
}

impl std::fmt::Debug for Workbench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workbench").finish_non_exhaustive()
    }
}
