//! Where things lie in a difference.

use std::hash::{Hash, Hasher};

use alloy_primitives::{
    Address, U256,
    map::{AddressMap, HashMap},
};

use super::StateDiff;

/// Up to so many slots of an account are found by looking through them.
pub(super) const SCANNED_MAX: usize = 8;

/// The places of accounts, and of the slots of accounts that have many.
#[derive(Debug, Clone)]
pub(super) struct Index {
    accounts: AddressMap<u32>,
    slots: HashMap<SlotKey, u32>,
}

/// Names a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotKey {
    /// The place of its account.
    pub(super) owner: u32,
    pub(super) slot: U256,
}

/// Limb by limb: the derived way goes over bytes, which takes three times as long.
impl Hash for SlotKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for limb in self.slot.as_limbs() {
            state.write_u64(*limb);
        }
        state.write_u32(self.owner);
    }
}

impl Index {
    pub(super) fn of(diff: &StateDiff) -> Self {
        let places = diff.accounts.iter().zip(0..);
        let accounts = places.map(|(account, place)| (account.address, place)).collect();
        let many = || {
            let ranges = diff.starts.windows(2).map(|ends| ends[0]..ends[1]);
            ranges.zip(0..).filter(|(range, _)| range.len() > SCANNED_MAX)
        };
        let count = many().map(|(range, _)| range.len()).sum();
        let mut slots = HashMap::with_capacity_and_hasher(count, Default::default());
        for (range, owner) in many() {
            slots.extend(range.map(|place| {
                let (slot, _) = diff.slots[place as usize];
                (SlotKey { owner, slot }, place)
            }));
        }
        Self { accounts, slots }
    }

    pub(super) fn account(&self, address: &Address) -> Option<u32> {
        self.accounts.get(address).copied()
    }

    /// The place of a slot of an account that has many.
    pub(super) fn slot(&self, owner: u32, slot: U256) -> Option<u32> {
        self.slots.get(&SlotKey { owner, slot }).copied()
    }

    /// Whether everything has a place of its own.
    pub(super) fn is_complete(&self, diff: &StateDiff) -> bool {
        let many = diff.accounts().map(|(_, slots)| slots.len()).filter(|len| *len > SCANNED_MAX);
        self.accounts.len() == diff.accounts.len() && self.slots.len() == many.sum::<usize>()
    }
}
