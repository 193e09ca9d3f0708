//! What a block, or a part of one, changes in the world state.

use alloy_primitives::{
    Bytes, U256,
    map::{AddressMap, B256Map, HashMap},
};

use crate::Account;

/// Storage slots and their values.
pub type StorageMap = HashMap<U256, U256>;

/// The difference between two states: apply it to the first and the second appears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateDiff {
    /// Every account of which anything changed.
    pub accounts: AddressMap<AccountDiff>,
    /// Code that was deployed, by its hash.
    pub codes: B256Map<Bytes>,
}

/// How one account differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountDiff {
    /// The account afterwards, whether these fields changed or only its storage did; `None`: it is gone, storage and all.
    pub account: Option<Account>,
    /// Whether all earlier storage is gone, as after a self-destruct, before [`storage`](Self::storage) applies.
    pub wiped: bool,
    /// The slots that changed, with their values afterwards. Zero deletes a slot.
    pub storage: StorageMap,
}

impl StateDiff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.codes.is_empty()
    }

    /// Adds what changed afterwards, so that `self` spans both.
    pub fn extend(&mut self, later: &Self) {
        for (address, diff) in &later.accounts {
            self.accounts.entry(*address).or_default().extend(diff);
        }
        self.codes.extend(later.codes.iter().map(|(hash, code)| (*hash, code.clone())));
    }
}

impl AccountDiff {
    /// Adds what changed afterwards, so that `self` spans both.
    ///
    /// An account that goes forgets its earlier slots only where `wiped` says so: a difference that leads back to before
    /// an account existed names each of its slots instead.
    pub fn extend(&mut self, later: &Self) {
        self.account = later.account;
        if later.wiped {
            self.wiped = true;
            self.storage.clear();
        }
        self.storage.extend(&later.storage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wipe_forgets_the_slots_before_it() {
        let slot = |value: u64| StorageMap::from_iter([(U256::from(1), U256::from(value))]);
        let mut diff =
            AccountDiff { account: Some(Account::default()), wiped: false, storage: slot(5) };
        diff.extend(&AccountDiff { account: None, wiped: true, storage: StorageMap::default() });
        assert_eq!(
            diff,
            AccountDiff { account: None, wiped: true, storage: StorageMap::default() }
        );
        diff.extend(&AccountDiff {
            account: Some(Account::default()),
            wiped: false,
            storage: slot(7),
        });
        assert_eq!(
            diff,
            AccountDiff { account: Some(Account::default()), wiped: true, storage: slot(7) }
        );
    }

    #[test]
    fn a_difference_that_leads_back_keeps_every_slot_that_it_names() {
        let slot =
            |slot: u64, value: u64| StorageMap::from_iter([(U256::from(slot), U256::from(value))]);
        let mut back =
            AccountDiff { account: Some(Account::default()), wiped: false, storage: slot(6, 14) };
        back.extend(&AccountDiff { account: None, wiped: false, storage: slot(2, 0) });
        assert_eq!((back.account, back.wiped), (None, false));
        assert_eq!(back.storage.len(), 2);
    }
}
