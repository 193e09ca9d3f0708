//! What a block, or a part of one, changes in the world state.

mod builder;
mod index;
#[cfg(test)]
mod tests;

use std::{fmt, ops::Range, sync::OnceLock};

use alloy_primitives::{Address, Bytes, U256, map::B256Map};

pub use self::builder::DiffBuilder;
use self::index::{Index, SCANNED_MAX};
use crate::Account;

/// The difference between two states: apply it to the first and the second appears.
///
/// Whoever executes makes one every few transactions, and most are only ever walked through. So it is flat lists, which
/// cost hardly more to make than the memory that they take, and an index for the first who looks something up. It does not
/// change: a [`DiffBuilder`] makes another. Two are equal when they change the same, in whatever order they tell it.
#[derive(Clone, Default)]
pub struct StateDiff {
    accounts: Vec<AccountDiff>,
    /// By account, in the order of `accounts`.
    slots: Vec<SlotDiff>,
    /// Where each account's slots begin, and at last where they end; empty when there is no account.
    starts: Vec<u32>,
    codes: B256Map<Bytes>,
    index: OnceLock<Index>,
}

/// How one account differs, its storage apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountDiff {
    /// Whose account it is.
    pub address: Address,
    /// The account afterwards, whether these fields changed or only its storage did; `None`: it is gone, storage and all.
    pub account: Option<Account>,
    /// Whether all earlier storage is gone, as after a self-destruct, before the slots apply.
    pub wiped: bool,
}

/// A slot that changed, and its value afterwards. Zero deletes a slot.
pub type SlotDiff = (U256, U256);

impl StateDiff {
    /// Puts lists together, with a slot's account told by its place among `accounts`. Each address comes once, and each slot
    /// of an account too: a [`DiffBuilder`] takes what may not.
    ///
    /// # Panics
    ///
    /// When there is no account at a slot's place.
    pub fn from_lists(
        accounts: Vec<AccountDiff>,
        slots: impl Iterator<Item = (u32, SlotDiff)> + Clone,
        codes: B256Map<Bytes>,
    ) -> Self {
        if accounts.is_empty() {
            assert_eq!(slots.count(), 0, "slots belong to accounts");
            return Self { codes, ..Self::default() };
        }
        // A counting sort. First each account's number of slots stands one behind its place, then where they begin, and once
        // they are all written, where they end, which is where the next one's begin.
        let mut starts = vec![0_u32; accounts.len() + 1];
        for (owner, _) in slots.clone() {
            starts[owner as usize + 1] += 1;
        }
        let mut count = 0;
        for start in &mut starts[1..] {
            count += std::mem::replace(start, count);
        }
        let mut grouped = vec![SlotDiff::default(); count as usize];
        for (owner, slot) in slots {
            let next = &mut starts[owner as usize + 1];
            grouped[*next as usize] = slot;
            *next += 1;
        }
        let diff = Self { accounts, slots: grouped, starts, codes, index: OnceLock::new() };
        debug_assert!(Index::of(&diff).is_complete(&diff), "something is told twice: {diff:?}");
        diff
    }

    /// What several differences change, each leading on from the one before.
    pub fn merge<'a>(in_order: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut builder = DiffBuilder::default();
        in_order.into_iter().for_each(|diff| builder.extend(diff));
        builder.build()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.codes.is_empty()
    }

    /// Every account of which anything changed, with its slots that did, in no particular order.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = (&AccountDiff, &[SlotDiff])> + Clone {
        let slots = self.starts.windows(2).map(|ends| {
            let [start, end] = [ends[0], ends[1]];
            &self.slots[start as usize..end as usize]
        });
        self.accounts.iter().zip(slots)
    }

    /// How an account differs, with its slots that do; nothing if it does not.
    pub fn account(&self, address: &Address) -> Option<(&AccountDiff, &[SlotDiff])> {
        let place = self.index().account(address)?;
        Some((&self.accounts[place as usize], &self.slots[self.range(place)]))
    }

    /// A slot's value afterwards; nothing if it is as before.
    pub fn storage(&self, address: &Address, slot: &U256) -> Option<U256> {
        let place = self.index().account(address)?;
        let AccountDiff { account, wiped, .. } = &self.accounts[place as usize];
        let zeroed = *wiped || account.is_none();
        self.named(place, slot).or_else(|| zeroed.then_some(U256::ZERO))
    }

    /// Code that was deployed, by its hash.
    pub fn codes(&self) -> &B256Map<Bytes> {
        &self.codes
    }

    /// The value that the account at a place has for a slot.
    fn named(&self, place: u32, slot: &U256) -> Option<U256> {
        let range = self.range(place);
        if range.len() > SCANNED_MAX {
            return self.index().slot(place, *slot).map(|at| self.slots[at as usize].1);
        }
        self.slots[range].iter().find(|(key, _)| key == slot).map(|(_, value)| *value)
    }

    /// Where the slots lie of the account at a place.
    fn range(&self, place: u32) -> Range<usize> {
        self.starts[place as usize] as usize..self.starts[place as usize + 1] as usize
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(self))
    }
}

impl PartialEq for StateDiff {
    fn eq(&self, other: &Self) -> bool {
        // Neither tells anything twice: where there is as much, and all of one in the other, there is nothing else.
        let same = |(account, slots): (&AccountDiff, &[SlotDiff])| {
            let Some(place) = other.index().account(&account.address) else { return false };
            let named = |(slot, value): &SlotDiff| other.named(place, slot) == Some(*value);
            other.accounts[place as usize] == *account
                && other.range(place).len() == slots.len()
                && slots.iter().all(named)
        };
        self.accounts.len() == other.accounts.len()
            && self.codes == other.codes
            && self.accounts().all(same)
    }
}

impl Eq for StateDiff {}

/// What happened to accounts, in its order: an account may come again.
impl<S: IntoIterator<Item = SlotDiff>> FromIterator<(AccountDiff, S)> for StateDiff {
    fn from_iter<I: IntoIterator<Item = (AccountDiff, S)>>(changes: I) -> Self {
        let mut builder = DiffBuilder::default();
        changes.into_iter().for_each(|(account, slots)| builder.change(account, slots));
        builder.build()
    }
}

impl fmt::Debug for StateDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.accounts()).entries(&self.codes).finish()
    }
}
