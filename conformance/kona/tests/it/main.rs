//! The program against a chain that was made by hand: it has to agree with what L1 says, and with nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod anvil;
mod channel;
mod node;
mod rollup;

use std::process::Command;

use alloy_eips::eip4844::Blob;
use alloy_primitives::{Address, B64, B256, Bytes, TxKind, U256, bytes};
use kona_protocol::SingleBatch;
use op_alloy_consensus::{OpBlock, OpTxEnvelope};

use crate::{
    anvil::STRANGER,
    channel::{
        Compression::{Brotli, Zlib},
        channel, channel_of, frames, post_blobs, post_calldata,
    },
    rollup::{CHAIN_ID, Event, INBOX, Rollup, commit_to_transactions},
};

/// How a run ended, and what it wrote.
#[derive(Debug)]
struct Verdict {
    code: i32,
    blocks: Vec<String>,
    last_words: String,
}

/// Compares the rollup with a node that serves the blocks.
fn check(rollup: &Rollup, blocks: &[OpBlock], arguments: &[&str]) -> Verdict {
    let output = Command::new(env!("CARGO_BIN_EXE_kona-check"))
        .args(["--l1-url", &rollup.anvil.url])
        .args(["--l2-url", &node::serve(CHAIN_ID, blocks)])
        .arg("--rollup")
        .arg(rollup.file())
        .args(arguments)
        .output()
        .unwrap();
    Verdict {
        code: output.status.code().unwrap(),
        blocks: String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect(),
        last_words: String::from_utf8(output.stderr).unwrap(),
    }
}

fn assert_agrees(rollup: &Rollup, arguments: &[&str]) {
    let verdict = check(rollup, &rollup.blocks, arguments);
    let expected: Vec<_> = rollup.blocks[1..].iter().map(ok).collect();
    assert_eq!(verdict.code, 0, "{verdict:#?}");
    assert_eq!(verdict.blocks, expected);
}

fn ok(block: &OpBlock) -> String {
    format!("{} {} ok", block.header.number, block.header.hash_slow())
}

fn deposit(number: u8) -> Event {
    Event::Deposit {
        from: Address::repeat_byte(number),
        to: if number == 2 { TxKind::Create } else { Address::ZERO.into() },
        mint: 1_000 * u128::from(number % 2),
        value: 500,
        gas: 100_000,
        data: Bytes::from(vec![number; 40 * usize::from(number)]),
    }
}

/// Deposits of both kinds and every update that changes a payload.
fn eventful() -> Rollup {
    let mut rollup = Rollup::begin(100);
    rollup.mine(&[deposit(1), deposit(2)]);
    rollup.mine(&[]);
    rollup.mine(&[Event::GasLimit(30_000_000), deposit(3)]);
    rollup.mine(&[Event::Eip1559(50, 10)]);
    rollup.build(4);
    rollup
}

#[test]
fn calldata_agrees() {
    let mut rollup = eventful();
    let batches = rollup.batches(1);
    // A channel over several transactions of several L1 blocks, and one in a single frame.
    let (first, second) = batches.split_at(7);
    let first = frames(1, &channel(first, Zlib), 200);
    assert!(first.len() > 2);
    post_calldata(&rollup.anvil, &first[..2]);
    rollup.mine(&[]);
    post_calldata(&rollup.anvil, &first[2..]);
    rollup.mine(&[]);
    post_calldata(&rollup.anvil, &frames(2, &channel(second, Brotli), 100_000));
    rollup.mine(&[]);
    assert_agrees(&rollup, &[]);
}

#[test]
fn blobs_agree() {
    let mut rollup = eventful();
    let channel = channel(&rollup.batches(1), Brotli);
    let frames = frames(1, &channel, channel.len() / 4);
    assert!(frames.len() >= 4);
    post_blobs(&rollup.anvil, &frames);
    rollup.mine(&[]);
    assert_agrees(&rollup, &[]);
}

#[test]
fn spans_agree() {
    let mut rollup = eventful();
    let last = rollup.blocks.len() - 1;
    // The second begins with blocks that the first has told already, and the third has nothing new to tell.
    let spans = [rollup.span(1..=6), rollup.span(5..=last), rollup.span(3..=7)];
    for (id, span) in (1..).zip(spans) {
        let channel = channel_of([span], Brotli);
        post_calldata(&rollup.anvil, &frames(id, &channel, 100_000));
    }
    rollup.mine(&[]);
    assert_agrees(&rollup, &[]);
}

#[test]
fn what_says_nothing_is_skipped() {
    let mut rollup = eventful();
    let batches = rollup.batches(1);
    let truth = frames(1, &channel(&batches, Zlib), 100_000);
    let lies: Vec<_> = batches
        .iter()
        .map(|batch| SingleBatch { transactions: Vec::new(), ..batch.clone() })
        .collect();
    let lie = frames(1, &channel(&lies, Zlib), 100_000).remove(0);
    let junk: [Bytes; 4] =
        [bytes!(""), bytes!("01"), bytes!("00000102"), [&truth[0][..], &[7]].concat().into()];
    // From a stranger it is nobody's word, whatever it is; and from the batcher only what can be read.
    rollup.anvil.send(STRANGER, INBOX, lie.into());
    for junk in junk {
        rollup.anvil.send(anvil::BATCHER, INBOX, junk);
    }
    rollup.mine(&[]);
    // A blob of zeros, one of an unknown version, and one of a length that no blob has room for.
    let mut unknown = Blob::ZERO;
    unknown[1] = 9;
    let mut long = Blob::ZERO;
    long[2..5].fill(0xff);
    rollup.anvil.send_blobs(INBOX, &[Blob::ZERO, unknown, long]);
    rollup.mine(&[]);
    post_calldata(&rollup.anvil, &truth);
    rollup.mine(&[]);
    assert_agrees(&rollup, &[]);
}

#[test]
fn an_expired_window_leaves_deposits() {
    let mut rollup = Rollup::begin(4);
    rollup.mine(&[deposit(1)]);
    rollup.mine(&[deposit(3)]);
    rollup.build(0);
    for _ in 0..5 {
        rollup.mine(&[]);
    }
    assert_agrees(&rollup, &[]);
}

#[test]
fn an_invalid_payload_leaves_deposits_and_ends_its_channel() {
    let mut rollup = Rollup::begin(100);
    rollup.mine(&[]);
    rollup.mine(&[deposit(1)]);
    (0..2).for_each(|_| rollup.build_one(1));
    rollup.build_one(0);
    rollup.build(1);
    let batches = rollup.batches(1);
    // In the first channel the third batch has a transaction that the block could not execute, and so has the fourth.
    let mut invalid = batches[..4].to_vec();
    invalid[2].transactions.push(bytes!("02c0"));
    invalid[3].transactions.push(bytes!("02c0"));
    post_calldata(&rollup.anvil, &frames(1, &channel(&invalid, Zlib), 100_000));
    post_calldata(&rollup.anvil, &frames(2, &channel(&batches[3..], Zlib), 100_000));
    rollup.mine(&[]);
    assert_agrees(&rollup, &["--invalid", "3"]);
    // Unless somebody vouches for it, it is a difference as any other.
    let verdict = check(&rollup, &rollup.blocks, &[]);
    assert_eq!((verdict.code, verdict.blocks.len()), (1, 3), "{verdict:#?}");
    assert!(verdict.blocks[2].starts_with("3 0x"), "{verdict:#?}");
    assert!(verdict.blocks[2].contains("number of transactions differs: derived 2, served 1"));
}

/// Changes a block so that one thing is not what L1 says.
type Plant = fn(&mut OpBlock);

#[test]
fn every_planted_difference_is_found() {
    let mut rollup = eventful();
    post_calldata(&rollup.anvil, &frames(1, &channel(&rollup.batches(1), Zlib), 100_000));
    rollup.mine(&[]);
    assert_agrees(&rollup, &[]);

    let planted: &[(&str, Plant)] = &[
        ("number", |block| block.header.number += 1),
        ("parent hash", |block| block.header.parent_hash = B256::ZERO),
        ("timestamp", |block| block.header.timestamp += 2),
        ("prevRandao", |block| block.header.mix_hash = B256::repeat_byte(1)),
        ("fee recipient", |block| block.header.beneficiary = Address::ZERO),
        ("parent beacon block root", |block| {
            block.header.parent_beacon_block_root = Some(B256::repeat_byte(1));
        }),
        ("number of withdrawals", |block| block.body.withdrawals = None),
        ("gas limit", |block| block.header.gas_limit -= 1),
        ("extra data", |block| block.header.extra_data = bytes!("00000000fa00000007")),
        ("transaction 0", |block| {
            let OpTxEnvelope::Deposit(attributes) = &block.body.transactions[0] else { panic!() };
            let mut attributes = attributes.clone().into_inner();
            attributes.gas_limit += 1;
            block.body.transactions[0] = attributes.into();
        }),
        ("transaction 1", |block| block.body.transactions.swap(1, 2)),
        ("transaction 3", |block| drop(block.body.transactions.remove(3))),
        ("number of transactions", |block| drop(block.body.transactions.pop())),
        ("base fee", |block| block.header.base_fee_per_gas = Some(1)),
        ("ommers hash", |block| block.header.ommers_hash = B256::ZERO),
        ("difficulty", |block| block.header.difficulty = U256::from(1)),
        ("nonce", |block| block.header.nonce = B64::repeat_byte(1)),
        ("blob gas used", |block| block.header.blob_gas_used = Some(131_072)),
        ("excess blob gas", |block| block.header.excess_blob_gas = Some(1)),
        ("requests hash", |block| block.header.requests_hash = Some(B256::ZERO)),
    ];
    for (field, plant) in planted {
        // The first block with deposits.
        let mut blocks = rollup.blocks.clone();
        plant(&mut blocks[3]);
        commit_to_transactions(&mut blocks[3]);
        let verdict = check(&rollup, &blocks, &["--until", "5"]);
        let expected = format!("3 {} {field} differs: derived ", blocks[3].header.hash_slow());
        assert_eq!(verdict.code, 1, "{field}: {verdict:#?}");
        assert_eq!(verdict.blocks[..2], [ok(&blocks[1]), ok(&blocks[2])], "{field}");
        assert!(verdict.blocks[2].starts_with(&expected), "{field}: {verdict:#?}");
        assert_eq!(verdict.blocks.len(), 3);
        // Before it nothing is wrong.
        assert_eq!(check(&rollup, &blocks, &["--until", "2"]).code, 0);
    }
}

#[test]
fn what_l1_does_not_say_is_not_agreed_with() {
    let mut rollup = eventful();
    let batches = rollup.batches(1);
    post_calldata(&rollup.anvil, &frames(1, &channel(&batches[..4], Zlib), 100_000));
    rollup.mine(&[]);
    let verdict = check(&rollup, &rollup.blocks, &[]);
    assert_eq!((verdict.code, verdict.blocks.len()), (1, 4), "{verdict:#?}");
    assert!(verdict.last_words.contains("L1 ends with block 5 of L2 still to be derived"));
    assert_eq!(check(&rollup, &rollup.blocks, &["--until", "4"]).code, 0);
}

#[test]
fn what_cannot_be_compared_is_no_agreement() {
    let mut rollup = Rollup::begin(100);
    rollup.mine(&[]);
    rollup.build(0);
    let fails = |blocks: &[OpBlock], arguments: &[&str], reason: &str| {
        let verdict = check(&rollup, blocks, arguments);
        assert_eq!((verdict.code, verdict.blocks.len()), (2, 0), "{verdict:#?}");
        assert!(verdict.last_words.contains(reason), "{verdict:#?}");
    };
    fails(&rollup.blocks[..1], &[], "there is no block to compare");
    fails(&rollup.blocks, &["--until", "0"], "there is no block to compare");
    let mut other = rollup.blocks.clone();
    other[0].header.gas_limit += 1;
    fails(&other, &[], "the genesis block is ");
    let mut inconsistent = rollup.blocks.clone();
    inconsistent[0].header.transactions_root = B256::ZERO;
    fails(&inconsistent, &[], "the transactions that L2 served for block 0");
}
