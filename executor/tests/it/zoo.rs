//! A small town of contracts that the tests of parallel execution share, and the tests that the zoo does what it says:
//! a differential test over calls that all revert would prove little.

#[path = "../../zoo/mod.rs"]
mod contracts;

use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, LogData, TxKind, U256, address, keccak256,
};
use millrace_executor::{OpenBlock, StateView};
use millrace_protocol::predeploys::{BASE_FEE_VAULT, SEQUENCER_FEE_VAULT};

pub(crate) use self::contracts::*;
use crate::world::*;

pub(crate) const TOKENS: [Address; 2] = [
    address!("7000000000000000000000000000000000000001"),
    address!("7000000000000000000000000000000000000002"),
];
pub(crate) const PAIR: Address = address!("7000000000000000000000000000000000000003");
pub(crate) const POOL: Address = address!("7000000000000000000000000000000000000004");
pub(crate) const LENDING: Address = address!("7000000000000000000000000000000000000005");
pub(crate) const NFT: Address = address!("7000000000000000000000000000000000000006");
pub(crate) const GAME: Address = address!("7000000000000000000000000000000000000007");
pub(crate) const STAKING: Address = address!("7000000000000000000000000000000000000008");
pub(crate) const FACTORY: Address = address!("7000000000000000000000000000000000000009");
pub(crate) const VAULT_READER: Address = address!("700000000000000000000000000000000000000a");
pub(crate) const REVERTER: Address = address!("700000000000000000000000000000000000000b");
pub(crate) const THRASHER: Address = address!("700000000000000000000000000000000000000c");
pub(crate) const TRANSIENT: Address = address!("700000000000000000000000000000000000000d");
pub(crate) const WALLET: Address = address!("700000000000000000000000000000000000000e");

/// What each market and each user of the town starts with, of each token.
const PURSE: u128 = 1_000_000_000_000;

/// When the town's interest and rewards begin to accrue: before its first block.
const FOUNDED_AT: u64 = 1_699_999_000;

/// The contracts of the town: where, what, and the storage to start from. Users own tokens and have allowed every market
/// to take them.
pub(crate) fn town(users: &[Address]) -> Vec<(Address, Contract, Slots)> {
    let markets = [PAIR, POOL, LENDING, STAKING];
    let owners = || markets.iter().chain(users).map(|owner| (*owner, U256::from(PURSE)));
    let token = || {
        let mut slots = token_genesis(owners());
        for user in users {
            for market in markets {
                slots.push((token_allowance_slot(*user, market), U256::MAX));
            }
        }
        slots
    };
    let ranges = [(-400, 400, PURSE), (-20, 20, 5 * PURSE), (-3, 2, 9 * PURSE), (5, 11, PURSE)];
    vec![
        (TOKENS[0], Contract::Token, token()),
        (TOKENS[1], Contract::Token, token()),
        (PAIR, Contract::Pair, pair_genesis(TOKENS, [PURSE, PURSE])),
        (POOL, Contract::ConcentratedPool, pool_genesis(TOKENS, &ranges)),
        (LENDING, Contract::Lending, lending_genesis(TOKENS[0], FOUNDED_AT)),
        (NFT, Contract::Nft, Slots::new()),
        (GAME, Contract::Game, game_genesis(&users[..users.len() / 2])),
        (STAKING, Contract::Staking, staking_genesis(TOKENS[1], FOUNDED_AT)),
        (FACTORY, Contract::Factory, Slots::new()),
        (VAULT_READER, Contract::VaultReader, Slots::new()),
        (REVERTER, Contract::Reverter, Slots::new()),
        (THRASHER, Contract::Thrasher, Slots::new()),
        (TRANSIENT, Contract::Transient, Slots::new()),
        (WALLET, Contract::Wallet, Slots::new()),
    ]
}

/// A block in which Alice and Bob call the contracts of the town.
struct Visit {
    block: OpenBlock,
    nonces: [u64; 2],
}

impl Visit {
    fn new() -> Self {
        let mut world = World::new().with_balance(BOB, ETHER);
        for (address, contract, slots) in town(&[ALICE, BOB]) {
            world = world.with_nonce(address, 1).with_code(address, contract.code());
            for (slot, value) in slots {
                world = world.with_slot(address, slot, value);
            }
        }
        let parent = attributes().parent;
        world.block_hashes.insert(parent.number, parent.hash());
        Self { block: world.open(), nonces: [0, 0] }
    }

    fn call(&mut self, sender: Address, to: Address, value: u64, input: Bytes) -> Entry {
        let nonce = &mut self.nonces[usize::from(sender == BOB)];
        let mut tx = transfer(*nonce);
        *nonce += 1;
        (tx.to, tx.value, tx.input) = (TxKind::Call(to), U256::from(value), input);
        tx.gas_limit = 2_000_000;
        include(&mut self.block, millrace_executor::Candidate::new(signed(tx, sender)))
    }

    /// Calls, which must succeed, and gives the last event.
    fn succeed(&mut self, sender: Address, to: Address, value: u64, input: Bytes) -> LogData {
        let included = self.call(sender, to, value, input);
        assert!(included.receipt.success);
        included.receipt.logs.last().map(|log| log.data.clone()).unwrap_or_default()
    }

    fn fail(&mut self, sender: Address, to: Address, input: Bytes) -> u64 {
        let included = self.call(sender, to, 0, input);
        assert!(!included.receipt.success);
        assert!(included.receipt.logs.is_empty());
        included.gas_used
    }

    fn slot(&mut self, address: Address, slot: impl Word) -> U256 {
        self.block.view().storage(&address, &slot.word()).unwrap()
    }

    fn tokens(&mut self, token: usize, owner: Address) -> u128 {
        self.slot(TOKENS[token], token_balance_slot(owner)).to()
    }
}

/// The position of a field in the artifact's storage layout.
fn position(contract: Contract, label: &str) -> U256 {
    let artifact = contract.artifact();
    let field =
        artifact["storage"].as_array().unwrap().iter().find(|field| field["label"] == label);
    U256::from(field.unwrap()["slot"].as_u64().unwrap())
}

fn words(data: &[u8]) -> Vec<U256> {
    data.chunks(32).map(U256::from_be_slice).collect()
}

#[test]
fn every_contract_has_code_and_its_functions_are_called_by_name() {
    for contract in Contract::ALL {
        let artifact = contract.artifact();
        assert_eq!(artifact["name"], format!("{contract:?}"));
        assert!(contract.code().len() > 100);
    }
    assert_eq!(position(Contract::Token, "allowance"), U256::from(2));
    assert_eq!(position(Contract::Pair, "reserve1"), U256::from(2));
    assert_eq!(position(Contract::ConcentratedPool, "bitmap"), U256::from(6));
    assert_eq!(position(Contract::Staking, "updatedAt"), U256::from(3));
}

#[test]
fn tokens_move() {
    let mut visit = Visit::new();
    let log = visit.succeed(ALICE, TOKENS[0], 0, token_transfer(BOB, U256::from(5)));
    assert_eq!(log.topics()[0], keccak256("Transfer(address,address,uint256)"));
    assert_eq!(visit.tokens(0, ALICE), PURSE - 5);
    assert_eq!(visit.tokens(0, BOB), PURSE + 5);
    visit.fail(ALICE, TOKENS[0], token_transfer(BOB, U256::from(PURSE)));
    visit.fail(ALICE, TOKENS[0], token_transfer_from(BOB, ALICE, U256::from(1)));
    visit.succeed(BOB, TOKENS[0], 0, token_approve(ALICE, U256::from(2)));
    visit.succeed(ALICE, TOKENS[0], 0, token_transfer_from(BOB, ALICE, U256::from(2)));
    assert_eq!(visit.slot(TOKENS[0], token_allowance_slot(BOB, ALICE)), U256::ZERO);
    visit.succeed(ALICE, TOKENS[0], 0, token_mint(BOB, U256::from(9)));
    assert_eq!(visit.tokens(0, BOB), PURSE + 5 - 2 + 9);
    assert_eq!(visit.slot(TOKENS[0], 0_u64), U256::from(6 * PURSE + 9));
}

#[test]
fn the_pair_keeps_its_product() {
    let mut visit = Visit::new();
    visit.succeed(ALICE, PAIR, 0, pair_swap(true, U256::from(1_000_000)));
    let bought = visit.tokens(1, ALICE) - PURSE;
    assert_eq!(bought, 996_999);
    assert_eq!(visit.tokens(0, ALICE), PURSE - 1_000_000);
    visit.succeed(BOB, PAIR, 0, pair_swap(false, U256::from(1_000_000)));
    let reserves: U256 = visit.slot(PAIR, 2_u64);
    let mask = (U256::from(1) << 112) - U256::from(1);
    let (reserve0, reserve1) = (reserves & mask, (reserves >> 112) & mask);
    assert_eq!(reserve0, U256::from(visit.tokens(0, PAIR)));
    assert!(reserve0 * reserve1 > U256::from(PURSE) * U256::from(PURSE));
    visit.fail(ALICE, PAIR, pair_swap(true, U256::from(2 * PURSE)));
}

#[test]
fn the_pool_crosses_ticks_and_comes_back() {
    let mut visit = Visit::new();
    let depth = visit.slot(POOL, 3_u64);
    assert_eq!(depth, U256::from(15 * PURSE));
    // The two inner ticks upwards of the price are 2 and 5: this swap crosses the first.
    visit.succeed(ALICE, POOL, 0, pool_swap(false, U256::from(35 * PURSE / 1_000)));
    assert_eq!(visit.slot(POOL, 3_u64), U256::from(6 * PURSE));
    let before = visit.tokens(0, ALICE);
    assert!(before > PURSE);
    // And this one crosses it again downwards, and so on to where the innermost range ends below.
    visit.succeed(BOB, POOL, 0, pool_swap(true, U256::from(90 * PURSE / 1_000)));
    assert_eq!(visit.slot(POOL, 3_u64), U256::from(6 * PURSE));
    let tick = mapping_slot(U256::from(5), 2);
    assert_eq!(visit.slot(POOL, tick) >> 128, U256::from(2));
    visit.succeed(ALICE, POOL, 0, pool_add(-300, 7, PURSE));
    assert_eq!(visit.slot(POOL, 3_u64), U256::from(7 * PURSE));
    visit.fail(ALICE, POOL, pool_add(7, 7, 1));
}

#[test]
fn the_market_lends_against_deposits() {
    let mut visit = Visit::new();
    visit.succeed(ALICE, LENDING, 0, lending_deposit(U256::from(1_000)));
    visit.fail(BOB, LENDING, lending_borrow(U256::from(1)));
    visit.succeed(ALICE, LENDING, 0, lending_borrow(U256::from(700)));
    assert_eq!(visit.tokens(0, ALICE), PURSE - 300);
    visit.fail(ALICE, LENDING, lending_borrow(U256::from(100)));
    visit.fail(ALICE, LENDING, lending_withdraw(U256::from(900)));
    visit.succeed(ALICE, LENDING, 0, lending_repay(U256::from(10_000)));
    visit.succeed(ALICE, LENDING, 0, lending_withdraw(U256::from(1_000)));
    assert!((PURSE - 2..=PURSE).contains(&visit.tokens(0, ALICE)));
    assert_eq!(visit.slot(LENDING, 3_u64), U256::from(attributes().timestamp));
}

#[test]
fn stakes_earn() {
    let mut visit = Visit::new();
    visit.succeed(ALICE, STAKING, 0, staking_stake(U256::from(1_000)));
    visit.succeed(BOB, STAKING, 0, staking_stake(U256::from(1_000)));
    visit.succeed(ALICE, STAKING, 0, staking_claim());
    visit.succeed(BOB, STAKING, 0, staking_unstake(U256::from(400)));
    assert_eq!(visit.slot(STAKING, 2_u64), U256::from(1_600));
    visit.fail(ALICE, STAKING, staking_unstake(U256::from(1_001)));
}

#[test]
fn tokens_of_a_kind_are_minted_and_units_step() {
    let mut visit = Visit::new();
    visit.succeed(ALICE, NFT, 0, nft_mint(ALICE));
    let log = visit.succeed(BOB, NFT, 0, nft_mint(BOB));
    assert_eq!(log.topics()[3], B256::with_last_byte(1));
    visit.fail(ALICE, NFT, nft_transfer_from(BOB, ALICE, 1));
    visit.succeed(BOB, NFT, 0, nft_approve(ALICE, 1));
    visit.succeed(ALICE, NFT, 0, nft_transfer_from(BOB, ALICE, 1));
    assert_eq!(visit.slot(NFT, mapping_slot(U256::from(2), ALICE)), U256::from(2));

    // Alice has joined before, Bob has not.
    visit.fail(BOB, GAME, game_step(0));
    visit.succeed(BOB, GAME, 0, game_join());
    visit.fail(ALICE, GAME, game_join());
    let there = visit.succeed(ALICE, GAME, 0, game_step(0));
    visit.succeed(ALICE, GAME, 0, game_step(3));
    let back = visit.succeed(ALICE, GAME, 0, game_step(1));
    assert_eq!(words(&there.data)[0], U256::from(1));
    assert_eq!(words(&back.data), [U256::from(1), ALICE.word()]);
}

#[test]
fn the_factory_reuses_addresses() {
    let mut visit = Visit::new();
    visit.succeed(ALICE, FACTORY, 4, factory_fund(1));
    for round in 1..=3_u64 {
        visit.succeed(ALICE, FACTORY, 7, factory_flash(1, BOB));
        let deployments = mapping_slot(U256::ZERO, 1_u64);
        assert_eq!(visit.slot(FACTORY, deployments), U256::from(round));
    }
    assert_eq!(balance(&visit.block.view(), BOB), U256::from(ETHER + 4 + 21));
    visit.fail(ALICE, FACTORY, factory_poke(1, 1, 1));
    let log = visit.succeed(ALICE, FACTORY, 5, factory_deploy(1));
    let child = Address::from_word(log.data[..32].try_into().unwrap());
    assert_eq!(balance(&visit.block.view(), child), U256::from(5));
    visit.fail(ALICE, FACTORY, factory_deploy(1));
    visit.succeed(ALICE, FACTORY, 0, factory_poke(1, 1, 1));
    // A child of an earlier transaction stays, and its storage with it; only its balance goes.
    visit.succeed(ALICE, FACTORY, 0, factory_destroy(1, BOB));
    visit.succeed(ALICE, FACTORY, 0, factory_poke(1, 1, 1));
    assert_eq!(visit.slot(child, 0_u64), U256::from(3));
    assert_eq!(balance(&visit.block.view(), child), U256::ZERO);
}

#[test]
fn the_reader_sees_the_vaults_as_they_are() {
    let mut visit = Visit::new();
    visit.call(BOB, ALICE, 1, Bytes::new());
    let coinbase = balance(&visit.block.view(), SEQUENCER_FEE_VAULT);
    let base_fees = balance(&visit.block.view(), BASE_FEE_VAULT);
    assert!(coinbase > U256::ZERO && base_fees > U256::ZERO);
    let seen = words(&visit.succeed(ALICE, VAULT_READER, 3, vaults_record(9)).data);
    assert_eq!((seen[0], seen[1], seen[4]), (coinbase, base_fees, U256::from(3)));
    assert_eq!(seen[5], attributes().parent.hash().word());
    visit.succeed(ALICE, VAULT_READER, 0, vaults_fold());
    assert_ne!(visit.slot(VAULT_READER, 1_u64), U256::ZERO);
    visit.succeed(ALICE, VAULT_READER, 0, vaults_fork(4));
    visit.succeed(ALICE, VAULT_READER, 4, vaults_tip());
    visit.succeed(ALICE, VAULT_READER, 0, vaults_look(8, CONTRACT));
    let snapshot = mapping_slot(U256::ZERO, 8_u64);
    assert_eq!(visit.slot(VAULT_READER, snapshot + U256::from(4)), U256::ZERO);
    visit.succeed(BOB, CONTRACT, 6, Bytes::new());
    visit.succeed(ALICE, VAULT_READER, 0, vaults_look(8, CONTRACT));
    assert_eq!(visit.slot(VAULT_READER, snapshot + U256::from(4)), U256::from(6));
    assert_eq!(visit.slot(VAULT_READER, snapshot + U256::from(5)), KECCAK256_EMPTY.word());
}

#[test]
fn failures_undo_what_they_should() {
    let mut visit = Visit::new();
    let value = |slot: u64| mapping_slot(U256::from(1), slot);
    visit.succeed(ALICE, REVERTER, 0, reverter_write(1, 10));
    visit.fail(ALICE, REVERTER, reverter_write_and_revert(1, 11));
    assert_eq!(visit.fail(ALICE, REVERTER, reverter_burn(1)), 2_000_000);
    assert_eq!(visit.fail(ALICE, REVERTER, reverter_halt(1)), 2_000_000);
    assert_eq!(visit.slot(REVERTER, value(1)), U256::from(10));
    visit.succeed(ALICE, REVERTER, 0, reverter_flip(2));
    visit.fail(ALICE, REVERTER, reverter_flip(2));
    // Level 1 is taken back, and level 0 below it with it.
    visit.succeed(ALICE, REVERTER, 0, reverter_nest(3, 0b0010));
    assert_eq!(visit.slot(REVERTER, value(0)), U256::ZERO);
    assert_eq!(visit.slot(REVERTER, value(3)), U256::from(1));
    assert_eq!(visit.slot(REVERTER, 2_u64), U256::from(1));
    // It calls itself between its own two writes: 1, then 1 + 0 + ... = (write 50) × 2 + 1.
    let back = reverter_write(4, 50);
    visit.succeed(ALICE, REVERTER, 0, reverter_around(4, REVERTER, &back));
    assert_eq!(visit.slot(REVERTER, value(4)), U256::from(101));
}

#[test]
fn cells_are_thrashed_and_sums_forgotten() {
    let mut visit = Visit::new();
    let cell = |index: u64| mapping_slot(U256::ZERO, index);
    visit.succeed(ALICE, THRASHER, 0, thrasher_thrash(3, 2, 1));
    assert_eq!(visit.slot(THRASHER, cell(0)), U256::from(3 * 31 + 3));
    visit.succeed(ALICE, THRASHER, 0, thrasher_gather(0, 8, 20));
    assert_eq!(visit.slot(THRASHER, cell(20)), U256::from(96));
    visit.succeed(ALICE, THRASHER, 0, thrasher_clear(0, 1));
    assert_eq!(visit.slot(THRASHER, cell(0)), U256::ZERO);
    visit.succeed(ALICE, THRASHER, 0, thrasher_chase(3, 5, 4));
    assert!((0..4).any(|index| visit.slot(THRASHER, cell(index)) != U256::ZERO));

    visit.succeed(ALICE, TRANSIENT, 0, transient_accumulate(3, 2, true));
    visit.succeed(BOB, TRANSIENT, 0, transient_accumulate(3, 2, true));
    // 2 × (1 + 2 + 3), twice; the descent that is too deep leaves nothing.
    assert_eq!(visit.slot(TRANSIENT, 0_u64), U256::from(24));
}

#[test]
fn a_wallet_calls_for_its_owner() {
    let mut visit = Visit::new();
    visit.succeed(ALICE, WALLET, 9, Bytes::new());
    let inner = token_transfer(BOB, U256::from(PURSE));
    visit.succeed(ALICE, WALLET, 0, wallet_execute(BOB, U256::from(4), &[]));
    // It has no tokens: the call fails, and the wallet says so.
    let log = visit.succeed(ALICE, WALLET, 0, wallet_execute(TOKENS[0], U256::ZERO, &inner));
    assert_eq!(words(&log.data)[0], U256::ZERO);
    assert_eq!(visit.slot(WALLET, 0_u64), U256::from(9));
    assert_eq!(visit.slot(WALLET, 1_u64), U256::from(2));
    assert_eq!(balance(&visit.block.view(), WALLET), U256::from(5));
}
