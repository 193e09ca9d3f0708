//! Those who wait for one transaction to be promised or sealed, or given up.
//!
//! ```text
//! waiter      register ──► hand in, or look ──► await
//! writer                         show ──► tell
//! ```
//!
//! Both sides take the lock in the middle. If the waiter's registration comes first, it is told; if it comes second, what
//! was shown before that is there when the waiter looks. So nobody misses anything, and nobody asks twice.

use std::sync::Arc;

use alloy_primitives::{TxHash, map::B256Map};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Open, Served, places::Place};

/// Everybody who waits. The edge admits a bounded number.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Registry>);

#[derive(Debug, Default)]
struct Registry {
    /// Almost always one a transaction; more if somebody sends the same again.
    by_hash: B256Map<Vec<Waiter>>,
    next_id: u64,
    /// What everybody is told from now on.
    ended: Option<News>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    news: oneshot::Sender<News>,
}

/// What became of a transaction.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// It is promised, in this block at this place.
    Promised(Arc<Open>, Place),
    /// It is sealed, in this block under this index.
    Sealed(Arc<Served>, usize),
    /// The pool gave it up, for this reason.
    Dropped(String),
}

impl Waiters {
    /// Registers somebody who wants to know about a transaction from now on.
    pub(crate) fn wait(&self, hash: TxHash) -> Waiting<'_> {
        let (sender, news) = oneshot::channel();
        let mut registry = self.0.lock();
        let id = registry.next_id;
        registry.next_id += 1;
        let waiter = Waiter { id, news: sender };
        match &registry.ended {
            Some(ended) => tell_all(vec![waiter], ended),
            None => registry.by_hash.entry(hash).or_default().push(waiter),
        }
        Waiting { waiters: self, hash, id, news }
    }

    /// Tells of the transactions of a picture from an index on. They must be shown already.
    pub(super) fn promised(&self, open: &Arc<Open>, from: usize) {
        self.tell(|registry| {
            for (transaction, _) in open.from(from) {
                if let Some(waiters) = registry.by_hash.remove(&transaction.hash())
                    && let Some(place) = open.find(&transaction.hash())
                {
                    tell_all(waiters, &News::Promised(open.clone(), place));
                }
            }
        });
    }

    /// Tells of the transactions of a sealed block. It must be shown already.
    pub(super) fn sealed(&self, block: &Arc<Served>) {
        self.tell(|registry| {
            for (index, transaction) in block.block.transactions.iter().enumerate() {
                if let Some(waiters) = registry.by_hash.remove(&transaction.hash()) {
                    tell_all(waiters, &News::Sealed(block.clone(), index));
                }
            }
        });
    }

    /// Tells that a transaction is given up.
    pub(crate) fn dropped(&self, hash: &TxHash, reason: impl std::fmt::Display) {
        self.tell(|registry| {
            if let Some(waiters) = registry.by_hash.remove(hash) {
                tell_all(waiters, &News::Dropped(reason.to_string()));
            }
        });
    }

    /// Tells everybody, for good, that nothing will be heard of any transaction: the process ends.
    pub(crate) fn end(&self, reason: impl Into<String>) {
        let mut registry = self.0.lock();
        let ended = News::Dropped(reason.into());
        for (_, waiters) in registry.by_hash.drain() {
            tell_all(waiters, &ended);
        }
        registry.ended = Some(ended);
    }

    /// Where nobody waits, telling costs an uncontended lock.
    fn tell(&self, tell: impl FnOnce(&mut Registry)) {
        let mut registry = self.0.lock();
        if !registry.by_hash.is_empty() {
            tell(&mut registry);
        }
    }
}

fn tell_all(waiters: Vec<Waiter>, news: &News) {
    for waiter in waiters {
        // Who has gone away meanwhile needs no answer.
        waiter.news.send(news.clone()).ok();
    }
}

/// Somebody's wait for one transaction. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    waiters: &'a Waiters,
    hash: TxHash,
    id: u64,
    news: oneshot::Receiver<News>,
}

impl Waiting<'_> {
    /// What becomes of it. Nothing only if everybody who could tell has gone.
    pub(crate) async fn news(&mut self) -> Option<News> {
        (&mut self.news).await.ok()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut registry = self.waiters.0.lock();
        if let Some(waiters) = registry.by_hash.get_mut(&self.hash) {
            waiters.retain(|waiter| waiter.id != self.id);
            if waiters.is_empty() {
                registry.by_hash.remove(&self.hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use millrace_types::{Block, Header, SealedHeader, Transaction};
    use op_alloy_consensus::TxDeposit;

    use super::*;

    fn reason(waiting: &mut Waiting<'_>) -> Option<String> {
        match waiting.news.try_recv() {
            Ok(News::Dropped(reason)) => Some(reason),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    #[test]
    fn a_sealed_block_tells_of_what_is_in_it() {
        let deposit = |id: u8| {
            let source_hash = B256::with_last_byte(id);
            Arc::new(Transaction::deposit(TxDeposit { source_hash, ..TxDeposit::default() }))
        };
        let transactions = vec![deposit(1), deposit(2)];
        let hashes: Vec<_> = transactions.iter().map(|tx| tx.hash()).collect();
        let header = SealedHeader::seal_slow(Header::default());
        let block = Arc::new(Served::new(Arc::new(Block { header, transactions }), Arc::default()));
        let waiters = Waiters::default();
        let mut waiting = waiters.wait(hashes[1]);
        let mut stranger = waiters.wait(deposit(3).hash());
        waiters.sealed(&block);
        match waiting.news.try_recv() {
            Ok(News::Sealed(sealed, 1)) => assert!(Arc::ptr_eq(&sealed, &block)),
            other => panic!("{other:?}"),
        }
        assert_eq!(reason(&mut stranger), None);
    }

    #[test]
    fn each_hears_of_his_own_once_and_leaves_nothing_behind() {
        let waiters = Waiters::default();
        let (one, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let mut first = waiters.wait(one);
        let mut again = waiters.wait(one);
        let mut stranger = waiters.wait(other);
        let left = waiters.wait(one);
        drop(left);
        waiters.dropped(&one, "evicted");
        assert_eq!(reason(&mut first).as_deref(), Some("evicted"));
        assert_eq!(reason(&mut again).as_deref(), Some("evicted"));
        assert_eq!(reason(&mut stranger), None);
        // Who registers afterwards does not hear of what was before, and is not forgotten with those who did.
        let mut late = waiters.wait(one);
        drop((first, again));
        assert_eq!(reason(&mut late), None);
        waiters.dropped(&one, "expired");
        assert_eq!(reason(&mut late).as_deref(), Some("expired"));
        waiters.end("over");
        assert_eq!(reason(&mut stranger).as_deref(), Some("over"));
        assert_eq!(reason(&mut waiters.wait(other)).as_deref(), Some("over"));
        drop((late, stranger));
        assert!(waiters.0.lock().by_hash.is_empty());
    }
}
