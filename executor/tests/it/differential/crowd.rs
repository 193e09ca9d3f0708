//! The transactions of one made-up block: a bit of everything that the town offers, or much of one thing.

mod envelopes;
mod errands;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, U256};
use millrace_executor::{BlockAttributes, Candidate, Limits};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use self::errands::Pursuit;
use super::scene::{KEYS, Scene};
use crate::{
    oracle::{Family, Memory},
    world::deposit,
    zoo::TOKENS,
};

/// The crowd that meets in one block.
pub(super) struct Crowd<'a> {
    dice: &'a mut StdRng,
    state: Arc<Memory>,
    beneficiary: Address,
    /// Who sends in this block: few, or everybody.
    senders: Vec<Address>,
    users: Vec<Address>,
    /// What this block is mostly about.
    fashion: Vec<Pursuit>,
    /// Whether they mostly leave each other alone. Where everybody meets everybody, all is run again in order, and what
    /// lanes get wrong would not show.
    calm: bool,
    /// How likely it is that a recipient or a market is the hot one.
    heat: f64,
    /// Mistakes are rare in some blocks and frequent in others.
    clumsiness: f64,
    /// Whether the chain takes transactions with blobs.
    knows_blobs: bool,
    /// The next nonce of everybody, if all goes as planned.
    nonces: HashMap<Address, u64>,
    sent: Vec<Candidate>,
}

impl<'a> Crowd<'a> {
    pub(super) fn new(scene: &'a mut Scene, attributes: &BlockAttributes) -> Self {
        let dice = &mut scene.dice;
        let users = scene.users.clone();
        let count = match dice.random_range(0..4) {
            0 => dice.random_range(1..4),
            _ => users.len(),
        };
        let senders = users.choose_multiple(dice, count).copied().collect();
        let calm = dice.random_bool(0.3);
        let fashion = match dice.random_range(0..3) {
            _ if calm => Pursuit::CALM.to_vec(),
            0 => vec![*Pursuit::ALL.choose(dice).unwrap()],
            1 => Pursuit::ALL.choose_multiple(dice, 3).copied().collect(),
            _ => Pursuit::ALL.to_vec(),
        };
        Self {
            state: scene.state.clone(),
            beneficiary: attributes.beneficiary,
            senders,
            users,
            fashion,
            heat: if calm { 0.0 } else { *[0.0, 0.3, 0.9].choose(dice).unwrap() },
            calm,
            clumsiness: *[0.0, 0.05, 0.4].choose(dice).unwrap(),
            knows_blobs: scene.family == Family::Ethereum,
            nonces: HashMap::new(),
            sent: Vec::new(),
            dice,
        }
    }

    /// All transactions, in groups of varying sizes.
    pub(super) fn groups(&mut self) -> Vec<(Vec<Candidate>, Limits)> {
        let count = match self.dice.random_range(0..100) {
            0..70 => self.dice.random_range(1..=12),
            70..97 => self.dice.random_range(12..=50),
            _ => self.dice.random_range(50..=400),
        };
        for _ in 0..count {
            let candidate = self.candidate();
            self.sent.push(candidate);
        }
        let mut left = std::mem::take(&mut self.sent);
        let mut groups = Vec::new();
        while !left.is_empty() {
            let size = match self.dice.random_range(0..3) {
                0 => left.len(),
                _ => self.dice.random_range(1..=left.len()),
            };
            let rest = left.split_off(size);
            groups.push((left, self.limits()));
            left = rest;
        }
        groups
    }

    fn limits(&mut self) -> Limits {
        let gas = match self.chance(0.1) {
            true => self.dice.random_range(50_000..5_000_000),
            false => u64::MAX,
        };
        let data_bytes = match self.chance(0.1) {
            true => self.dice.random_range(50..3_000),
            false => u64::MAX,
        };
        // Some time while the block is built: the one thing here that no seed repeats.
        let deadline = self
            .chance(0.02)
            .then(|| self.dice.random_range(0..20_000))
            .map(|micros| Instant::now() + Duration::from_micros(micros));
        Limits { gas, data_bytes, deadline }
    }

    fn candidate(&mut self) -> Candidate {
        // Somebody sends the same thing twice, or what only L1 may send.
        if self.slip(0.1) && !self.sent.is_empty() {
            return self.sent.choose(self.dice).unwrap().clone();
        }
        if self.slip(0.02) {
            return Candidate::new(deposit(op_alloy_consensus::TxDeposit::default()));
        }
        let sender = *self.senders.choose(self.dice).unwrap();
        let nonce = self.nonce(sender);
        let pursuit = *self.fashion.choose(self.dice).unwrap();
        if let Pursuit::Delegate = pursuit {
            return Candidate::new(self.delegation(sender, nonce));
        }
        let errand = self.errand(pursuit, sender, nonce);
        Candidate::new(self.transaction(sender, nonce, errand))
    }

    /// The sender's next nonce, unless it makes a mistake.
    fn nonce(&mut self, sender: Address) -> u64 {
        let next = self.next_nonce(sender);
        if self.slip(0.3) {
            let wrong = self.dice.random_range(0..4);
            return (next + wrong).saturating_sub(2);
        }
        self.nonces.insert(sender, next + 1);
        next
    }

    fn next_nonce(&self, of: Address) -> u64 {
        let now = || self.state.account_at(&of).map_or(0, |account| account.nonce);
        self.nonces.get(&of).copied().unwrap_or_else(now)
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.dice.random_bool(probability)
    }

    /// A mistake of a kind that is so frequent among all mistakes.
    fn slip(&mut self, share: f64) -> bool {
        let probability = share * self.clumsiness;
        self.chance(probability)
    }

    fn user(&mut self) -> Address {
        if self.chance(self.heat) { self.users[0] } else { *self.users.choose(self.dice).unwrap() }
    }

    fn keyed(&mut self) -> Address {
        let with_keys = self.users.len() - 6 - usize::from(KEYS);
        self.users[with_keys + self.dice.random_range(0..usize::from(KEYS))]
    }

    fn token(&mut self) -> Address {
        TOKENS[usize::from(self.dice.random_bool(0.2))]
    }

    /// Of tokens: little, much, or more than anybody has.
    fn amount(&mut self) -> U256 {
        let magnitude_max = if self.chance(0.1) { 45 } else { 36 };
        let magnitude = self.dice.random_range(0..magnitude_max);
        U256::from(self.dice.random_range(0..=1_u64 << magnitude))
    }

    fn small(&mut self) -> u64 {
        self.dice.random_range(0..100)
    }
}
