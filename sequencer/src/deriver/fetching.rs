//! L1 blocks on their way: the next ones are fetched while one is used.

use std::{collections::BTreeMap, sync::Arc};

use millrace_l1::{FollowerHandle, ReadError, Reader, VerifiedBlock};
use tokio::task::JoinHandle;

/// L1 blocks that are fetched ahead of the one that is wanted.
const AHEAD: u64 = 8;

/// Fetches L1 blocks by number. Dropping it ends what is under way.
pub(super) struct Fetching {
    reader: Arc<Reader>,
    follower: FollowerHandle,
    under_way: BTreeMap<u64, JoinHandle<Fetched>>,
}

/// Nothing: the block is not there any more, or not yet.
type Fetched = Result<Option<VerifiedBlock>, ReadError>;

impl Fetching {
    pub(super) fn new(reader: Arc<Reader>, follower: FollowerHandle) -> Self {
        Self { reader, follower, under_way: BTreeMap::new() }
    }

    /// The block with a number, which is at most `tip`; the ones after it are fetched meanwhile.
    pub(super) async fn block(&mut self, number: u64, tip: u64) -> Fetched {
        for ahead in number..=tip.min(number + AHEAD) {
            if self.under_way.contains_key(&ahead) {
                continue;
            }
            let (reader, follower) = (self.reader.clone(), self.follower.clone());
            let fetch = async move {
                match follower.canonical(ahead).await? {
                    Some(header) => reader.fetch(header.hash).await.map(Some),
                    None => Ok(None),
                }
            };
            self.under_way.insert(ahead, tokio::spawn(fetch));
        }
        match self.under_way.remove(&number) {
            // A task that was lost with its runtime has nothing to say.
            Some(fetching) => fetching.await.unwrap_or(Ok(None)),
            None => Ok(None),
        }
    }

    /// Forgets what is under way: it may belong to blocks that are gone.
    pub(super) fn forget(&mut self) {
        std::mem::take(&mut self.under_way).into_values().for_each(|fetching| fetching.abort());
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.forget();
    }
}
