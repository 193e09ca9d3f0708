//! What every part of an open state shares, and the one way to read it.
//!
//! ```text
//!   oldest ≤ base (durable) ≤ recorded ≤ rooted ≤ head          base ≤ allowed, once checkpoints follow
//!   ├ history ┤├─────────── overlay ──────────────┤
//! ```
//!
//! A read at block n looks into the overlay (the newest version at or before n), then, for n before the base, into
//! the history (the first change after n says what was there), then into what the base holds: cache, then store.
//! The base moves while readers read, and none of them waits. This is what keeps them exact:
//!
//! - A checkpoint *first* installs the new base, *then* refreshes the cache, *then* trims the overlay. So who finds
//!   nothing in the overlay, and the base still the one he began with, may trust cache and base; who finds the base
//!   moved begins again.
//! - The cache takes a value only while the base that it was read from is still installed, decided under the cache's
//!   lock. An unwinding gives the new base an empty cache.
//! - An unwinding *first* makes older views of the blocks that go invalid, *then* changes anything. A view checks
//!   *after* it has read.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use alloy_primitives::{Address, B256, BlockNumber, Bytes, U256};
use arc_swap::ArcSwap;
use crossbeam_channel::Sender;
use millrace_types::{Account, StateDiff};
use parking_lot::{Condvar, Mutex, RwLock};

use crate::{
    ReadError,
    cache::ClockCache,
    codec::{CheckpointRecord, FlatKey, decode_account, decode_value},
    config::Config,
    overlay::Overlay,
    store::{Snapshot, Store, StoreError, Table},
    trie::{NibblePath, StateTrie, TrieId},
};

/// What a changed account, slot or trie record costs in the overlay besides its contents, about.
pub(crate) const ENTRY_BYTES: usize = 160;

/// The shared heart of a state. Locks are taken in the order `checkpointing`, `trie`, `chain`.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) overlay: Overlay,
    pub(crate) base: ArcSwap<Base>,
    /// Code is content: it fits any base.
    pub(crate) codes: ClockCache<B256, Bytes>,

    /// The newest block applied. Written under the lock of `chain`; a reader who sees a number also sees that block
    /// in the overlay.
    pub(crate) head: AtomicU64,
    /// The newest block with a root. Written under the lock of `trie`.
    pub(crate) rooted: AtomicU64,
    /// The newest block whose trie records are in the overlay. Written under the lock of `trie`; see `roots`.
    pub(crate) recorded: AtomicU64,
    /// Checkpoints may go up to this block.
    pub(crate) allowed: AtomicU64,
    /// What the blocks in `chain` hold.
    pub(crate) pending_bytes: AtomicUsize,

    /// Held by whoever moves the base.
    pub(crate) checkpointing: Mutex<()>,
    pub(crate) trie: Mutex<TrieAtHead>,
    pub(crate) chain: Mutex<VecDeque<Arc<Layer>>>,

    /// How often blocks were unwound: the length of `unwound_to`.
    epoch: AtomicU64,
    unwound_to: RwLock<Vec<BlockNumber>>,

    failure: OnceLock<StoreError>,
    /// Notified, with the lock of `chain`, when pending bytes go down or a failure appears.
    pub(crate) room: Condvar,
    /// Wakes the checkpoint thread; it holds one message, and one is enough.
    pub(crate) wake_checkpoint: Sender<()>,
    /// Wakes the recording thread, likewise.
    pub(crate) wake_recording: Sender<()>,
}

/// The durable block, and everything that reads its state.
pub(crate) struct Base {
    pub(crate) record: CheckpointRecord,
    pub(crate) snapshot: Snapshot,
    pub(crate) cache: Arc<FlatCache>,
}

/// Accounts and slots of the base.
pub(crate) struct FlatCache {
    pub(crate) accounts: ClockCache<Address, Option<Account>>,
    pub(crate) storage: ClockCache<(Address, U256), U256>,
}

/// A block after the base.
pub(crate) struct Layer {
    pub(crate) number: BlockNumber,
    pub(crate) diff: Arc<StateDiff>,
    /// Slots that `diff` deletes without naming them, because their account was wiped or is gone.
    pub(crate) zeroed: Vec<(Address, U256)>,
    pub(crate) bytes: usize,
    pub(crate) root: OnceLock<B256>,
    pub(crate) records: OnceLock<LayerRecords>,
}

/// The trie records that a block changed.
pub(crate) struct LayerRecords {
    pub(crate) nodes: Vec<(TrieId, NibblePath, Option<Bytes>)>,
    pub(crate) bytes: usize,
}

/// The trie in memory, and the block whose state it holds.
pub(crate) struct TrieAtHead {
    pub(crate) number: BlockNumber,
    pub(crate) trie: StateTrie,
    /// That block, while the trie holds records of it that are nowhere else.
    pub(crate) unrecorded: Option<Arc<Layer>>,
}

impl TrieAtHead {
    pub(crate) const fn new(number: BlockNumber, trie: StateTrie) -> Self {
        Self { number, trie, unrecorded: None }
    }
}

impl FlatCache {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { accounts: ClockCache::new(bytes / 2), storage: ClockCache::new(bytes / 2) })
    }
}

impl Layer {
    /// Every slot that the block sets, with its value afterwards.
    pub(crate) fn slots(&self) -> impl Iterator<Item = ((Address, U256), U256)> {
        let kept = self.diff.accounts().filter(|(diff, _)| diff.account.is_some());
        let set = kept.flat_map(|(diff, slots)| {
            slots.iter().map(|(slot, value)| ((diff.address, *slot), *value))
        });
        set.chain(self.zeroed.iter().map(|key| (*key, U256::ZERO)))
    }
}

impl World {
    /// Opens what is shared, at the checkpoint.
    pub(crate) fn new(
        config: Config,
        store: Store,
        record: CheckpointRecord,
        trie: StateTrie,
        wake_checkpoint: Sender<()>,
        wake_recording: Sender<()>,
    ) -> Self {
        // Flat state is what executors read; code is read through caches of their own.
        let cache = FlatCache::new(config.cache_bytes / 4 * 3);
        let base = Base { record, snapshot: store.snapshot(), cache };
        Self {
            overlay: Overlay::default(),
            base: ArcSwap::from_pointee(base),
            codes: ClockCache::new(config.cache_bytes / 4),
            head: AtomicU64::new(record.number),
            rooted: AtomicU64::new(record.number),
            recorded: AtomicU64::new(record.number),
            allowed: AtomicU64::new(record.number),
            pending_bytes: AtomicUsize::new(0),
            checkpointing: Mutex::new(()),
            trie: Mutex::new(TrieAtHead::new(record.number, trie)),
            chain: Mutex::new(VecDeque::new()),
            epoch: AtomicU64::new(0),
            unwound_to: RwLock::new(Vec::new()),
            failure: OnceLock::new(),
            room: Condvar::new(),
            config,
            store,
            wake_checkpoint,
            wake_recording,
        }
    }

    /// The account after block `at`.
    pub(crate) fn account(
        &self,
        at: BlockNumber,
        address: Address,
    ) -> Result<Option<Account>, ReadError> {
        loop {
            let base = self.base.load();
            if let Some(account) = self.overlay.accounts.get(&address, at) {
                return Ok(account);
            }
            let key = FlatKey::Account(address);
            if let Some(before) = base.before_next_change(key, at)? {
                return Ok(optional_account(&before)?);
            }
            let cached = base.cache.accounts.get(&address);
            if !self.is_base(&base) {
                continue;
            }
            if let Some(account) = cached {
                return Ok(account);
            }
            let account = match base.snapshot.get(Table::Accounts, &key.encode())? {
                Some(bytes) => Some(decode_account(&bytes)?),
                None => None,
            };
            base.cache.accounts.insert_if(&address, &account, 0, || self.is_base(&base));
            return Ok(account);
        }
    }

    /// The value of a slot after block `at`; zero where there is none.
    pub(crate) fn storage(
        &self,
        at: BlockNumber,
        address: Address,
        slot: U256,
    ) -> Result<U256, ReadError> {
        loop {
            let base = self.base.load();
            if let Some(value) = self.overlay.storage.get(&(address, slot), at) {
                return Ok(value);
            }
            let key = FlatKey::Slot(address, slot);
            if let Some(before) = base.before_next_change(key, at)? {
                return Ok(decode_value(&before)?);
            }
            let cached = base.cache.storage.get(&(address, slot));
            if !self.is_base(&base) {
                continue;
            }
            if let Some(value) = cached {
                return Ok(value);
            }
            let value = match base.snapshot.get(Table::Storage, &key.encode())? {
                Some(bytes) => decode_value(&bytes)?,
                None => U256::ZERO,
            };
            base.cache.storage.insert_if(&(address, slot), &value, 0, || self.is_base(&base));
            return Ok(value);
        }
    }

    /// Code by its hash, whichever block deployed it.
    pub(crate) fn code(&self, hash: B256) -> Result<Option<Bytes>, ReadError> {
        loop {
            let base = self.base.load();
            if let Some(code) = self.overlay.codes.get(&hash, BlockNumber::MAX) {
                return Ok(Some(code));
            }
            if let Some(code) = self.codes.get(&hash) {
                return Ok(Some(code));
            }
            let stored = base.snapshot.get_long(Table::Codes, &hash[..])?;
            let stored = stored.map(Bytes::from);
            if let Some(code) = &stored {
                self.codes.insert_if(&hash, code, code.len(), || true);
            } else if !self.is_base(&base) {
                continue;
            }
            return Ok(stored);
        }
    }

    /// A trie record after block `at`, which must be recorded; `None` inside when there is none, outside when the base
    /// has gone past `at`, and records of that block are gone.
    pub(crate) fn node(
        &self,
        at: BlockNumber,
        trie: TrieId,
        path: &NibblePath,
    ) -> Result<Option<Option<Vec<u8>>>, StoreError> {
        loop {
            let base = self.base.load();
            if let Some(node) = self.overlay.nodes.get(&(trie, *path), at) {
                return Ok(Some(node.map(|bytes| bytes.to_vec())));
            }
            if at < base.record.number {
                return Ok(None);
            }
            if self.is_base(&base) {
                return Ok(Some(base.node(trie, path)?));
            }
        }
    }

    /// Installs what is durable now. The caller holds `checkpointing`.
    pub(crate) fn install(&self, record: CheckpointRecord, cache: Arc<FlatCache>) {
        self.base.store(Arc::new(Base { record, snapshot: self.store.snapshot(), cache }));
    }

    /// The layer of a block after the base.
    pub(crate) fn layer(&self, number: BlockNumber) -> Option<Arc<Layer>> {
        let chain = self.chain.lock();
        let first = chain.front()?.number;
        chain.get(usize::try_from(number.checked_sub(first)?).ok()?).cloned()
    }

    /// What a view taken now must remember for [`check_epoch`](Self::check_epoch).
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether block `number`, as it was in `epoch`, is still part of the chain.
    pub(crate) fn check_epoch(&self, epoch: u64, number: BlockNumber) -> Result<(), ReadError> {
        // Acquire: who saw any effect of an unwinding, through a lock or the base, sees the epoch that came first.
        if self.epoch.load(Ordering::Acquire) == epoch {
            return Ok(());
        }
        let unwound_to = self.unwound_to.read();
        let since = usize::try_from(epoch).ok().and_then(|epoch| unwound_to.get(epoch..));
        match since {
            Some(since) if since.iter().all(|to| number <= *to) => Ok(()),
            _ => Err(ReadError::Unwound { number }),
        }
    }

    /// Makes views of the blocks after `to` invalid.
    pub(crate) fn begin_epoch(&self, to: BlockNumber) {
        let mut unwound_to = self.unwound_to.write();
        unwound_to.push(to);
        self.epoch.store(unwound_to.len() as u64, Ordering::Release);
    }

    /// Remembers that the disk failed; nothing is applied or written from now on.
    pub(crate) fn fail(&self, error: StoreError) {
        tracing::error!(%error, "state checkpoint failed; no more blocks are accepted");
        // Only the first failure says why; the lock is for those who wait.
        let _chain = self.chain.lock();
        self.failure.get_or_init(|| error);
        self.room.notify_all();
    }

    pub(crate) fn health(&self) -> Result<(), StoreError> {
        self.failure.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn is_base(&self, base: &Arc<Base>) -> bool {
        Arc::ptr_eq(base, &self.base.load())
    }
}

impl Base {
    /// For a block before the base: what the first change after it found, if any change came after it.
    fn before_next_change(
        &self,
        key: FlatKey,
        at: BlockNumber,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let CheckpointRecord { number, oldest, .. } = self.record;
        if at >= number {
            return Ok(None);
        }
        if at < oldest {
            return Err(ReadError::Pruned { oldest });
        }
        let (from, through) = (key.history(at + 1), key.history(number));
        Ok(self.snapshot.first(Table::History, &from, &through)?)
    }

    /// A trie record at the base.
    pub(crate) fn node(
        &self,
        trie: TrieId,
        path: &NibblePath,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let key = crate::codec::node_key(trie, path);
        Ok(self.snapshot.get(Table::Nodes, &key)?.map(|bytes| bytes.to_vec()))
    }
}

/// History says "no account" with no bytes.
pub(crate) fn optional_account(bytes: &[u8]) -> Result<Option<Account>, StoreError> {
    if bytes.is_empty() { Ok(None) } else { decode_account(bytes).map(Some) }
}
