//! The chain that the follower has reported, as far back as it remembers. Pure.

use std::collections::VecDeque;

use millrace_protocol::{BlockId, L1Header};

/// A run of blocks, each the parent of the next, above a block of which only the id is known.
#[derive(Debug)]
pub(super) struct Chain {
    /// The block below the first header.
    base: BlockId,
    headers: VecDeque<L1Header>,
    len_max: usize,
}

impl Chain {
    pub(super) fn new(base: BlockId, len_max: usize) -> Self {
        Self { base, headers: VecDeque::new(), len_max: len_max.max(1) }
    }

    /// The newest block.
    pub(super) fn tip(&self) -> BlockId {
        self.headers.back().map_or(self.base, L1Header::id)
    }

    /// The oldest block whose hash is known.
    pub(super) const fn base(&self) -> BlockId {
        self.base
    }

    /// The block at this height, if it is remembered.
    pub(super) fn id_at(&self, number: u64) -> Option<BlockId> {
        if number == self.base.number {
            return Some(self.base);
        }
        self.header_at(number).map(|header| header.id())
    }

    /// The header at this height, if it is remembered.
    pub(super) fn header_at(&self, number: u64) -> Option<L1Header> {
        let first = self.base.number + 1;
        let index = usize::try_from(number.checked_sub(first)?).ok()?;
        self.headers.get(index).copied()
    }

    /// Adds the next block. Says whether it is the next one. The oldest is forgotten when there are too many.
    pub(super) fn push(&mut self, header: L1Header) -> bool {
        let tip = self.tip();
        if header.parent_hash != tip.hash || header.number != tip.number + 1 {
            return false;
        }
        self.headers.push_back(header);
        if self.headers.len() > self.len_max
            && let Some(oldest) = self.headers.pop_front()
        {
            self.base = oldest.id();
        }
        true
    }

    /// Removes everything above a block that is remembered, or that lies below all of them.
    pub(super) fn rewind(&mut self, to: BlockId) {
        if self.id_at(to.number) == Some(to) {
            self.headers.truncate((to.number - self.base.number) as usize);
        } else {
            self.headers.clear();
            self.base = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    fn hash(number: u64, fork: u8) -> B256 {
        let mut hash = B256::with_last_byte(fork);
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    fn id(number: u64, fork: u8) -> BlockId {
        BlockId { number, hash: hash(number, fork) }
    }

    fn header(number: u64, fork: u8, parent_fork: u8) -> L1Header {
        L1Header {
            number,
            hash: hash(number, fork),
            parent_hash: hash(number - 1, parent_fork),
            timestamp: number,
            base_fee: 1,
            blob_base_fee: 1,
            prev_randao: B256::ZERO,
            parent_beacon_block_root: B256::ZERO,
        }
    }

    fn chain(len_max: usize) -> Chain {
        let mut chain = Chain::new(id(10, 0), len_max);
        for number in 11..=20 {
            assert!(chain.push(header(number, 0, 0)));
        }
        chain
    }

    #[test]
    fn takes_only_the_next_block() {
        let mut chain = chain(100);
        assert!(!chain.push(header(22, 0, 0)));
        assert!(!chain.push(header(20, 0, 0)));
        assert!(!chain.push(header(21, 1, 1)));
        assert!(chain.push(header(21, 1, 0)));
        assert_eq!(chain.tip(), id(21, 1));
    }

    #[test]
    fn remembers_so_many() {
        let chain = chain(4);
        assert_eq!((chain.base(), chain.tip()), (id(16, 0), id(20, 0)));
        assert_eq!(chain.id_at(15), None);
        assert_eq!(chain.id_at(16), Some(id(16, 0)));
        assert_eq!(chain.header_at(16), None);
        assert_eq!(chain.header_at(17).unwrap().id(), id(17, 0));
        assert_eq!(chain.id_at(21), None);
    }

    #[test]
    fn rewinds_to_any_block_and_goes_on_from_there() {
        for to in 16..=20 {
            let mut chain = chain(4);
            chain.rewind(id(to, 0));
            assert_eq!(chain.tip(), id(to, 0));
            assert!(chain.push(header(to + 1, 1, 0)));
        }
        let mut chain = chain(4);
        chain.rewind(id(12, 0));
        assert_eq!((chain.base(), chain.tip()), (id(12, 0), id(12, 0)));
        assert!(chain.push(header(13, 1, 0)));
    }
}
