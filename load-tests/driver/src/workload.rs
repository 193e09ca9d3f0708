//! What is sent: every transaction signed and every request rendered before the clock starts.

use alloy_consensus::TxEip1559;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rayon::prelude::*;

use crate::{
    config::{Config, Pace, Spread, Workload},
    http::render,
    keys::Key,
    program,
};

/// How many accounts receive when recipients are spread.
const RECIPIENTS: usize = 10_000;
/// How many pools there are when swaps are spread.
const PAIRS: usize = 16;
/// What a transaction moves, in wei or the smallest unit of a token.
const AMOUNT: u64 = 1_000;

/// What holds for all transactions of a run.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) chain_id: u64,
    pub(crate) max_fee: u128,
    pub(crate) tip: u128,
}

/// The contracts that are called: none, a token, or two with pairs of them.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    pub(crate) tokens: Vec<Address>,
    pub(crate) pairs: Vec<Address>,
}

/// A sender at the start of the run.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) key: Key,
    pub(crate) nonce: u64,
}

/// All requests, by connection.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) lanes: Vec<Vec<Request>>,
    /// Transactions are numbered lane by lane.
    pub(crate) hashes: Vec<B256>,
}

/// A request that is ready to be written.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// The number of its first transaction.
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// When it is to be sent, in nanoseconds from the start: with a rate, as soon as its last transaction is due.
    pub(crate) due: u64,
}

impl Workload {
    /// The most gas that one of its transactions uses, with room.
    pub(crate) fn gas_max(self) -> u64 {
        match self {
            Self::Transfers => 21_000,
            Self::Tokens => 80_000,
            Self::Swaps | Self::Mixed => 200_000,
        }
    }

    /// How many tokens have to be there.
    pub(crate) fn tokens(self) -> usize {
        match self {
            Self::Transfers => 0,
            Self::Tokens => 1,
            Self::Swaps | Self::Mixed => 2,
        }
    }

    /// How many pairs have to be there.
    pub(crate) fn pairs(self, spread: Spread) -> usize {
        match (self, spread) {
            (Self::Transfers | Self::Tokens, _) => 0,
            (Self::Swaps | Self::Mixed, Spread::Hot) => 1,
            (Self::Swaps | Self::Mixed, Spread::Spread) => PAIRS,
        }
    }

    /// What the next transaction does.
    fn draw(self, rng: &mut StdRng) -> Self {
        match self {
            Self::Mixed => match rng.random_range(0..10) {
                0..5 => Self::Transfers,
                5..8 => Self::Tokens,
                _ => Self::Swaps,
            },
            one => one,
        }
    }
}

/// Signs everything, on all cores. Transaction j is sender j mod S's next one; sender s belongs to lane s mod C.
pub(crate) fn prepare(
    config: &Config,
    terms: &Terms,
    targets: &Targets,
    senders: &[Sender],
) -> Load {
    let mut rng = StdRng::seed_from_u64(config.seed);
    let recipients = match config.spread {
        Spread::Hot => 1,
        Spread::Spread => RECIPIENTS,
    };
    let recipients: Vec<Address> =
        (0..recipients).map(|_| Address::from(rng.random::<[u8; 20]>())).collect();
    let (lanes, hashes): (Vec<_>, Vec<_>) = (0..config.connections)
        .into_par_iter()
        .map(|lane| {
            let seed = config.seed ^ (lane as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let author = Author { config, terms, targets, recipients: &recipients };
            author.lane(lane, senders, StdRng::seed_from_u64(seed))
        })
        .unzip();
    let mut load = Load { lanes, hashes: Vec::with_capacity(config.count) };
    for (lane, hashes) in load.lanes.iter_mut().zip(hashes) {
        lane.iter_mut().for_each(|request| request.first += load.hashes.len());
        load.hashes.extend(hashes);
    }
    load
}

/// What it takes to write a transaction.
struct Author<'a> {
    config: &'a Config,
    terms: &'a Terms,
    targets: &'a Targets,
    recipients: &'a [Address],
}

impl Author<'_> {
    fn lane(&self, lane: usize, senders: &[Sender], mut rng: StdRng) -> (Vec<Request>, Vec<B256>) {
        let Config { count, connections, batch, pace, .. } = *self.config;
        let mut requests = Vec::new();
        let mut hashes = Vec::new();
        let mut calls = Vec::with_capacity(batch);
        let mut due = 0;
        let flush = |calls: &mut Vec<String>, requests: &mut Vec<Request>, first, due| {
            let body = match calls.as_slice() {
                [] => return,
                [call] if batch == 1 => call.clone(),
                calls => format!("[{}]", calls.join(",")),
            };
            let bytes = render(&self.config.endpoint, body.as_bytes());
            requests.push(Request { bytes, first, count: calls.len(), due });
            calls.clear();
        };
        for round in 0..count.div_ceil(senders.len()) {
            for sender in (lane..senders.len()).step_by(connections) {
                let place = round * senders.len() + sender;
                if place >= count {
                    break;
                }
                let Sender { key, nonce } = &senders[sender];
                let signed = key.sign(self.transaction(sender, nonce + round as u64, &mut rng));
                hashes.push(signed.hash);
                calls.push(self.call(calls.len(), &signed.raw));
                due = match pace {
                    Pace::Rate(rate) => (place as f64 / rate * 1e9) as u64,
                    Pace::FlatOut { .. } => 0,
                };
                if calls.len() == batch {
                    flush(&mut calls, &mut requests, hashes.len() - batch, due);
                }
            }
        }
        let first = hashes.len() - calls.len();
        flush(&mut calls, &mut requests, first, due);
        (requests, hashes)
    }

    fn call(&self, id: usize, raw: &[u8]) -> String {
        let method = method(self.config.sync);
        let raw = hex::encode(raw);
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":["0x{raw}"]}}"#)
    }

    fn transaction(&self, sender: usize, nonce: u64, rng: &mut StdRng) -> TxEip1559 {
        let recipient = self.recipients[rng.random_range(0..self.recipients.len())];
        let does = self.config.workload.draw(rng);
        let (to, value, input) = match does {
            Workload::Tokens => (self.targets.tokens[0], 0, program::transfer(recipient, AMOUNT)),
            Workload::Swaps => {
                let pair = self.targets.pairs[sender % self.targets.pairs.len()];
                (pair, 0, program::swap(rng.random(), AMOUNT))
            }
            Workload::Transfers | Workload::Mixed => (recipient, AMOUNT, Bytes::new()),
        };
        TxEip1559 {
            chain_id: self.terms.chain_id,
            nonce,
            gas_limit: does.gas_max(),
            max_fee_per_gas: self.terms.max_fee,
            max_priority_fee_per_gas: self.terms.tip,
            to: TxKind::Call(to),
            value: U256::from(value),
            access_list: AccessList::default(),
            input,
        }
    }
}

/// The method that transactions are sent by.
pub(crate) fn method(sync: bool) -> &'static str {
    if sync { "eth_sendRawTransactionSync" } else { "eth_sendRawTransaction" }
}
