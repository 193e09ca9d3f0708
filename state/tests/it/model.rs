//! The oracle: a block's state as plain maps, and random blocks on top of it.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount, proof::verify_proof, root};
use millrace_state::{Proof, ReadError, State, View};
use millrace_types::{Account, AccountDiff, DiffBuilder, StateDiff};
use rand::{Rng, rngs::StdRng};

/// Few enough that blocks keep meeting the same ones.
const ADDRESSES: u64 = 24;
const SLOTS: u64 = 10;

/// The whole state after a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    accounts: BTreeMap<Address, (Account, BTreeMap<U256, U256>)>,
    codes: BTreeMap<B256, Bytes>,
}

impl Model {
    /// A random block: creations, changes, deletions, wipes with and without re-creation, and code.
    pub(crate) fn random_block(&self, rng: &mut StdRng) -> StateDiff {
        let mut diff = DiffBuilder::default();
        for _ in 0..rng.random_range(0..12) {
            let address = address(rng.random_range(0..ADDRESSES));
            self.random_change(rng, address, &mut diff);
        }
        diff.build()
    }

    fn random_change(&self, rng: &mut StdRng, address: Address, diff: &mut DiffBuilder) {
        let before = self.accounts.get(&address);
        if rng.random_ratio(1, 5) {
            // A self-destruct, whether there was an account or not.
            return diff.change(AccountDiff { address, account: None, wiped: rng.random() }, []);
        }
        let mut account = before.map(|(account, _)| *account).unwrap_or_default();
        account.nonce += 1;
        account.balance = U256::from(rng.random::<u128>() >> rng.random_range(0..128));
        if rng.random_ratio(1, 6) {
            let code: Vec<u8> = (0..rng.random_range(1..200)).map(|_| rng.random()).collect();
            let hash = keccak256(&code);
            diff.deploy(hash, code.into());
            account.bytecode_hash = Some(hash);
        }
        let slots = if rng.random_ratio(1, 2) { rng.random_range(0..8) } else { 0 };
        let storage: Vec<_> = (0..slots)
            .map(|_| {
                (
                    slot(rng.random_range(0..SLOTS)),
                    U256::from(rng.random_range(0..4u128) * u128::from(rng.random::<u64>())),
                )
            })
            .collect();
        let wiped = rng.random_ratio(1, 8);
        diff.change(AccountDiff { address, account: Some(account), wiped }, storage);
    }

    pub(crate) fn apply(&mut self, diff: &StateDiff) {
        for (AccountDiff { address, account, wiped }, slots) in diff.accounts() {
            let Some(account) = account else {
                self.accounts.remove(address);
                continue;
            };
            let entry = self.accounts.entry(*address).or_default();
            entry.0 = *account;
            if *wiped {
                entry.1.clear();
            }
            entry.1.extend(slots.iter().copied());
            entry.1.retain(|_, value| !value.is_zero());
        }
        self.codes.extend(diff.codes().iter().map(|(hash, code)| (*hash, code.clone())));
    }

    pub(crate) fn root(&self) -> B256 {
        root::state_root_unhashed(
            self.accounts.keys().map(|address| (*address, self.leaf(address))),
        )
    }

    /// Compares every account and slot that there may be.
    pub(crate) fn check(&self, view: &View) -> Result<(), ReadError> {
        for address in (0..ADDRESSES).map(address) {
            let expected = self.accounts.get(&address);
            let number = view.number();
            assert_eq!(
                view.account(&address)?,
                expected.map(|(account, _)| *account),
                "{address} at {number}"
            );
            for slot in (0..SLOTS).map(slot) {
                let expected = expected.and_then(|(_, storage)| storage.get(&slot)).copied();
                assert_eq!(
                    view.storage(&address, &slot)?,
                    expected.unwrap_or_default(),
                    "{address} slot {slot} at {number}"
                );
            }
            if let Some(hash) = expected.and_then(|(account, _)| account.bytecode_hash) {
                assert_eq!(view.code(&hash)?.as_ref(), self.codes.get(&hash));
            }
        }
        Ok(())
    }

    /// Verifies a proof of an account and all its slots at this block.
    pub(crate) fn check_proof(&self, state: &State, number: u64, index: u64) {
        let address = address(index % ADDRESSES);
        let slots: Vec<B256> = (0..SLOTS).map(|index| slot(index).into()).collect();
        let proof: Proof = state.proof(address, &slots, number).unwrap();
        assert_eq!((proof.number, proof.state_root), (number, self.root()));
        let expected = self.accounts.get(&address);
        let leaf = expected.map(|_| self.leaf(&address));
        assert_eq!(proof.account.account, expected.map(|(account, _)| *account));
        let storage_root = leaf.map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage_root);
        assert_eq!(proof.account.storage_root, storage_root);
        assert_eq!(state.storage_root(number, address).unwrap(), storage_root);
        let encoded = leaf.map(alloy_rlp::encode);
        if !self.accounts.is_empty() {
            let key = Nibbles::unpack(keccak256(address));
            verify_proof(proof.state_root, key, encoded, &proof.account.proof).unwrap();
        }
        for (slot, proof) in slots.iter().zip(&proof.account.storage) {
            let value = expected.and_then(|(_, storage)| storage.get(&(*slot).into())).copied();
            assert_eq!((proof.slot, proof.value), (*slot, value.unwrap_or_default()));
            if storage_root != EMPTY_ROOT_HASH {
                let key = Nibbles::unpack(keccak256(slot));
                verify_proof(storage_root, key, value.map(alloy_rlp::encode), &proof.proof)
                    .unwrap();
            }
        }
    }

    fn leaf(&self, address: &Address) -> TrieAccount {
        let (account, storage) = &self.accounts[address];
        let storage = storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
        TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: root::storage_root_unhashed(storage),
            code_hash: account.bytecode_hash.unwrap_or(KECCAK256_EMPTY),
        }
    }
}

pub(crate) fn address(index: u64) -> Address {
    Address::from_slice(&keccak256(index.to_be_bytes())[12..])
}

fn slot(index: u64) -> U256 {
    // Some slots are small numbers, as Solidity's are, some are hashes.
    if index.is_multiple_of(2) { U256::from(index) } else { keccak256(index.to_be_bytes()).into() }
}
