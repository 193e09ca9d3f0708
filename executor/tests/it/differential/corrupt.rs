//! Waypoints that lie.

use std::sync::Arc;

use alloy_primitives::{Address, U256};
use millrace_types::{Account, AccountDiff, Waypoint};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

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
    let diff = Arc::make_mut(&mut waypoint.diff);
    let Some(address) = pick(diff.accounts.keys(), dice) else {
        let invented = Account { balance: U256::from(5), ..Account::default() };
        let account = AccountDiff { account: Some(invented), ..AccountDiff::default() };
        diff.accounts.insert(Address::repeat_byte(0x99), account);
        return;
    };
    if dice.random_bool(0.2) {
        diff.accounts.remove(&address);
        return;
    }
    let entry = diff.accounts.entry(address).or_default();
    match dice.random_range(0..6) {
        0 => entry.account = None,
        1 => entry.wiped = !entry.wiped,
        2 => entry.storage.clear(),
        3 => {
            let account = entry.account.get_or_insert_default();
            account.nonce = account.nonce.wrapping_add(dice.random_range(1..3));
        }
        4 => {
            let account = entry.account.get_or_insert_default();
            account.balance ^= U256::from(dice.random_range(1..8_u8));
        }
        _ => {
            let slot = pick(entry.storage.keys(), dice).unwrap_or_default();
            entry.storage.insert(slot, U256::from(dice.random_range(0..4_u8)));
        }
    }
}

/// Any key of a map, the same for the same dice: maps have their own order in each run.
fn pick<'a, K: Copy + Ord + 'a>(keys: impl Iterator<Item = &'a K>, dice: &mut StdRng) -> Option<K> {
    let mut keys: Vec<K> = keys.copied().collect();
    keys.sort_unstable();
    keys.choose(dice).copied()
}
