//! Making blocks durable, beside everything else.
//!
//! A checkpoint takes the oldest blocks in memory that may be written, writes what they change together (flat state,
//! trie, code, history, and the number of the block: one atomic batch), and makes their last block the new base. It
//! reads immutable layers and holds no lock that `apply`, `root` or a reader would wait for, but for moments.
//!
//! When checkpoints can't keep up, blocks stay in memory up to `pending_bytes_max`, and then `apply` says so. When one
//! fails, the state takes no more blocks and says why; reading goes on.

use std::sync::{Arc, atomic::Ordering};

use alloy_primitives::{
    Address, B256, BlockNumber, Bytes, U256,
    map::{AddressMap, HashMap},
};
use crossbeam_channel::{Receiver, select, tick};
use millrace_types::{Account, AccountDiff, DiffBuilder, StateDiff};

use crate::{
    codec::{
        CheckpointRecord, FlatKey, canonical, decode_account, decode_undo, decode_value,
        encode_account, encode_undo, encode_value, node_key,
    },
    roots::record,
    store::{Batch, StoreError, Table},
    trie::{NibblePath, TrieId},
    world::{Base, Layer, World},
};

/// Where the checkpoint is written in the table of meta data.
pub(crate) const CHECKPOINT_KEY: &[u8] = b"checkpoint";

/// Blocks of history that a checkpoint prunes beyond those that it adds: how fast a shortened window takes effect.
const PRUNE_EXTRA_BLOCKS: u64 = 64;

/// The checkpoint thread: until `stop` disconnects, or a checkpoint fails.
pub(crate) fn run(world: &Arc<World>, wake: &Receiver<()>, stop: &Receiver<()>) {
    let _guard = FailOnPanic { world, action: "write a checkpoint" };
    let interval = tick(world.config.checkpoint_interval);
    loop {
        let mut due = select! {
            recv(stop) -> _ => return,
            recv(wake) -> _ => false,
            recv(interval) -> _ => true,
        };
        while due || is_due(world) {
            match checkpoint(world) {
                Ok(true) => due = false,
                Ok(false) => break,
                Err(_) => return,
            }
        }
    }
}

/// Writes everything that may be written.
pub(crate) fn flush(world: &World) -> Result<(), StoreError> {
    record(world)?;
    while checkpoint(world)? {}
    Ok(())
}

/// The newest block that may be written.
fn limit(world: &World) -> BlockNumber {
    world.allowed.load(Ordering::Acquire).min(world.recorded.load(Ordering::Acquire))
}

fn is_due(world: &World) -> bool {
    let blocks = limit(world).saturating_sub(world.base.load().record.number);
    let bytes = world.pending_bytes.load(Ordering::Relaxed);
    blocks >= world.config.checkpoint_blocks.max(1)
        || blocks > 0
            && bytes >= world.config.checkpoint_bytes.min(world.config.pending_bytes_max / 2)
}

/// One checkpoint; `false` when there is nothing to write. A failure is remembered.
fn checkpoint(world: &World) -> Result<bool, StoreError> {
    let _moving_base = world.checkpointing.lock();
    world.health()?;
    let base = world.base.load_full();
    let layers = next_layers(world, &base);
    if layers.is_empty() {
        return Ok(false);
    }
    let written = write(world, &base, &layers).inspect_err(|error| world.fail(error.clone()))?;

    // The order matters: see `world`.
    world.install(written.record, base.cache.clone());
    for (address, account) in &written.accounts {
        base.cache.accounts.update(address, *account);
    }
    for (key, value) in &written.storage {
        base.cache.storage.update(key, *value);
    }
    trim(world, &written);
    tracing::debug!(block = written.record.number, blocks = layers.len(), "state checkpoint");
    Ok(true)
}

/// The blocks after the base that one checkpoint writes: at least one if it may be written, and about as many as
/// `checkpoint_bytes` allow.
fn next_layers(world: &World, base: &Base) -> Vec<Arc<Layer>> {
    let limit = limit(world);
    let mut bytes = 0;
    let chain = world.chain.lock();
    chain
        .iter()
        .skip_while(|layer| layer.number <= base.record.number)
        .take_while(|layer| {
            let fits = bytes < world.config.checkpoint_bytes;
            let Some(records) = layer.records.get() else { return false };
            bytes += layer.bytes + records.bytes;
            fits && layer.number <= limit
        })
        .cloned()
        .collect()
}

/// What a checkpoint wrote.
struct Written {
    record: CheckpointRecord,
    accounts: AddressMap<Option<Account>>,
    storage: HashMap<(Address, U256), U256>,
    nodes: HashMap<(TrieId, NibblePath), Option<Bytes>>,
    codes: Vec<B256>,
}

fn write(world: &World, base: &Base, layers: &[Arc<Layer>]) -> Result<Written, StoreError> {
    let mut batch = world.store.batch();
    let mut written = Written {
        record: base.record,
        accounts: AddressMap::default(),
        storage: HashMap::default(),
        nodes: HashMap::default(),
        codes: Vec::new(),
    };
    let mut codes: HashMap<B256, &Bytes> = HashMap::default();
    for layer in layers {
        let (Some(root), Some(records)) = (layer.root.get(), layer.records.get()) else {
            unreachable!("only blocks with root and records are written")
        };
        if world.config.history_blocks > 0 {
            let undo = undo(base, &written, layer)?;
            let parent_root = written.record.root;
            put_history(&mut batch, layer, &parent_root, &undo);
        }
        for (diff, _) in layer.diff.accounts() {
            written.accounts.insert(diff.address, diff.account.map(canonical));
        }
        written.storage.extend(layer.slots());
        codes.extend(layer.diff.codes().iter().map(|(hash, code)| (*hash, code)));
        for (trie, path, record) in &records.nodes {
            written.nodes.insert((*trie, *path), record.clone());
        }
        written.record.number = layer.number;
        written.record.root = *root;
    }
    prune_history(world, base, &mut batch, &mut written.record, layers.len() as u64)?;

    for (address, account) in &written.accounts {
        put_account(&mut batch, address, account.as_ref());
    }
    for ((address, slot), value) in &written.storage {
        put_slot(&mut batch, *address, *slot, *value);
    }
    for (hash, code) in codes {
        batch.put_long(Table::Codes, &hash[..], code);
        written.codes.push(hash);
    }
    for ((trie, path), record) in &written.nodes {
        put_node(&mut batch, *trie, path, record.as_ref().map(|record| &record[..]));
    }
    put_checkpoint(&mut batch, &written.record);
    batch.commit()?;
    Ok(written)
}

/// What undoes a block: the accounts and slots that it set, as they were before.
fn undo(base: &Base, before: &Written, layer: &Layer) -> Result<StateDiff, StoreError> {
    let mut undo = DiffBuilder::default();
    for (AccountDiff { address, .. }, _) in layer.diff.accounts() {
        let account = match before.accounts.get(address) {
            Some(account) => *account,
            None => base.account(address)?,
        };
        undo.change(AccountDiff { address: *address, account, wiped: false }, []);
    }
    for ((address, slot), _) in layer.slots() {
        let value = match before.storage.get(&(address, slot)) {
            Some(value) => *value,
            None => base.storage(address, slot)?,
        };
        undo.set_slot(address, slot, value);
    }
    Ok(undo.build())
}

fn put_history(batch: &mut Batch<'_>, layer: &Layer, parent_root: &B256, undo: &StateDiff) {
    let block = layer.number;
    for (AccountDiff { address, account, .. }, slots) in undo.accounts() {
        let after = layer.diff.account(address).and_then(|(diff, _)| diff.account.map(canonical));
        // Of a contract at work, often only the storage changes.
        if *account != after {
            let account = account.as_ref().map(encode_account).unwrap_or_default();
            batch.put(Table::History, &FlatKey::Account(*address).history(block), &account);
        }
        for (slot, value) in slots {
            let key = FlatKey::Slot(*address, *slot).history(block);
            batch.put(Table::History, &key, &encode_value(value));
        }
    }
    batch.put_long(Table::Undo, &block.to_be_bytes(), &encode_undo(parent_root, undo));
}

/// Removes the history of a block, of which `undo` names the keys.
pub(crate) fn delete_history(
    batch: &mut Batch<'_>,
    base: &Base,
    block: BlockNumber,
    undo: &StateDiff,
) -> Result<(), StoreError> {
    for (AccountDiff { address, .. }, slots) in undo.accounts() {
        batch.delete(Table::History, &FlatKey::Account(*address).history(block));
        for (slot, _) in slots {
            batch.delete(Table::History, &FlatKey::Slot(*address, *slot).history(block));
        }
    }
    batch.delete_long(&base.snapshot, Table::Undo, &block.to_be_bytes())
}

/// Moves the oldest readable block forward, to `history_blocks` before the checkpoint. A window that became shorter
/// in the configuration is caught up with over several checkpoints.
fn prune_history(
    world: &World,
    base: &Base,
    batch: &mut Batch<'_>,
    record: &mut CheckpointRecord,
    added_blocks: u64,
) -> Result<(), StoreError> {
    let forget_all = world.config.history_blocks == 0;
    let wanted = record.number.saturating_sub(world.config.history_blocks);
    // Only what earlier checkpoints wrote: in one batch, no key is both written and removed.
    let stored = wanted.min(base.record.number);
    let bounded = base.record.oldest + 2 * added_blocks + PRUNE_EXTRA_BLOCKS;
    let oldest = if forget_all { stored } else { stored.min(bounded) };
    for block in base.record.oldest + 1..=oldest {
        let (_, undo) = base.undo(block)?;
        delete_history(batch, base, block, &undo)?;
    }
    record.oldest = if forget_all { record.number } else { oldest.max(base.record.oldest) };
    Ok(())
}

pub(crate) fn put_account(batch: &mut Batch<'_>, address: &Address, account: Option<&Account>) {
    match account {
        Some(account) => batch.put(Table::Accounts, &address[..], &encode_account(account)),
        None => batch.delete(Table::Accounts, &address[..]),
    }
}

pub(crate) fn put_slot(batch: &mut Batch<'_>, address: Address, slot: U256, value: U256) {
    let key = FlatKey::Slot(address, slot).encode();
    if value.is_zero() {
        batch.delete(Table::Storage, &key);
    } else {
        batch.put(Table::Storage, &key, &encode_value(&value));
    }
}

pub(crate) fn put_node(
    batch: &mut Batch<'_>,
    trie: TrieId,
    path: &NibblePath,
    record: Option<&[u8]>,
) {
    let key = node_key(trie, path);
    match record {
        Some(record) => batch.put(Table::Nodes, &key, record),
        None => batch.delete(Table::Nodes, &key),
    }
}

pub(crate) fn put_checkpoint(batch: &mut Batch<'_>, record: &CheckpointRecord) {
    batch.put(Table::Meta, CHECKPOINT_KEY, &record.encode());
}

/// Forgets in memory what is durable now.
fn trim(world: &World, written: &Written) {
    let through = written.record.number;
    for address in written.accounts.keys() {
        world.overlay.accounts.forget_through(address, through);
    }
    for key in written.storage.keys() {
        world.overlay.storage.forget_through(key, through);
    }
    for hash in &written.codes {
        world.overlay.codes.forget_through(hash, through);
    }
    for key in written.nodes.keys() {
        world.overlay.nodes.forget_through(key, through);
    }
    let mut chain = world.chain.lock();
    let mut bytes = 0;
    while let Some(layer) = chain.pop_front_if(|layer| layer.number <= through) {
        bytes += layer.bytes + layer.records.get().map_or(0, |records| records.bytes);
    }
    world.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
    world.room.notify_all();
}

impl Base {
    /// An account at the base, while this is the base that is installed.
    fn account(&self, address: &Address) -> Result<Option<Account>, StoreError> {
        if let Some(account) = self.cache.accounts.get(address) {
            return Ok(account);
        }
        let stored = self.snapshot.get(Table::Accounts, &address[..])?;
        stored.map(|bytes| decode_account(&bytes)).transpose()
    }

    /// A slot at the base, while this is the base that is installed.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        if let Some(value) = self.cache.storage.get(&(address, slot)) {
            return Ok(value);
        }
        let key = FlatKey::Slot(address, slot).encode();
        let stored = self.snapshot.get(Table::Storage, &key)?;
        stored.map_or(Ok(U256::ZERO), |bytes| decode_value(&bytes))
    }

    /// What undoes a block at or before this base, and the root that this leads to.
    pub(crate) fn undo(&self, block: BlockNumber) -> Result<(B256, StateDiff), StoreError> {
        let bytes = self.snapshot.get_long(Table::Undo, &block.to_be_bytes())?;
        decode_undo(&bytes.ok_or(StoreError::corrupt("a block of the history is missing"))?)
    }
}

/// A panic in a thread of the state is a bug; whoever waits for checkpoints must not wait for ever.
pub(crate) struct FailOnPanic<'a> {
    pub(crate) world: &'a World,
    pub(crate) action: &'static str,
}

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "the thread for it panicked".to_owned();
            self.world.fail(StoreError::Failed { action: self.action, reason });
        }
    }
}
