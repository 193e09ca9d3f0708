//! The whole state: the trie of accounts, and a trie for the storage of each account that has some.

use std::mem;

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, map::B256Map};
use alloy_trie::EMPTY_ROOT_HASH;
use millrace_keccak::keccak256_batch;
use millrace_types::{Account, AccountDiff, SlotDiff, StateDiff};
use rayon::prelude::*;

use super::{
    batch::{Batch, Keyed},
    collect::Records,
    hash::hash_parallel,
    scratch::Scratch,
    source::{NodeSource, TrieChanges, TrieError, TrieId},
    tree::Tree,
    update::Change,
    value::{Value, ValueRef},
};

/// From this many changed slots or tries on, other cores help.
const PARALLEL_MIN: usize = 256;

/// From this many changed accounts on, other cores help to make the changes of their leaves.
const PARALLEL_ACCOUNTS_MIN: usize = 1024;

/// The state's tries.
///
/// [`apply`](Self::apply) changes structure, [`root`](Self::root) hashes: a block that is still open can be applied in
/// parts, and is hashed once. An account's storage root is put into its leaf when it is known, at the root.
#[derive(Debug)]
pub struct StateTrie {
    accounts: Tree,
    /// Storage tries in memory. Those that changed stay until they are saved.
    storages: Vec<Storage>,
    /// Where each hashed address is among them.
    by_address: B256Map<u32>,
    /// Storage tries whose roots are not yet in their accounts.
    pending: Vec<B256>,
    /// Storage tries that were cleared since the last checkpoint, having records in the store.
    wiped: Vec<B256>,
    /// Changes were taken and may not be in the store yet.
    saving: bool,
    /// The clock's hand: the next of the accounts' parts, then of the storage tries.
    hand: usize,
    /// What `storages` take.
    storage_bytes: usize,
}

/// A storage trie.
#[derive(Debug)]
struct Storage {
    address: B256,
    tree: Tree,
    /// It was used since the clock's hand last went by.
    touched: bool,
    /// Its root is not yet in its account.
    pending: bool,
    /// What it was counted with.
    bytes: usize,
}

/// What happens to one account's leaf.
#[derive(Clone)]
struct AccountChange {
    key: B256,
    /// The account afterwards, if it stays or comes.
    account: Option<Account>,
    wiped: bool,
}

impl Keyed for AccountChange {
    fn key(&self) -> &B256 {
        &self.key
    }
}

impl Change for AccountChange {
    fn is_delete(&self) -> bool {
        self.account.is_none()
    }

    fn value(&self, old: Option<ValueRef<'_>>) -> Value {
        let account = self.account.as_ref().expect("a deletion puts nothing");
        let old = old.filter(|_| !self.wiped);
        // Whatever storage changes: its root comes with the next hashing.
        let storage_root = old.map_or(EMPTY_ROOT_HASH, |old| old.storage_root());
        let code_hash = account.bytecode_hash.unwrap_or(KECCAK256_EMPTY);
        Value::account(account.nonce, &account.balance, &storage_root, &code_hash)
    }
}

/// A storage root that becomes known.
#[derive(Clone)]
struct StorageRoot {
    key: B256,
    root: B256,
}

impl Keyed for StorageRoot {
    fn key(&self) -> &B256 {
        &self.key
    }
}

impl Change for StorageRoot {
    fn is_delete(&self) -> bool {
        false
    }

    fn value(&self, old: Option<ValueRef<'_>>) -> Value {
        Value::with_storage_root(old.expect("storage belongs to an account"), &self.root)
    }
}

/// What happens to one slot.
#[derive(Clone, Copy)]
struct SlotChange {
    key: B256,
    value: U256,
}

impl Keyed for SlotChange {
    fn key(&self) -> &B256 {
        &self.key
    }
}

impl Change for SlotChange {
    fn is_delete(&self) -> bool {
        self.value.is_zero()
    }

    fn value(&self, _: Option<ValueRef<'_>>) -> Value {
        Value::slot(&self.value)
    }
}

/// What happens to the storage of one account.
struct StorageChange {
    address: B256,
    /// The earlier storage goes.
    wiped: bool,
    slots: Batch<SlotChange>,
}

impl StateTrie {
    /// The state with this root, none of it in memory.
    pub fn new(state_root: B256) -> Self {
        Self::with_accounts(Tree::new(TrieId::Account, &state_root))
    }

    pub(super) fn with_accounts(accounts: Tree) -> Self {
        Self {
            accounts,
            storages: Vec::new(),
            by_address: B256Map::default(),
            pending: Vec::new(),
            wiped: Vec::new(),
            saving: false,
            hand: 0,
            storage_bytes: 0,
        }
    }

    /// Applies a difference. On an error nothing has changed.
    pub fn apply<S: NodeSource>(
        &mut self,
        diff: &StateDiff,
        source: &S,
    ) -> Result<(), TrieError<S::Error>> {
        let Hashed { accounts, going, storages } = hashed(diff);
        self.accounts.load(&accounts, source)?;
        let storages = self.load_storages(storages, source)?;
        self.update_storages(going, storages);
        self.accounts.update(&accounts);
        Ok(())
    }

    /// The root of the state. Hashes whatever changed.
    pub fn root(&mut self) -> B256 {
        self.hash_storages();
        self.accounts.hash()
    }

    /// The storage root of an account; that of the empty trie when there is no account.
    ///
    /// # Panics
    ///
    /// When the account's storage changed since [`root`](Self::root) was asked for.
    pub fn storage_root<S: NodeSource>(
        &mut self,
        address: Address,
        source: &S,
    ) -> Result<B256, TrieError<S::Error>> {
        assert!(self.pending.is_empty(), "asked for a storage root before the state's");
        let key = alloy_primitives::keccak256(address);
        self.accounts.load(&Batch::new(vec![key]), source)?;
        Ok(self.loaded_storage_root(&key))
    }

    /// What to write for the store to have the state with the present root. It must be written, and
    /// [`changes_saved`](Self::changes_saved) said, before memory is reclaimed; until then, all of it stays in memory,
    /// so that the source may have it or not.
    ///
    /// # Panics
    ///
    /// When something changed since [`root`](Self::root) was asked for.
    pub fn take_changes(&mut self) -> TrieChanges {
        assert!(
            !self.accounts.is_stale() && self.pending.is_empty(),
            "only a hashed state is saved"
        );
        let mut records = Records::new();
        self.accounts.take_records(&mut records);
        for storage in &mut self.storages {
            if storage.tree.is_unsaved() {
                storage.tree.take_records(&mut records);
            }
        }
        self.saving = !records.is_empty() || !self.wiped.is_empty();
        let mut wiped = mem::take(&mut self.wiped);
        wiped.sort_unstable();
        wiped.dedup();
        TrieChanges { wiped, records }
    }

    /// What [`take_changes`](Self::take_changes) returned, every time until now, can be read from the source.
    pub fn changes_saved(&mut self) {
        self.saving = false;
    }

    /// Memory that nodes take.
    pub fn memory_bytes(&self) -> usize {
        let entry = size_of::<Storage>() + size_of::<(B256, u32)>();
        self.accounts.memory_bytes() + self.storage_bytes + self.storages.len() * entry
    }

    /// Lets go of what was not used for the longest time until the rest takes at most `bytes_max`, or until only
    /// what is unsaved is left. How much it takes then.
    ///
    /// A hand goes round the subtrees, as in a clock, and lets go of what nobody touched since it was last there. It
    /// stops as soon as enough is free, so a call now and then costs a part of a round.
    pub fn evict(&mut self, bytes_max: usize) -> usize {
        if self.saving || self.accounts.is_stale() || !self.pending.is_empty() {
            return self.memory_bytes();
        }
        let mut left = 2 * (self.accounts.parts() + self.storages.len());
        let mut bytes = self.memory_bytes();
        while bytes > bytes_max && left > 0 {
            left -= 1;
            let parts = self.accounts.parts();
            if self.hand < parts {
                self.accounts.evict(self.hand);
                self.hand += 1;
            } else if self.hand - parts < self.storages.len() {
                self.evict_storage(self.hand - parts);
            } else {
                self.hand = 0;
                continue;
            }
            bytes = self.memory_bytes();
        }
        bytes
    }

    /// A copy of this state to change and to prove in, made on demand of those nodes that it touches. This trie stays
    /// as it is.
    ///
    /// # Panics
    ///
    /// When something changed since [`root`](Self::root) was asked for.
    pub fn scratch<'a, S: NodeSource>(&'a self, source: &'a S) -> Scratch<'a, S> {
        assert!(
            !self.accounts.is_stale() && self.pending.is_empty(),
            "only a hashed state is copied"
        );
        Scratch::new(self, source)
    }

    pub(super) const fn accounts(&self) -> &Tree {
        &self.accounts
    }

    /// The storage trie of a hashed address, if it is in memory.
    pub(super) fn storage(&self, address: &B256) -> Option<&Tree> {
        self.by_address.get(address).map(|at| &self.storages[*at as usize].tree)
    }

    /// The tries that an account and some of its slots are in, with everything on the way to them loaded. No storage
    /// trie for an account without storage.
    pub(super) fn load_account<S: NodeSource>(
        &mut self,
        address: &B256,
        slots: &[B256],
        source: &S,
    ) -> Result<(&Tree, Option<&Tree>), TrieError<S::Error>> {
        self.accounts.load(&Batch::new(vec![*address]), source)?;
        if self.loaded_storage_root(address) == EMPTY_ROOT_HASH {
            return Ok((&self.accounts, None));
        }
        let at = self.open(address);
        let storage = &mut self.storages[at];
        let loaded = storage.tree.load(&Batch::new(slots.to_vec()), source);
        self.count(at);
        loaded?;
        Ok((&self.accounts, Some(&self.storages[at].tree)))
    }

    /// The storage root in an account's leaf, which is loaded if it exists.
    fn loaded_storage_root(&self, address: &B256) -> B256 {
        self.accounts.leaf(address).map_or(EMPTY_ROOT_HASH, |leaf| leaf.value.storage_root())
    }

    /// The position of a storage trie, which is made from the root in its account's leaf when it is not there.
    fn open(&mut self, address: &B256) -> usize {
        if let Some(at) = self.by_address.get(address) {
            self.storages[*at as usize].touched = true;
            return *at as usize;
        }
        let root = self.loaded_storage_root(address);
        let at = self.storages.len();
        self.by_address.insert(*address, at as u32);
        self.storages.push(Storage {
            address: *address,
            tree: Tree::new(TrieId::Storage(*address), &root),
            touched: true,
            pending: false,
            bytes: 0,
        });
        at
    }

    /// Counts what a storage trie takes now.
    fn count(&mut self, at: usize) {
        let storage = &mut self.storages[at];
        let bytes = storage.tree.memory_bytes();
        self.storage_bytes = self.storage_bytes + bytes - mem::replace(&mut storage.bytes, bytes);
    }

    /// Loads the storage that changes, and says where it is: sorted by that.
    fn load_storages<S: NodeSource>(
        &mut self,
        changes: Vec<StorageChange>,
        source: &S,
    ) -> Result<Vec<(usize, StorageChange)>, TrieError<S::Error>> {
        let mut changes: Vec<_> =
            changes.into_iter().map(|change| (self.open(&change.address), change)).collect();
        changes.sort_unstable_by_key(|(at, _)| *at);
        // A trie that is wiped needs nothing of what it was.
        let load = |(storage, change): (&mut Storage, &StorageChange)| {
            if change.wiped { Ok(()) } else { storage.tree.load(&change.slots, source) }
        };
        let tasks = pick(&mut self.storages, &changes);
        let loaded = if changes.len() < PARALLEL_MIN {
            tasks.into_iter().try_for_each(load)
        } else {
            tasks.into_par_iter().with_min_len(16).try_for_each(load)
        };
        for (at, _) in &changes {
            self.count(*at);
        }
        loaded?;
        Ok(changes)
    }

    fn update_storages(&mut self, mut going: Vec<B256>, changes: Vec<(usize, StorageChange)>) {
        for (at, change) in changes.iter().filter(|(_, change)| change.wiped) {
            self.note_wiped(&change.address);
            self.storages[*at].tree = Tree::new(TrieId::Storage(change.address), &EMPTY_ROOT_HASH);
        }
        let update = |(storage, change): (&mut Storage, &StorageChange)| {
            storage.tree.update(&change.slots);
        };
        let tasks = pick(&mut self.storages, &changes);
        if changes.len() < PARALLEL_MIN {
            tasks.into_iter().for_each(update);
        } else {
            tasks.into_par_iter().with_min_len(16).for_each(update);
        }
        for (at, change) in &changes {
            self.count(*at);
            if !mem::replace(&mut self.storages[*at].pending, true) {
                self.pending.push(change.address);
            }
        }
        // Storage that goes without any that comes: with its account, or wiped.
        going.retain(|address| {
            let comes = || {
                let at = self.by_address.get(address)?;
                changes.binary_search_by_key(&(*at as usize), |(at, _)| *at).ok()
            };
            comes().is_none()
        });
        // Removal moves others: only now that no position is needed any more.
        for address in going {
            self.note_wiped(&address);
            if let Some(at) = self.by_address.get(&address) {
                self.drop_storage(*at as usize);
            }
        }
    }

    /// Notes that the records of a storage trie go, if it has any. Its account's leaf is as before.
    fn note_wiped(&mut self, address: &B256) {
        let stored = match self.storage(address) {
            Some(tree) => tree.is_stored(),
            None => self.loaded_storage_root(address) != EMPTY_ROOT_HASH,
        };
        if stored {
            self.wiped.push(*address);
        }
    }

    /// Hashes the storage tries that changed, all together, and puts their roots into their accounts.
    fn hash_storages(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let subtrees = self.storages.iter_mut().filter(|storage| storage.pending);
        hash_parallel(subtrees.flat_map(|storage| storage.tree.stale_subtrees()).collect());
        let mut changes = Vec::with_capacity(self.pending.len());
        for key in mem::take(&mut self.pending) {
            let Some(at) = self.by_address.get(&key) else { continue };
            let storage = &mut self.storages[*at as usize];
            storage.tree.finish_hash();
            storage.pending = false;
            changes.push(StorageRoot { key, root: storage.tree.root() });
        }
        self.accounts.update(&Batch::new(changes));
    }

    /// The hand at a storage trie: what was touched has another round, what was not goes.
    fn evict_storage(&mut self, at: usize) {
        let storage = &mut self.storages[at];
        if !mem::take(&mut storage.touched) && !storage.tree.is_unsaved() {
            // The last one comes into its place, and is next.
            self.drop_storage(at);
            return;
        }
        for part in 0..storage.tree.parts() {
            storage.tree.evict(part);
        }
        self.count(at);
        self.hand += 1;
    }

    fn drop_storage(&mut self, at: usize) {
        let storage = self.storages.swap_remove(at);
        self.by_address.remove(&storage.address);
        self.storage_bytes -= storage.bytes;
        if storage.pending {
            self.pending.retain(|address| *address != storage.address);
        }
        if let Some(moved) = self.storages.get(at) {
            self.by_address.insert(moved.address, at as u32);
        }
    }
}

/// The storage tries at the positions that changes are sorted by, with their changes.
fn pick<'a, 'b>(
    storages: &'a mut [Storage],
    changes: &'b [(usize, StorageChange)],
) -> Vec<(&'a mut Storage, &'b StorageChange)> {
    let (mut rest, mut start) = (storages, 0);
    let mut picked = Vec::with_capacity(changes.len());
    for (at, change) in changes {
        let (_, after) = mem::take(&mut rest).split_at_mut(at - start);
        let (storage, after) = after.split_first_mut().expect("every position is of a trie");
        picked.push((storage, change));
        (rest, start) = (after, at + 1);
    }
    picked
}

/// A difference by hashed addresses and slots.
struct Hashed {
    accounts: Batch<AccountChange>,
    /// The accounts whose earlier storage goes: with them, or before other storage comes.
    going: Vec<B256>,
    storages: Vec<StorageChange>,
}

/// An account of a difference, with its slots.
type Changed<'a> = (&'a AccountDiff, &'a [SlotDiff]);

/// What one core makes of some accounts of a difference.
#[derive(Default)]
struct Part<'a> {
    accounts: Vec<AccountChange>,
    going: Vec<B256>,
    with_storage: Vec<(Changed<'a>, B256)>,
}

impl<'a> Part<'a> {
    fn of(entries: &[Changed<'a>]) -> Self {
        let mut part = Self::default();
        part.accounts.reserve_exact(entries.len());
        for entries in entries.chunks(PARALLEL_MIN) {
            let keys = hash_keys(entries, |(diff, _)| diff.address.as_slice());
            for (changed, key) in entries.iter().zip(keys) {
                let (AccountDiff { account, wiped, .. }, slots) = *changed;
                let (account, wiped) = (*account, *wiped);
                part.accounts.push(AccountChange { key, account, wiped });
                if account.is_none() || wiped {
                    part.going.push(key);
                }
                if account.is_some() && !slots.is_empty() {
                    part.with_storage.push((*changed, key));
                }
            }
        }
        part
    }
}

fn hashed(diff: &StateDiff) -> Hashed {
    let entries: Vec<Changed<'_>> = diff.accounts().collect();
    let part_len = (entries.len() / (4 * rayon::current_num_threads())).max(2 * PARALLEL_MIN);
    let parts: Vec<Part<'_>> = match entries.len() {
        ..PARALLEL_ACCOUNTS_MIN => vec![Part::of(&entries)],
        _ => entries.par_chunks(part_len).map(Part::of).collect(),
    };
    let (mut accounts, mut going, mut with_storage) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        accounts.push(part.accounts);
        going.extend(part.going);
        with_storage.extend(part.with_storage);
    }
    let slots: Vec<(B256, U256)> = with_storage
        .iter()
        .flat_map(|((_, slots), _)| *slots)
        .map(|(slot, value)| (B256::from(*slot), *value))
        .collect();
    let mut slots = hash_keys(&slots, |(slot, _)| slot.as_slice())
        .into_iter()
        .zip(&slots)
        .map(|(key, (_, value))| SlotChange { key, value: *value });
    let storages = with_storage.iter().map(|((diff, written), address)| {
        let slots = Batch::new(slots.by_ref().take(written.len()).collect());
        StorageChange { address: *address, wiped: diff.wiped, slots }
    });
    let storages = storages.collect();
    Hashed { accounts: Batch::of_parts(accounts), going, storages }
}

/// The hashes of many preimages, on all cores.
fn hash_keys<T: Sync>(entries: &[T], preimage: impl Fn(&T) -> &[u8] + Sync) -> Vec<B256> {
    let mut keys = vec![B256::ZERO; entries.len()];
    let hash = |(entries, keys): (&[T], &mut [B256])| {
        let preimages: Vec<&[u8]> = entries.iter().map(&preimage).collect();
        keccak256_batch(&preimages, keys);
    };
    if entries.len() < 2 * PARALLEL_MIN {
        hash((entries, &mut keys));
    } else {
        entries.par_chunks(PARALLEL_MIN).zip(keys.par_chunks_mut(PARALLEL_MIN)).for_each(hash);
    }
    keys
}
