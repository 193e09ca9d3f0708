//! Waiting for a journal that is out of room or out of reach, with the door closed.

use std::{fmt::Display, sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    health::{Health, Part},
    intake::Intake,
    metrics::Metrics,
};

/// How long to wait before the journal is asked for the same again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Asks the journal again and again, and tells everybody why nothing is acknowledged meanwhile.
#[derive(Clone)]
pub(crate) struct Patience {
    pub(crate) intake: Arc<Intake>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    /// Turns true when nobody has to wait any longer.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Patience {
    /// Whether somebody said so, or nobody is left who could.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Has the journal do something, again and again while it is out of room or out of reach. Until it recovers the door is
    /// closed, and whoever looks hears the `problem`.
    ///
    /// A block that is not journaled when it is time to stop was never acknowledged, and what was promised of it is made of it by
    /// the next start; what should have been taken back stands where it stood, to be contradicted again.
    pub(crate) fn have<E: Display>(
        &self,
        operation: &str,
        problem: &str,
        mut attempt: impl FnMut() -> Result<(), E>,
        may_pass: impl Fn(&E) -> bool,
    ) -> Result<(), E> {
        let mut complained = false;
        loop {
            let error = match attempt() {
                Ok(()) => break,
                Err(error) if may_pass(&error) => error,
                Err(error) => return Err(error),
            };
            self.metrics.journal_retried(operation);
            if !complained {
                complained = true;
                tracing::error!(%error, problem, "journal failed; nothing is acknowledged until it recovers");
                let problem = format!("no transactions are taken: {problem}: {error}");
                self.intake.suspend(&problem);
                self.health.set_problem(Part::Journal, problem);
            }
            if self.is_stopped() {
                return Err(error);
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
        if complained {
            tracing::info!("journal recovered");
            self.intake.resume();
            self.health.clear_problem(Part::Journal);
        }
        Ok(())
    }
}
