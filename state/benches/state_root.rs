//! The state root after U of N accounts changed, against building the trie of all N with alloy's `HashBuilder`.
//!
//! ```text
//! make bench NAME=state-root ARGS="--n 100000,1000000 --u 1000,10000,100000 --rounds 9"
//! ```
//!
//! One round is what a block costs: applying a `StateDiff` of U random accounts (hashing their addresses, sorting,
//! finding them, putting them into their leaves), then the root. `save_ms`, what a checkpoint collects, is not in the
//! total. The rebuild is given sorted keys and encoded values.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, U256, keccak256, map::B256Map};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount};
use millrace_types::{Account, AccountDiff, StateDiff};
use mimalloc::MiMalloc;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::trie::{NoSource, StateTrie};

/// The trie is no part of the crate's face, and only its own module can time its parts: so it is compiled in.
#[allow(dead_code, unreachable_pub, unused_imports, missing_docs, clippy::all)]
#[path = "../src"]
mod source {
    pub mod trie;
}
use source::trie;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

struct Options {
    accounts: Vec<u64>,
    changes: Vec<usize>,
    rounds: usize,
    seed: u64,
}

fn options() -> Options {
    let mut options = Options {
        accounts: vec![100_000, 1_000_000],
        changes: vec![1_000, 10_000, 100_000],
        rounds: 9,
        seed: 1,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().expect("an option has a value");
        match arg.as_str() {
            "--n" => options.accounts = list(&value()),
            "--u" => options.changes = list(&value()),
            "--rounds" => options.rounds = value().parse().unwrap(),
            "--seed" => options.seed = value().parse().unwrap(),
            // Cargo says this to every benchmark.
            "--bench" => {}
            other => panic!("unknown option {other}"),
        }
    }
    options
}

fn list<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> Vec<T> {
    text.split(',').map(|number| number.parse().unwrap()).collect()
}

fn main() {
    let options = options();
    println!("seed {}, {} threads", options.seed, rayon::current_num_threads());
    lanes();
    for n in &options.accounts {
        accounts(*n, &options);
    }
}

/// What a permutation costs, alone and in lanes.
fn lanes() {
    const MESSAGES: usize = 50_000;
    let messages = vec![[7u8; 110]; MESSAGES];
    let mut hashes = vec![B256::ZERO; MESSAGES];
    let batch = best(9, || millrace_keccak::keccak256_batch(&messages, &mut hashes));
    let scalar = best(9, || {
        for (message, hash) in messages.iter().zip(&mut hashes) {
            *hash = keccak256(message);
        }
    });
    let each = |time: Duration| time.as_nanos() as f64 / MESSAGES as f64;
    println!(
        "RESULT name=keccak-lanes bytes=110 batch_ns={:.1} scalar_ns={:.1} ratio={:.2}",
        each(batch),
        each(scalar),
        each(scalar) / each(batch),
    );
}

fn best(rounds: usize, mut run: impl FnMut()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..rounds).map(time).min().unwrap()
}

fn address(at: u64) -> Address {
    let mut address = Address::ZERO;
    address[..8].copy_from_slice(&at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    address[12..].copy_from_slice(&at.to_be_bytes());
    address
}

fn account(rng: &mut StdRng) -> Account {
    let balance = U256::from(rng.random::<u64>()) * U256::from(1_000_000);
    Account { nonce: rng.random_range(0..10_000), balance, bytecode_hash: None }
}

fn diff(accounts: impl Iterator<Item = (Address, Account)>) -> StateDiff {
    let change = |(address, account)| AccountDiff { address, account: Some(account), wiped: false };
    StateDiff::from_lists(accounts.map(change).collect(), std::iter::empty(), B256Map::default())
}

fn accounts(n: u64, options: &Options) {
    let mut rng = StdRng::seed_from_u64(options.seed);
    let mut trie = StateTrie::new(EMPTY_ROOT_HASH);
    let mut leaves = Vec::with_capacity(n as usize);
    for start in (0..n).step_by(100_000) {
        let accounts: Vec<(Address, Account)> =
            (start..n.min(start + 100_000)).map(|at| (address(at), account(&mut rng))).collect();
        leaves.extend(accounts.iter().map(|(address, account)| {
            let account = TrieAccount {
                nonce: account.nonce,
                balance: account.balance,
                storage_root: EMPTY_ROOT_HASH,
                code_hash: account.get_bytecode_hash(),
            };
            (keccak256(address), account)
        }));
        trie.apply(&diff(accounts.into_iter()), &NoSource).unwrap();
    }
    let root = trie.root();
    leaves.sort_unstable_by_key(|(key, _)| *key);
    let leaves: Vec<(B256, Vec<u8>)> =
        leaves.into_iter().map(|(key, account)| (key, alloy_rlp::encode(account))).collect();
    let start = Instant::now();
    let mut builder = HashBuilder::default();
    for (key, value) in &leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    assert_eq!(builder.root(), root, "both say the same root");
    let rebuild = start.elapsed();
    drop(leaves);
    trie.take_changes();
    trie.changes_saved();
    println!(
        "n={n} rebuild_ms={:.1} bytes_per_account={}",
        ms(rebuild),
        trie.memory_bytes() as u64 / n
    );
    for u in options.changes.iter().filter(|u| **u as u64 <= n) {
        let mut times = Vec::new();
        for _ in 0..options.rounds {
            let chosen = rand::seq::index::sample(&mut rng, n as usize, *u);
            let diff = diff(chosen.iter().map(|at| (address(at as u64), account(&mut rng))));
            let start = Instant::now();
            trie.apply(&diff, &NoSource).unwrap();
            let applied = start.elapsed();
            trie.root();
            let total = start.elapsed();
            let records = trie.take_changes().records;
            times.push([total, applied, total - applied, start.elapsed() - total]);
            drop(records);
            trie.changes_saved();
        }
        let median = |which: usize| {
            let mut times: Vec<Duration> = times.iter().map(|times| times[which]).collect();
            times.sort_unstable();
            ms(times[times.len() / 2])
        };
        println!(
            "RESULT name=state-root n={n} u={u} threads={} ms_median={:.2} ms_min={:.2} rebuild_ms={:.1} \
             ratio={:.1} apply_ms={:.2} root_ms={:.2} save_ms={:.2}",
            rayon::current_num_threads(),
            median(0),
            ms(times.iter().map(|times| times[0]).min().unwrap()),
            ms(rebuild),
            ms(rebuild) / median(0),
            median(1),
            median(2),
            median(3),
        );
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
