//! Whether the sequencer does its work, and if not, why.

use parking_lot::Mutex;

/// The one thing that is wrong at the moment, in a sentence for the operator.
#[derive(Debug, Default)]
pub(crate) struct Health {
    problem: Mutex<Option<String>>,
}

impl Health {
    /// Reports what is wrong until it is cleared.
    pub(crate) fn set_problem(&self, problem: impl Into<String>) {
        *self.problem.lock() = Some(problem.into());
    }

    /// All is well again.
    pub(crate) fn clear_problem(&self) {
        *self.problem.lock() = None;
    }

    /// What is wrong, if anything is.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }
}
