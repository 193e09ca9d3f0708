//! The L1 blocks that can still be origins of blocks to come.

use std::collections::VecDeque;

use millrace_protocol::{Epoch, L1Block};

/// Consecutive L1 blocks, from the safe head's origin to the newest that was read.
///
/// When the origin falls behind by more than the sequencing window, empty blocks are generated until it does not: so
/// the window bounds the length.
#[derive(Debug, Default)]
pub(crate) struct Epochs {
    blocks: VecDeque<Epoch>,
}

impl Epochs {
    /// Appends the next L1 block.
    pub(crate) fn push(&mut self, block: &L1Block) {
        self.blocks.push_back(block.into());
    }

    /// Forgets everything before this number.
    pub(crate) fn forget_before(&mut self, number: u64) {
        while self.blocks.pop_front_if(|block| block.header.number < number).is_some() {}
    }

    /// The epoch of this number, if it is among them.
    pub(crate) fn get(&self, number: u64) -> Option<&Epoch> {
        let first = self.blocks.front()?.header.number;
        self.blocks.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }
}
