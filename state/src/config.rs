//! How much memory, disk and time the state may use.

use std::time::Duration;

/// Limits of a [`State`](crate::State). The defaults suit a node with a few GiB of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Memory for accounts, slots and code that were read lately.
    pub cache_bytes: usize,
    /// Memory for the store's own blocks and filters.
    pub store_cache_bytes: usize,
    /// Memory for trie nodes kept between blocks.
    pub trie_nodes_bytes: usize,
    /// How many blocks before the checkpoint stay readable. With 0 there is no state before the checkpoint, and no way
    /// to [`unwind`](crate::State::unwind) past it.
    pub history_blocks: u64,
    /// A checkpoint starts when this many blocks wait for one…
    pub checkpoint_blocks: u64,
    /// …or blocks of this many bytes; one checkpoint also writes no more than about this…
    pub checkpoint_bytes: usize,
    /// …or when this long has passed since the last.
    pub checkpoint_interval: Duration,
    /// Blocks not yet durable may hold this much memory. Past it [`State::apply`](crate::State::apply) refuses, until a
    /// checkpoint has made room.
    pub pending_bytes_max: usize,
    /// How many changed accounts and slots a proof at an older block may have to undo.
    pub proof_changes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            store_cache_bytes: 256 << 20,
            trie_nodes_bytes: 512 << 20,
            history_blocks: 10_000,
            checkpoint_blocks: 64,
            checkpoint_bytes: 128 << 20,
            checkpoint_interval: Duration::from_secs(10),
            pending_bytes_max: 1 << 30,
            proof_changes_max: 200_000,
        }
    }
}
