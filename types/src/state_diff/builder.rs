//! Differences from changes in their order.

use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, B256Map, Entry, HashMap},
};

use super::{AccountDiff, SlotDiff, StateDiff, index::SlotKey};

/// Collects changes, each on top of those before, and makes one [`StateDiff`] of them.
#[derive(Debug, Default)]
pub struct DiffBuilder {
    accounts: Vec<Changed>,
    places: AddressMap<u32>,
    slots: Vec<Written>,
    slot_places: HashMap<SlotKey, u32>,
    codes: B256Map<Bytes>,
}

#[derive(Debug)]
struct Changed {
    diff: AccountDiff,
    /// How often its storage was wiped: slots of an earlier epoch are gone.
    epoch: u32,
}

#[derive(Debug)]
struct Written {
    key: SlotKey,
    value: U256,
    /// The epoch of the account's storage that it belongs to.
    epoch: u32,
}

impl DiffBuilder {
    /// An account changes, and some of its slots.
    ///
    /// One that goes forgets its earlier slots only where `wiped` says so: a difference that leads back to before an
    /// account existed names each of its slots instead.
    pub fn change(&mut self, diff: AccountDiff, slots: impl IntoIterator<Item = SlotDiff>) {
        let owner = self.place(diff.address);
        let changed = &mut self.accounts[owner as usize];
        changed.diff.account = diff.account;
        if diff.wiped {
            changed.diff.wiped = true;
            changed.epoch += 1;
        }
        for (slot, value) in slots {
            self.write(SlotKey { owner, slot }, value);
        }
    }

    /// A slot changes of an account that [does](Self::change).
    pub fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        let owner = self.place(address);
        self.write(SlotKey { owner, slot }, value);
    }

    /// Code is deployed that hashes to this.
    pub fn deploy(&mut self, hash: B256, code: Bytes) {
        self.codes.insert(hash, code);
    }

    /// All that happens which a difference tells.
    pub fn extend(&mut self, later: &StateDiff) {
        self.reserve(later.accounts.len(), later.slots.len());
        for (diff, slots) in later.accounts() {
            self.change(*diff, slots.iter().copied());
        }
        self.codes.extend(later.codes().iter().map(|(hash, code)| (*hash, code.clone())));
    }

    /// Makes room for what is about to change. Growing step by step would move everything several times.
    pub fn reserve(&mut self, accounts: usize, slots: usize) {
        self.accounts.reserve(accounts);
        self.places.reserve(accounts);
        self.slots.reserve(slots);
        self.slot_places.reserve(slots);
    }

    /// What all of it amounts to.
    pub fn build(self) -> StateDiff {
        let kept = |slot: &&Written| slot.epoch == self.accounts[slot.key.owner as usize].epoch;
        let slots = self.slots.iter().filter(kept);
        let slots = slots.map(|slot| (slot.key.owner, (slot.key.slot, slot.value)));
        let accounts = self.accounts.iter().map(|changed| changed.diff).collect();
        StateDiff::from_lists(accounts, slots, self.codes)
    }

    /// The place of an account, which is made where there is none.
    fn place(&mut self, address: Address) -> u32 {
        *self.places.entry(address).or_insert_with(|| {
            let diff = AccountDiff { address, ..AccountDiff::default() };
            self.accounts.push(Changed { diff, epoch: 0 });
            self.accounts.len() as u32 - 1
        })
    }

    fn write(&mut self, key: SlotKey, value: U256) {
        let written = Written { key, value, epoch: self.accounts[key.owner as usize].epoch };
        match self.slot_places.entry(key) {
            Entry::Occupied(place) => self.slots[*place.get() as usize] = written,
            Entry::Vacant(place) => {
                place.insert(self.slots.len() as u32);
                self.slots.push(written);
            }
        }
    }
}
