//! `millrace replay`: executes blocks from witness files and says whether they come out as the network has them.

mod difference;
mod partial_trie;
#[cfg(test)]
mod tests;
mod witness;
mod witness_state;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::B256;
use anyhow::Context;
use millrace_executor::{Executor, ExecutorConfig, assemble};
use millrace_types::{ExecutedBlock, Header};

use self::{witness::Witness, witness_state::WitnessState};

/// Executes the block in each file. One line a block that is right: `number hash ok`; more where one is wrong, beginning
/// with what differs first. Returns whether all are right.
///
/// Fails only when `out` does: a file that cannot be read or executed is reported and counts as wrong.
pub fn run(files: &[PathBuf], out: &mut dyn Write) -> anyhow::Result<bool> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let config = ExecutorConfig { threads, ..ExecutorConfig::default() };
    let mut all_right = true;
    for file in files {
        let right = match replay(file, config) {
            Ok((witness, block)) => report(&witness, &block, files, out)?,
            Err(error) => {
                writeln!(out, "{}: {error:#}", file.display())?;
                false
            }
        };
        all_right &= right;
    }
    Ok(all_right)
}

fn replay(file: &Path, config: ExecutorConfig) -> anyhow::Result<(Witness, ExecutedBlock)> {
    let witness = Witness::read(file)?;
    let parent = &witness.attributes.parent;
    let state = WitnessState::new(witness.preimages.clone(), parent.state_root, parent.hash());
    let executor = Executor::new(witness.chain.clone(), config);
    let executed = executor
        .replay(witness.attributes.clone(), &witness.transactions, &[], Arc::new(state.clone()))
        .context("execute the block")?;
    let roots =
        state.roots_after(&executed.diff, executed.rules).context("compute the state root")?;
    let block = assemble(executed, roots);
    Ok((witness, block))
}

fn report(
    witness: &Witness,
    executed: &ExecutedBlock,
    files: &[PathBuf],
    out: &mut dyn Write,
) -> anyhow::Result<bool> {
    let header = &executed.block.header;
    if header.hash() == witness.expected_hash {
        writeln!(out, "{} {} ok", header.number, header.hash())?;
        return Ok(true);
    }
    writeln!(
        out,
        "{} {} differs: the block should be {}",
        header.number,
        header.hash(),
        witness.expected_hash
    )?;
    let expected = &witness.expected;
    let reference = expected.header.clone().or_else(|| find_header(files, witness.expected_hash));
    difference::header(header, reference.as_ref(), out)?;
    difference::receipts(executed, expected.receipts.as_deref(), out)?;
    if let Some(accounts) = &expected.accounts {
        difference::accounts(&executed.diff, accounts, out)?;
    }
    Ok(false)
}

/// The header with this hash, if one of the files is about its child.
fn find_header(files: &[PathBuf], hash: B256) -> Option<Header> {
    let parents = files.iter().filter_map(|file| Witness::read(file).ok());
    let (header, _) =
        parents.map(|witness| witness.attributes.parent.split()).find(|parent| parent.1 == hash)?;
    Some(header)
}
