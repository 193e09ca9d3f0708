//! Origins on a real L1: the blocks of it that we know, and which of them the next L2 block refers to.

use std::{collections::BTreeMap, sync::Arc};

use millrace_protocol::{BlockId, L1Attributes, L1Block, RollupConfig};
use millrace_types::{Block, Transaction};
use parking_lot::Mutex;

use super::origin::{Derived, Origin, Stalled};
use crate::l2_ref;

/// The newest L1 blocks, as derivation has read them. Derivation writes, the builder reads.
#[derive(Debug, Default)]
pub(crate) struct L1Window {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By number, each the parent of the next. Without what batchers posted.
    blocks: BTreeMap<u64, Arc<L1Block>>,
    /// Derivation has used up all of L1 that there is.
    is_complete: bool,
}

impl L1Window {
    /// Adds the next block; whatever stood there or above is gone.
    pub(crate) fn push(&self, block: &L1Block) {
        let (header, system_config) = (block.header, block.system_config);
        let slim =
            L1Block { header, system_config, deposits: block.deposits.clone(), inbox: Vec::new() };
        let mut known = self.known.lock();
        known.blocks.split_off(&header.number);
        known.blocks.insert(header.number, Arc::new(slim));
    }

    /// Forgets blocks above a number: L1 was reorganized.
    pub(crate) fn truncate(&self, number: u64) {
        self.known.lock().blocks.split_off(&(number + 1));
    }

    /// Forgets blocks below a number: no block that may still come refers to them.
    pub(crate) fn forget_below(&self, number: u64) {
        let mut known = self.known.lock();
        known.blocks = known.blocks.split_off(&number);
    }

    /// Says whether derivation has used up all of L1 that there is: otherwise it may yet decide against what we would
    /// build.
    pub(crate) fn set_complete(&self, is_complete: bool) {
        self.known.lock().is_complete = is_complete;
    }
}

/// Chooses origins by the rules: the parent's, or the next one.
pub(crate) struct L1Origins {
    pub(crate) rollup: Arc<RollupConfig>,
    pub(crate) window: Arc<L1Window>,
    /// An origin is so many blocks below L1's newest one: a reorganization of L1 takes our blocks with it.
    pub(crate) confirmations: u64,
}

impl L1Origins {
    /// Which L1 block the next L2 block refers to, and whether anything but deposits may be in it.
    fn choose(&self, parent: BlockId, timestamp: u64) -> Result<(Arc<L1Block>, bool), Stalled> {
        let known = self.window.known.lock();
        if !known.is_complete {
            return Err(Stalled::Deriving);
        }
        let current = known.blocks.get(&parent.number);
        let gone = Stalled::OriginGone { number: parent.number };
        let current = current.filter(|block| block.header.hash == parent.hash).ok_or(gone)?;
        let newest = known.blocks.last_key_value().map_or(0, |(number, _)| *number);
        let next_number = parent.number + 1;
        let is_confirmed = next_number.saturating_add(self.confirmations) <= newest;
        let next = known.blocks.get(&next_number).filter(|_| is_confirmed);
        if let Some(next) = next
            && next.header.timestamp <= timestamp
        {
            let ahead_s = timestamp - next.header.timestamp;
            return Ok((next.clone(), ahead_s > self.rollup.max_sequencer_drift));
        }
        let ahead_s = timestamp.saturating_sub(current.header.timestamp);
        let too_far = ahead_s > self.rollup.max_sequencer_drift;
        // Past the drift a block has to take the next origin if it can, and nobody can tell while that is unknown.
        if too_far && next.is_none() {
            return Err(Stalled::Drift { origin: parent.number, ahead_s });
        }
        Ok((current.clone(), too_far))
    }
}

impl Origin for L1Origins {
    fn derive(&mut self, parent: &Block, timestamp: u64) -> Result<Derived, Stalled> {
        let parent = l2_ref::of_ours(parent, &self.rollup);
        let (block, deposits_only) = self.choose(parent.origin, timestamp)?;
        let L1Block { header, system_config, .. } = &*block;
        let is_first = header.number != parent.origin.number;
        let sequence_number = if is_first { 0 } else { parent.sequence_number + 1 };
        let attributes = L1Attributes::for_block(system_config, header, sequence_number);
        let of_users = if is_first { block.deposits.as_slice() } else { &[] };
        let deposits = std::iter::once(attributes.to_deposit()).chain(of_users.iter().cloned());
        Ok(Derived {
            deposits: deposits.map(|deposit| Arc::new(Transaction::deposit(deposit))).collect(),
            prev_randao: header.prev_randao,
            parent_beacon_block_root: header.parent_beacon_block_root,
            gas_limit: system_config.gas_limit,
            eip1559: system_config
                .eip1559
                .unwrap_or_else(|| self.rollup.spec.eip1559_constants(timestamp)),
            deposits_only,
        })
    }

    fn may_skip_time(&self) -> bool {
        false
    }
}
