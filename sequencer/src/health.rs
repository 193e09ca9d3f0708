//! Whether the node does its work, and if not, why.
//!
//! Not all that is wrong keeps it from serving: a sequencer that cannot pay L1's price of the hour makes blocks all the same,
//! and whoever sends its users elsewhere because of that has turned a delay into an outage. So what hinders serving is told
//! apart from what an operator should merely know.

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

impl Part {
    /// Whether users are served wrongly, or not at all, while something is wrong with it. What concerns only how far L1 is
    /// read, or what is posted there, is no reason to send them away.
    const fn hinders_serving(self) -> bool {
        match self {
            Self::State | Self::Journal | Self::Builder | Self::Reading | Self::L1Contradiction => {
                true
            }
            Self::Derivation
            | Self::Finality
            | Self::L1Lost
            | Self::L1Silent
            | Self::BlobPrices
            | Self::Backlog
            | Self::BatcherKey
            | Self::Posting => false,
        }
    }
}

/// What is wrong at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// What keeps the node from serving.
    pub(crate) hindrances: Vec<String>,
    /// What an operator should know besides.
    pub(crate) warnings: Vec<String>,
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

    /// What is wrong, if anything is.
    pub(crate) fn report(&self) -> Report {
        let mut report = Report::default();
        for (part, problem) in &*self.problems.lock() {
            let side =
                if part.hinders_serving() { &mut report.hindrances } else { &mut report.warnings };
            side.push(problem.clone());
        }
        report
    }

    /// Everything that is wrong, if anything is: a line each.
    #[cfg(test)]
    pub(crate) fn problem(&self) -> Option<String> {
        let problems = self.problems.lock();
        (!problems.is_empty()).then(|| problems.values().cloned().collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_hinders_serving_is_a_hindrance() {
        let health = Health::default();
        assert_eq!(health.report(), Report::default());
        health.set_problem(Part::Posting, "too dear");
        health.set_problem(Part::L1Silent, "no blocks");
        let warnings = vec!["no blocks".to_owned(), "too dear".to_owned()];
        assert_eq!(health.report(), Report { hindrances: Vec::new(), warnings: warnings.clone() });
        health.set_problem(Part::Journal, "full");
        assert_eq!(health.report(), Report { hindrances: vec!["full".to_owned()], warnings });
        health.clear_problem(Part::Posting);
        health.clear_problem(Part::L1Silent);
        health.clear_problem(Part::Journal);
        assert_eq!(health.report(), Report::default());
    }
}
