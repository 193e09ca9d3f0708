//! What a transaction costs on one thread: `cargo bench -p millrace-executor --bench sequential`.
//!
//! State in memory, no signatures, no root. Each row is the median of several rounds, each on a fresh block. Time is
//! the thread's time on a core where the system tells, so that a busy machine disturbs less; `wall` is the clock's.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256, map::AddressMap};
use millrace_executor::{
    BlockAttributes, Candidate, Executor, ExecutorConfig, Limits, Outcome, StateError, StateView,
};
use millrace_protocol::ChainSpec;
use millrace_types::{Account, Header, SealedHeader, Transaction, TxEnvelope};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CHAIN_ID: u64 = 901;
const SENDERS: u64 = 20_000;
const ROUNDS: usize = 11;
const TOKEN: Address = Address::repeat_byte(0x70);

struct Memory {
    accounts: AddressMap<Account>,
    codes: HashMap<B256, Bytes>,
}

impl StateView for Memory {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.accounts.get(address).copied())
    }

    fn storage(&self, address: &Address, _: &U256) -> Result<U256, StateError> {
        // Everybody holds tokens.
        Ok(if *address == TOKEN { U256::from(1_000_000) } else { U256::ZERO })
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.codes.get(hash).cloned().ok_or_else(|| StateError::new("no such code"))
    }

    fn block_hash(&self, _: u64) -> Result<B256, StateError> {
        Ok(B256::ZERO)
    }
}

fn main() {
    let executor = Executor::new(Arc::new(ChainSpec::dev(CHAIN_ID)), ExecutorConfig::default());
    let state: Arc<dyn StateView> = Arc::new(memory());
    let transfers: Vec<_> = (0..SENDERS)
        .map(|index| (index, index + SENDERS, TxKind::Call(user(index + SENDERS))))
        .collect();
    let tokens: Vec<_> =
        (0..SENDERS).map(|index| (index, index + SENDERS, TxKind::Call(TOKEN))).collect();
    for (workload, transactions) in [("transfers", transfers), ("token", tokens)] {
        let candidates: Vec<_> = transactions
            .into_iter()
            .map(|(sender, receiver, to)| candidate(user(sender), user(receiver), to))
            .collect();
        for group in [candidates.len(), 100, 1] {
            measure(&executor, &state, workload, &candidates, group);
        }
    }
}

fn measure(
    executor: &Executor,
    state: &Arc<dyn StateView>,
    workload: &str,
    candidates: &[Candidate],
    group_size: usize,
) {
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut block = executor.open(attributes(), state.clone()).unwrap();
        let (cpu_start, start) = (cpu_time(), Instant::now());
        for group in candidates.chunks(group_size) {
            let group = block.run(group, Limits::NONE).unwrap();
            let succeeded = |outcome: &Outcome| matches!(outcome, Outcome::Included(one) if one.receipt.success);
            assert!(group.outcomes.iter().all(succeeded), "{:?}", group.outcomes.first());
        }
        let elapsed = start.elapsed();
        wall.push(elapsed);
        cpu.push(cpu_time().zip(cpu_start).map_or(elapsed, |(end, start)| end - start));
    }
    cpu.sort_unstable();
    wall.sort_unstable();
    let per_tx = |round: Duration| round.as_secs_f64() * 1e6 / candidates.len() as f64;
    println!(
        "RESULT name=executor workload={workload} threads=1 group={group_size} seq_us_per_tx={:.3} min={:.3} max={:.3} wall={:.3}",
        per_tx(cpu[ROUNDS / 2]),
        per_tx(cpu[0]),
        per_tx(cpu[ROUNDS - 1]),
        per_tx(wall[ROUNDS / 2]),
    );
}

/// How long this thread has been on a core. Linux tells; elsewhere the clock must do.
fn cpu_time() -> Option<Duration> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn user(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

fn memory() -> Memory {
    let code = token();
    let hash = keccak256(&code);
    let rich = Account { balance: U256::from(10).pow(U256::from(24)), ..Account::default() };
    let mut accounts: AddressMap<_> = (0..2 * SENDERS).map(|index| (user(index), rich)).collect();
    accounts.insert(TOKEN, Account { nonce: 1, bytecode_hash: Some(hash), ..Account::default() });
    Memory { accounts, codes: HashMap::from([(hash, code)]) }
}

/// Moves calldata word 1 from the caller's slot to that of calldata word 0, and logs it: the core of a token.
fn token() -> Bytes {
    let mut code = Vec::new();
    // slot[caller] -= amount
    code.extend([0x60, 0x20, 0x35, 0x33, 0x54, 0x03, 0x33, 0x55]);
    // slot[to] += amount
    code.extend([0x60, 0x20, 0x35, 0x5f, 0x35, 0x54, 0x01, 0x5f, 0x35, 0x55]);
    // log2(amount; to, caller)
    code.extend([0x60, 0x20, 0x35, 0x5f, 0x52, 0x33, 0x5f, 0x35, 0x60, 0x20, 0x5f, 0xa2, 0x00]);
    code.into()
}

fn candidate(sender: Address, receiver: Address, to: TxKind) -> Candidate {
    let to_token = to == TxKind::Call(TOKEN);
    let input = [receiver.into_word().0, U256::from(7).to_be_bytes::<32>()].concat();
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: if to_token { 100_000 } else { 21_000 },
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to,
        value: U256::from(u8::from(!to_token)),
        input: if to_token { input.into() } else { Bytes::new() },
        ..TxEip1559::default()
    };
    let signed = tx.into_signed(Signature::test_signature());
    let encoded = TxEnvelope::Eip1559(signed).encoded_2718().into();
    Candidate::new(Arc::new(Transaction::decode_with_sender(encoded, sender).unwrap()))
}

fn attributes() -> BlockAttributes {
    BlockAttributes {
        parent: SealedHeader::seal_slow(Header::default()),
        timestamp: 1,
        beneficiary: millrace_protocol::predeploys::SEQUENCER_FEE_VAULT,
        gas_limit: u64::MAX / 2,
        base_fee: 1_000_000_000,
        prev_randao: B256::ZERO,
        parent_beacon_block_root: B256::ZERO,
        extra_data: Bytes::new(),
        excess_blob_gas: 0,
    }
}
