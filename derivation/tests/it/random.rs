//! Worlds made up from a seed, derived and compared with the model.
//!
//! `MILLRACE_SEED` says where to begin and `MILLRACE_WORLDS` how many: each world has a seed of its own, which a failure
//! prints, and with which that world comes first.

use alloy_primitives::Bytes;
use millrace_derivation::{PushError, Start};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    batcher::Habits,
    drive::{Drive, check},
    model::Tally,
    world::World,
};

const SEED: u64 = 0x4d69_6c6c_7261_6365;
const WORLDS: u64 = 60;
const L1_BLOCKS: usize = 120;

/// Makes worlds, and checks each. What takes long is done with a share of them.
fn worlds(habits: Habits, share: u64, check: impl Fn(&World, u64)) -> Tally {
    let (first, count) = (setting("MILLRACE_SEED", SEED), setting("MILLRACE_WORLDS", WORLDS));
    let count = count.div_ceil(share);
    println!("{count} worlds of {L1_BLOCKS} L1 blocks, the first with MILLRACE_SEED={first}");
    let mut sum = Tally::default();
    for seed in (0..count).map(|world| first.wrapping_add(world)) {
        let _on_failure = Announcement { seed };
        let world = World::grown(seed, habits, L1_BLOCKS);
        check(&world, seed);
        sum.add(&world.model.tally);
    }
    println!("{sum:?}");
    sum
}

fn check_from_genesis(world: &World, seed: u64) -> Drive {
    check(world, Start::genesis(&world.config), seed)
}

#[test]
fn a_good_batcher_is_understood() {
    let tally = worlds(Habits::GOOD, 1, |world, seed| drop(check_from_genesis(world, seed)));
    assert_eq!(tally.replaced, 0);
    // Now and then L1 is faster than blocks can follow, as each takes but one new origin.
    assert!(tally.expired * 100 < tally.batches);
}

#[test]
fn every_mistake_is_contained() {
    let tally = worlds(Habits::BAD, 1, |world, seed| drop(check_from_genesis(world, seed)));
    if setting("MILLRACE_WORLDS", WORLDS) >= WORLDS {
        tally.check();
    }
}

#[test]
fn losses_are_filled_up() {
    let tally = worlds(Habits::USUAL, 3, |world, seed| drop(check_from_genesis(world, seed)));
    assert_eq!(tally.replaced, 0);
    assert!(tally.expired > 100 && tally.dropped > 10);
}

#[test]
fn derivation_resumes_exactly_where_it_stood() {
    worlds(Habits::BAD, 5, |world, seed| {
        let whole = check_from_genesis(world, seed);
        let mut dice = StdRng::seed_from_u64(seed);
        for start in whole.progress.values() {
            if dice.random_ratio(1, 10) {
                check(world, *start, seed);
            }
        }
    });
}

/// Whatever L1 holds, derivation comes through, and every part of it by itself comes to the same.
#[test]
fn mutilated_data_is_survived_the_same_way_each_time() {
    worlds(Habits::BAD, 4, |world, seed| {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut world = world.clone();
        for block in &mut world.l1 {
            mutilate(&mut block.inbox, &mut dice);
        }
        let mut whole = Drive::new(&world, Start::genesis(&world.config), seed);
        whole.run(&world).unwrap();
        for start in whole.progress.values() {
            if dice.random_ratio(1, 10) {
                let mut part = whole.again(&world, *start, seed);
                part.run(&world).unwrap();
                let behind = &whole.derived[start.safe.id.number as usize..];
                assert_eq!(part.derived, behind, "from {start:?}");
            }
        }
    });
}

/// Damages some of what was posted.
fn mutilate(inbox: &mut Vec<Bytes>, dice: &mut StdRng) {
    for at in 0..inbox.len() {
        let mut data = inbox[at].to_vec();
        if data.is_empty() || dice.random_ratio(2, 3) {
            continue;
        }
        let byte = dice.random_range(0..data.len());
        match dice.random_range(0..5) {
            0 => data[byte] = dice.random(),
            // The frame's header, which most single bytes miss.
            1 => data[byte % 24] ^= 1 << dice.random_range(0..8),
            2 => data.truncate(byte),
            3 => inbox.push(data.clone().into()),
            _ => data.extend_from_within(1..),
        }
        inbox[at] = data.into();
    }
    if inbox.len() > 1 && dice.random_ratio(1, 5) {
        inbox.swap(0, 1);
    }
}

/// As long as no batch is dropped, a safe block tells all that matters of what came before it.
#[test]
fn derivation_begins_at_any_safe_block() {
    let tally = worlds(Habits::GOOD, 5, |world, seed| {
        let mut dice = StdRng::seed_from_u64(seed);
        if world.model.tally.dropped > 0 {
            return;
        }
        for made in &world.model.chain {
            if dice.random_ratio(1, 30) {
                check(world, Start::at(made.block), seed);
            }
        }
    });
    assert!(tally.dropped * 100 < tally.batches);
}

#[test]
fn a_reorganized_l1_is_noticed_and_derived_anew() {
    worlds(Habits::BAD, 5, |world, seed| {
        let mut dice = StdRng::seed_from_u64(seed);
        let depth = dice.random_range(1..=10);
        let mut old = World::grown(seed, Habits::BAD, L1_BLOCKS - depth);
        let mut new = old.fork(seed + 1);
        old.grow(dice.random_range(1..=depth));
        new.grow(depth + 5);

        let mut drive = check_from_genesis(&old, seed);
        let common = world.config.genesis.l1.number + (L1_BLOCKS - depth) as u64;
        let error = drive.run(&new).unwrap_err();
        assert!(matches!(error, PushError::Reorg { number, .. } if number > common), "{error}");
        check(&new, drive.progress[&common], seed);
    });
}

impl Tally {
    fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts().into_iter().zip(other.clone().counts()) {
            *sum.1 += *count.1;
        }
    }

    /// Everything has to have happened often.
    fn check(mut self) {
        for (name, count) in self.counts() {
            assert!(*count >= 10, "{name}: {count}");
        }
    }

    fn counts(&mut self) -> [(&'static str, &mut u64); 10] {
        [
            ("batches", &mut self.batches),
            ("span blocks", &mut self.span_blocks),
            ("overlaps", &mut self.overlaps),
            ("contradictions", &mut self.contradictions),
            ("past", &mut self.past),
            ("dropped", &mut self.dropped),
            ("replaced", &mut self.replaced),
            ("expired", &mut self.expired),
            ("late", &mut self.late),
            ("drifted", &mut self.drifted),
        ]
    }
}

/// Says how to see a failure again.
struct Announcement {
    seed: u64,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the world with MILLRACE_SEED={}", self.seed);
        }
    }
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's knobs are not the node's configuration"
    )]
    let value = std::env::var(name);
    value.map_or(default, |value| value.parse().unwrap())
}
