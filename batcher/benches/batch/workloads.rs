//! Blocks full of transfers, token transfers and swaps, with random signatures and the nonces of ten thousand senders.
//!
//! In two varieties: `plain` ones as programs make them (one token, one router, the same amount and fee for everybody,
//! recipients who got nothing before, swaps without a least output), and `varied` ones as wallets make them (amounts of three digits,
//! fees that follow each block's base fee with one of three tips, various gas limits, half of the recipients known, least
//! outputs as random as prices are). What varies has entropy of its own, some four bytes in a transfer and thirteen in a
//! swap, that the floor does not count.

use std::{collections::HashSet, ops::RangeInclusive, sync::Arc};

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, FixedBytesSliceExt, Signature, TxKind, U256, hex};
use millrace_batcher::SealedBlock;
use millrace_protocol::{BlockId, RollupConfig};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) variety: &'static str,
    pub(crate) blocks: Vec<Arc<SealedBlock>>,
    pub(crate) transactions: usize,
    /// The addresses that each block's transactions name.
    names: Vec<HashSet<Address>>,
}

impl Workload {
    /// Bytes that nothing can compress in the channel with these blocks: the signatures, and each address once.
    pub(crate) fn floor(&self, blocks: RangeInclusive<u64>) -> usize {
        let range = *blocks.start() as usize - 1..*blocks.end() as usize;
        let named: HashSet<_> = self.names[range.clone()].iter().flatten().collect();
        range.len() * BLOCK_TRANSACTIONS * SIGNATURE + named.len() * ADDRESS
    }
}

const BLOCK_TRANSACTIONS: usize = 1_000;
const SENDERS: usize = 10_000;
const TOKENS: usize = 20;
const SIGNATURE: usize = 64;
const ADDRESS: usize = 20;

/// What transactions are made of.
struct Scene {
    rng: StdRng,
    variety: Variety,
    senders: Vec<(Address, u64)>,
    tokens: Vec<Address>,
    routers: Vec<Address>,
    /// Addresses that the open block's transactions name.
    named: HashSet<Address>,
    base_fee: u128,
    timestamp: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variety {
    Plain,
    Varied,
}

/// Recipient, gas limit, value and input.
type Call = (Address, u64, U256, Bytes);
type MakeCall = fn(&mut Scene) -> Call;

pub(crate) fn all(rollup: &RollupConfig, count: usize, seed: u64) -> Vec<Workload> {
    let calls: [(_, MakeCall); 3] =
        [("transfers", Scene::transfer), ("tokens", Scene::token_transfer), ("swaps", Scene::swap)];
    let varieties = [("plain", Variety::Plain), ("varied", Variety::Varied)];
    let mut workloads = Vec::new();
    for (label, variety) in varieties {
        for (name, call) in calls {
            let scene = Scene::new(seed, variety);
            let (blocks, names) = scene.blocks(rollup, count, call);
            let transactions = blocks.len() * BLOCK_TRANSACTIONS;
            workloads.push(Workload { name, variety: label, blocks, transactions, names });
        }
    }
    workloads
}

impl Scene {
    /// The blocks, and the addresses that they name.
    fn blocks(
        mut self,
        rollup: &RollupConfig,
        count: usize,
        call: MakeCall,
    ) -> (Vec<Arc<SealedBlock>>, Vec<HashSet<Address>>) {
        let (mut blocks, mut names) = (Vec::new(), Vec::new());
        let mut parent_hash = rollup.genesis.l2.hash;
        for number in 1..=count.div_ceil(BLOCK_TRANSACTIONS) as u64 {
            /// L1's block time in L2 blocks.
            const EPOCH: u64 = 12;
            if self.variety == Variety::Varied {
                self.base_fee += self.rng.random_range(0..self.base_fee / 100);
            }
            self.timestamp = rollup.genesis.l2_time + number * rollup.block_time;
            let id = BlockId { number, hash: self.hash() };
            let l1_number = rollup.genesis.l1.number + number / EPOCH;
            let hash = B256::from(U256::from(l1_number));
            let transactions = (0..BLOCK_TRANSACTIONS)
                .map(|_| {
                    let call = call(&mut self);
                    self.sign(rollup, call)
                })
                .collect();
            let block = SealedBlock {
                id,
                parent_hash: std::mem::replace(&mut parent_hash, id.hash),
                timestamp: self.timestamp,
                epoch: BlockId { number: l1_number, hash },
                sequence_number: number % EPOCH,
                transactions,
            };
            blocks.push(Arc::new(block));
            names.push(std::mem::take(&mut self.named));
        }
        (blocks, names)
    }

    fn new(seed: u64, variety: Variety) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut address = || Address::from(rng.random::<[u8; 20]>());
        let tokens = (0..TOKENS).map(|_| address()).collect();
        let routers = (0..3).map(|_| address()).collect();
        let senders: Vec<_> = (0..SENDERS).map(|_| address()).collect();
        // Most accounts sent little, some much.
        let mut nonce = || rng.random_range(0u64..2_000) >> rng.random_range(0..8);
        let senders = senders.into_iter().map(|sender| (sender, nonce())).collect();
        let (named, base_fee, timestamp) = (HashSet::new(), 50_000_000, 0);
        Self { rng, variety, senders, tokens, routers, named, base_fee, timestamp }
    }

    fn hash(&mut self) -> B256 {
        B256::from(self.rng.random::<[u8; 32]>())
    }

    /// Names an address.
    fn name(&mut self, address: Address) -> Address {
        self.named.insert(address);
        address
    }

    /// One of these, or the first.
    fn one_of<const N: usize>(&mut self, choices: [u64; N]) -> u64 {
        match self.variety {
            Variety::Plain => choices[0],
            Variety::Varied => *choices.choose(&mut self.rng).unwrap(),
        }
    }

    /// Somebody who gets something: never seen before, or half of the time one of the senders.
    fn recipient(&mut self) -> Address {
        let address = if self.variety == Variety::Plain || self.rng.random_bool(0.5) {
            Address::from(self.rng.random::<[u8; 20]>())
        } else {
            self.senders[self.rng.random_range(0..SENDERS)].0
        };
        self.name(address)
    }

    /// One of a few, the first ones far more often; or the first.
    fn popular(&mut self, of: fn(&Self) -> &[Address]) -> Address {
        let index = match self.variety {
            Variety::Plain => 0,
            Variety::Varied => {
                let index = self.rng.random_range(0..of(self).len());
                self.rng.random_range(0..=index)
            }
        };
        let address = of(self)[index];
        self.name(address)
    }

    /// Three digits and zeros.
    fn amount(&mut self) -> U256 {
        if self.variety == Variety::Plain {
            return U256::from(10u64.pow(16));
        }
        let unit = U256::from(10u64.pow(self.rng.random_range(13..17)));
        unit * U256::from(self.rng.random_range(1..1_000))
    }

    fn transfer(&mut self) -> Call {
        (self.recipient(), 21_000, self.amount(), Bytes::new())
    }

    fn token_transfer(&mut self) -> Call {
        let (recipient, amount) = (self.recipient(), self.amount());
        let input =
            [&hex!("a9059cbb")[..], &recipient.into_word()[..], &amount.to_be_bytes::<32>()[..]]
                .concat();
        let gas = self.one_of([51_000, 52_212, 34_500, 60_000, 65_000]);
        (self.popular(|scene| &scene.tokens), gas, U256::ZERO, input.into())
    }

    /// `exactInputSingle` of a router: the least output is as random as prices are.
    fn swap(&mut self) -> Call {
        let trader = self.senders[self.rng.random_range(0..SENDERS)].0;
        let trader = self.name(trader);
        let (from, to) = (self.popular(|scene| &scene.tokens), self.popular(|scene| &scene.tokens));
        let pool_fee = self.one_of([500, 3_000, 10_000]);
        let least = match self.variety {
            Variety::Plain => 0,
            Variety::Varied => self.rng.random::<u64>() >> self.rng.random_range(0..16),
        };
        let words = [
            from.into_word(),
            to.into_word(),
            B256::from(U256::from(pool_fee)),
            trader.into_word(),
            B256::from(U256::from(self.timestamp + 1_200)),
            B256::from(self.amount()),
            B256::from(U256::from(least)),
            B256::ZERO,
        ];
        let input = [&hex!("414bf389")[..], words.as_flattened()].concat();
        let gas = self.one_of([180_000, 150_000, 165_123, 170_000, 191_500, 200_000]);
        (self.popular(|scene| &scene.routers), gas, U256::ZERO, input.into())
    }

    fn sign(&mut self, rollup: &RollupConfig, (to, gas_limit, value, input): Call) -> Bytes {
        let sender = self.rng.random_range(0..SENDERS);
        let nonce = self.senders[sender].1;
        self.senders[sender].1 += 1;
        let tip = u128::from(self.one_of([1_000_000, 1_000_000, 1_500_000, 100_000]));
        let transaction = TxEip1559 {
            chain_id: rollup.spec.chain_id(),
            nonce,
            gas_limit,
            max_fee_per_gas: self.base_fee * 2 + tip,
            max_priority_fee_per_gas: tip,
            to: TxKind::Call(to),
            value,
            input,
            ..TxEip1559::default()
        };
        let scalar = |rng: &mut StdRng| U256::from_be_bytes(rng.random::<[u8; 32]>());
        let signature =
            Signature::new(scalar(&mut self.rng), scalar(&mut self.rng), self.rng.random());
        transaction.into_signed(signature).encoded_2718().into()
    }
}
