//! What neighbours hold of a running batcher.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::{
    faces::Derived,
    metrics::{Backlog, Figures},
    state::Command,
};

/// Steers a batcher and shows how it is doing.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) derived: Arc<watch::Sender<Option<Derived>>>,
    pub(crate) backlog: watch::Receiver<Backlog>,
    pub(crate) figures: watch::Receiver<Figures>,
}

/// The batcher has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the batcher has ended")]
pub struct Stopped;

impl Handle {
    /// Tells how far derivation has come. Nothing is posted before this was said once.
    ///
    /// Both figures must belong together: everything that L1 up to `l1_number` yields is in the safe chain. What was
    /// posted in these blocks and isn't safe by then is posted again.
    pub fn derived(&self, derived: Derived) {
        self.derived.send_if_modified(|current| current.replace(derived) != Some(derived));
    }

    /// How far posting is behind.
    pub fn backlog(&self) -> watch::Receiver<Backlog> {
        self.backlog.clone()
    }

    /// Counters and gauges.
    pub fn figures(&self) -> watch::Receiver<Figures> {
        self.figures.clone()
    }

    /// Posts no new channels from now on. What was written down is still brought to its end.
    pub async fn pause(&self) -> Result<(), Stopped> {
        self.command(Command::Pause).await
    }

    /// Goes on after a pause.
    pub async fn resume(&self) -> Result<(), Stopped> {
        self.command(Command::Resume).await
    }

    /// Posts every journaled block without waiting for the channel to fill.
    pub async fn flush(&self) -> Result<(), Stopped> {
        self.command(Command::Flush).await
    }

    async fn command(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }
}
