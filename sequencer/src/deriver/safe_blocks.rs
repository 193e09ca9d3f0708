//! Blocks that were derived from L1 blocks which are not final: a reorganization may take them back.

use std::collections::VecDeque;

use millrace_derivation::L2Ref;
use millrace_protocol::BlockId;

/// The newest final block, and of the safe ones above it the last for each L1 block that they were derived from: L1 takes
/// back or makes final all of an L1 block or nothing. So there are never more than L1 blocks that are not final.
#[derive(Debug)]
pub(super) struct SafeBlocks {
    finalized: Safe,
    newer: VecDeque<Safe>,
}

/// A safe block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Safe {
    pub(super) block: L2Ref,
    /// Once this L1 block is final, so is the L2 block.
    pub(super) from: BlockId,
}

impl SafeBlocks {
    pub(super) const fn new(finalized: Safe) -> Self {
        Self { finalized, newer: VecDeque::new() }
    }

    /// The newest safe block.
    pub(super) fn newest(&self) -> Safe {
        self.newer.back().copied().unwrap_or(self.finalized)
    }

    pub(super) fn finalized(&self) -> Safe {
        self.finalized
    }

    pub(super) fn push(&mut self, safe: Safe) {
        self.newer.pop_back_if(|last| last.from == safe.from);
        self.newer.push_back(safe);
    }

    /// The newest block that is final once L1 up to this block is, unless that is known already.
    pub(super) fn finalizable(&self, l1_number: u64) -> Option<Safe> {
        let count = self.newer.partition_point(|safe| safe.from.number <= l1_number);
        self.newer.get(count.checked_sub(1)?).copied()
    }

    /// Everything that was derived from L1 up to this block is final.
    pub(super) fn finalize(&mut self, l1_number: u64) {
        if let Some(newest) = self.finalizable(l1_number) {
            self.finalized = newest;
            self.newer.retain(|safe| safe.from.number > l1_number);
        }
    }

    /// L1 blocks above this one are gone, and with them all that was derived from them.
    pub(super) fn forget_above(&mut self, l1_number: u64) {
        let count = self.newer.partition_point(|safe| safe.from.number <= l1_number);
        self.newer.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safe(number: u64, from: u64) -> Safe {
        let id = |number| BlockId { number, ..BlockId::default() };
        let block = L2Ref {
            id: id(number),
            parent_hash: Default::default(),
            timestamp: number,
            origin: id(from.saturating_sub(1)),
            sequence_number: 0,
        };
        Safe { block, from: id(from) }
    }

    #[test]
    fn finality_and_reorganizations_cut_at_the_l1_block_that_was_read() {
        let mut blocks = SafeBlocks::new(safe(0, 0));
        for (number, from) in [(1, 5), (2, 5), (3, 6), (4, 9)] {
            blocks.push(safe(number, from));
        }
        assert_eq!(blocks.newer.len(), 3, "one for each L1 block");
        assert_eq!(blocks.finalizable(4), None);
        assert_eq!(blocks.finalizable(5), Some(safe(2, 5)));
        blocks.finalize(5);
        assert_eq!((blocks.finalized(), blocks.finalizable(5)), (safe(2, 5), None));
        blocks.forget_above(8);
        assert_eq!(blocks.newest(), safe(3, 6));
        blocks.forget_above(5);
        assert_eq!(blocks.newest(), safe(2, 5));
        assert_eq!(blocks.finalizable(100), None);
    }
}
