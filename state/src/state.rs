//! The face of the crate.

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    sync::{Arc, OnceLock, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use alloy_primitives::{Address, B256, BlockNumber, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use crossbeam_channel::{Receiver, Sender, bounded};
use millrace_types::{AccountDiff, StateDiff};

use crate::{
    ApplyError, CommitError, Config, CreateError, OpenError, ReadError, RootError, StoreError,
    View, ViewError,
    checkpoint::{self, CHECKPOINT_KEY, put_account, put_checkpoint, put_node, put_slot},
    codec::{CheckpointRecord, canonical},
    roots::{self, compute_roots},
    store::{Batch, Store, StoreOpenError, Table},
    trie::{NoSource, StateTrie},
    world::{ENTRY_BYTES, Layer, World},
};

/// The world state after every block from the oldest that is kept to the head. Clones are handles to the same state.
///
/// Blocks come in through [`apply`](Self::apply) and are readable at once; [`root`](Self::root) may follow on another
/// thread. Once the owner has a block journaled he says so with [`allow_checkpoint`](Self::allow_checkpoint), and in
/// time a background thread makes it durable. After a crash the state is that of some checkpoint, at or before what
/// was allowed: the owner applies the journaled blocks after [`checkpoint_block`](Self::checkpoint_block) again.
#[derive(Clone)]
pub struct State {
    pub(crate) world: Arc<World>,
    _threads: Arc<Threads>,
}

/// What a block's header says about the state after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// The block.
    pub number: BlockNumber,
    /// The root of the trie of accounts.
    pub state_root: B256,
}

/// How far a state has come, and what it holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The newest block applied.
    pub head: BlockNumber,
    /// The newest block with a root.
    pub rooted: BlockNumber,
    /// The newest durable block.
    pub checkpoint: BlockNumber,
    /// The oldest block with a state.
    pub oldest: BlockNumber,
    /// What blocks that are not durable hold.
    pub pending_bytes: usize,
    /// What was read lately and is kept.
    pub cache_bytes: usize,
}

/// What this code writes, and the only thing that it reads.
const SCHEMA: u32 = 1;
const SCHEMA_KEY: &[u8] = b"schema";
/// Genesis may be larger than a batch should be.
const GENESIS_BATCH: usize = 100_000;

impl State {
    /// Creates the state of a new chain in `dir`: block 0 is `genesis`.
    ///
    /// A state whose creation was cut short counts as none, and is created anew.
    pub fn create(
        dir: &Path,
        config: Config,
        genesis: &StateDiff,
    ) -> Result<(Self, Root), CreateError> {
        let store =
            Store::open(dir, config.store_cache_bytes, true).map_err(|error| match error {
                StoreOpenError::Locked => CreateError::Locked,
                StoreOpenError::Missing => unreachable!("creation was asked for"),
                StoreOpenError::Failed(error) => CreateError::Store(error),
            })?;
        if store.snapshot().get(Table::Meta, SCHEMA_KEY)?.is_some() {
            return Err(CreateError::Exists);
        }
        store.clear()?;
        let (trie, root) = write_genesis(&store, genesis)?;
        let record = CheckpointRecord { number: 0, root, oldest: 0 };
        let mut batch = store.batch();
        batch.put(Table::Meta, SCHEMA_KEY, &SCHEMA.to_be_bytes());
        put_checkpoint(&mut batch, &record);
        batch.commit()?;
        let state = Self::start(config, store, record, trie)?;
        Ok((state, Root { number: 0, state_root: root }))
    }

    /// Opens the state in `dir`, at its checkpoint.
    pub fn open(dir: &Path, config: Config) -> Result<Self, OpenError> {
        let store =
            Store::open(dir, config.store_cache_bytes, false).map_err(|error| match error {
                StoreOpenError::Locked => OpenError::Locked,
                StoreOpenError::Missing => OpenError::Missing,
                StoreOpenError::Failed(error) => OpenError::Store(error),
            })?;
        let snapshot = store.snapshot();
        let schema = snapshot.get(Table::Meta, SCHEMA_KEY)?.ok_or(OpenError::Missing)?;
        let found = <[u8; 4]>::try_from(&schema[..]).map(u32::from_be_bytes);
        let found = found.map_err(|_| StoreError::corrupt("the schema is no number"))?;
        if found != SCHEMA {
            return Err(OpenError::Schema { found, expected: SCHEMA });
        }
        let record = snapshot
            .get(Table::Meta, CHECKPOINT_KEY)?
            .ok_or(StoreError::corrupt("there is no checkpoint"))?;
        let record = CheckpointRecord::decode(&record)?;
        Ok(Self::start(config, store, record, StateTrie::new(record.root))?)
    }

    fn start(
        config: Config,
        store: Store,
        record: CheckpointRecord,
        trie: StateTrie,
    ) -> Result<Self, StoreError> {
        let (wake_checkpoint, checkpoint) = bounded(1);
        let (wake_recording, recording) = bounded(1);
        let (stop, stopped) = bounded(0);
        let world = World::new(config, store, record, trie, wake_checkpoint, wake_recording);
        let world = Arc::new(world);
        let mut threads = Threads { stop: Some(stop), running: Vec::new() };
        let stages: [(&str, Stage, Receiver<()>); 2] = [
            ("state-records", roots::run, recording),
            ("state-checkpoint", checkpoint::run, checkpoint),
        ];
        for (name, run, wake) in stages {
            let (world, stopped) = (Arc::clone(&world), stopped.clone());
            let thread = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || run(&world, &wake, &stopped))
                .map_err(|error| StoreError::Failed {
                    action: "start a thread of the state",
                    reason: error.to_string(),
                })?;
            threads.running.push(thread);
        }
        Ok(Self { world, _threads: Arc::new(threads) })
    }

    /// Takes the next block. When this returns, readers see it.
    pub fn apply(&self, number: BlockNumber, diff: Arc<StateDiff>) -> Result<View, ApplyError> {
        let world = &self.world;
        let mut chain = world.chain.lock();
        world.health()?;
        let expected = world.head.load(Ordering::Relaxed) + 1;
        if number != expected {
            return Err(ApplyError::OutOfOrder { expected });
        }
        let pending_bytes = world.pending_bytes.load(Ordering::Relaxed);
        if pending_bytes >= world.config.pending_bytes_max {
            return Err(ApplyError::Full { pending_bytes });
        }
        let zeroed = zeroed_slots(world, expected - 1, chain.make_contiguous(), &diff)?;

        let mut layer = Layer {
            number,
            diff,
            zeroed,
            bytes: 0,
            root: OnceLock::new(),
            records: OnceLock::new(),
        };
        let mut entries = layer.diff.accounts().len();
        for (diff, _) in layer.diff.accounts() {
            let account = diff.account.map(canonical);
            world.overlay.accounts.insert(diff.address, number, account);
        }
        for (key, value) in layer.slots() {
            world.overlay.storage.insert(key, number, value);
            entries += 1;
        }
        let mut code_bytes = 0;
        for (hash, code) in layer.diff.codes() {
            world.overlay.codes.insert(*hash, number, code.clone());
            code_bytes += code.len();
        }
        // Twice: once in the overlay, once in the diff.
        layer.bytes = entries * 2 * ENTRY_BYTES + code_bytes;
        world.pending_bytes.fetch_add(layer.bytes, Ordering::Relaxed);
        chain.push_back(Arc::new(layer));
        // Release: who reads this number finds the block in the overlay.
        world.head.store(number, Ordering::Release);
        Ok(self.head())
    }

    /// The root after a block, computed now if it was not yet, together with those of the blocks before it.
    pub fn root(&self, number: BlockNumber) -> Result<Root, RootError> {
        let world = &self.world;
        if number > world.rooted.load(Ordering::Acquire) {
            compute_roots(world, number)?;
            // A full channel is as good: a message is on its way.
            let _ = world.wake_recording.try_send(());
        }
        Ok(Root { number, state_root: world.root_of(number)? })
    }

    /// [`apply`](Self::apply) and [`root`](Self::root) in one.
    pub fn commit(&self, number: BlockNumber, diff: Arc<StateDiff>) -> Result<Root, CommitError> {
        self.apply(number, diff)?;
        Ok(self.root(number)?)
    }

    /// The state after the newest block.
    pub fn head(&self) -> View {
        // The epoch first: if blocks are unwound between the two, the view is invalid rather than wrong.
        let epoch = self.world.epoch();
        View::new(Arc::clone(&self.world), self.world.head.load(Ordering::Acquire), epoch)
    }

    /// The state after a block.
    pub fn view_at(&self, number: BlockNumber) -> Result<View, ViewError> {
        let epoch = self.world.epoch();
        let head = self.world.head.load(Ordering::Acquire);
        let oldest = self.world.base.load().record.oldest;
        if number > head {
            return Err(ViewError::NotYet { head });
        }
        if number < oldest {
            return Err(ViewError::Pruned { oldest });
        }
        Ok(View::new(Arc::clone(&self.world), number, epoch))
    }

    /// Says that blocks up to this one are journaled, and may become durable.
    pub fn allow_checkpoint(&self, up_to: BlockNumber) {
        self.world.allowed.fetch_max(up_to, Ordering::AcqRel);
        let _ = self.world.wake_checkpoint.try_send(());
    }

    /// The newest durable block.
    pub fn checkpoint_block(&self) -> BlockNumber {
        self.world.base.load().record.number
    }

    /// Makes everything durable that may be, now, on this thread.
    pub fn flush(&self) -> Result<(), StoreError> {
        checkpoint::flush(&self.world)
    }

    /// The failure of a checkpoint, if one failed: the state takes no more blocks and must be opened anew.
    pub fn health(&self) -> Result<(), StoreError> {
        self.world.health()
    }

    /// Waits until [`apply`](Self::apply) has room for a block, or refuses for another reason than
    /// [`Full`](ApplyError::Full); `false` if neither came in time.
    pub fn wait_for_room(&self, timeout: Duration) -> bool {
        let world = &self.world;
        let full = || {
            world.health().is_ok()
                && world.pending_bytes.load(Ordering::Relaxed) >= world.config.pending_bytes_max
        };
        let mut chain = world.chain.lock();
        !world.room.wait_while_for(&mut chain, |_| full(), timeout).timed_out() || !full()
    }

    /// How far the state has come, and what it holds in memory.
    pub fn progress(&self) -> Progress {
        let base = self.world.base.load();
        let CheckpointRecord { number, oldest, .. } = base.record;
        let caches = [base.cache.accounts.bytes(), base.cache.storage.bytes()];
        Progress {
            head: self.world.head.load(Ordering::Acquire),
            rooted: self.world.rooted.load(Ordering::Acquire),
            checkpoint: number,
            oldest,
            pending_bytes: self.world.pending_bytes.load(Ordering::Relaxed),
            cache_bytes: caches.iter().sum::<usize>() + self.world.codes.bytes(),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

impl World {
    /// The root after a block, if it is known.
    pub(crate) fn root_of(&self, number: BlockNumber) -> Result<B256, RootError> {
        if let Some(layer) = self.layer(number)
            && let Some(root) = layer.root.get()
        {
            return Ok(*root);
        }
        let base = self.base.load();
        let CheckpointRecord { number: base_number, root, oldest } = base.record;
        if number > base_number {
            return Err(RootError::NotYet { head: self.rooted.load(Ordering::Acquire) });
        }
        if number == base_number {
            return Ok(root);
        }
        if number < oldest {
            return Err(RootError::Pruned { oldest });
        }
        Ok(base.undo(number + 1)?.0)
    }
}

/// Writes a genesis state, but not that it is complete.
fn write_genesis(store: &Store, genesis: &StateDiff) -> Result<(StateTrie, B256), StoreError> {
    let mut trie = StateTrie::new(EMPTY_ROOT_HASH);
    trie.apply(genesis, &NoSource)
        .map_err(|error| StoreError::Corrupt(error.to_string().into()))?;
    let root = trie.root();

    let mut batch = store.batch();
    for (diff, slots) in genesis.accounts() {
        let account = diff.account.map(canonical);
        put_account(&mut batch, &diff.address, account.as_ref());
        for (slot, value) in slots.iter().filter(|_| account.is_some()) {
            put_slot(&mut batch, diff.address, *slot, *value);
        }
        batch = commit_if_full(store, batch)?;
    }
    for (hash, code) in genesis.codes() {
        batch.put_long(Table::Codes, &hash[..], code);
        batch = commit_if_full(store, batch)?;
    }
    for (id, path, record) in trie.take_changes().records {
        put_node(&mut batch, id, &path, record.as_deref());
        batch = commit_if_full(store, batch)?;
    }
    batch.commit()?;
    trie.changes_saved();
    Ok((trie, root))
}

fn commit_if_full<'a>(store: &'a Store, batch: Batch<'a>) -> Result<Batch<'a>, StoreError> {
    if batch.len() < GENESIS_BATCH {
        return Ok(batch);
    }
    batch.commit()?;
    Ok(store.batch())
}

/// The slots with a value after block `at`, which is the head, that `diff` deletes without naming them.
fn zeroed_slots(
    world: &World,
    at: BlockNumber,
    chain: &[Arc<Layer>],
    diff: &StateDiff,
) -> Result<Vec<(Address, U256)>, StoreError> {
    let mut zeroed = Vec::new();
    // The caller holds the lock of `chain`: every layer after this base is in it.
    let base = world.base.load();
    let wiped = diff.accounts().filter(|(diff, _)| diff.wiped || diff.account.is_none());
    for (AccountDiff { address, account, .. }, written) in wiped {
        let mut slots = BTreeSet::new();
        for key in base.snapshot.keys(Table::Storage, &address[..]) {
            let key = key?;
            let slot = key.get(20..).and_then(U256::try_from_be_slice);
            slots.insert(slot.ok_or(StoreError::corrupt("a storage key is too long"))?);
        }
        for layer in chain {
            let written = layer.diff.account(address).map_or(&[][..], |(_, slots)| slots);
            slots.extend(written.iter().map(|(slot, _)| *slot));
        }
        if account.is_some() {
            for (slot, _) in written {
                slots.remove(slot);
            }
        }
        for slot in slots {
            if !head_value(world, at, *address, slot)?.is_zero() {
                zeroed.push((*address, slot));
            }
        }
    }
    Ok(zeroed)
}

fn head_value(
    world: &World,
    head: BlockNumber,
    address: Address,
    slot: U256,
) -> Result<U256, StoreError> {
    world.storage(head, address, slot).map_err(|error| match error {
        ReadError::Store(error) => error,
        ReadError::Pruned { .. } | ReadError::Unwound { .. } => {
            unreachable!("the head is neither pruned nor, under the lock of the chain, unwound")
        }
    })
}

/// What a thread of the state runs: until the second channel disconnects, whenever the first says that there is work.
type Stage = fn(&Arc<World>, &Receiver<()>, &Receiver<()>);

/// Ends the threads with the last handle.
struct Threads {
    stop: Option<Sender<()>>,
    running: Vec<JoinHandle<()>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        drop(self.stop.take());
        for thread in self.running.drain(..) {
            // It has said what went wrong, if it panicked.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use millrace_types::Account;

    use super::*;

    fn config() -> Config {
        Config {
            checkpoint_blocks: 2,
            checkpoint_interval: Duration::from_secs(3600),
            ..Config::default()
        }
    }

    fn block(number: u64) -> Arc<StateDiff> {
        let account = Account { nonce: number, balance: U256::from(number), bytecode_hash: None };
        let slot = (U256::from(number % 3), U256::from(number));
        let diff = AccountDiff { account: Some(account), ..AccountDiff::default() };
        Arc::new(StateDiff::from_iter([(diff, [slot])]))
    }

    fn nonce(view: &View) -> u64 {
        view.account(&Address::ZERO).unwrap().unwrap().nonce
    }

    #[test]
    fn a_failing_disk_is_reported_and_loses_nothing_that_was_durable() {
        let dir = tempfile::tempdir().unwrap();
        let (state, _) = State::create(dir.path(), config(), &block(0)).unwrap();
        state.commit(1, block(1)).unwrap();
        state.allow_checkpoint(1);
        state.flush().unwrap();

        state.world.store.fail_commits.store(true, Ordering::Relaxed);
        for number in 2..=4 {
            state.commit(number, block(number)).unwrap();
        }
        assert!(state.health().is_ok(), "nothing was to be written yet");
        // The background thread meets the failure.
        state.allow_checkpoint(4);
        for _ in 0..1000 {
            if state.health().is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(matches!(state.health(), Err(StoreError::Failed { .. })));
        assert!(matches!(state.apply(5, block(5)), Err(ApplyError::Store(_))));
        assert!(state.unwind(0).is_err());
        assert!(state.wait_for_room(Duration::from_secs(1)), "nobody waits for ever");

        // The disk is well again, but what it holds is unknown: only reopening helps.
        state.world.store.fail_commits.store(false, Ordering::Relaxed);
        assert!(state.flush().is_err());
        assert_eq!((state.checkpoint_block(), nonce(&state.head())), (1, 4), "reading goes on");
        drop(state);
        let state = State::open(dir.path(), config()).unwrap();
        assert_eq!((state.checkpoint_block(), nonce(&state.head())), (1, 1));
        state.commit(2, block(2)).unwrap();
    }

    #[test]
    fn a_failed_unwinding_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (state, _) = State::create(dir.path(), config(), &block(0)).unwrap();
        for number in 1..=4 {
            state.commit(number, block(number)).unwrap();
        }
        state.allow_checkpoint(3);
        state.flush().unwrap();
        let view = state.head();
        state.world.store.fail_commits.store(true, Ordering::Relaxed);
        assert!(state.unwind(2).is_err());
        assert_eq!((nonce(&view), nonce(&state.head())), (4, 4));
        assert!(state.health().is_err());
    }

    #[test]
    fn another_schema_and_an_unfinished_creation_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let put = |entries: &[(Table, &[u8], &[u8])]| {
            let store = Store::open(dir.path(), 1 << 20, true).unwrap_or_else(|e| panic!("{e:?}"));
            let mut batch = store.batch();
            for (table, key, value) in entries {
                batch.put(*table, key, value);
            }
            batch.commit().unwrap();
        };
        put(&[(Table::Accounts, &[7; 20], &[0, 0])]);
        assert!(matches!(State::open(dir.path(), config()), Err(OpenError::Missing)));
        let (state, root) = State::create(dir.path(), config(), &block(0)).unwrap();
        let leftover = state.head().account(&Address::repeat_byte(7)).unwrap();
        assert_eq!(leftover, None, "a creation begins with nothing");
        drop(state);
        assert_eq!(State::open(dir.path(), config()).unwrap().root(0).unwrap(), root);
        put(&[(Table::Meta, SCHEMA_KEY, &9u32.to_be_bytes())]);
        let found = State::open(dir.path(), config()).unwrap_err();
        assert!(matches!(found, OpenError::Schema { found: 9, expected: SCHEMA }));
        put(&[(Table::Meta, SCHEMA_KEY, b"nonsense")]);
        assert!(matches!(State::open(dir.path(), config()), Err(OpenError::Store(_))));
    }

    #[test]
    fn damaged_trie_records_are_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (state, _) = State::create(dir.path(), config(), &block(0)).unwrap();
        drop(state);
        {
            let store = Store::open(dir.path(), 1 << 20, false).unwrap_or_else(|e| panic!("{e:?}"));
            let keys: Vec<_> = store.snapshot().keys(Table::Nodes, &[]).collect();
            let mut batch = store.batch();
            for key in keys {
                batch.put(Table::Nodes, &key.unwrap(), &[1, 2, 3]);
            }
            batch.commit().unwrap();
        }
        let state = State::open(dir.path(), config()).unwrap();
        state.apply(1, block(1)).unwrap();
        assert!(matches!(state.root(1), Err(RootError::Store(StoreError::Corrupt(_)))));
        assert!(state.proof(Address::ZERO, &[], 0).is_err());
    }
}
