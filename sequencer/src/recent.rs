//! The newest sealed blocks, in memory: almost everything that is asked for.

use std::{collections::VecDeque, sync::Arc};

use alloy_primitives::BlockNumber;

use crate::chain::Served;

/// How many blocks are kept.
const BLOCKS_MAX: usize = 256;

/// How much they may hold together. The newest is kept whatever it holds.
const BYTES_MAX: usize = 256 << 20;

/// A run of blocks up to the newest one, without gaps.
#[derive(Debug)]
pub(crate) struct Recent {
    /// With what each holds in memory.
    blocks: VecDeque<(Arc<Served>, usize)>,
    bytes: usize,
}

impl Recent {
    pub(crate) fn new(newest: Arc<Served>) -> Self {
        let mut recent = Self { blocks: VecDeque::new(), bytes: 0 };
        recent.push(newest);
        recent
    }

    pub(crate) fn push(&mut self, block: Arc<Served>) {
        let bytes = block.bytes();
        self.bytes += bytes;
        self.blocks.push_back((block, bytes));
        while self.blocks.len() > 1
            && (self.blocks.len() > BLOCKS_MAX || self.bytes > BYTES_MAX)
            && let Some((_, bytes)) = self.blocks.pop_front()
        {
            self.bytes -= bytes;
        }
    }

    pub(crate) fn get(&self, number: BlockNumber) -> Option<Arc<Served>> {
        let (first, _) = self.blocks.front()?;
        let offset = usize::try_from(number.checked_sub(first.block.number())?).ok()?;
        self.blocks.get(offset).map(|(block, _)| block.clone())
    }
}
