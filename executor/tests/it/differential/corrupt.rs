//! Waypoints that lie.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, U256};
use millrace_types::{Account, AccountDiff, DiffBuilder, Waypoint};
use rand::{Rng, rngs::StdRng, seq::IteratorRandom};

/// A copy with one to three lies in it. Whoever believes them gets a wrong block, or none.
pub(crate) fn corrupt(waypoints: &[Waypoint], dice: &mut StdRng) -> Vec<Waypoint> {
    let mut corrupted = waypoints.to_vec();
    for _ in 0..dice.random_range(1..=3) {
        tell_lie(&mut corrupted, dice);
    }
    corrupted
}

fn tell_lie(waypoints: &mut Vec<Waypoint>, dice: &mut StdRng) {
    if waypoints.is_empty() {
        return;
    }
    let place = dice.random_range(0..waypoints.len());
    let other = dice.random_range(0..waypoints.len());
    match dice.random_range(0..9) {
        0 => drop(waypoints.remove(place)),
        1 => waypoints.swap(place, other),
        2 => waypoints.truncate(place),
        3 => waypoints.insert(other, waypoints[place].clone()),
        4 => waypoints[place].transactions = dice.random_range(0..500),
        5 => {
            let diff = waypoints[other].diff.clone();
            waypoints[place].diff = diff;
        }
        _ => distort(&mut waypoints[place], dice),
    }
}

/// Changes what one account is said to have become.
fn distort(waypoint: &mut Waypoint, dice: &mut StdRng) {
    let mut changed: BTreeMap<Address, (AccountDiff, BTreeMap<U256, U256>)> = waypoint
        .diff
        .accounts()
        .map(|(diff, slots)| (diff.address, (*diff, slots.iter().copied().collect())))
        .collect();
    let mut told = DiffBuilder::default();
    for (hash, code) in waypoint.diff.codes() {
        told.deploy(*hash, code.clone());
    }
    match changed.keys().copied().choose(dice) {
        None => {
            let address = Address::repeat_byte(0x99);
            let account = Some(Account { balance: U256::from(5), ..Account::default() });
            told.change(AccountDiff { address, account, wiped: false }, []);
        }
        Some(address) if dice.random_bool(0.2) => drop(changed.remove(&address)),
        Some(address) => {
            let (diff, slots) = changed.entry(address).or_default();
            lie_about(diff, slots, dice);
        }
    }
    changed.into_values().for_each(|(diff, slots)| told.change(diff, slots));
    waypoint.diff = Arc::new(told.build());
}

fn lie_about(diff: &mut AccountDiff, slots: &mut BTreeMap<U256, U256>, dice: &mut StdRng) {
    match dice.random_range(0..6) {
        0 => diff.account = None,
        1 => diff.wiped = !diff.wiped,
        2 => slots.clear(),
        3 => {
            let account = diff.account.get_or_insert_default();
            account.nonce = account.nonce.wrapping_add(dice.random_range(1..3));
        }
        4 => {
            let account = diff.account.get_or_insert_default();
            account.balance ^= U256::from(dice.random_range(1..8_u8));
        }
        _ => {
            let slot = slots.keys().copied().choose(dice).unwrap_or_default();
            slots.insert(slot, U256::from(dice.random_range(0..4_u8)));
        }
    }
}
