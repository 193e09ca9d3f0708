//! Blocks that are made to go wrong: forecasts that are taught and then betrayed, places where everybody meets, states
//! that fail or break while they are read. Whatever happens, the oracle must agree.

mod arena;
mod faults;

use alloy_primitives::{Address, Bytes, TxKind, U256};
use millrace_executor::{Candidate, ExecuteError, Outcome, Rejection};

use self::arena::{USERS, on_any_number_of_threads, user};
use crate::{world::authorize, zoo::*};

const NOTHING: Bytes = Bytes::new();

fn some(amount: usize) -> U256 {
    U256::from(amount)
}

#[test]
fn forecasts_are_taught_and_betrayed() {
    on_any_number_of_threads(|arena| {
        // Everybody keeps to cells of its own, until nobody does.
        for range in [1 << 40, 1 << 40, 1, 7, 1 << 40, 2] {
            arena.crowd(|arena, sender| {
                arena.call(sender, THRASHER, thrasher_thrash(sender as u64, 3, range))
            });
        }
        // What a cell holds decides which comes next: nobody can know.
        for range in [1 << 40, 3, 50] {
            arena.crowd(|arena, sender| {
                arena.call(sender, THRASHER, thrasher_chase(sender as u64 * 7, 5, range))
            });
        }
        // Everybody pays somebody else, then all pay one, then one is paid by all and pays.
        for recipient in [None, Some(0), None, Some(1)] {
            arena.crowd(|arena, sender| {
                let to = user(recipient.unwrap_or(sender + USERS));
                arena.call(sender, TOKENS[0], token_transfer(to, some(sender)))
            });
        }
        assert!(arena.executor.stats().windows_parallel > 0);
    });
}

#[test]
fn everybody_meets_at_one_slot() {
    on_any_number_of_threads(|arena| {
        arena.crowd(|arena, sender| arena.call(sender, NFT, nft_mint(user(sender))));
        arena.crowd(|arena, sender| arena.call(sender, THRASHER, thrasher_thrash(3, 2, 1)));
        arena.crowd(|arena, sender| arena.call(sender, TOKENS[1], token_mint(user(0), some(5))));
        arena.crowd(|arena, sender| {
            let input = pair_swap(sender % 2 == 0, some(1_000 * (sender + 1)));
            arena.call(sender, PAIR, input)
        });
        arena.crowd(|arena, sender| {
            let input = pool_swap(sender % 3 == 0, some(9_000_000_000 * (sender + 1)));
            arena.call(sender, POOL, input)
        });
        arena.crowd(|arena, sender| arena.call(sender, LENDING, lending_deposit(some(sender))));
        arena.crowd(|arena, sender| arena.send(sender, user(0), 1, NOTHING));
    });
}

#[test]
fn one_sender_sends_everything() {
    on_any_number_of_threads(|arena| {
        let chain = (0..200).map(|index| match index % 3 {
            0 => arena.send(0, user(index), 1, NOTHING),
            1 => arena.call(0, TOKENS[0], token_transfer(user(index), some(1))),
            _ => arena.call(0, NFT, nft_mint(user(index))),
        });
        let chain = chain.collect();
        arena.run(vec![chain]);
        // The other way round only the last of the group can come in, and whatever follows it.
        let mut backwards: Vec<_> = (0..40).map(|to| arena.send(1, user(to), 1, NOTHING)).collect();
        backwards.reverse();
        let built = arena.run(vec![backwards]);
        assert_eq!(built.executed.transactions.len(), 1);
    });
}

#[test]
fn contention_comes_and_goes() {
    on_any_number_of_threads(|arena| {
        let groups = (0..24).map(|round| {
            let input = |sender: usize| match round % 2 {
                0 => thrasher_thrash(sender as u64, 2, 1 << 40),
                _ => thrasher_thrash(sender as u64, 2, 2),
            };
            let senders = 0..USERS / 2;
            senders.map(|sender| arena.call(sender, THRASHER, input(sender))).collect()
        });
        let groups = groups.collect();
        arena.run(groups);
        assert!(arena.executor.stats().windows_parallel > 0);
    });
}

#[test]
fn vaults_are_read_between_transfers() {
    on_any_number_of_threads(|arena| {
        for round in 0..3 {
            arena.crowd(|arena, sender| match (sender + round) % 8 {
                0 => arena.call(sender, VAULT_READER, vaults_record(sender as u64)),
                1 => arena.call(sender, VAULT_READER, vaults_fork(sender as u64)),
                2 => arena.call(sender, VAULT_READER, vaults_fold()),
                3 => arena.send(sender, VAULT_READER, 5, vaults_tip()),
                4 => arena.send(sender, arena.beneficiary(), 3, NOTHING),
                5 => arena.call(sender, TOKENS[0], token_transfer(user(sender + 9), some(3))),
                _ => arena.send(sender, user(sender + USERS), 1, NOTHING),
            });
        }
    });
}

#[test]
fn balances_are_read_while_they_are_added_to() {
    on_any_number_of_threads(|arena| {
        for round in 0..4 {
            // Some look at accounts, each at its own, that others pay into, before them or after.
            arena.crowd(|arena, sender| match (sender + round) % 3 {
                0 => {
                    let who = user(USERS + (sender + 7) % 16);
                    arena.call(sender, VAULT_READER, vaults_look(sender as u64, who))
                }
                _ => arena.send(sender, user(USERS + sender % 16), 5, NOTHING),
            });
        }
    });
}

#[test]
fn money_arrives_just_in_time() {
    const PURSE: u64 = 1_000_000_000_000_000_000;
    on_any_number_of_threads(|arena| {
        // Each can pay only because the one before it has.
        let relay = (0..60).map(|index| {
            let sender = if index == 0 { 0 } else { 2 * USERS + index };
            let amount = PURSE - PURSE / 100 * index as u64;
            arena.send(sender, user(2 * USERS + index + 1), amount, NOTHING)
        });
        let relay: Vec<_> = relay.collect();
        let built = arena.run(vec![relay]);
        assert_eq!(built.executed.transactions.len(), 60);
        // The other way round, most come too early.
        let mut backwards: Vec<_> = (0..60)
            .map(|index| {
                let sender = if index == 0 { 1 } else { 3 * USERS + index };
                let amount = PURSE - PURSE / 100 * index as u64;
                arena.send(sender, user(3 * USERS + index + 1), amount, NOTHING)
            })
            .collect();
        backwards.reverse();
        arena.run(vec![backwards]);
    });
}

#[test]
fn plain_accounts_turn_into_wallets_and_back() {
    on_any_number_of_threads(|arena| {
        let keys: Vec<_> = (1..=4).map(|key| authorize(key, Address::ZERO, 0).0).collect();
        for (round, target) in [WALLET, REVERTER, Address::ZERO, WALLET].into_iter().enumerate() {
            let before = (0..USERS / 2).map(|sender| (sender, keys[sender % 4]));
            let mut group: Vec<_> =
                before.map(|(sender, key)| arena.send(sender, key, 2, NOTHING)).collect();
            let nonces = |key: &u8| authorize(*key, target, round as u64).1;
            group.push(arena.delegate(USERS - 1, (1..=4).collect::<Vec<_>>().iter().map(nonces)));
            // To most of those who send, these are plain transfers; now they run code, which meets.
            for sender in 0..USERS / 2 {
                let inner = token_transfer(user(sender), some(1));
                group.push(arena.send(sender, keys[sender % 4], 3, NOTHING));
                let input = wallet_execute(TOKENS[0], U256::ZERO, &inner);
                group.push(arena.call(sender, keys[(sender + 1) % 4], input));
            }
            arena.run(vec![group]);
        }
    });
}

#[test]
fn contracts_appear_and_vanish_in_between() {
    // Runtime code that counts its calls in slot 0.
    let deploy_counter = Bytes::from_static(&[
        0x67, 0x5f, 0x54, 0x60, 1, 0x01, 0x5f, 0x55, 0x00, 0x5f, 0x52, 0x60, 8, 0x60, 24, 0xf3,
    ]);
    on_any_number_of_threads(|arena| {
        for _ in 0..3 {
            let created = user(0).create(arena.nonce(0));
            arena.crowd(|arena, sender| match sender {
                0 => arena.transact(0, TxKind::Create, 0, deploy_counter.clone()),
                _ => arena.send(sender, created, 0, Bytes::from_static(&[1])),
            });
            arena.crowd(|arena, sender| match sender % 4 {
                0 => arena.send(sender, FACTORY, 3, factory_fund(1)),
                1 => arena.send(sender, FACTORY, 2, factory_flash(1, user(sender))),
                2 => arena.call(sender, FACTORY, factory_poke(1, 1, 1)),
                _ => arena.call(sender, FACTORY, factory_flash(sender as u64 + 2, user(0))),
            });
        }
        // And one that stays, at an address where several have been.
        let stays = arena.call(0, FACTORY, factory_deploy(1));
        let used = (1..USERS).map(|sender| arena.call(sender, FACTORY, factory_poke(1, 1, 2)));
        let group = std::iter::once(stays).chain(used).collect();
        let built = arena.run(vec![group]);
        assert!(built.executed.receipts.iter().all(|receipt| receipt.success));
    });
}

#[test]
fn a_transaction_that_cannot_be_is_named_wherever_it_stands() {
    on_any_number_of_threads(|arena| {
        let group =
            (0..USERS).map(|sender| arena.call(sender, THRASHER, thrasher_thrash(1, 1, 99)));
        let group = group.collect();
        let (before, attributes) = (arena.state.clone(), arena.attributes.clone());
        let executed = arena.run(vec![group]).executed;
        for place in [1, 17, USERS] {
            let mut transactions = executed.transactions.clone();
            transactions.insert(place, transactions[place - 1].clone());
            let mut waypoints = executed.waypoints.clone();
            waypoints.last_mut().unwrap().transactions += 1;
            for waypoints in [&waypoints[..], &[]] {
                let (attributes, before) = (attributes.clone(), before.clone());
                let error = arena
                    .executor
                    .replay(attributes, &transactions, waypoints, before)
                    .unwrap_err();
                let ExecuteError::InvalidTransaction { index, hash, reason } = error else {
                    panic!("{error}")
                };
                assert_eq!((index, hash), (place, transactions[place].hash()));
                assert_eq!(*reason, Rejection::NonceTooLow { transaction: 0, state: 1 });
            }
        }
    });
}

#[test]
fn what_is_refused_leaves_the_others_alone() {
    on_any_number_of_threads(|arena| {
        let mut group: Vec<Candidate> = Vec::new();
        for sender in 0..USERS {
            let fine = arena.call(sender, NFT, nft_mint(user(sender)));
            group.push(fine.clone());
            // Again, and one that leaves a gap.
            group.push(fine);
            arena.skip_nonce(sender);
            group.push(arena.call(sender, TOKENS[0], token_transfer(user(0), some(1))));
        }
        let built = arena.run(vec![group]);
        let rejected = |outcome: &&Outcome| matches!(outcome, Outcome::Rejected(_));
        let outcomes = &built.rounds[0].group.outcomes;
        assert_eq!(outcomes.iter().filter(rejected).count(), 2 * USERS);
        // Nothing of the refused remains, so the next nonces are as before.
        assert_eq!(built.executed.transactions.len(), USERS);
    });
}
