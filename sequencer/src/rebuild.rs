//! A state that has to be computed again, because L1 contradicts older blocks than it is kept for.
//!
//! The chain goes back by undoing what blocks did to the state, and that is remembered only for so many of them. The journal
//! has them all. So the node writes down where it has to go, and ends; the next start removes the state, computes it again
//! from the journal, keeps what undoes the blocks in question, and then L1's contradiction is like any other: blocks are
//! taken back, and their transactions return to the pool.
//!
//! ```text
//! too deep ─► ordered ─► the node ends ─► started again: begun ─► gone back ─► the next start forgets the order
//! ```
//!
//! Ending in between is deliberate: everybody who holds the old state has to let go of it.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use alloy_primitives::{B256, BlockNumber};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::{chain::Chain, foundation::Home, journal::Journal, rollup::write_durably};

/// The node has to be started again, by the same command: it then does what it could not do while it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "L1 contradicts block {}, and the state is kept from block {oldest} on only. Start the node again by the same command: it \
     then computes the state again from the journal, which takes as long as executing the whole chain, goes back to block \
     {to}, and goes on. Nothing has to be removed by hand",
    to + 1
)]
pub struct RestartNeeded {
    /// The block that the chain goes back to.
    pub to: BlockNumber,
    /// The oldest block whose state was kept.
    pub oldest: BlockNumber,
}

/// What a start has to do before it opens the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// The block that the chain has to go back to.
    to: BlockNumber,
    /// The hash of the block after it. Once another one stands there, or none, the chain has gone back.
    contradicted: B256,
    /// The old state is gone: what stands in its place is kept.
    begun: bool,
}

/// Blocks that may come on top before the chain goes back. A sequencer makes none, but one may lie on the state already.
const SLACK_BLOCKS: u64 = 1_000;

/// Has the next start compute the state again, so that the chain can go back to a block.
pub(crate) async fn order(
    home: &Home,
    chain: &Chain,
    RestartNeeded { to, .. }: RestartNeeded,
) -> anyhow::Result<()> {
    let contradicted = chain.journal.header(to + 1).await.context("read the contradicted block")?;
    let contradicted = contradicted.context("the contradicted block is not journaled")?.hash();
    if read(home)?.is_some_and(|order| order.begun && order.contradicted == contradicted) {
        bail!(
            "the state was computed again to go back to block {to}, and still is not kept that far. If the chain had gone back \
             since, and the same block came again, remove {} to have it computed once more; otherwise a person must look",
            file(home).display()
        );
    }
    write(home, &Order { to, contradicted, begun: false })
}

/// Does what was ordered, if anything is: the state is removed if it has to be computed again. Answers with how many blocks
/// of history it has to keep at least.
pub(crate) async fn prepare(home: &Home, journal: &Journal) -> anyhow::Result<u64> {
    let Some(order) = read(home)? else { return Ok(0) };
    let tip = journal.tip().map_or(0, |tip| tip.number);
    let stands = journal.header(order.to + 1).await.context("read the contradicted block")?;
    if tip <= order.to || stands.is_none_or(|header| header.hash() != order.contradicted) {
        tracing::info!(to = order.to, "the chain has gone back: history is kept as usual again");
        let path = file(home);
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        return Ok(0);
    }
    if !order.begun {
        let path = home.file("state");
        tracing::warn!(
            to = order.to,
            tip,
            "computing the state again from the journal, to go back further than it was kept"
        );
        clear(&path).with_context(|| format!("remove what is in {}", path.display()))?;
        write(home, &Order { begun: true, ..order })?;
    }
    Ok(tip - order.to + SLACK_BLOCKS)
}

/// Removes all that is in a directory, if there is one. The directory stays: a disk may be mounted there.
fn clear(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn file(home: &Home) -> PathBuf {
    home.file("rebuild.json")
}

fn read(home: &Home) -> anyhow::Result<Option<Order>> {
    let path = file(home);
    let context = || format!("read {}", path.display());
    match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map(Some).with_context(context),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(context),
    }
}

fn write(home: &Home, order: &Order) -> anyhow::Result<()> {
    let text = serde_json::to_string(order).context("write an order")?;
    write_durably(&file(home), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_emptied_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        clear(&state).unwrap();
        assert!(!state.exists(), "there was none");
        fs::create_dir_all(state.join("deep/down")).unwrap();
        fs::write(state.join("deep/file"), "1").unwrap();
        fs::write(state.join("file"), "2").unwrap();
        clear(&state).unwrap();
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    }
}
