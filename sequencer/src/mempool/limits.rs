//! What bounds the pool.

/// How much the pool holds, and on what terms.
///
/// Memory is about 1 KiB a transaction plus two and a half times [`bytes_max`](Self::bytes_max): the decoded form is
/// kept beside the encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Transactions in the pool. Past it the worst makes room for a better one.
    pub count_max: usize,
    /// Sum of the encodings' lengths. Past it the worst make room for a better one.
    pub bytes_max: usize,
    /// Transactions of one sender, whatever their state.
    pub sender_count_max: usize,
    /// Transactions of one sender that wait for a predecessor, counted when another such one arrives.
    pub sender_queued_max: usize,
    /// By how much both fees of a replacement must exceed those of what it replaces.
    pub price_bump_percent: u128,
    /// How long a transaction may wait for a predecessor.
    pub queued_lifetime_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            count_max: 200_000,
            bytes_max: 256 << 20,
            sender_count_max: 4_096,
            sender_queued_max: 1_024,
            price_bump_percent: 10,
            queued_lifetime_ms: 3 * 60 * 60 * 1000,
        }
    }
}

/// How many transactions one call of `expire` drops, so that the pool's lock is never held for long.
pub(super) const EXPIRED_MAX: usize = 4_096;

/// How many events wait to be taken. Past it further ones are counted and lost: they inform, nothing depends on them.
pub(super) const EVENTS_MAX: usize = 1 << 16;
