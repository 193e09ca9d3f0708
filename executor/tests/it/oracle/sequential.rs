//! A rollup's rules by the executor itself, on one thread and with one transaction a group.

use std::sync::Arc;

use millrace_executor::{
    BlockAttributes, Candidate, Executor, ExecutorConfig, Group, Included, Limits, OpenBlock,
    Outcome,
};
use millrace_protocol::ChainSpec;
use millrace_types::Transaction;

use super::{Memory, Refusal, Verdict};

#[derive(Debug)]
pub(crate) struct Sequential {
    block: OpenBlock,
    /// Kept up to date by hand, so that what a group says it changed is what counts.
    state: Memory,
}

impl Sequential {
    pub(crate) fn open(chain_id: u64, attributes: &BlockAttributes, before: &Memory) -> Self {
        let config = ExecutorConfig { threads: 1, ..ExecutorConfig::default() };
        let executor = Executor::new(Arc::new(ChainSpec::dev(chain_id)), config);
        let block = executor.open(attributes.clone(), Arc::new(before.clone())).unwrap();
        Self { block, state: before.clone() }
    }

    pub(crate) fn include_deposit(&mut self, deposit: &Arc<Transaction>) -> Verdict {
        let group = self.block.include_deposits(std::slice::from_ref(deposit)).unwrap();
        match self.take(group) {
            Outcome::Included(included) => verdict(&self.block, included),
            other => panic!("a deposit was refused: {other:?}"),
        }
    }

    pub(crate) fn execute(&mut self, candidate: &Candidate) -> Result<Verdict, Refusal> {
        let group = self.block.run([candidate.clone()], Limits::NONE).unwrap();
        match self.take(group) {
            Outcome::Included(included) => Ok(verdict(&self.block, included)),
            Outcome::Rejected(reason) => Err(Refusal::Reason(reason)),
            Outcome::DoesNotFit(_) => Err(Refusal::NoRoom),
        }
    }

    fn take(&mut self, group: Group) -> Outcome {
        group.diffs.iter().for_each(|diff| self.state.apply(diff));
        let [outcome] = group.outcomes.try_into().unwrap();
        outcome
    }

    pub(crate) fn state(&self) -> &Memory {
        &self.state
    }

    /// The block's difference counts rather than the groups': what precedes the first transaction is only there.
    pub(crate) fn close(self) -> Memory {
        let mut after = self.state;
        after.apply(&self.block.finish().unwrap().diff);
        after
    }
}

fn verdict(block: &OpenBlock, included: Included) -> Verdict {
    let Included { index, gas_used, l1_fee } = included;
    let receipt = &block.receipts()[index];
    Verdict { success: receipt.success, gas_used, l1_fee, logs: receipt.logs.clone() }
}
