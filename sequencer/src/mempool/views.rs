//! What others may ask of the pool.

use std::sync::Arc;

use alloy_primitives::{Address, TxHash};
use millrace_types::Transaction;

use crate::mempool::{Mempool, entry::Place, sender::Sender};

/// How full the pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Executable as far as nonces go, parked ones included, those in flight not.
    pub pending: usize,
    /// Waiting for a predecessor.
    pub queued: usize,
    /// With the builder.
    pub in_flight: usize,
    /// Accounts with anything here.
    pub senders: usize,
    /// Sum of the encodings' lengths.
    pub bytes: usize,
}

impl Stats {
    /// All transactions.
    pub const fn count(&self) -> usize {
        self.pending + self.queued + self.in_flight
    }
}

/// One sender's transactions, each list by nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderContent<'a> {
    /// Whose they are.
    pub sender: Address,
    /// Executable, parked or with the builder.
    pub pending: Vec<&'a Arc<Transaction>>,
    /// Waiting for a predecessor.
    pub queued: Vec<&'a Arc<Transaction>>,
}

impl Mempool {
    /// The transaction with this hash, wherever in the pool it is.
    pub fn get(&self, hash: &TxHash) -> Option<&Arc<Transaction>> {
        self.by_hash.get(hash).map(|id| &self.entries[*id].tx)
    }

    /// Whether a transaction is known.
    pub fn contains(&self, hash: &TxHash) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// The nonce that has to come first, if a transaction waits for a predecessor.
    pub fn missing_nonce(&self, hash: &TxHash) -> Option<u64> {
        let entry = &self.entries[*self.by_hash.get(hash)?];
        (entry.place == Place::Queued).then(|| self.senders[entry.sender].next_nonce())
    }

    /// The nonce after the sender's pending transactions; nothing when the account's own is right.
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.by_address.get(sender).map(|owner| self.senders[*owner].next_nonce())
    }

    /// How full the pool is.
    pub fn stats(&self) -> Stats {
        Stats {
            pending: self.pending,
            queued: self.queued,
            in_flight: self.in_flight,
            senders: self.senders.len(),
            bytes: self.bytes,
        }
    }

    /// When the oldest transaction arrived.
    pub fn oldest_arrival_ms(&self) -> Option<u64> {
        self.arrivals.oldest().map(|id| self.entries[id].arrived_ms)
    }

    /// Everything, sender by sender, in no order of senders.
    pub fn content(&self) -> impl Iterator<Item = SenderContent<'_>> {
        self.senders.iter().map(|sender| self.content_of(sender))
    }

    /// One sender's transactions.
    pub fn content_from(&self, sender: &Address) -> Option<SenderContent<'_>> {
        self.by_address.get(sender).map(|owner| self.content_of(&self.senders[*owner]))
    }

    fn content_of(&self, sender: &Sender) -> SenderContent<'_> {
        let transaction = |(_, id): &(u64, _)| &self.entries[*id].tx;
        SenderContent {
            sender: sender.address,
            pending: sender.txs.iter().take(sender.run).map(transaction).collect(),
            queued: sender.txs.iter().skip(sender.run).map(transaction).collect(),
        }
    }
}
