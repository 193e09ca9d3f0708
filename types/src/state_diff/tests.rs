use std::collections::BTreeMap;

use alloy_primitives::{B256, keccak256};
use proptest::{collection::vec, option, prelude::*};

use super::*;

/// What an account became, as the documentation says it, in maps.
type Model = BTreeMap<Address, (AccountDiff, BTreeMap<U256, U256>)>;

/// Few addresses, so that they come again; few slots or enough for an index.
fn addresses() -> impl Strategy<Value = Address> {
    (0..6_u8).prop_map(Address::with_last_byte)
}

fn slots() -> impl Strategy<Value = Vec<SlotDiff>> {
    let slot =
        || (0..40_u8, 0..4_u8).prop_map(|(slot, value)| (U256::from(slot), U256::from(value)));
    prop_oneof![vec(slot(), 0..4), vec(slot(), 8..30)]
}

type Change = (AccountDiff, Vec<SlotDiff>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let account = (0..3_u64).prop_map(|nonce| Account { nonce, ..Account::default() });
    let change = (addresses(), option::of(account), any::<bool>(), slots());
    let change = change.prop_map(|(address, account, wiped, slots)| {
        (AccountDiff { address, account, wiped }, slots)
    });
    vec(change, 0..12)
}

fn apply(model: &mut Model, changes: &[Change]) {
    for (diff, slots) in changes {
        let (account, storage) = model.entry(diff.address).or_default();
        if diff.wiped {
            storage.clear();
        }
        *account = AccountDiff { wiped: account.wiped || diff.wiped, ..*diff };
        storage.extend(slots.iter().copied());
    }
}

fn model(changes: &[Change]) -> Model {
    let mut model = Model::new();
    apply(&mut model, changes);
    model
}

/// Everything that can be asked.
fn check(diff: &StateDiff, model: &Model) -> Result<(), TestCaseError> {
    let told: Model = diff
        .accounts()
        .map(|(account, slots)| (account.address, (*account, slots.iter().copied().collect())))
        .collect();
    prop_assert_eq!(&told, model);
    prop_assert_eq!(diff.accounts().len(), model.len());
    prop_assert_eq!(diff.is_empty(), model.is_empty());
    let count = diff.accounts().map(|(_, slots)| slots.len()).sum::<usize>();
    prop_assert_eq!(count, model.values().map(|(_, slots)| slots.len()).sum::<usize>());
    for address in (0..8).map(Address::with_last_byte) {
        let expected = model.get(&address);
        let found = diff.account(&address);
        prop_assert_eq!(found.map(|(account, _)| account), expected.map(|(account, _)| account));
        let storage = found.map(|(_, slots)| slots.iter().copied().collect::<BTreeMap<_, _>>());
        prop_assert_eq!(storage.as_ref(), expected.map(|(_, storage)| storage));
        for slot in (0..42).map(U256::from) {
            let value = expected.and_then(|(account, storage)| {
                let zeroed = account.wiped || account.account.is_none();
                storage.get(&slot).copied().or(zeroed.then_some(U256::ZERO))
            });
            prop_assert_eq!(diff.storage(&address, &slot), value);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_difference_is_what_maps_would_be(changes in changes()) {
        check(&changes.iter().cloned().collect(), &model(&changes))?;
    }

    #[test]
    fn merging_is_one_after_the_other(parts in vec(changes(), 0..5)) {
        let diffs: Vec<StateDiff> = parts.iter().map(|part| part.iter().cloned().collect()).collect();
        let whole = StateDiff::merge(&diffs);
        check(&whole, &model(&parts.concat()))?;
        // In whatever groups.
        let halves = diffs.split_at(diffs.len() / 2);
        prop_assert_eq!(StateDiff::merge([&StateDiff::merge(halves.0), &StateDiff::merge(halves.1)]), whole);
    }

    #[test]
    fn lists_make_the_same_in_any_order(changes in changes(), seed in any::<u64>()) {
        let diff: StateDiff = changes.into_iter().collect();
        let shuffled = |key: B256| keccak256([key.as_slice(), &seed.to_be_bytes()].concat());
        let mut accounts: Vec<_> = diff.accounts().collect();
        accounts.sort_by_key(|(account, _)| shuffled(account.address.into_word()));
        let mut slots: Vec<_> = (0..)
            .zip(&accounts)
            .flat_map(|(owner, (_, slots))| slots.iter().map(move |slot| (owner, *slot)))
            .collect();
        slots.sort_by_key(|(_, (slot, _))| shuffled(B256::from(*slot)));
        let accounts = accounts.iter().map(|(account, _)| **account).collect();
        let again = StateDiff::from_lists(accounts, slots.into_iter(), B256Map::default());
        prop_assert_eq!(&again, &diff);
        prop_assert_eq!(&diff, &again);
    }

    #[test]
    fn differences_are_equal_when_their_maps_are(one in changes(), other in changes(), at: prop::sample::Index) {
        let equal = |one: &[Change], other: &[Change]| {
            let [left, right] = [one, other].map(|changes| changes.iter().cloned().collect::<StateDiff>());
            (left == right, model(one) == model(other))
        };
        let (found, expected) = equal(&one, &other);
        prop_assert_eq!(found, expected);
        // Nearly the same: one change is missing.
        if !one.is_empty() {
            let mut less = one.clone();
            less.remove(at.index(one.len()));
            let (found, expected) = equal(&one, &less);
            prop_assert_eq!(found, expected);
        }
    }
}

const HOLDER: Address = Address::repeat_byte(7);

fn change(account: Option<Account>, wiped: bool, slots: &[(u64, u64)]) -> StateDiff {
    let slots = slots.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value)));
    StateDiff::from_iter([(AccountDiff { address: HOLDER, account, wiped }, slots)])
}

#[test]
fn a_wipe_forgets_the_slots_before_it() {
    let exists = Some(Account::default());
    let [before, wipe, after] = [
        change(exists, false, &[(1, 5)]),
        change(None, true, &[]),
        change(exists, false, &[(1, 7)]),
    ];
    assert_eq!(StateDiff::merge([&before, &wipe]), wipe);
    assert_eq!(StateDiff::merge([&before, &wipe, &after]), change(exists, true, &[(1, 7)]));
}

#[test]
fn a_difference_that_leads_back_keeps_every_slot_that_it_names() {
    let newer = change(Some(Account::default()), false, &[(6, 14)]);
    let older = change(None, false, &[(2, 0)]);
    assert_eq!(StateDiff::merge([&newer, &older]), change(None, false, &[(6, 14), (2, 0)]));
}

#[test]
fn a_slot_that_is_zeroed_by_name_is_not_one_that_is_wiped() {
    let exists = Some(Account::default());
    let [named, other] = [change(exists, true, &[(1, 0)]), change(exists, true, &[(2, 5)])];
    assert_ne!(named, other);
    assert_ne!(other, named);
}

#[test]
fn codes_count() {
    let mut builder = DiffBuilder::default();
    builder.deploy(B256::repeat_byte(1), Bytes::from_static(b"code"));
    let diff = builder.build();
    assert!(!diff.is_empty());
    assert_ne!(diff, StateDiff::default());
    assert_eq!(StateDiff::merge([&StateDiff::default(), &diff]), diff);
}
