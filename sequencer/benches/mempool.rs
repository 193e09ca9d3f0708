//! What the pool's operations cost while it holds a million transactions of as many senders.
//!
//! The numbers are time under the pool's lock. `insert` fills an empty pool; the others work on a full one.

#![expect(clippy::print_stdout, reason = "results are for whoever runs the benchmark")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Signature, TxKind, U256};
use millrace_sequencer::mempool::{
    Accounts, AccountsUnavailable, Admitted, Limits, Mempool, Outcome, Rules, SenderState,
};
use millrace_types::{Transaction, TxEnvelope};
use rand::{Rng, SeedableRng, rngs::StdRng};

const CHAIN_ID: u64 = 901;
const POOLED: usize = 1_000_000;
const GROUP: usize = 256;
const BASE_FEE: u64 = 1_000_000_000;

struct Rich;

impl Accounts for Rich {
    fn account(&self, _: &Address) -> Result<SenderState, AccountsUnavailable> {
        Ok(SenderState { balance: U256::MAX, ..Default::default() })
    }
}

/// A transfer with random fees, a tenth of them decided by the fee cap, from a sender of its own.
fn transfer(rng: &mut StdRng, rules: &Rules) -> Admitted {
    let sender = Address::from(rng.random::<[u8; 20]>());
    let tip = rng.random_range(1..2_000_000_000);
    let cap = if rng.random_bool(0.1) { 0 } else { 2 * u128::from(BASE_FEE) };
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: cap + tip,
        max_priority_fee_per_gas: tip,
        // To itself: all have the same signature, and some would have the same hash otherwise.
        to: TxKind::Call(sender),
        value: U256::from(1),
        ..Default::default()
    };
    let envelope = TxEnvelope::Eip1559(tx.into_signed(Signature::test_signature()));
    let tx = Transaction::decode_with_sender(envelope.encoded_2718().into(), sender)
        .expect("what was encoded decodes");
    rules.admit(Arc::new(tx), U256::ZERO).expect("the transfer is valid")
}

fn report(op: &str, count: usize, elapsed: Duration) {
    let ns = elapsed.as_nanos() / count.max(1) as u128;
    println!("RESULT name=mempool op={op} pooled={POOLED} count={count} ns_per_tx={ns}");
}

fn main() {
    let seed = 2;
    println!("seed {seed}");
    let rng = &mut StdRng::seed_from_u64(seed);
    let rules = &Rules::new(CHAIN_ID, 30_000_000);
    let limits = Limits { count_max: POOLED, bytes_max: usize::MAX, ..Limits::default() };
    let mut pool = Mempool::new(limits, BASE_FEE);

    let mut elapsed = Duration::ZERO;
    while pool.stats().count() < POOLED {
        let room = (POOLED - pool.stats().count()).min(GROUP);
        let group: Vec<_> = (0..room).map(|_| transfer(rng, rules)).collect();
        let start = Instant::now();
        pool.insert_many(group, &Rich, 0);
        elapsed += start.elapsed();
        pool.take_events();
    }
    report("insert", POOLED, elapsed);

    // As the builder works: a group is taken, committed, and as many arrive.
    let (mut take, mut commit, mut insert) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut taken = 0;
    for _ in 0..400 {
        let start = Instant::now();
        let group = pool.take_best(GROUP, u64::MAX);
        take += start.elapsed();
        taken += group.len();
        let outcomes = group.iter().map(|tx| (tx.hash(), Outcome::Included));
        let start = Instant::now();
        pool.committed(outcomes, []);
        commit += start.elapsed();
        let group: Vec<_> = (0..group.len()).map(|_| transfer(rng, rules)).collect();
        let start = Instant::now();
        pool.insert_many(group, &Rich, 0);
        insert += start.elapsed();
        pool.take_events();
    }
    report("take", taken, take);
    report("commit", taken, commit);
    report("insert_steady", taken, insert);

    // Every newcomer meets a full pool: it displaces the worst or is refused.
    let newcomers: Vec<_> = (0..100_000).map(|_| transfer(rng, rules)).collect();
    let (count, start) = (newcomers.len(), Instant::now());
    pool.insert_many(newcomers, &Rich, 0);
    report("insert_full", count, start.elapsed());
    pool.take_events();

    // A base fee so high that no tip is paid in full any more, and none is executable: every offer moves.
    let start = Instant::now();
    pool.open_block(5 * BASE_FEE);
    let none = pool.take_best(GROUP, u64::MAX);
    assert!(none.is_empty(), "everything is parked");
    report("park_all", pool.stats().pending, start.elapsed());
}
