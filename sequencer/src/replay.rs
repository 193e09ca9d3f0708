//! `millrace replay`: executes blocks from witness files and says whether they come out as the network has them.

mod difference;
mod partial_trie;
mod witness;
mod witness_state;

use std::{
    collections::HashMap,
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
    let mut all_right = true;
    // A file whose block is the parent of another's is checked against the header there.
    let headers = known_headers(files);
    for file in files {
        let right = match replay(file) {
            Ok((witness, block)) => report(&witness, &block, &headers, out)?,
            Err(error) => {
                writeln!(out, "{}: {error:#}", file.display())?;
                false
            }
        };
        all_right &= right;
    }
    Ok(all_right)
}

fn replay(file: &Path) -> anyhow::Result<(Witness, ExecutedBlock)> {
    let witness = Witness::read(file)?;
    let parent = &witness.attributes.parent;
    let state = WitnessState::new(witness.preimages.clone(), parent.state_root, parent.hash());
    let executor = Executor::new(witness.chain.clone(), ExecutorConfig::default());
    let executed = executor
        .replay(witness.attributes.clone(), &witness.transactions, Arc::new(state.clone()))
        .context("execute the block")?;
    let roots =
        state.roots_after(&executed.diff, executed.rules).context("compute the state root")?;
    let block = assemble(executed, roots);
    Ok((witness, block))
}

/// Every header that a file names, by its hash.
fn known_headers(files: &[PathBuf]) -> HashMap<B256, Header> {
    let witnesses = files.iter().filter_map(|file| Witness::read(file).ok());
    witnesses
        .map(|witness| witness.attributes.parent.split())
        .map(|(header, hash)| (hash, header))
        .collect()
}

fn report(
    witness: &Witness,
    executed: &ExecutedBlock,
    headers: &HashMap<B256, Header>,
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
    let reference = expected.header.as_ref().or_else(|| headers.get(&witness.expected_hash));
    difference::header(header, reference, out)?;
    difference::receipts(executed, expected.receipts.as_deref(), out)?;
    if let Some(accounts) = &expected.accounts {
        difference::accounts(&executed.diff, accounts, out)?;
    }
    Ok(false)
}
