//! What transactions are about: calls of everything that the town offers, and of each other.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use millrace_protocol::predeploys::{
    BASE_FEE_VAULT, L1_BLOCK, L1_FEE_VAULT, OPERATOR_FEE_VAULT, SEQUENCER_FEE_VAULT,
};
use rand::{Rng, seq::IndexedRandom};

use super::Crowd;
use crate::{world::ETHER, zoo::*};

/// What somebody can be up to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pursuit {
    Transfer,
    Token,
    Pair,
    Pool,
    Lending,
    Nft,
    Game,
    Staking,
    Factory,
    Vaults,
    Revert,
    Thrash,
    Transient,
    Wallet,
    Delegate,
    Create,
}

impl Pursuit {
    /// What people can do without getting into each other's way, as a rule.
    pub(super) const CALM: [Self; 6] =
        [Self::Transfer, Self::Transfer, Self::Token, Self::Game, Self::Vaults, Self::Thrash];

    pub(super) const ALL: [Self; 16] = [
        Self::Transfer,
        Self::Token,
        Self::Pair,
        Self::Pool,
        Self::Lending,
        Self::Nft,
        Self::Game,
        Self::Staking,
        Self::Factory,
        Self::Vaults,
        Self::Revert,
        Self::Thrash,
        Self::Transient,
        Self::Wallet,
        Self::Delegate,
        Self::Create,
    ];
}

/// What a transaction is to do.
pub(super) struct Errand {
    pub(super) to: TxKind,
    pub(super) value: U256,
    pub(super) input: Bytes,
}

impl Errand {
    fn call(to: Address, input: Bytes) -> Self {
        Self { to: TxKind::Call(to), value: U256::ZERO, input }
    }

    fn with_value(self, value: u64) -> Self {
        Self { value: U256::from(value), ..self }
    }
}

impl Crowd<'_> {
    pub(super) fn errand(&mut self, pursuit: Pursuit, sender: Address, nonce: u64) -> Errand {
        match pursuit {
            Pursuit::Transfer | Pursuit::Delegate => self.transfer(sender),
            Pursuit::Token => Errand::call(self.token(), self.token_call(sender)),
            Pursuit::Pair => {
                let amount = self.amount();
                Errand::call(PAIR, pair_swap(self.chance(0.5), amount))
            }
            Pursuit::Pool if self.chance(0.1) => {
                let lower = self.dice.random_range(-50..50);
                let upper = lower + self.dice.random_range(0..30);
                Errand::call(POOL, pool_add(lower, upper, self.dice.random_range(1..1 << 40)))
            }
            Pursuit::Pool => {
                let amount = self.amount();
                Errand::call(POOL, pool_swap(self.chance(0.5), amount))
            }
            Pursuit::Lending => {
                let amount = self.amount();
                let input = match self.dice.random_range(0..6) {
                    0 => lending_borrow(amount >> 4),
                    1 => lending_repay(amount),
                    2 => lending_withdraw(amount >> 4),
                    _ => lending_deposit(amount),
                };
                Errand::call(LENDING, input)
            }
            Pursuit::Nft => Errand::call(NFT, self.nft_call(sender)),
            Pursuit::Game => {
                let joins = self.chance(0.05);
                let input =
                    if joins { game_join() } else { game_step(self.dice.random_range(0..5)) };
                Errand::call(GAME, input)
            }
            Pursuit::Staking => {
                let amount = self.amount();
                let input = match self.dice.random_range(0..3) {
                    0 => staking_claim(),
                    1 => staking_unstake(amount >> 4),
                    _ => staking_stake(amount),
                };
                Errand::call(STAKING, input)
            }
            Pursuit::Factory => self.factory_call(),
            Pursuit::Vaults => self.vaults_call(),
            Pursuit::Revert => self.reverter_call(),
            Pursuit::Thrash => {
                let (seed, count) = (self.dice.random_range(0..20), self.dice.random_range(0..12));
                let range = *[1, 4, 40, 4_000].choose(self.dice).unwrap();
                let range = if self.calm { 1 << 40 } else { range };
                let first = self.dice.random_range(0..range);
                Errand::call(
                    THRASHER,
                    match self.dice.random_range(0..5) {
                        0 => thrasher_chase(seed, count, range),
                        1 => thrasher_gather(first, count, first),
                        2 => thrasher_clear(first, count),
                        _ => thrasher_thrash(seed, count, range),
                    },
                )
            }
            Pursuit::Transient => {
                let levels = self.dice.random_range(0..10);
                Errand::call(TRANSIENT, transient_accumulate(levels, seed(nonce), self.chance(0.5)))
            }
            Pursuit::Wallet => {
                let inner = self.inner_call(sender);
                let input = wallet_execute(inner.0, U256::from(self.small()), &inner.1);
                let wallet = if self.chance(0.1) { WALLET } else { self.keyed() };
                Errand::call(wallet, input).with_value(self.small())
            }
            Pursuit::Create => {
                let value = if self.chance(0.3) { self.small() } else { 0 };
                let input = self.init_code();
                Errand { to: TxKind::Create, value: U256::from(value), input }
            }
        }
    }

    fn transfer(&mut self, sender: Address) -> Errand {
        let hot = self.chance(self.heat);
        let to = match self.dice.random_range(0..16) {
            _ if hot => self.users[0],
            0 => Address::with_last_byte(self.dice.random_range(1..=0x12)),
            1 => Address::from_word(B256::from(U256::from(0x100))),
            2 => self.beneficiary,
            3 => *[SEQUENCER_FEE_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_FEE_VAULT]
                .choose(self.dice)
                .unwrap(),
            4 => *[REVERTER, VAULT_READER, TOKENS[0], L1_BLOCK].choose(self.dice).unwrap(),
            5 => sender,
            // Nobody is there, unless somebody has sent something.
            6 => Address::repeat_byte(self.dice.random_range(0xa0..0xa8)),
            7 => self.keyed(),
            // A contract that somebody may have created.
            8 => {
                let creator = *self.senders.choose(self.dice).unwrap();
                creator.create(
                    self.next_nonce(creator).saturating_sub(self.dice.random_range(0..3)) + 1,
                )
            }
            _ => self.user(),
        };
        let value = match self.dice.random_range(0..12) {
            0..3 => 0,
            3 => self.dice.random_range(0..u64::MAX),
            _ => self.small(),
        };
        let huge = U256::from(2_000 * ETHER);
        let errand = Errand::call(to, Bytes::new()).with_value(value);
        if self.slip(0.2) { Errand { value: huge, ..errand } } else { errand }
    }

    fn token_call(&mut self, sender: Address) -> Bytes {
        let (user, amount) = (self.user(), self.amount());
        match self.dice.random_range(0..10) {
            0 => token_mint(user, amount),
            1 => token_approve(user, amount),
            2 => token_transfer_from(user, sender, amount),
            3 => token_transfer(sender, amount),
            4 => token_transfer(Address::ZERO, amount),
            _ => token_transfer(user, amount),
        }
    }

    fn nft_call(&mut self, sender: Address) -> Bytes {
        let (user, id) = (self.user(), self.dice.random_range(0..30));
        match self.dice.random_range(0..4) {
            0 => nft_transfer_from(sender, user, id),
            1 => nft_approve(user, id),
            _ => nft_mint(user),
        }
    }

    fn factory_call(&mut self) -> Errand {
        let (salt, heir) = (self.dice.random_range(1..5), self.user());
        let key = salt + self.dice.random_range(0..2);
        // What stays is in the way of all who come later, so as a rule it stays somewhere else.
        let standing = if self.chance(0.9) { 0 } else { salt };
        let input = match self.dice.random_range(0..9) {
            0 => factory_deploy(standing),
            1 => factory_destroy(standing, heir),
            2..5 => factory_flash(salt, heir),
            5 | 6 => factory_fund(salt),
            _ => factory_poke(standing, key, self.dice.random_range(0..9)),
        };
        let value = if self.chance(0.3) { self.small() } else { 0 };
        Errand::call(FACTORY, input).with_value(value)
    }

    fn vaults_call(&mut self) -> Errand {
        let key = self.dice.random_range(0..5);
        if self.calm || self.chance(0.4) {
            // At somebody who is perhaps being paid, or nobody yet.
            let nobody = Address::repeat_byte(self.dice.random_range(0xa0..0xa8));
            let who = if self.chance(0.3) { nobody } else { self.user() };
            return Errand::call(VAULT_READER, vaults_look(self.dice.random_range(0..40), who));
        }
        let input = match self.dice.random_range(0..8) {
            0 => vaults_fold(),
            1 | 2 => vaults_fork(key),
            3 => vaults_tip(),
            4 => Bytes::new(),
            _ => vaults_record(key),
        };
        Errand::call(VAULT_READER, input).with_value(self.small())
    }

    fn reverter_call(&mut self) -> Errand {
        let (slot, value) = (self.dice.random_range(0..6), self.dice.random_range(0..3));
        let input = match self.dice.random_range(0..10) {
            0 => reverter_write_and_revert(slot, value),
            1 if self.chance(0.3) => reverter_burn(slot),
            2 => reverter_halt(slot),
            3 => reverter_flip(slot),
            4 => reverter_nest(slot, self.dice.random_range(0..64)),
            5 => {
                let inner = self.inner_call(REVERTER);
                reverter_around(slot, inner.0, &inner.1)
            }
            6 => {
                let inner = reverter_around(slot, REVERTER, &reverter_write(slot, value));
                reverter_around(slot, REVERTER, &inner)
            }
            _ => reverter_write(slot, value),
        };
        Errand::call(REVERTER, input)
    }

    /// A call for a contract to make.
    pub(super) fn inner_call(&mut self, caller: Address) -> (Address, Bytes) {
        let user = self.user();
        match self.dice.random_range(0..6) {
            0 => (user, Bytes::new()),
            1 => (NFT, nft_mint(user)),
            2 => (REVERTER, reverter_flip(self.dice.random_range(0..6))),
            3 => (VAULT_READER, vaults_record(7)),
            4 => (FACTORY, factory_flash(1, user)),
            _ => (TOKENS[0], self.token_call(caller)),
        }
    }

    fn init_code(&mut self) -> Bytes {
        // Runtime code that counts its calls in slot 0.
        let counter = [0x5f, 0x54, 0x60, 1, 0x01, 0x5f, 0x55, 0x00];
        let deploy_counter = [&[0x67][..], &counter, &[0x5f, 0x52, 0x60, 8, 0x60, 24, 0xf3]];
        let heir = self.user();
        match self.dice.random_range(0..6) {
            0 => Bytes::from([&[0x73][..], heir.as_slice(), &[0xff]].concat()),
            1 => Bytes::from_static(&[0x5f, 0x5f, 0xfd]),
            2 => Bytes::from_static(&[0xfe]),
            // Stores the value that it is sent, and returns one byte of code, STOP.
            3 => Bytes::from_static(&[0x34, 0x5f, 0x55, 0x60, 1, 0x5f, 0xf3]),
            // Code that begins like a delegation may not be deployed (EIP-3541).
            4 => Bytes::from_static(&[0x60, 0xef, 0x5f, 0x53, 0x60, 1, 0x5f, 0xf3]),
            _ => deploy_counter.concat().into(),
        }
    }
}

/// Any number will do, as long as it is the same for the same transaction.
fn seed(nonce: u64) -> u64 {
    nonce % 5
}
