//! Whether the node does its work, and if not, why.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// What is wrong at the moment, in a sentence for the operator from each who can tell.
#[derive(Debug, Default)]
pub(crate) struct Health {
    problems: Mutex<BTreeMap<Part, String>>,
}

/// Who tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The state did not take a block.
    State,
    /// Nothing can be made durable.
    Journal,
    /// No blocks are made.
    Builder,
    /// The chain is not derived from L1 any further.
    Derivation,
    /// Derivation cannot look at our own blocks.
    Reading,
    /// It is not written down how far the chain is final.
    Finality,
    /// L1 gives no answer.
    L1Lost,
    /// L1 makes no blocks.
    L1Silent,
    /// L1 contradicts what was final.
    L1Contradiction,
    /// L1 may price blobs otherwise than we do.
    BlobPrices,
    /// Posting is too far behind.
    Backlog,
    /// L1 would not count what we post.
    BatcherKey,
    /// Something keeps the batcher from posting.
    Posting,
}

impl Health {
    /// Reports what is wrong until it is cleared.
    pub(crate) fn set_problem(&self, part: Part, problem: impl Into<String>) {
        self.problems.lock().insert(part, problem.into());
    }

    /// All is well again with this part.
    pub(crate) fn clear_problem(&self, part: Part) {
        self.problems.lock().remove(&part);
    }

    /// What is wrong, if anything is: a line each.
    pub(crate) fn problem(&self) -> Option<String> {
        let problems = self.problems.lock();
        (!problems.is_empty()).then(|| problems.values().cloned().collect::<Vec<_>>().join("\n"))
    }
}
