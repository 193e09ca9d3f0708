//! Worlds and the transactions that happen in them.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, keccak256};
use millrace_contracts::{DevGenesis, Genesis, GenesisAccount};
use millrace_types::{Transaction, TxEnvelope};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::zoo::{
    Contract, Slots, pair_genesis, pair_swap, token_allowance_slot, token_genesis, token_transfer,
};

/// Enough for any number of blocks of any workload.
pub(crate) const GAS_LIMIT: u64 = 20_000_000_000;

const PAIRS: usize = 20;

/// Swaps are bound by the executor; everybody else only watches.
const TRADERS_MAX: usize = 100_000;

/// What everybody holds of each token.
const PLENTY: u128 = 1_000_000_000_000_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    /// A wei to somebody.
    Transfers,
    /// Some of an ERC-20 token to somebody.
    Tokens,
    /// In one of a few constant-product markets.
    Swaps,
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "transfers" => Ok(Self::Transfers),
            "tokens" => Ok(Self::Tokens),
            "swaps" => Ok(Self::Swaps),
            other => Err(format!("{other} is none of transfers, tokens, swaps")),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transfers => "transfers",
            Self::Tokens => "tokens",
            Self::Swaps => "swaps",
        })
    }
}

/// Somebody. Different indices, different addresses, in no order.
fn user(index: usize) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

fn token(index: u8) -> Address {
    Address::repeat_byte(0xa0 + index)
}

fn pair(index: usize) -> Address {
    Address::repeat_byte(0xb0 + index as u8)
}

impl Workload {
    /// A chain on which so many accounts are rich.
    pub(crate) fn genesis(self, accounts: usize) -> Genesis {
        let timestamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let timestamp = timestamp.unwrap().as_secs();
        let mut genesis =
            Genesis::dev(DevGenesis { timestamp, gas_limit: GAS_LIMIT, ..DevGenesis::default() });
        let balance = U256::from(10).pow(U256::from(30));
        let rich = |index| (user(index), GenesisAccount { balance, ..GenesisAccount::default() });
        genesis.alloc.extend((0..accounts).map(rich));
        let mut deploy = |address, contract: Contract, storage: Slots| {
            let storage: BTreeMap<_, _> = storage.into_iter().collect();
            let account =
                GenesisAccount { code: contract.code(), storage, ..GenesisAccount::default() };
            genesis.alloc.insert(address, account);
        };
        let plenty = U256::from(PLENTY);
        match self {
            Self::Transfers => {}
            Self::Tokens => {
                let holders = (0..accounts).map(|index| (user(index), plenty));
                deploy(token(0), Contract::Token, token_genesis(holders));
            }
            Self::Swaps => {
                let traders = accounts.min(TRADERS_MAX);
                for index in 0..2 {
                    let holders = (0..PAIRS).map(pair).chain((0..traders).map(user));
                    let mut slots = token_genesis(holders.map(|holder| (holder, plenty)));
                    let allowed = |trader| {
                        (token_allowance_slot(user(trader), pair(trader % PAIRS)), U256::MAX)
                    };
                    slots.extend((0..traders).map(allowed));
                    deploy(token(index), Contract::Token, slots);
                }
                for index in 0..PAIRS {
                    let slots = pair_genesis([0, 1].map(token), [PLENTY; 2]);
                    deploy(pair(index), Contract::Pair, slots);
                }
            }
        }
        genesis
    }

    /// So many transactions, in the order in which they are offered.
    pub(crate) fn transactions(
        self,
        accounts: usize,
        count: usize,
        seed: u64,
    ) -> Vec<Arc<Transaction>> {
        let senders = if self == Self::Swaps { accounts.min(TRADERS_MAX) } else { accounts };
        let mut turns: Vec<usize> = (0..senders).collect();
        turns.shuffle(&mut StdRng::seed_from_u64(seed));
        (0..count)
            .into_par_iter()
            .map(|index| {
                let rng = &mut StdRng::seed_from_u64(seed ^ (index as u64) << 20);
                let (sender, nonce) = (turns[index % senders], (index / senders) as u64);
                self.transaction(sender, nonce, user(rng.random_range(0..accounts)), rng)
            })
            .collect()
    }

    fn transaction(
        self,
        sender: usize,
        nonce: u64,
        receiver: Address,
        rng: &mut StdRng,
    ) -> Arc<Transaction> {
        let amount = U256::from(rng.random_range(1_000_000_u64..2_000_000));
        let (to, gas_limit, value, input) = match self {
            Self::Transfers => (receiver, 21_000, amount, Bytes::new()),
            Self::Tokens => (token(0), 60_000, U256::ZERO, token_transfer(receiver, amount)),
            Self::Swaps => {
                (pair(sender % PAIRS), 200_000, U256::ZERO, pair_swap(rng.random(), amount))
            }
        };
        let transaction = TxEip1559 {
            chain_id: millrace_contracts::DEV_CHAIN_ID,
            nonce,
            gas_limit,
            to: TxKind::Call(to),
            value,
            input,
            max_fee_per_gas: 1_000_000_000_000,
            max_priority_fee_per_gas: 1_000_000,
            ..TxEip1559::default()
        };
        // Signed by nobody: the sender is believed. As long and as random as a signature, so that it compresses like one.
        let signature = Signature::new(
            U256::from_be_bytes::<32>(rng.random()),
            U256::from_be_bytes::<32>(rng.random()),
            false,
        );
        let encoded = TxEnvelope::Eip1559(transaction.into_signed(signature)).encoded_2718();
        Arc::new(Transaction::decode_with_sender(encoded.into(), user(sender)).unwrap())
    }
}
