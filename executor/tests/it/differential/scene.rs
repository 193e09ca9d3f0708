//! Made-up chains of blocks over the town: who lives there, and what is fixed about each block.

use std::sync::{Arc, LazyLock};

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address};
use millrace_executor::{BlockAttributes, Candidate, Limits};
use millrace_protocol::predeploys::{
    BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS, L1_BLOCK, SEQUENCER_FEE_VAULT, l1_block_slots,
};
use millrace_types::{Header, SealedHeader, Transaction};
use op_alloy_consensus::TxDeposit;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use crate::{
    oracle::{Family, Memory},
    world::{ETHER, GAS_LIMIT, authorize, deposit},
    zoo,
};

/// How many people have a key with which they can delegate.
pub(super) const KEYS: u8 = 6;

static KEYED: LazyLock<Vec<Address>> =
    LazyLock::new(|| (1..=KEYS).map(|key| authorize(key, Address::ZERO, 0).0).collect());

/// Slots of L1Block that its stand-in fills from the words of its calldata.
const PRICES: [U256; 4] = [
    l1_block_slots::BASE_FEE,
    l1_block_slots::FEE_SCALARS,
    l1_block_slots::BLOB_BASE_FEE,
    l1_block_slots::OPERATOR_FEE,
];

/// Who sends the L1 attributes.
const L1_ATTRIBUTES_SENDER: Address = address!("deaddeaddeaddeaddeaddeaddeaddeaddead0001");

/// A chain that grows, and the dice that decide how.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) family: Family,
    pub(super) dice: StdRng,
    /// Everybody who sends transactions: first those with plenty, then those with keys, then the poor.
    pub(super) users: Vec<Address>,
    /// The state after the last block.
    pub(super) state: Arc<Memory>,
    parent: SealedHeader,
}

/// A block that is to be built.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) attributes: BlockAttributes,
    pub(super) deposits: Vec<Arc<Transaction>>,
    pub(super) groups: Vec<(Vec<Candidate>, Limits)>,
}

impl Scene {
    /// The same chain for the same seed.
    pub(super) fn new(family: Family, seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let user = |index: u8| Address::with_last_byte(index).create(0);
        let rich = if dice.random_bool(0.5) { 80 } else { dice.random_range(4..24) };
        let mut users: Vec<_> = (0..rich).map(user).collect();
        users.extend(KEYED.iter());
        users.extend((100..106).map(user));
        let mut state = found(&users, &mut dice);
        for index in 100..106 {
            let balance = 10_u128.pow(dice.random_range(7..14));
            state.set_balance(user(index), U256::from(balance));
        }
        let genesis = Header { number: 41, timestamp: 1_700_000_000, ..Header::default() };
        let parent = SealedHeader::seal_slow(genesis);
        state.set_block_hash(parent.number, parent.hash());
        Self { family, dice, users, state: Arc::new(state), parent }
    }

    /// What the next block is made of.
    pub(super) fn plan(&mut self) -> Plan {
        let attributes = self.attributes();
        let deposits = match self.family {
            Family::Ethereum => Vec::new(),
            Family::Rollup => self.deposits(),
        };
        let mut crowd = super::crowd::Crowd::new(self, &attributes);
        let groups = crowd.groups();
        Plan { attributes, deposits, groups }
    }

    /// Moves on to the state after the block.
    pub(super) fn advance(&mut self, attributes: &BlockAttributes, mut state: Memory) {
        let header = Header {
            parent_hash: self.parent.hash(),
            number: attributes.number(),
            timestamp: attributes.timestamp,
            ..Header::default()
        };
        self.parent = SealedHeader::seal_slow(header);
        state.set_block_hash(self.parent.number, self.parent.hash());
        self.state = Arc::new(state);
    }

    fn attributes(&mut self) -> BlockAttributes {
        let dice = &mut self.dice;
        // On Ethereum fees can go to anybody: nobody yet, a user, a contract, an account that delegates.
        let beneficiary = match self.family {
            Family::Rollup => SEQUENCER_FEE_VAULT,
            Family::Ethereum => match dice.random_range(0..5) {
                0 => Address::repeat_byte(0xcb),
                1 => *self.users.choose(dice).unwrap(),
                2 => zoo::VAULT_READER,
                3 => KEYED[0],
                _ => SEQUENCER_FEE_VAULT,
            },
        };
        let full = dice.random_bool(0.15);
        BlockAttributes {
            parent: self.parent.clone(),
            timestamp: self.parent.timestamp + dice.random_range(1..20),
            beneficiary,
            gas_limit: if full { dice.random_range(300_000..3_000_000) } else { GAS_LIMIT },
            base_fee: *[0, 7, 1_000, 1_000].choose(dice).unwrap(),
            prev_randao: dice.random(),
            parent_beacon_block_root: dice.random(),
            extra_data: Bytes::from_static(&[0; 9]),
            excess_blob_gas: 0,
        }
    }

    /// New prices, as a rule, then what users have sent from L1: much of it fails.
    fn deposits(&mut self) -> Vec<Arc<Transaction>> {
        let mut deposits = Vec::new();
        if self.dice.random_bool(0.9) {
            let words = prices(&mut self.dice).map(|price| price.to_be_bytes::<32>());
            deposits.push(TxDeposit {
                source_hash: self.dice.random(),
                from: L1_ATTRIBUTES_SENDER,
                to: TxKind::Call(L1_BLOCK),
                gas_limit: 250_000,
                input: words.concat().into(),
                ..TxDeposit::default()
            });
        }
        let count = if self.dice.random_bool(0.4) { self.dice.random_range(1..4) } else { 0 };
        for _ in 0..count {
            let from = *self.users.choose(&mut self.dice).unwrap();
            let (to, input) = match self.dice.random_range(0..6) {
                0 => (TxKind::Create, Bytes::from_static(&[0x60, 1, 0x5f, 0xf3])),
                1 => (TxKind::Create, Bytes::from_static(&[0xfe])),
                2 => (TxKind::Call(zoo::REVERTER), zoo::reverter_write_and_revert(1, 2)),
                3 => (TxKind::Call(zoo::TOKENS[0]), zoo::token_transfer(from, U256::from(9))),
                4 => (TxKind::Call(zoo::VAULT_READER), zoo::vaults_fold()),
                _ => (TxKind::Call(*self.users.choose(&mut self.dice).unwrap()), Bytes::new()),
            };
            let dice = &mut self.dice;
            deposits.push(TxDeposit {
                source_hash: dice.random::<B256>(),
                from,
                to,
                mint: if dice.random_bool(0.7) { dice.random_range(0..ETHER) } else { 0 },
                value: U256::from(dice.random_range(0..10 * ETHER)) >> dice.random_range(0..80),
                gas_limit: dice.random_range(20_000..70_000),
                is_system_transaction: dice.random_bool(0.02),
                input,
            });
        }
        deposits.into_iter().map(deposit).collect()
    }
}

/// The town with these users, all of whom have plenty.
pub(crate) fn found(users: &[Address], dice: &mut StdRng) -> Memory {
    let mut state = Memory::default();
    for user in users {
        state.set_balance(*user, U256::from(1_000 * ETHER));
    }
    for (place, contract, slots) in zoo::town(users) {
        state.set_code(place, contract.code());
        slots.into_iter().for_each(|(slot, value)| state.set_slot(place, slot, value));
    }
    state.set_balance(zoo::VAULT_READER, U256::from(ETHER));
    state.set_code(BEACON_ROOTS_ADDRESS, alloy_eips::eip4788::BEACON_ROOTS_CODE.clone());
    state.set_code(HISTORY_STORAGE_ADDRESS, alloy_eips::eip2935::HISTORY_STORAGE_CODE.clone());
    state.set_code(L1_BLOCK, l1_block_code());
    for (slot, value) in PRICES.into_iter().zip(prices(dice)) {
        state.set_slot(L1_BLOCK, slot, value);
    }
    state
}

/// Stores each word of calldata where a price lies.
fn l1_block_code() -> Vec<u8> {
    let store = |(word, slot): (u8, &U256)| [0x60, 32 * word, 0x35, 0x60, slot.byte(0), 0x55];
    (0..).zip(&PRICES).flat_map(store).collect()
}

fn prices(dice: &mut StdRng) -> [U256; 4] {
    let scalars = U256::from(dice.random_range(0..6_000_u64) << 32 | 1_000_000) << 64;
    let operator = U256::from(dice.random_range(0..3_000_000_u64)) << 64;
    [
        U256::from(dice.random_range(1..50_000_000_000_u64)),
        scalars,
        U256::from(dice.random_range(1..9_000_000_u64)),
        operator | U256::from(dice.random_range(0..9_000_u64)),
    ]
}
