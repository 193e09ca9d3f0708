//! The front: one executor serves a chain, for every block and every question.

use std::sync::Arc;

use millrace_protocol::{ChainSpec, OpFork, Rules};
use millrace_types::{Transaction, Waypoint};

use crate::{
    BlockAttributes, BlockContext, ExecuteError, Executed, ExecutorStats, OpenBlock, StateView,
    evm::{Blueprint, Checks, Machine, Overlay},
    parallel::{Stretches, Workshop},
};

/// Executes blocks and answers questions under the rules of one chain.
#[derive(Debug, Clone)]
pub struct Executor {
    chain: Arc<ChainSpec>,
    config: ExecutorConfig,
    workshop: Arc<Workshop>,
}

/// What an operator may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutorConfig {
    /// The most gas that a call or an estimate may use, whatever it asks for.
    pub call_gas_max: u64,
    /// How many threads execute a block, the caller's included. With one, blocks are executed sequentially.
    pub threads: usize,
    /// Whether lanes run even where they do not pay. Tests want that: in small blocks they would hardly ever meet.
    pub eager: bool,
}

impl Default for ExecutorConfig {
    /// Geth's limit for calls, and sequential execution.
    fn default() -> Self {
        Self { call_gas_max: 50_000_000, threads: 1, eager: false }
    }
}

impl Executor {
    /// An executor for this chain.
    ///
    /// It starts its threads, which end with its last clone.
    pub fn new(chain: Arc<ChainSpec>, config: ExecutorConfig) -> Self {
        let workshop = Arc::new(Workshop::new(config.threads, config.eager));
        Self { chain, config, workshop }
    }

    /// The chain whose rules it follows.
    pub fn chain(&self) -> &Arc<ChainSpec> {
        &self.chain
    }

    /// What it was configured with.
    pub fn config(&self) -> &ExecutorConfig {
        &self.config
    }

    /// Begins a block: does what precedes its first transaction.
    ///
    /// `view` is the state after the parent.
    pub fn open(
        &self,
        attributes: BlockAttributes,
        view: Arc<dyn StateView>,
    ) -> Result<OpenBlock, ExecuteError> {
        OpenBlock::open(self.chain.clone(), self.workshop.clone(), attributes, view)
    }

    /// Executes a block whose transactions and order are fixed.
    ///
    /// Waypoints that were recorded when the block was built make it faster; there may be none. Any transaction that
    /// could not be part of the block is an error that names it.
    pub fn replay(
        &self,
        attributes: BlockAttributes,
        transactions: &[Arc<Transaction>],
        waypoints: &[Waypoint],
        view: Arc<dyn StateView>,
    ) -> Result<Executed, ExecuteError> {
        let stretches = Stretches::new(&self.chain, &self.workshop, &attributes, &view);
        if let Some(executed) = stretches.replay(transactions, waypoints) {
            return Ok(executed);
        }
        let mut block = self.open(attributes, view)?;
        block.run_fixed(transactions)?;
        block.finish()
    }

    /// How parallel execution has gone so far.
    pub fn stats(&self) -> ExecutorStats {
        self.workshop.stats()
    }

    /// The rules at a time, if they are implemented.
    pub(crate) fn rules(chain: &ChainSpec, timestamp: u64) -> Result<Rules, ExecuteError> {
        let rules = chain.rules(timestamp);
        match rules.optimism {
            Some(fork) if fork < OpFork::OLDEST_EXECUTED => {
                Err(ExecuteError::UnsupportedFork(fork))
            }
            _ => Ok(rules),
        }
    }

    /// An EVM for questions about this block.
    pub(crate) fn simulator(
        &self,
        block: &BlockContext,
        overlay: Overlay,
    ) -> Result<Machine, ExecuteError> {
        let rules = Self::rules(&self.chain, block.timestamp)?;
        let blueprint = Blueprint {
            chain_id: self.chain.chain_id(),
            rules,
            block: *block,
            checks: Checks::Simulation,
            fees: None,
        };
        Ok(Machine::new(&blueprint, overlay))
    }
}
