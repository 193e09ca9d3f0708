//! Every property over a bounded, seeded corpus: the seeds themselves, mutations of them, and noise.
//!
//! The run is the same each time; `FUZZ_SEED=n` makes another one and `FUZZ_ROUNDS=n` a longer one. A failure prints
//! the input that caused it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
};

use alloy_primitives::hex;

const ROUNDS: u64 = 20_000;
const LEN_MAX: usize = 4_096;

#[test]
fn transaction() {
    check("transaction", millrace_fuzz::transaction);
}

#[test]
fn deposit() {
    check("deposit", millrace_fuzz::deposit);
}

#[test]
fn deposit_log() {
    check("deposit_log", millrace_fuzz::deposit_log);
}

#[test]
fn l1_attributes() {
    check("l1_attributes", millrace_fuzz::l1_attributes);
}

#[test]
fn eip1559_params() {
    check("eip1559_params", millrace_fuzz::eip1559_params);
}

#[test]
fn data_size() {
    check("data_size", millrace_fuzz::data_size);
}

#[test]
fn config_update() {
    check("config_update", millrace_fuzz::config_update);
}

#[test]
fn frame() {
    check("frame", millrace_fuzz::frame);
}

#[test]
fn channel() {
    check("channel", millrace_fuzz::channel);
}

#[test]
fn batch() {
    check("batch", millrace_fuzz::batch);
}

#[test]
fn blob() {
    check("blob", millrace_fuzz::blob);
}

fn check(name: &str, property: fn(&[u8]) -> bool) {
    let seed = from_env("FUZZ_SEED").unwrap_or(0);
    let rounds = from_env("FUZZ_ROUNDS").unwrap_or(ROUNDS);
    eprintln!("{name}: FUZZ_SEED={seed} FUZZ_ROUNDS={rounds}");
    let accepts = |input: &[u8]| {
        catch_unwind(AssertUnwindSafe(|| property(input))).unwrap_or_else(|panic| {
            eprintln!("{name}: FUZZ_SEED={seed} fails for {}", hex::encode(input));
            resume_unwind(panic)
        })
    };
    let corpus = corpus(name);
    for input in &corpus {
        assert!(accepts(input), "a seed is refused: {}", hex::encode(input));
    }
    let mut random = Random(seed);
    let accepted = (0..rounds).filter(|_| accepts(&random.input(&corpus))).count() as u64;
    eprintln!("{name}: {accepted} accepted");
    assert!(
        accepted >= rounds / 50,
        "only {accepted} inputs are accepted: the mutations no longer test anything"
    );
}

fn from_env(name: &str) -> Option<u64> {
    let value = std::env::var_os(name)?;
    Some(value.to_str().and_then(|value| value.parse().ok()).expect("a number"))
}

/// The seeds in `seeds/<name>`, in a stable order.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let mut files: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no seeds for {name}");
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// SplitMix64: a few lines that will give the same inputs for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Noise now and then; else a seed with a few changes, of which one is the likeliest to be accepted.
    fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        if self.below(16) == 0 {
            let len = self.below(400);
            return (0..len).map(|_| self.next() as u8).collect();
        }
        let mut input = self.pick(corpus).clone();
        for _ in 0..1 + self.below(3) * self.below(3) {
            self.mutate(&mut input, corpus);
        }
        input.truncate(LEN_MAX);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        const TELLING: [u8; 12] = [0, 1, 2, 27, 28, 0x7e, 0x7f, 0x80, 0x81, 0xb8, 0xc0, 0xff];
        // Lengths, types and counts sit at the ends.
        let at = match self.below(3) {
            0 => self.below(input.len().min(8)),
            1 => input.len().saturating_sub(1 + self.below(70)),
            _ => self.below(input.len()),
        };
        match self.below(7) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.next() as u8,
            2 if at < input.len() => input[at] = *self.pick(&TELLING),
            3 => input.insert(at, *self.pick(&TELLING)),
            4 if at < input.len() => {
                input.remove(at);
            }
            5 => input.truncate(at),
            _ => {
                // The head of this one and the tail of another.
                let other = self.pick(corpus);
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}
