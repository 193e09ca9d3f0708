//! The transactions of one made-up block: a bit of everything that the town offers, or much of one thing.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, b256};
use millrace_executor::{BlockAttributes, Candidate, Limits};
use millrace_protocol::predeploys::{
    BASE_FEE_VAULT, L1_BLOCK, L1_FEE_VAULT, OPERATOR_FEE_VAULT, SEQUENCER_FEE_VAULT,
};
use millrace_types::{Transaction, TxEnvelope};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use super::scene::{KEYS, Scene};
use crate::{
    oracle::{Family, Memory},
    world::{CHAIN_ID, ETHER, authorize, deposit, enveloped},
    zoo::*,
};

/// What somebody can be up to.
#[derive(Debug, Clone, Copy)]
enum Pursuit {
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
    const ALL: [Self; 16] = [
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

/// What a transaction is to do.
struct Errand {
    to: TxKind,
    value: U256,
    input: Bytes,
}

impl Errand {
    fn call(to: Address, input: Bytes) -> Self {
        Self { to: TxKind::Call(to), value: U256::ZERO, input }
    }

    fn with_value(self, value: u64) -> Self {
        Self { value: U256::from(value), ..self }
    }
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
        let fashion = match dice.random_range(0..3) {
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
            heat: *[0.0, 0.3, 0.9].choose(dice).unwrap(),
            clumsiness: *[0.0, 0.05, 0.4].choose(dice).unwrap(),
            knows_blobs: scene.family == Family::Ethereum,
            nonces: HashMap::new(),
            sent: Vec::new(),
            dice,
        }
    }

    /// All transactions, in groups of varying sizes.
    pub(super) fn groups(&mut self) -> Vec<(Vec<Candidate>, Limits<'static>)> {
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

    fn limits(&mut self) -> Limits<'static> {
        let gas = match self.chance(0.1) {
            true => self.dice.random_range(50_000..5_000_000),
            false => u64::MAX,
        };
        let data_bytes = match self.chance(0.1) {
            true => self.dice.random_range(50..3_000),
            false => u64::MAX,
        };
        // The time is up when it is asked for the third time, whoever asks.
        static ASKED: AtomicU64 = AtomicU64::new(0);
        let expired: &(dyn Fn() -> bool + Sync) = match self.chance(0.02) {
            true => &|| ASKED.fetch_add(1, Ordering::Relaxed) % 3 == 2,
            false => &|| false,
        };
        Limits { gas, data_bytes, expired }
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

    fn errand(&mut self, pursuit: Pursuit, sender: Address, nonce: u64) -> Errand {
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
    fn inner_call(&mut self, caller: Address) -> (Address, Bytes) {
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

    /// Wraps the errand into a transaction of any type, with figures that are mostly sensible.
    fn transaction(&mut self, sender: Address, nonce: u64, errand: Errand) -> Arc<Transaction> {
        let Errand { to, value, input } = errand;
        let gas_limit = self.gas_limit();
        let max_fee_per_gas = if self.slip(0.1) { self.dice.random_range(0..1_500) } else { 3_000 };
        let max_priority_fee_per_gas = match self.dice.random_range(0..4) {
            0 => 0,
            _ if self.slip(0.05) => 5_000,
            _ => self.dice.random_range(0..=max_fee_per_gas.min(700)),
        };
        let chain_id = if self.slip(0.03) { 1 } else { CHAIN_ID };
        let gas_price = max_fee_per_gas;
        let signature = Signature::test_signature();
        let envelope = match (self.dice.random_range(0..20), to) {
            (0..3, _) => TxEnvelope::Legacy(
                TxLegacy {
                    chain_id: Some(chain_id),
                    nonce,
                    gas_price,
                    gas_limit,
                    to,
                    value,
                    input,
                }
                .into_signed(signature),
            ),
            (3..5, _) => {
                let access_list = self.access_list();
                TxEnvelope::Eip2930(
                    TxEip2930 {
                        chain_id,
                        nonce,
                        gas_price,
                        gas_limit,
                        to,
                        value,
                        access_list,
                        input,
                    }
                    .into_signed(signature),
                )
            }
            (5, TxKind::Call(to)) if self.knows_blobs || self.slip(0.3) => TxEnvelope::Eip4844(
                TxEip4844 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list: AccessList::default(),
                    blob_versioned_hashes: vec![BLOB],
                    max_fee_per_blob_gas: 1,
                    input,
                }
                .into_signed(signature),
            ),
            (kind, _) => {
                let access_list =
                    if kind == 6 { self.access_list() } else { AccessList::default() };
                TxEnvelope::Eip1559(
                    TxEip1559 {
                        chain_id,
                        nonce,
                        gas_limit,
                        max_fee_per_gas,
                        max_priority_fee_per_gas,
                        to,
                        value,
                        access_list,
                        input,
                    }
                    .into_signed(signature),
                )
            }
        };
        enveloped(envelope, sender)
    }

    /// Enough, or anything from too little to too much.
    fn gas_limit(&mut self) -> u64 {
        match self.dice.random_range(0..20) {
            0 if self.slip(0.3) => self.dice.random_range(15_000..30_000),
            1..4 => self.dice.random_range(21_000..150_000),
            4 if self.slip(0.3) => 40_000_000,
            _ => self.dice.random_range(200_000..500_000),
        }
    }

    fn access_list(&mut self) -> AccessList {
        let places = [TOKENS[0], PAIR, NFT, THRASHER, self.user(), self.beneficiary];
        let dice = &mut *self.dice;
        let items = (0..dice.random_range(0..3)).map(|_| AccessListItem {
            address: *places.choose(dice).unwrap(),
            storage_keys: vec![B256::with_last_byte(dice.random_range(0..4)); 2],
        });
        AccessList(items.collect())
    }

    /// Somebody, perhaps the sender, delegates to something (EIP-7702), perhaps twice, perhaps with a wrong nonce.
    fn delegation(&mut self, sender: Address, nonce: u64) -> Arc<Transaction> {
        let mut authorization_list = Vec::new();
        for _ in 0..self.dice.random_range(1..3) {
            let key = self.dice.random_range(1..=KEYS);
            let authority = authorize(key, Address::ZERO, 0).0;
            let target = *[WALLET, WALLET, WALLET, Address::ZERO, REVERTER, VAULT_READER]
                .choose(self.dice)
                .unwrap();
            let mut its_nonce = self.next_nonce(authority);
            if self.slip(0.3) {
                its_nonce += 1;
            } else {
                self.nonces.insert(authority, its_nonce + 1);
            }
            authorization_list.push(authorize(key, target, its_nonce).1);
        }
        if self.slip(0.05) {
            authorization_list.clear();
        }
        let to = if self.chance(0.5) { self.keyed() } else { self.user() };
        let inner = self.inner_call(sender);
        let input = if self.chance(0.5) {
            wallet_execute(inner.0, U256::from(self.small()), &inner.1)
        } else {
            Bytes::new()
        };
        let tx = TxEip7702 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: self.gas_limit(),
            max_fee_per_gas: 3_000,
            max_priority_fee_per_gas: 500,
            to,
            value: U256::from(self.small()),
            access_list: AccessList::default(),
            authorization_list,
            input,
        };
        enveloped(TxEnvelope::Eip7702(tx.into_signed(Signature::test_signature())), sender)
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

/// Any number will do, as long as it is the same for the same transaction.
fn seed(nonce: u64) -> u64 {
    nonce % 5
}

/// A versioned hash of a blob that nobody needs to have seen.
const BLOB: B256 = b256!("0100000000000000000000000000000000000000000000000000000000000007");
