//! Where nodes live: one growing slab of bytes, cut into blocks of whole granules, with a free list for each size.
//!
//! No allocation for a node, no pointer wider than 32 bits, and a node's parts side by side. Blocks are neither typed
//! nor checked here; `node` gives them meaning.

/// The unit of allocation. With 30 bits to count them, a slab holds at most 8 GiB.
const GRANULE_BYTES: usize = 8;

/// The end of a free list.
const END: u32 = u32::MAX;

/// A slab of blocks.
#[derive(Debug, Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    /// The first free block of each size in granules; a free block begins with the number of the next.
    free: Vec<u32>,
    free_bytes: usize,
}

impl Arena {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), free: Vec::new(), free_bytes: 0 }
    }

    /// An arena that takes `bytes` without growing.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), free: Vec::new(), free_bytes: 0 }
    }

    /// A block for `len` bytes of arbitrary contents, by its number.
    pub(super) fn allocate(&mut self, len: usize) -> u32 {
        let granules = len.div_ceil(GRANULE_BYTES);
        if let Some(first) = self.free.get_mut(granules)
            && *first != END
        {
            let block = *first;
            let at = block as usize * GRANULE_BYTES;
            *first = u32::from_le_bytes(
                *self.bytes[at..].first_chunk().expect("a block is at least one granule"),
            );
            self.free_bytes -= granules * GRANULE_BYTES;
            return block;
        }
        let at = self.bytes.len();
        let end = at + granules * GRANULE_BYTES;
        if end > self.bytes.capacity() {
            // A quarter more rather than double: what is reserved and not used is memory all the same.
            self.bytes.reserve_exact((end - at).max(at / 4));
        }
        self.bytes.resize(end, 0);
        let block = at / GRANULE_BYTES;
        assert!(block < 1 << 30, "a trie's slab is full");
        block as u32
    }

    /// Takes back the block that was allocated for `len` bytes.
    pub(super) fn release(&mut self, block: u32, len: usize) {
        let granules = len.div_ceil(GRANULE_BYTES);
        if self.free.len() <= granules {
            self.free.resize(granules + 1, END);
        }
        let next = std::mem::replace(&mut self.free[granules], block);
        self.at_mut(block)[..4].copy_from_slice(&next.to_le_bytes());
        self.free_bytes += granules * GRANULE_BYTES;
    }

    /// Whether blocks of these two lengths are interchangeable.
    pub(super) const fn same_block(a: usize, b: usize) -> bool {
        a.div_ceil(GRANULE_BYTES) == b.div_ceil(GRANULE_BYTES)
    }

    /// The bytes from the start of `block`, to the end of the slab.
    #[inline]
    pub(super) fn at(&self, block: u32) -> &[u8] {
        &self.bytes[block as usize * GRANULE_BYTES..]
    }

    /// Likewise, to write.
    #[inline]
    pub(super) fn at_mut(&mut self, block: u32) -> &mut [u8] {
        &mut self.bytes[block as usize * GRANULE_BYTES..]
    }

    /// Gives back what was reserved and not used.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Memory that this takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.free.capacity() * size_of::<u32>()
    }

    /// Memory that nodes take.
    pub(super) fn live_bytes(&self) -> usize {
        self.bytes.len() - self.free_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_block_is_used_again() {
        let mut arena = Arena::new();
        let (a, b) = (arena.allocate(20), arena.allocate(24));
        assert_eq!(arena.live_bytes(), 48);
        arena.release(a, 20);
        arena.release(b, 24);
        assert_eq!(arena.live_bytes(), 0);
        let again = [arena.allocate(17), arena.allocate(24)];
        assert_eq!(again, [b, a], "17, 20 and 24 bytes are the same three granules");
        assert!(Arena::same_block(17, 24) && !Arena::same_block(16, 17));
        let new = arena.allocate(1);
        assert_eq!(new as usize * GRANULE_BYTES, 48);
    }
}
