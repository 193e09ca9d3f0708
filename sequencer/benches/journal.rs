//! What a block costs on its way into the journal and the index: encoding, compressing, committing, indexing.
//!
//! Run as `make bench NAME=journal`. Blocks of 1,000 transfers, and blocks with nothing but their deposit; the former
//! also with waypoints, on SQLite and on a PostgreSQL that it starts, for which `make bench NAME=journal ARGS=waypoints`
//! is enough; and `ARGS=promises` for what it costs to promise them group by group.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]
#![allow(dead_code, reason = "the tests use more of the fixture")]

#[path = "../tests/it/journal/fixture.rs"]
mod fixture;
#[path = "../tests/it/journal/server.rs"]
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256};
use millrace_protocol::{Eip1559Params, Prescribed};
use millrace_sequencer::{
    index::Index,
    journal::{Journal, Location, PromisedHead, row::Row, waypoints},
};
use millrace_types::{ExecutedBlock, Waypoint};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BLOCKS: usize = 200;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let only = |name: &str| std::env::args().any(|argument| argument == name);
    if !only("waypoints") {
        runtime.block_on(promises());
    }
    if only("promises") {
        return;
    }
    runtime.block_on(with_and_without_waypoints());
    if only("waypoints") {
        return;
    }
    for transfers in [0, 1000] {
        let blocks = made_up_chain(BLOCKS, transfers);
        levels(&blocks[0], transfers);
        rows(&blocks, transfers);
        runtime.block_on(appends(&blocks, transfers));
        indexing(&blocks, transfers);
    }
}

/// Which level of compression pays, for the transactions and for receipts as token transfers leave them.
fn levels(block: &ExecutedBlock, transfers: usize) {
    let mut block = block.clone();
    let mut receipts = block.receipts.to_vec();
    for (receipt, tx) in receipts.iter_mut().zip(&block.block.transactions).skip(1) {
        let topics = vec![B256::repeat_byte(0xdd), tx.sender().into_word(), tx.hash()];
        receipt.logs = vec![fixture::log(Address::repeat_byte(0x20), topics)];
    }
    block.receipts = receipts.into();
    let row = Row::encode(&block).unwrap();
    for (part, stored) in [("body", row.body), ("receipts", row.receipts)] {
        let payload = zstd::decode_all(&stored[1..]).unwrap();
        for level in [-5, -1, 1, 3, 6] {
            let mut compressed = 0;
            let took = median((0..50).map(|_| {
                time(|| compressed = zstd::bulk::compress(&payload, level).unwrap().len())
            }));
            println!(
                "RESULT name=journal-level transfers={transfers} part={part} level={level} compress_us={} \
                 bytes={compressed} of={}",
                took.as_micros(),
                payload.len()
            );
        }
    }
}

fn rows(blocks: &[ExecutedBlock], transfers: usize) {
    let mut rows = Vec::new();
    let encode = median(blocks.iter().map(|block| time(|| rows.push(Row::encode(block).unwrap()))));
    let (header, body, receipts) =
        (rows[0].header.len(), rows[0].body.len(), rows[0].receipts.len());
    let decode = median(rows.into_iter().map(|row| time(|| drop(row.decode().unwrap()))));
    println!(
        "RESULT name=journal-row transfers={transfers} encode_us={} decode_us={} header_bytes={header} \
         body_bytes={body} receipts_bytes={receipts}",
        encode.as_micros(),
        decode.as_micros()
    );
}

async fn appends(blocks: &[ExecutedBlock], transfers: usize) {
    for group in [1, 10] {
        let directory = tempfile::tempdir().unwrap();
        let location = directory.path().join("journal.sqlite").into();
        let journal = Journal::open(&location, fixture::IDENTITY).await.unwrap();
        let mut took = Vec::new();
        for blocks in blocks.chunks(group) {
            let start = Instant::now();
            journal.append_group(blocks).await.unwrap();
            took.push(start.elapsed());
        }
        took.sort();
        let worst = *took.last().unwrap();
        println!(
            "RESULT name=journal-append transfers={transfers} group={group} median_us={} p99_us={} worst_us={}",
            took[took.len() / 2].as_micros(),
            took[took.len() * 99 / 100].as_micros(),
            worst.as_micros()
        );
        let mut read = Vec::new();
        for block in blocks {
            let start = Instant::now();
            journal.block(block.block.number()).await.unwrap().unwrap();
            read.push(start.elapsed());
        }
        println!(
            "RESULT name=journal-read transfers={transfers} median_us={}",
            median(read.into_iter()).as_micros()
        );
        journal.close().await;
    }
}

/// What waypoints add, for blocks built in groups as large as the builder's and in many small ones: first their
/// encoding, then appends with and without them in turn, in two journals on one disk.
async fn with_and_without_waypoints() {
    let server = server::Server::start().await;
    for group in [512, 100, 4] {
        let blocks: Vec<ExecutedBlock> = made_up_chain(BLOCKS, 1000)
            .into_iter()
            .map(|block| fixture::with_waypoints(block, group))
            .collect();
        let given = blocks[0].waypoints.len();
        let coalesce =
            median(blocks.iter().map(|block| {
                time(|| drop(Waypoint::coalesce(&block.waypoints, &block.receipts, 16)))
            }));
        let mut stored = Vec::new();
        let encode = median(
            blocks.iter().map(|block| time(|| stored.push(waypoints::encode(block).unwrap()))),
        );
        let mut kept = 0;
        let decode = median(stored.iter().zip(&blocks).map(|(stored, block)| {
            let transactions = &block.block.transactions;
            time(|| kept = waypoints::decode(stored, transactions).unwrap().len())
        }));
        let row = Row::encode(&blocks[0]).unwrap();
        println!(
            "RESULT name=journal-waypoints transfers=1000 group={group} given={given} kept={kept} coalesce_us={} \
             encode_us={} decode_us={} bytes={} row_bytes={}",
            coalesce.as_micros(),
            encode.as_micros(),
            decode.as_micros(),
            stored[0].len(),
            row.header.len() + row.body.len() + row.receipts.len()
        );
        let directory = tempfile::tempdir().unwrap();
        let files = ["without.sqlite", "with.sqlite"].map(|name| directory.path().join(name));
        append_in_turn(&blocks, group, "sqlite", files.map(Location::from)).await;
        let mut databases = Vec::new();
        for name in ["without", "with"] {
            let url = server.create_database(&format!("{name}_{group}")).await;
            databases.push(url.parse().unwrap());
        }
        append_in_turn(&blocks, group, "postgres", databases.try_into().unwrap()).await;
    }
}

async fn append_in_turn(
    blocks: &[ExecutedBlock],
    group: usize,
    engine: &str,
    [without, with]: [Location; 2],
) {
    // As in a node: the state's checkpoint is ten blocks behind.
    let behind = 10;
    let open = async |at| Journal::open(&at, fixture::IDENTITY).await.unwrap();
    let without = open(without).await;
    let tip = Arc::new(AtomicU64::new(0));
    let newest = tip.clone();
    let checkpoint = move || newest.load(Ordering::Relaxed).saturating_sub(behind);
    let with = open(with).await.keeping_waypoints(checkpoint);
    let mut took = [Vec::new(), Vec::new()];
    for block in blocks {
        for (journal, took) in [&without, &with].into_iter().zip(&mut took) {
            let start = Instant::now();
            journal.append(block).await.unwrap();
            took.push(start.elapsed());
        }
        tip.store(block.block.number(), Ordering::Relaxed);
    }
    let mut read = Vec::new();
    for block in &blocks[blocks.len() - 5..] {
        let start = Instant::now();
        assert!(!with.waypoints(&block.block).await.is_empty());
        read.push(start.elapsed());
    }
    let [without_p90, with_p90] = took.each_mut().map(|took| {
        took.sort();
        took[took.len() * 9 / 10].as_micros()
    });
    let [without_us, with_us] = took.map(|took| median(took.into_iter()).as_micros());
    without.close().await;
    with.close().await;
    println!(
        "RESULT name=journal-append-waypoints engine={engine} transfers=1000 group={group} without_us={without_us} \
         with_us={with_us} without_p90_us={without_p90} with_p90_us={with_p90} read_us={}",
        median(read.into_iter()).as_micros()
    );
}

/// What it costs to promise blocks in groups of some sizes, and to append what was promised beside what was not.
async fn promises() {
    let server = server::Server::start().await;
    for (group, transfers) in [(1, 200), (30, 6_000), (512, 20_000)] {
        let blocks = made_up_chain(8, transfers);
        let directory = tempfile::tempdir().unwrap();
        let files = ["without.sqlite", "with.sqlite"].map(|name| directory.path().join(name));
        promise_in_turn(&blocks, group, "sqlite", files.map(Location::from)).await;
        let mut databases = Vec::new();
        for name in ["without", "with"] {
            let url = server.create_database(&format!("{name}_promises_{group}")).await;
            databases.push(url.parse().unwrap());
        }
        promise_in_turn(&blocks, group, "postgres", databases.try_into().unwrap()).await;
    }
}

async fn promise_in_turn(
    blocks: &[ExecutedBlock],
    group: usize,
    engine: &str,
    [without, with]: [Location; 2],
) {
    let open = async |at| Journal::open(&at, fixture::IDENTITY).await.unwrap();
    let (without, with) = (open(without).await, open(with).await);
    let (mut promises, mut took) = (Vec::new(), [Vec::new(), Vec::new()]);
    for block in blocks {
        let (header, transactions) = (&block.block.header, &block.block.transactions);
        let head = PromisedHead {
            number: header.number,
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
            prescribed: Prescribed {
                sequence_number: 0,
                deposits: transactions.iter().filter_map(|tx| tx.as_deposit().cloned()).collect(),
                gas_limit: header.gas_limit,
                eip1559: Eip1559Params::OPTIMISM,
                prev_randao: header.mix_hash,
                parent_beacon_block_root: B256::ZERO,
            },
        };
        for (index, group_of) in transactions[1..].chunks(group).enumerate() {
            let start = Instant::now();
            with.promise(&head, (index * group) as u64, group_of).await.unwrap();
            promises.push(start.elapsed());
        }
        for (journal, took) in [&without, &with].into_iter().zip(&mut took) {
            let start = Instant::now();
            journal.append(block).await.unwrap();
            took.push(start.elapsed());
        }
    }
    promises.sort();
    let p99 = promises[promises.len() * 99 / 100].as_micros();
    let [without_us, with_us] = took.map(|took| median(took.into_iter()).as_micros());
    without.close().await;
    with.close().await;
    println!(
        "RESULT name=journal-promise engine={engine} group={group} transfers={} promise_us={} promise_p99_us={p99} \
         append_us={without_us} append_promised_us={with_us}",
        blocks[0].block.transactions.len() - 1,
        median(promises.into_iter()).as_micros()
    );
}

fn made_up_chain(length: usize, transfers: usize) -> Vec<ExecutedBlock> {
    let mut parent = fixture::GENESIS;
    let next = |_| {
        let block = fixture::block(parent, 1, transfers);
        parent = block.block.header.num_hash();
        block
    };
    (0..length).map(next).collect()
}

fn indexing(blocks: &[ExecutedBlock], transfers: usize) {
    let directory = tempfile::tempdir().unwrap();
    let index = Index::open(directory.path()).unwrap();
    let add = median(
        blocks.iter().map(|block| time(|| index.add(&block.block, &block.receipts).unwrap())),
    );
    let hashes = blocks.iter().map(|block| block.block.transactions.last().unwrap().hash());
    let find =
        median(hashes.map(|hash| time(|| assert!(index.transaction(&hash).unwrap().is_some()))));
    println!(
        "RESULT name=index transfers={transfers} add_us={} find_us={}",
        add.as_micros(),
        find.as_micros()
    );
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.collect();
    times.sort();
    times[times.len() / 2]
}
