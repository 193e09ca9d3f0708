//! The newest sealed blocks, in memory: almost everything that is asked for.

use std::{collections::VecDeque, sync::Arc};

use alloy_primitives::BlockNumber;

use crate::chain::Served;

/// A run of blocks up to the newest one, without gaps.
#[derive(Debug)]
pub(crate) struct Recent {
    capacity: usize,
    blocks: VecDeque<Arc<Served>>,
}

impl Recent {
    pub(crate) fn new(capacity: usize, newest: Arc<Served>) -> Self {
        Self { capacity, blocks: VecDeque::from([newest]) }
    }

    pub(crate) fn push(&mut self, block: Arc<Served>) {
        self.blocks.push_back(block);
        if self.blocks.len() > self.capacity {
            self.blocks.pop_front();
        }
    }

    pub(crate) fn get(&self, number: BlockNumber) -> Option<Arc<Served>> {
        let first = self.blocks.front()?.block.number();
        let offset = usize::try_from(number.checked_sub(first)?).ok()?;
        self.blocks.get(offset).cloned()
    }
}
