//! Both sides must agree: on every receipt, and on every account and slot.

use millrace_executor::Executed;
use millrace_types::Receipt;

use crate::{
    ledger::Ledger,
    memory::Memory,
    ours,
    plain::Plain,
    scene::{Block, Scene},
};

/// Follows a chain of blocks with the baseline, in the order that ours has chosen.
pub(crate) struct Witness {
    plain: Plain,
    /// The state as ours has it.
    memory: Memory,
}

/// What of a block is compared in every round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) included: usize,
    pub(crate) succeeded: usize,
    pub(crate) gas: u64,
}

impl Digest {
    pub(crate) fn of(receipts: &[Receipt]) -> Self {
        Self {
            included: receipts.len(),
            succeeded: receipts.iter().filter(|receipt| receipt.success).count(),
            gas: receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used),
        }
    }
}

impl std::ops::AddAssign for Digest {
    fn add_assign(&mut self, other: Self) {
        self.included += other.included;
        self.succeeded += other.succeeded;
        self.gas += other.gas;
    }
}

impl Witness {
    pub(crate) fn new(scene: &Scene) -> Self {
        let memory = scene.memory.clone();
        Self { plain: Plain::new(scene.chain_id, Ledger::new(&memory, None)), memory }
    }

    /// Compares a block, and panics where there is a difference.
    pub(crate) fn examine(&mut self, scene: &Scene, block: &Block, executed: &Executed) {
        if scene.independent {
            self.memory.clone_from(&scene.memory);
            self.plain.ledger().restore(&scene.memory);
        }
        let order = ours::order(block, executed);
        let envs: Vec<_> = order.iter().map(|place| block.envs[*place].clone()).collect();
        self.plain.open(&block.attributes, envs.len());
        self.plain.run(&envs);
        let receipts = self.plain.close();
        for (index, (ours, theirs)) in executed.receipts.iter().zip(&receipts).enumerate() {
            assert_eq!(ours, theirs, "receipt {index}");
        }
        assert_eq!(executed.receipts.len(), receipts.len());
        self.memory.apply(&executed.diff);
        compare(&self.memory, &self.plain.ledger().memory);
    }
}

fn compare(ours: &Memory, theirs: &Memory) {
    for address in ours.accounts.keys().chain(theirs.accounts.keys()) {
        assert_eq!(ours.account(address), theirs.account(address), "account {address}");
        for memory in [ours, theirs] {
            let held = memory.accounts.get(address);
            let contract = held.and_then(|held| memory.contract_of(held));
            for slot in contract.iter().flat_map(|contract| contract.storage.keys()) {
                let values = (ours.slot(address, slot), theirs.slot(address, slot));
                assert_eq!(values.0, values.1, "{address}, slot {slot}");
            }
        }
    }
}
