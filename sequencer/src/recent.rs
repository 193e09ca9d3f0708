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

    /// Makes an older block the newest.
    pub(crate) fn rewind(&mut self, newest: Arc<Served>) {
        let to = newest.block.number();
        while let Some((_, bytes)) = self.blocks.pop_back_if(|(block, _)| block.block.number() > to)
        {
            self.bytes -= bytes;
        }
        if self.blocks.is_empty() {
            self.push(newest);
        }
    }

    pub(crate) fn get(&self, number: BlockNumber) -> Option<Arc<Served>> {
        let (first, _) = self.blocks.front()?;
        let offset = usize::try_from(number.checked_sub(first.block.number())?).ok()?;
        self.blocks.get(offset).map(|(block, _)| block.clone())
    }
}

#[cfg(test)]
mod tests {
    use millrace_types::{Block, Header, SealedHeader};

    use super::*;

    fn block(number: BlockNumber) -> Arc<Served> {
        let header = SealedHeader::seal_slow(Header { number, ..Header::default() });
        Arc::new(Served::new(Arc::new(Block { header, transactions: Vec::new() }), Arc::default()))
    }

    #[test]
    fn goes_back_within_what_is_kept_and_beyond() {
        let mut recent = Recent::new(block(1));
        (2..=400).for_each(|number| recent.push(block(number)));
        let check = |recent: &Recent, first, last| {
            for (number, kept) in
                [(first - 1, false), (first, true), (last, true), (last + 1, false)]
            {
                assert_eq!(recent.get(number).is_some(), kept, "{number}");
            }
        };
        check(&recent, 145, 400);
        recent.rewind(block(390));
        check(&recent, 145, 390);
        recent.push(block(391));
        check(&recent, 145, 391);
        recent.rewind(block(7));
        check(&recent, 7, 7);
        recent.push(block(8));
        check(&recent, 7, 8);
    }
}
