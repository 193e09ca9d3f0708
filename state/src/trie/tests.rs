//! The trie against alloy's, on the same data.
#![allow(clippy::print_stdout, reason = "the seed, for when a test fails")]

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{
    EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount,
    proof::verify_proof,
    root::{state_root_unsorted, storage_root_unhashed},
};
use millrace_types::{Account, AccountDiff, DiffBuilder, SlotDiff, StateDiff};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use super::{
    batch::{Batch, Keyed},
    path::NibblePath,
    source::{NoSource, NodeSource, TrieChanges, TrieError, TrieId},
    state_trie::StateTrie,
    tree::Tree,
    update::Change,
    value::{Value, ValueRef},
};

/// What a store would hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Records(BTreeMap<(TrieId, NibblePath), Vec<u8>>);

impl Records {
    fn apply(&mut self, changes: TrieChanges) {
        for address in changes.wiped {
            self.0.retain(|(trie, _), _| *trie != TrieId::Storage(address));
        }
        for (trie, path, record) in changes.records {
            match record {
                Some(record) => self.0.insert((trie, path), record),
                None => self.0.remove(&(trie, path)),
            };
        }
    }
}

impl NodeSource for Records {
    type Error = std::convert::Infallible;

    fn node(&self, trie: TrieId, path: &NibblePath) -> Result<Option<Vec<u8>>, Self::Error> {
        Ok(self.0.get(&(trie, *path)).cloned())
    }
}

/// A raw change of one key.
#[derive(Debug, Clone)]
struct Raw(B256, Option<Vec<u8>>);

impl Keyed for Raw {
    fn key(&self) -> &B256 {
        &self.0
    }
}

impl Change for Raw {
    fn is_delete(&self) -> bool {
        self.1.is_none()
    }

    fn value(&self, _: Option<ValueRef<'_>>) -> Value {
        Value::whole(self.1.as_ref().unwrap())
    }
}

fn take(tree: &mut Tree) -> TrieChanges {
    let mut records = Vec::new();
    tree.take_records(&mut records);
    TrieChanges { wiped: vec![], records }
}

fn builder_root(model: &BTreeMap<B256, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in model {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root()
}

/// Keys that share much: every nibble is one of two, and many share a long prefix.
fn key() -> impl Strategy<Value = B256> {
    let crowded = (any::<u8>(), any::<u8>(), 0..3usize).prop_map(|(a, b, tail)| {
        // A few bits at the front, a few at the very end, so that short leaves and branches are inlined.
        let mut key = B256::ZERO;
        key[0] = (a & 1) << 4 | (a >> 1 & 1);
        key[1] = (a >> 2 & 1) << 4;
        key[31 - tail] = b & 0x33;
        key
    });
    prop_oneof![3 => crowded, 1 => any::<[u8; 32]>().prop_map(B256::from)]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => (0u8..=255).prop_map(|byte| vec![byte]),
        1 => prop::collection::vec(any::<u8>(), 1..40),
        1 => prop::collection::vec(any::<u8>(), 100..=110),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Update(Vec<Raw>),
    Hash,
    Save,
    Evict,
    Reopen,
    Prove(B256),
}

fn step() -> impl Strategy<Value = Step> {
    let raw =
        (key(), prop::option::weighted(0.6, value())).prop_map(|(key, value)| Raw(key, value));
    prop_oneof![
        6 => prop::collection::btree_map(key(), raw, 1..30).prop_map(|changes| {
            Step::Update(changes.into_iter().map(|(key, raw)| Raw(key, raw.1)).collect())
        }),
        1 => Just(Step::Hash),
        2 => Just(Step::Save),
        2 => Just(Step::Evict),
        1 => Just(Step::Reopen),
        2 => key().prop_map(Step::Prove),
    ]
}

/// Runs the steps on a trie that splits above `split_bytes`, and on the model.
fn check_tree(steps: Vec<Step>, split_bytes: usize) {
    let id = TrieId::Account;
    let open = |root: &B256| Tree::with_split_bytes(id, root, split_bytes);
    let mut tree = open(&EMPTY_ROOT_HASH);
    let mut model = BTreeMap::<B256, Vec<u8>>::new();
    let mut store = Records::default();
    let mut touched = Vec::new();
    for step in steps.into_iter().chain([Step::Save, Step::Evict, Step::Evict, Step::Hash]) {
        match step {
            Step::Update(mut changes) => {
                // Deletions must mostly hit something to mean anything.
                for (change, known) in changes.iter_mut().zip(&touched) {
                    if change.1.is_none() {
                        change.0 = *known;
                    }
                }
                changes.sort_by_key(|change| change.0);
                changes.dedup_by_key(|change| change.0);
                touched = changes.iter().map(|change| change.0).chain(touched).collect();
                let batch = Batch::new(changes.clone());
                tree.load(&batch, &store).unwrap();
                tree.update(&batch);
                for Raw(key, value) in changes {
                    match value {
                        Some(value) => model.insert(key, value),
                        None => model.remove(&key),
                    };
                }
            }
            Step::Hash => assert_eq!(tree.hash(), builder_root(&model)),
            Step::Save => {
                assert_eq!(tree.hash(), builder_root(&model));
                store.apply(take(&mut tree));
                assert!(take(&mut tree).is_empty(), "nothing changed since");
                assert_eq!(store, rebuilt(&model), "the store holds what a rebuild would");
            }
            Step::Evict => {
                tree.hash();
                for part in 0..tree.parts() {
                    tree.evict(part);
                }
            }
            Step::Reopen => {
                let root = tree.hash();
                store.apply(take(&mut tree));
                tree = open(&root);
            }
            Step::Prove(key) => {
                let root = tree.hash();
                tree.load(&Batch::new(vec![key]), &store).unwrap();
                let expected = model.get(&key).cloned();
                assert_eq!(tree.leaf(&key).map(|leaf| leaf.value.to_rlp()), expected);
                let proof: Vec<Bytes> = tree.prove(&key);
                verify_proof(root, Nibbles::unpack(key), expected, &proof).unwrap();
            }
        }
    }
    // Once it was all evicted, everything is found in the store again.
    let keys: Vec<B256> = model.keys().copied().collect();
    tree.load(&Batch::new(keys), &store).unwrap();
    for (key, value) in &model {
        assert_eq!(tree.leaf(key).map(|leaf| leaf.value.to_rlp()).as_ref(), Some(value));
    }
}

/// The records of a trie that is built at once.
fn rebuilt(model: &BTreeMap<B256, Vec<u8>>) -> Records {
    let changes: Vec<Raw> =
        model.iter().map(|(key, value)| Raw(*key, Some(value.clone()))).collect();
    let mut tree = Tree::new(TrieId::Account, &EMPTY_ROOT_HASH);
    tree.update(&Batch::new(changes));
    tree.hash();
    let mut records = Records::default();
    records.apply(take(&mut tree));
    records
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_trie_is_what_a_rebuild_would_be(steps in prop::collection::vec(step(), 1..20)) {
        check_tree(steps, usize::MAX);
    }

    #[test]
    fn a_trie_that_splits_and_joins_is_too(steps in prop::collection::vec(step(), 1..20)) {
        check_tree(steps, 0);
    }
}

/// What alloy makes of a state.
#[derive(Debug, Clone, Default)]
struct Model(BTreeMap<Address, (Account, BTreeMap<U256, U256>)>);

impl Model {
    /// Applies `diff`, and returns what undoes it.
    fn apply(&mut self, diff: &StateDiff) -> StateDiff {
        let mut undo = DiffBuilder::default();
        for (diff, slots) in diff.accounts() {
            let AccountDiff { address, account, wiped } = diff;
            let old = self.0.get(address).cloned();
            let new = account.map(|account| {
                let mut storage = match &old {
                    Some((_, storage)) if !wiped => storage.clone(),
                    _ => BTreeMap::new(),
                };
                for (slot, value) in slots {
                    if value.is_zero() {
                        storage.remove(slot);
                    } else {
                        storage.insert(*slot, *value);
                    }
                }
                (account, storage)
            });
            // Undone as a self-destruct and a re-creation, which is the hardest way.
            let account = old.as_ref().map(|old| old.0);
            let storage = old.map_or_else(BTreeMap::new, |old| old.1);
            undo.change(AccountDiff { address: *address, account, wiped: true }, storage);
            match new {
                Some(new) => self.0.insert(*address, new),
                None => self.0.remove(address),
            };
        }
        undo.build()
    }

    fn storage_root(&self, address: &Address) -> B256 {
        self.0.get(address).map_or(EMPTY_ROOT_HASH, |(_, slots)| {
            storage_root_unhashed(slots.iter().map(|(slot, value)| (B256::from(*slot), *value)))
        })
    }

    fn root(&self) -> B256 {
        state_root_unsorted(self.0.iter().map(|(address, (account, _))| {
            let account = TrieAccount {
                nonce: account.nonce,
                balance: account.balance,
                storage_root: self.storage_root(address),
                code_hash: account.get_bytecode_hash(),
            };
            (keccak256(address), account)
        }))
    }
}

fn random_diff(rng: &mut StdRng, model: &Model, accounts: u16, changes: usize) -> StateDiff {
    let mut diff = DiffBuilder::default();
    for _ in 0..changes {
        let address = Address::left_padding_from(&rng.random_range(0..accounts).to_be_bytes());
        let exists = model.0.contains_key(&address);
        let account = Account {
            nonce: rng.random_range(0..300),
            balance: U256::from(rng.random::<u64>()),
            bytecode_hash: rng.random_bool(0.3).then(|| B256::random_with(rng)),
        };
        let slots = match rng.random_range(0..10) {
            0..5 => 0,
            5..9 => rng.random_range(1..5),
            _ => 60,
        };
        let slot = |rng: &mut StdRng| {
            let value = if rng.random_bool(0.4) { 0 } else { rng.random::<u32>() };
            (U256::from(rng.random_range(0..80u8)), U256::from(value))
        };
        let slots: Vec<SlotDiff> = (0..slots).map(|_| slot(rng)).collect();
        let account = Some(account);
        match rng.random_range(0..10) {
            0 if exists => {
                diff.change(AccountDiff { address, account: None, wiped: rng.random() }, []);
            }
            1 => diff.change(AccountDiff { address, account, wiped: true }, slots),
            _ => diff.change(AccountDiff { address, account, wiped: false }, slots),
        }
    }
    diff.build()
}

/// A life of a state, with everything that happens to one between blocks.
fn check_state(seed: u64, accounts: u16, blocks: usize, changes: usize) {
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut model = Model::default();
    let mut store = Records::default();
    let mut trie = StateTrie::with_accounts(Tree::with_split_bytes(
        TrieId::Account,
        &EMPTY_ROOT_HASH,
        if rng.random() { 0 } else { 1 << 20 },
    ));
    let mut undos: Vec<(B256, Model, StateDiff)> = Vec::new();
    let mut root = EMPTY_ROOT_HASH;
    for block in 0..blocks {
        let before = (root, model.clone());
        let mut undo = StateDiff::default();
        // A block is applied in parts.
        for _ in 0..rng.random_range(1..4) {
            let diff = random_diff(&mut rng, &model, accounts, changes);
            trie.apply(&diff, &store).unwrap();
            undo = StateDiff::merge([&model.apply(&diff), &undo]);
        }
        undos.push((before.0, before.1, undo));
        root = model.root();
        assert_eq!(trie.root(), root, "seed {seed} block {block}");
        match rng.random_range(0..6) {
            0 | 1 => {
                let changes = trie.take_changes();
                let held = trie.memory_bytes();
                assert_eq!(trie.evict(0), held, "nothing goes before it is saved");
                store.apply(changes);
                trie.changes_saved();
                assert_eq!(store, rebuilt_state(&model), "seed {seed} block {block}");
            }
            2 => {
                let held = trie.memory_bytes();
                assert!(trie.evict(held / 2) <= held, "seed {seed} block {block}");
            }
            3 => {
                store.apply(trie.take_changes());
                trie = StateTrie::new(root);
            }
            _ => {}
        }
        let address = Address::left_padding_from(&rng.random_range(0..accounts).to_be_bytes());
        assert_eq!(trie.storage_root(address, &store).unwrap(), model.storage_root(&address));
        check_proofs(&trie.scratch(&store).prove(address, &slots()).unwrap(), root, &model);
        if block % 5 == 4 {
            let mut scratch = trie.scratch(&store);
            for (root, model, undo) in undos.iter().rev().take(4) {
                scratch.apply(undo).unwrap();
                assert_eq!(scratch.root(), *root, "seed {seed} block {block}");
                assert_eq!(scratch.storage_root(address).unwrap(), model.storage_root(&address));
                check_proofs(&scratch.prove(address, &slots()).unwrap(), *root, model);
            }
        }
        assert_eq!(trie.root(), root, "a scratch copy disturbs nothing");
    }
    store.apply(trie.take_changes());
    trie.changes_saved();
    assert_eq!(store, rebuilt_state(&model), "seed {seed}");
    let left = trie.evict(0);
    assert!(left < 20_000 || left < 256 * 200, "seed {seed}: {left} bytes after all was evicted");
    let diff = random_diff(&mut rng, &model, accounts, changes);
    trie.apply(&diff, &store).unwrap();
    model.apply(&diff);
    assert_eq!(trie.root(), model.root(), "seed {seed}: from the store again");
}

fn slots() -> [B256; 4] {
    [0, 1, 1, 90].map(|slot| B256::from(U256::from(slot)))
}

fn check_proofs(proof: &super::AccountProof, root: B256, model: &Model) {
    let expected = model.0.get(&proof.address);
    assert_eq!(proof.account, expected.map(|(account, _)| *account));
    assert_eq!(proof.storage_root, model.storage_root(&proof.address));
    let account = proof.account.map(|account| {
        alloy_rlp::encode(TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: proof.storage_root,
            code_hash: account.get_bytecode_hash(),
        })
    });
    let key = Nibbles::unpack(keccak256(proof.address));
    verify_proof(root, key, account, &proof.proof).unwrap();
    for (slot, asked) in proof.storage.iter().zip(slots()) {
        assert_eq!(slot.slot, asked);
        let slots = expected.map(|(_, slots)| slots);
        let value = slots.and_then(|slots| slots.get(&asked.into())).copied().unwrap_or_default();
        assert_eq!(slot.value, value);
        let value = (!value.is_zero()).then(|| alloy_rlp::encode(value));
        let key = Nibbles::unpack(keccak256(asked));
        verify_proof(proof.storage_root, key, value, &slot.proof).unwrap();
    }
}

fn rebuilt_state(model: &Model) -> Records {
    let accounts = model.0.iter().map(|(address, (account, slots))| {
        let diff = AccountDiff { address: *address, account: Some(*account), wiped: false };
        (diff, slots.iter().map(|(slot, value)| (*slot, *value)))
    });
    let diff = accounts.collect();
    let mut trie = StateTrie::new(EMPTY_ROOT_HASH);
    trie.apply(&diff, &NoSource).unwrap();
    trie.root();
    let mut records = Records::default();
    records.apply(trie.take_changes());
    records
}

#[test]
fn a_state_lives_as_alloy_says_it_should() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut seeds = StdRng::seed_from_u64(seed);
    for _ in 0..10 {
        check_state(seeds.random(), 40, 20, 15);
    }
    // Enough for a batch to go to all cores.
    check_state(seeds.random(), 4000, 4, 1500);
}

#[test]
fn large_batches_go_to_all_cores_and_come_to_the_same() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut model = BTreeMap::new();
    let mut tree = Tree::new(TrieId::Account, &EMPTY_ROOT_HASH);
    let mut store = Records::default();
    for round in 0..4 {
        let keys: Vec<B256> = model.keys().copied().collect();
        let mut changes = BTreeMap::new();
        for _ in 0..6000 {
            changes.insert(B256::random_with(&mut rng), Some(vec![rng.random(); 70]));
        }
        for key in keys {
            if rng.random_bool(0.3) {
                let delete = rng.random_bool(if round == 3 { 1.0 } else { 0.5 });
                changes.insert(key, (!delete).then(|| vec![rng.random(); rng.random_range(1..90)]));
            }
        }
        // In any order and in parts of any size, as hashing leaves them.
        let mut changes: Vec<Raw> =
            changes.into_iter().map(|(key, value)| Raw(key, value)).collect();
        changes.shuffle(&mut rng);
        let parts = changes.chunks(rng.random_range(500..7000)).map(<[Raw]>::to_vec).collect();
        let batch = Batch::of_parts(parts);
        assert!(batch.all().is_sorted_by(|a, b| a.0 < b.0) && batch.all().len() == changes.len());
        tree.load(&batch, &store).unwrap();
        tree.update(&batch);
        for Raw(key, value) in changes {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        assert_eq!(tree.hash(), builder_root(&model), "seed {seed} round {round}");
        assert_eq!(tree.parts(), 256, "it is large enough to be split");
        if round % 2 == 1 {
            store.apply(take(&mut tree));
            for _ in 0..2 {
                (0..256).for_each(|part| tree.evict(part));
            }
        }
    }
    // All but a few go at once: back to one arena, and to nothing.
    for keep in [3, 0] {
        let gone: Vec<Raw> = model.keys().skip(keep).map(|key| Raw(*key, None)).collect();
        model = std::mem::take(&mut model).into_iter().take(keep).collect();
        let batch = Batch::new(gone);
        tree.load(&batch, &store).unwrap();
        tree.update(&batch);
        assert_eq!(tree.hash(), builder_root(&model), "seed {seed} keep {keep}");
        store.apply(take(&mut tree));
        assert_eq!(store, rebuilt(&model), "seed {seed} keep {keep}");
    }
    assert_eq!(store, Records::default());
}

#[test]
fn a_failing_or_lying_source_is_an_error_and_changes_nothing() {
    struct Failing;
    impl NodeSource for Failing {
        type Error = &'static str;
        fn node(&self, _: TrieId, _: &NibblePath) -> Result<Option<Vec<u8>>, Self::Error> {
            Err("the disk is gone")
        }
    }
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut model = Model::default();
    let diff = random_diff(&mut rng, &model, 1000, 600);
    model.apply(&diff);
    let store = rebuilt_state(&model);
    let mut trie = StateTrie::new(model.root());
    let diff = random_diff(&mut rng, &model, 1000, 50);
    assert!(matches!(trie.apply(&diff, &Failing), Err(TrieError::Source { .. })));
    assert!(matches!(trie.apply(&diff, &NoSource), Err(TrieError::Missing { .. })));
    let root = model.root();
    let mut expected = model.clone();
    expected.apply(&diff);
    let expected = expected.root();
    let mut lying = store.clone();
    let mut outcomes = [0; 2];
    for _ in 0..300 {
        // One record in which one bit is flipped, or that is cut short, or has something left over.
        let at = rng.random_range(0..lying.0.len());
        let record = lying.0.values_mut().nth(at).unwrap();
        let honest = record.clone();
        match rng.random_range(0..4) {
            0 => record.truncate(rng.random_range(0..record.len())),
            1 => record.push(rng.random()),
            _ => {
                let bit = rng.random_range(0..record.len() * 8);
                record[bit / 8] ^= 1 << (bit % 8);
            }
        }
        let mut trie = StateTrie::new(root);
        match trie.apply(&diff, &lying) {
            Err(error) => {
                assert!(matches!(error, TrieError::Corrupt { .. }), "seed {seed}: {error}");
                assert_eq!(trie.root(), root, "seed {seed}");
                trie.apply(&diff, &store).unwrap();
                outcomes[0] += 1;
            }
            // The record was not needed.
            Ok(()) => outcomes[1] += 1,
        }
        assert_eq!(trie.root(), expected, "seed {seed}");
        *lying.0.values_mut().nth(at).unwrap() = honest;
    }
    assert!(outcomes.iter().all(|count| *count > 10), "seed {seed}: {outcomes:?}");
}

#[test]
fn a_small_storage_trie_is_small() {
    let mut trie = StateTrie::new(EMPTY_ROOT_HASH);
    let changed = |at: u64| {
        let address = Address::left_padding_from(&at.to_be_bytes());
        let account = Some(Account { nonce: 1, ..Account::default() });
        let slots = (0..4).map(move |slot| (U256::from(slot), U256::from(at + 1)));
        (AccountDiff { address, account, wiped: false }, slots)
    };
    let diff = (0..1000).map(changed).collect();
    trie.apply(&diff, &NoSource).unwrap();
    trie.root();
    let accounts = trie.accounts().memory_bytes();
    let each = (trie.memory_bytes() - accounts) / 1000;
    assert!(each < 1000, "{each} bytes for an account with four slots");
}
