//! Drives the pipeline from the genesis block on, and compares block by block.

use std::{collections::BTreeSet, sync::Arc};

use alloy_eips::BlockNumHash;
use kona_derive::{
    DerivationPipeline, EthereumDataSource, Pipeline, PipelineBuilder, PipelineError,
    PipelineErrorKind, PolledAttributesQueueStage, ResetSignal, Signal, SignalReceiver,
    StatefulAttributesBuilder, StepResult,
};
use kona_genesis::RollupConfig;
use op_alloy_consensus::OpTxEnvelope;
use pollster::block_on;

use crate::{
    compare::{Difference, compare, keep_deposits},
    l1::{L1, L1Error},
    l2::{Agreed, L2, L2Block, L2Error},
};

/// Steps without a block or an L1 block in a row. A channel of the largest size holds a few hundred thousand batches,
/// and each that is dropped is a step; the bound only keeps a defect in the pipeline from turning in circles for ever.
const IDLE_STEPS_MAX: u32 = 10_000_000;

type Derivation = DerivationPipeline<
    PolledAttributesQueueStage<
        EthereumDataSource<L1, L1>,
        L1,
        Agreed,
        StatefulAttributesBuilder<L1, Agreed>,
    >,
    Agreed,
>;

/// What to compare.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) l1: L1,
    pub(crate) l2: L2,
    pub(crate) config: RollupConfig,
    /// The last block to compare. If there is none, the node's safe head is.
    pub(crate) until: Option<u64>,
    /// Blocks whose batches hold transactions that no block may hold. Nothing is executed here, so whoever posted such
    /// a batch has to say it; the block has to consist of its deposits then.
    pub(crate) invalid: BTreeSet<u64>,
}

/// What has been compared.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) blocks: u64,
    pub(crate) transactions: usize,
    /// Of these transactions, deposits that users made on L1.
    pub(crate) deposits: usize,
}

/// Why the chains could not be shown to be the same.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// The chain that was served is not the one that L1 says.
    #[error("{number} {hash} {difference}")]
    Different { number: u64, hash: String, difference: Difference },
    /// L1 does not say as much as the node claims.
    #[error("L1 ends with block {next} of L2 still to be derived, and {until} claimed")]
    Short { next: u64, until: u64 },
    /// The node or L1 is about another chain than the rollup file.
    #[error("{what} is {served}, and {expected} in the rollup file")]
    OtherChain { what: &'static str, expected: String, served: String },
    /// Agreement would mean nothing.
    #[error("there is no block to compare: block {0} is the last one asked for")]
    Nothing(u64),
    /// L1 cannot be read.
    #[error(transparent)]
    L1(#[from] L1Error),
    /// L2 cannot be read.
    #[error(transparent)]
    L2(#[from] L2Error),
    /// The pipeline has given up.
    #[error("the pipeline: {0}")]
    Pipeline(Box<PipelineErrorKind>),
    /// The pipeline goes on for ever.
    #[error("the pipeline makes no progress at block {0}")]
    Stuck(u64),
}

impl CheckError {
    /// Whether this says something about the chain that was served, rather than about the attempt to compare it.
    pub(crate) const fn is_verdict(&self) -> bool {
        matches!(self, Self::Different { .. } | Self::Short { .. })
    }
}

impl From<PipelineErrorKind> for CheckError {
    fn from(error: PipelineErrorKind) -> Self {
        Self::Pipeline(Box::new(error))
    }
}

/// Derives and compares, and reports every block that agrees.
pub(crate) fn check(task: Task, mut report: impl FnMut(&L2Block)) -> Result<Summary, CheckError> {
    let Task { l1, l2, config, until, invalid } = task;
    let until = until.map_or_else(|| l2.safe(), Ok)?;
    if until <= config.genesis.l2.number {
        return Err(CheckError::Nothing(until));
    }
    let config = Arc::new(config);
    let (agreed, mut pipeline) = begin(l1, l2.clone(), &config)?;
    let mut summary = Summary::default();
    let mut idle_steps = 0;
    loop {
        let (parent, cursor) = agreed.tip();
        let number = cursor.block_info.number + 1;
        if number > until {
            return Ok(summary);
        }
        match block_on(pipeline.step(cursor)) {
            StepResult::PreparedAttributes => idle_steps = 0,
            StepResult::AdvancedOrigin => {
                idle_steps = 0;
                continue;
            }
            StepResult::OriginAdvanceErr(PipelineErrorKind::Critical(
                PipelineError::EndOfSource,
            )) => return Err(CheckError::Short { next: number, until }),
            StepResult::StepFailed(PipelineErrorKind::Temporary(error)) if !is_provider(&error) => {
                idle_steps += 1;
                if idle_steps == IDLE_STEPS_MAX {
                    return Err(CheckError::Stuck(number));
                }
                continue;
            }
            StepResult::OriginAdvanceErr(error) | StepResult::StepFailed(error) => {
                return Err(error.into());
            }
        }
        // A step prepares one payload: the next one depends on the block that this one becomes.
        let Some(mut attributes) = pipeline.next() else { continue };
        if invalid.contains(&number) {
            keep_deposits(&mut attributes);
        }
        let served = l2.block(number)?;
        compare(&config, &parent, &attributes, &served).map_err(|difference| {
            CheckError::Different { number, hash: served.hash.to_string(), difference }
        })?;
        report(&served);
        summary.add(&served);
        agreed.push(served)?;
        if invalid.contains(&number) {
            block_on(pipeline.signal(Signal::FlushChannel))?;
        }
    }
}

impl Summary {
    fn add(&mut self, block: &L2Block) {
        let transactions = &block.block.body.transactions;
        let deposits = transactions.iter().filter(|tx| matches!(tx, OpTxEnvelope::Deposit(_)));
        self.blocks += 1;
        self.transactions += transactions.len();
        // The first one is no user's, but says the L1 attributes.
        self.deposits += deposits.count().saturating_sub(1);
    }
}

/// Makes sure that everybody speaks of the same rollup, and sets the pipeline to where it begins.
fn begin(l1: L1, l2: L2, config: &Arc<RollupConfig>) -> Result<(Agreed, Derivation), CheckError> {
    same("L1's chain id", config.l1_chain_id, l1.chain_id()?)?;
    same("L2's chain id", config.l2_chain_id.id(), l2.chain_id()?)?;
    let BlockNumHash { number, hash } = config.genesis.l1;
    let l1_origin = l1.block_info(number)?;
    same("the L1 block where L2 begins", hash, l1_origin.hash)?;
    let BlockNumHash { number, hash } = config.genesis.l2;
    let genesis = l2.block(number)?;
    same("the genesis block", hash, genesis.hash)?;
    same("the time of the genesis block", config.genesis.l2_time, genesis.block.header.timestamp)?;

    let agreed = Agreed::new(l2, Arc::clone(config), genesis)?;
    let data = EthereumDataSource::new_from_parts(l1.clone(), l1.clone(), config);
    let attributes = StatefulAttributesBuilder::new(Arc::clone(config), agreed.clone(), l1.clone());
    let mut pipeline = PipelineBuilder::new()
        .rollup_config(Arc::clone(config))
        .origin(l1_origin)
        .dap_source(data)
        .builder(attributes)
        .l2_chain_provider(agreed.clone())
        .chain_provider(l1)
        .build_polled();
    let (_, l2_safe_head) = agreed.tip();
    let reset = ResetSignal { l2_safe_head, l1_origin, system_config: None };
    block_on(pipeline.signal(reset.signal()))?;
    Ok((agreed, pipeline))
}

fn same<T: PartialEq + ToString>(
    what: &'static str,
    expected: T,
    served: T,
) -> Result<(), CheckError> {
    match expected == served {
        true => Ok(()),
        false => Err(CheckError::OtherChain {
            what,
            expected: expected.to_string(),
            served: served.to_string(),
        }),
    }
}

/// The pipeline takes some failures of a source for temporary and asks again without end; here they end the run.
const fn is_provider(error: &PipelineError) -> bool {
    matches!(error, PipelineError::Provider(_))
}
