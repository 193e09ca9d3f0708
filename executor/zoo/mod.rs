//! The contract zoo: small contracts that are written like real ones, for the executor's tests and benchmarks.
//!
//! `src/` holds the Solidity, `artifacts/` what `make contracts` compiles it to. None has a constructor: a contract is
//! put where a test wants it, and its `*_genesis` gives the storage to start from. The functions named after a
//! contract's own, such as [`token_transfer`], give the calldata for calling it. Beside them, [`mainnet`] reads a real block.

#![allow(dead_code, reason = "tests and benchmarks each use their own part of the zoo")]

pub(crate) mod mainnet;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use serde_json::Value;

/// The contracts that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Contract {
    /// Concentrated liquidity: a swap touches what its size makes it touch.
    ConcentratedPool,
    /// Deploys to addresses that can be used again.
    Factory,
    /// Steps on a shared board.
    Game,
    /// One market with global indices: serial by nature.
    Lending,
    /// Mints from one counter.
    Nft,
    /// A constant-product market of two tokens.
    Pair,
    /// Fails in every way there is.
    Reverter,
    /// One global reward a unit.
    Staking,
    /// Writes to unpredictable slots of a small range.
    Thrasher,
    /// An ERC-20 token.
    Token,
    /// Adds up in transient storage.
    Transient,
    /// Looks at the coinbase and the vaults.
    VaultReader,
    /// What accounts delegate to.
    Wallet,
}

impl Contract {
    /// All of them.
    pub(crate) const ALL: [Self; 13] = [
        Self::ConcentratedPool,
        Self::Factory,
        Self::Game,
        Self::Lending,
        Self::Nft,
        Self::Pair,
        Self::Reverter,
        Self::Staking,
        Self::Thrasher,
        Self::Token,
        Self::Transient,
        Self::VaultReader,
        Self::Wallet,
    ];

    /// The code of a deployed contract. It is parsed at every call: ask once.
    pub(crate) fn code(self) -> Bytes {
        let artifact = self.artifact();
        let code = artifact["runtimeBytecode"].as_str().expect("an artifact has code");
        code.parse().expect("code is hexadecimal")
    }

    /// What the compiler said about it, with its `storage` layout and its `abi`.
    pub(crate) fn artifact(self) -> Value {
        let json = match self {
            Self::ConcentratedPool => include_str!("artifacts/ConcentratedPool.json"),
            Self::Factory => include_str!("artifacts/Factory.json"),
            Self::Game => include_str!("artifacts/Game.json"),
            Self::Lending => include_str!("artifacts/Lending.json"),
            Self::Nft => include_str!("artifacts/Nft.json"),
            Self::Pair => include_str!("artifacts/Pair.json"),
            Self::Reverter => include_str!("artifacts/Reverter.json"),
            Self::Staking => include_str!("artifacts/Staking.json"),
            Self::Thrasher => include_str!("artifacts/Thrasher.json"),
            Self::Token => include_str!("artifacts/Token.json"),
            Self::Transient => include_str!("artifacts/Transient.json"),
            Self::VaultReader => include_str!("artifacts/VaultReader.json"),
            Self::Wallet => include_str!("artifacts/Wallet.json"),
        };
        serde_json::from_str(json).expect("artifacts are JSON")
    }
}

/// Storage to start from: slots and their values.
pub(crate) type Slots = Vec<(U256, U256)>;

/// Where a mapping at `position` keeps the value of `key`.
pub(crate) fn mapping_slot(position: U256, key: impl Word) -> U256 {
    keccak256([key.word().to_be_bytes::<32>(), position.to_be_bytes::<32>()].concat()).into()
}

/// Where a token keeps somebody's balance.
pub(crate) fn token_balance_slot(owner: Address) -> U256 {
    mapping_slot(U256::from(1), owner)
}

/// Where a token keeps an allowance.
pub(crate) fn token_allowance_slot(owner: Address, spender: Address) -> U256 {
    mapping_slot(mapping_slot(U256::from(2), owner), spender)
}

/// A token in which these hold that much. The supply is the sum.
pub(crate) fn token_genesis(balances: impl IntoIterator<Item = (Address, U256)>) -> Slots {
    let mut slots: Slots =
        balances.into_iter().map(|(owner, balance)| (token_balance_slot(owner), balance)).collect();
    let supply = slots.iter().map(|(_, balance)| *balance).sum();
    slots.push((U256::ZERO, supply));
    slots
}

/// A pair with these reserves, which it must also hold in the tokens.
pub(crate) fn pair_genesis(tokens: [Address; 2], reserves: [u128; 2]) -> Slots {
    let packed = U256::from(reserves[0]) | U256::from(reserves[1]) << 112;
    vec![(U256::ZERO, tokens[0].word()), (U256::from(1), tokens[1].word()), (U256::from(2), packed)]
}

/// A pool whose price is one, with so much liquidity in each of these ranges of ticks, which lie within ±500.
///
/// It pays in tokens that it must hold: about `liquidity × width ÷ 1,000` of each.
pub(crate) fn pool_genesis(tokens: [Address; 2], ranges: &[(i32, i32, u128)]) -> Slots {
    let mut nets = std::collections::BTreeMap::<i32, i128>::new();
    let mut liquidity = 0;
    for (lower, upper, amount) in ranges {
        *nets.entry(*lower).or_default() += *amount as i128;
        *nets.entry(*upper).or_default() -= *amount as i128;
        if *lower <= 0 && 0 < *upper {
            liquidity += amount;
        }
    }
    let mut words = std::collections::BTreeMap::<i32, U256>::new();
    let mut slots = vec![
        (U256::ZERO, tokens[0].word()),
        (U256::from(1), tokens[1].word()),
        (U256::from(2), U256::from(1) << 64),
        (U256::from(3), U256::from(liquidity)),
    ];
    for (tick, net) in nets {
        slots.push((mapping_slot(U256::from(5), tick), U256::from(net as u128)));
        *words.entry(tick >> 8).or_default() |= U256::from(1) << (tick & 0xff) as usize;
    }
    for (index, word) in words {
        slots.push((mapping_slot(U256::from(6), index), word));
    }
    slots
}

/// A market in which nobody has a position yet, and no time has passed at `timestamp`.
pub(crate) fn lending_genesis(token: Address, timestamp: u64) -> Slots {
    let one = U256::from(1) << 64;
    vec![
        (U256::ZERO, token.word()),
        (U256::from(1), one | one << 128),
        (U256::from(3), U256::from(timestamp)),
    ]
}

/// A board on which these have joined, each in a cell of its own.
pub(crate) fn game_genesis(players: &[Address]) -> Slots {
    let joined = U256::from(1) << 192;
    let player = |(cell, player): (u64, &Address)| {
        (mapping_slot(U256::ZERO, *player), joined | U256::from(cell * 5 % 4096))
    };
    (0..).zip(players).map(player).collect()
}

/// A reward scheme that begins at `timestamp`.
pub(crate) fn staking_genesis(token: Address, timestamp: u64) -> Slots {
    vec![(U256::ZERO, token.word()), (U256::from(3), U256::from(timestamp))]
}

pub(crate) fn token_mint(to: Address, amount: U256) -> Bytes {
    call("mint(address,uint256)", &[to.word(), amount])
}

pub(crate) fn token_approve(spender: Address, amount: U256) -> Bytes {
    call("approve(address,uint256)", &[spender.word(), amount])
}

pub(crate) fn token_transfer(to: Address, amount: U256) -> Bytes {
    call("transfer(address,uint256)", &[to.word(), amount])
}

pub(crate) fn token_transfer_from(from: Address, to: Address, amount: U256) -> Bytes {
    call("transferFrom(address,address,uint256)", &[from.word(), to.word(), amount])
}

/// The caller must have allowed the pair to take what goes in.
pub(crate) fn pair_swap(zero_for_one: bool, amount_in: U256) -> Bytes {
    call("swap(bool,uint256,uint256)", &[U256::from(zero_for_one), amount_in, U256::ZERO])
}

pub(crate) fn pool_add(lower: i32, upper: i32, liquidity: u128) -> Bytes {
    call("add(int24,int24,uint128)", &[lower.word(), upper.word(), U256::from(liquidity)])
}

/// The caller must have allowed the pool to take what goes in.
pub(crate) fn pool_swap(zero_for_one: bool, amount_in: U256) -> Bytes {
    call("swap(bool,uint256)", &[U256::from(zero_for_one), amount_in])
}

pub(crate) fn lending_deposit(amount: U256) -> Bytes {
    call("deposit(uint256)", &[amount])
}

pub(crate) fn lending_withdraw(shares: U256) -> Bytes {
    call("withdraw(uint128)", &[shares])
}

pub(crate) fn lending_borrow(amount: U256) -> Bytes {
    call("borrow(uint256)", &[amount])
}

pub(crate) fn lending_repay(amount: U256) -> Bytes {
    call("repay(uint256)", &[amount])
}

pub(crate) fn nft_mint(to: Address) -> Bytes {
    call("mint(address)", &[to.word()])
}

pub(crate) fn nft_approve(to: Address, id: u64) -> Bytes {
    call("approve(address,uint256)", &[to.word(), id.word()])
}

pub(crate) fn nft_transfer_from(from: Address, to: Address, id: u64) -> Bytes {
    call("transferFrom(address,address,uint256)", &[from.word(), to.word(), id.word()])
}

pub(crate) fn game_join() -> Bytes {
    call("join()", &[])
}

/// East, south, west, north are 0 to 3.
pub(crate) fn game_step(direction: u64) -> Bytes {
    call("step(uint8)", &[direction.word()])
}

pub(crate) fn staking_stake(amount: U256) -> Bytes {
    call("stake(uint128)", &[amount])
}

pub(crate) fn staking_unstake(amount: U256) -> Bytes {
    call("unstake(uint128)", &[amount])
}

pub(crate) fn staking_claim() -> Bytes {
    call("claim()", &[])
}

/// The value that is sent along goes to the child.
pub(crate) fn factory_deploy(salt: u64) -> Bytes {
    call("deploy(bytes32)", &[salt.word()])
}

/// Deploys and destroys within one transaction: nothing but the count remains, and the heir has the value.
pub(crate) fn factory_flash(salt: u64, heir: Address) -> Bytes {
    call("flash(bytes32,address)", &[salt.word(), heir.word()])
}

/// Sends the value to where the child is not yet.
pub(crate) fn factory_fund(salt: u64) -> Bytes {
    call("fund(bytes32)", &[salt.word()])
}

pub(crate) fn factory_poke(salt: u64, key: u64, value: u64) -> Bytes {
    call("poke(bytes32,uint256,uint256)", &[salt.word(), key.word(), value.word()])
}

pub(crate) fn factory_destroy(salt: u64, heir: Address) -> Bytes {
    call("destroy(bytes32,address)", &[salt.word(), heir.word()])
}

pub(crate) fn factory_child_at(salt: u64) -> Bytes {
    call("childAt(bytes32)", &[salt.word()])
}

pub(crate) fn vaults_record(key: u64) -> Bytes {
    call("record(uint256)", &[key.word()])
}

pub(crate) fn vaults_fold() -> Bytes {
    call("fold()", &[])
}

pub(crate) fn vaults_fork(key: u64) -> Bytes {
    call("fork(uint256)", &[key.word()])
}

/// Stores somebody's balance and the hash of their code.
pub(crate) fn vaults_look(key: u64, who: Address) -> Bytes {
    call("look(uint256,address)", &[key.word(), who.word()])
}

pub(crate) fn vaults_tip() -> Bytes {
    call("tip()", &[])
}

pub(crate) fn reverter_write(slot: u64, value: u64) -> Bytes {
    call("write(uint256,uint256)", &[slot.word(), value.word()])
}

pub(crate) fn reverter_write_and_revert(slot: u64, value: u64) -> Bytes {
    call("writeAndRevert(uint256,uint256)", &[slot.word(), value.word()])
}

/// Writes until the gas is gone.
pub(crate) fn reverter_burn(slot: u64) -> Bytes {
    call("burn(uint256)", &[slot.word()])
}

pub(crate) fn reverter_halt(slot: u64) -> Bytes {
    call("halt(uint256)", &[slot.word()])
}

/// Succeeds once a slot; from then on it reverts.
pub(crate) fn reverter_flip(slot: u64) -> Bytes {
    call("flip(uint256)", &[slot.word()])
}

/// The bits of `failing` say which of the `depth` levels are taken back.
pub(crate) fn reverter_nest(depth: u64, failing: u64) -> Bytes {
    call("nest(uint256,uint256)", &[depth.word(), failing.word()])
}

/// The value that is sent along goes to the target.
pub(crate) fn reverter_around(slot: u64, target: Address, data: &[u8]) -> Bytes {
    call_with_bytes("around(uint256,address,bytes)", &[slot.word(), target.word()], data)
}

pub(crate) fn thrasher_thrash(seed: u64, count: u64, range: u64) -> Bytes {
    call("thrash(uint256,uint256,uint256)", &[seed.word(), count.word(), range.word()])
}

/// Each cell says which comes next.
pub(crate) fn thrasher_chase(seed: u64, count: u64, range: u64) -> Bytes {
    call("chase(uint256,uint256,uint256)", &[seed.word(), count.word(), range.word()])
}

pub(crate) fn thrasher_gather(first: u64, count: u64, into: u64) -> Bytes {
    call("gather(uint256,uint256,uint256)", &[first.word(), count.word(), into.word()])
}

pub(crate) fn thrasher_clear(first: u64, count: u64) -> Bytes {
    call("clear(uint256,uint256)", &[first.word(), count.word()])
}

pub(crate) fn transient_accumulate(levels: u64, each: u64, shared: bool) -> Bytes {
    let shared = U256::from(shared);
    call("accumulate(uint256,uint256,bool)", &[levels.word(), each.word(), shared])
}

/// Calls `target` in the wallet's name, which the wallet survives if it fails.
pub(crate) fn wallet_execute(target: Address, value: U256, data: &[u8]) -> Bytes {
    call_with_bytes("execute(address,uint256,bytes)", &[target.word(), value], data)
}

/// The selector of a function and its arguments, none of which is of variable length.
pub(crate) fn call(signature: &str, arguments: &[U256]) -> Bytes {
    let mut data = keccak256(signature)[..4].to_vec();
    data.extend(arguments.iter().flat_map(U256::to_be_bytes::<32>));
    data.into()
}

/// The same with an argument of bytes at the end.
fn call_with_bytes(signature: &str, arguments: &[U256], bytes: &[u8]) -> Bytes {
    let offset = 32 * (arguments.len() + 1);
    let mut words = arguments.to_vec();
    words.extend([U256::from(offset), U256::from(bytes.len())]);
    let mut data = call(signature, &words).to_vec();
    data.extend(bytes);
    data.resize(data.len() + bytes.len().next_multiple_of(32) - bytes.len(), 0);
    data.into()
}

/// What fills one word of calldata, or is the key of a mapping.
pub(crate) trait Word {
    fn word(self) -> U256;
}

impl Word for U256 {
    fn word(self) -> U256 {
        self
    }
}

impl Word for B256 {
    fn word(self) -> U256 {
        self.into()
    }
}

impl Word for Address {
    fn word(self) -> U256 {
        self.into_word().into()
    }
}

impl Word for u64 {
    fn word(self) -> U256 {
        U256::from(self)
    }
}

/// Negative numbers fill the word with ones, as Solidity wants it.
impl Word for i32 {
    fn word(self) -> U256 {
        let magnitude = U256::from(self.unsigned_abs());
        if self < 0 { magnitude.wrapping_neg() } else { magnitude }
    }
}
