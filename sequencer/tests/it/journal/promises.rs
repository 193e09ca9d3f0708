//! What the open block promised, on either database.

use std::{ops::Range, sync::Arc, time::Duration};

use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use millrace_protocol::{Eip1559Params, Prescribed};
use millrace_sequencer::journal::{
    AppendError, Journal, PromiseError, Promised, PromisedHead, ReadError, RewindError, WriteError,
    promise::{decode_head, encode_head},
    row::RowError,
};
use millrace_types::{ExecutedBlock, Transaction};
use op_alloy_consensus::TxDeposit;
use proptest::{collection::vec, prelude::*};

use super::{
    fixture::{self, GENESIS, chain},
    suite::{check, execute, filled, id, open, open_again, query},
};

/// The head of a made-up block.
pub(super) fn head(executed: &ExecutedBlock) -> PromisedHead {
    let header = &executed.block.header;
    let deposits = executed.block.transactions.iter().filter_map(|tx| tx.as_deposit().cloned());
    PromisedHead {
        number: header.number,
        parent_hash: header.parent_hash,
        timestamp: header.timestamp,
        prescribed: Prescribed {
            sequence_number: 7,
            deposits: deposits.collect(),
            gas_limit: 60_000_000,
            eip1559: Eip1559Params::OPTIMISM,
            prev_randao: header.mix_hash,
            parent_beacon_block_root: B256::repeat_byte(0xbe),
        },
    }
}

/// A block's transactions after its deposit.
pub(super) fn signed(executed: &ExecutedBlock) -> &[Arc<Transaction>] {
    &executed.block.transactions[1..]
}

/// Promises these of a block's transactions.
async fn promise(
    journal: &Journal,
    block: &ExecutedBlock,
    range: Range<usize>,
) -> Result<(), PromiseError> {
    journal.promise(&head(block), range.start as u64, &signed(block)[range]).await
}

/// Of this block so many transactions are promised, and nothing else.
async fn check_promised(journal: &Journal, block: &ExecutedBlock, count: usize) {
    let transactions = signed(block)[..count].to_vec();
    let promised = journal.promised().await.unwrap();
    assert_eq!(promised, Some(Promised { head: head(block), transactions }));
    // Senders are not part of a transaction's identity, so they need a look of their own.
    for (read, written) in promised.unwrap().transactions.iter().zip(signed(block)) {
        assert_eq!(read.sender(), written.sender());
        assert_eq!(read.encoded(), written.encoded());
    }
}

async fn rows(location: &str) -> i64 {
    query(location, "SELECT count(*) FROM promises").await
}

pub(super) async fn gives_back_what_was_promised(location: &str) {
    let block = fixture::block(GENESIS, 0, 300);
    let mut journal = open(location).await;
    assert_eq!(journal.promised().await.unwrap(), None);
    journal.withdraw_promise().await.unwrap();
    // The head alone, then groups of all sizes; each start finds what the last one promised.
    for range in [0..0, 0..1, 1..3, 3..3, 3..3 + 64, 67..67 + 65, 132..300] {
        promise(&journal, &block, range.clone()).await.unwrap();
        check_promised(&journal, &block, range.end).await;
        journal = open_again(journal, location).await;
        check_promised(&journal, &block, range.end).await;
    }
    assert_eq!(rows(location).await, 6);
    // Nobody sees a block in it.
    check(&journal, &[]).await;
    journal.withdraw_promise().await.unwrap();
    assert_eq!(journal.promised().await.unwrap(), None);
    assert_eq!(open_again(journal, location).await.promised().await.unwrap(), None);
    assert_eq!(rows(location).await, 0);
}

pub(super) async fn is_kept_or_broken_by_blocks(location: &str) {
    let mut blocks = vec![fixture::block(GENESIS, 0, 9)];
    blocks.push(fixture::block(id(&blocks[0]), 0, 5));
    let journal = open(location).await;
    for (index, block) in blocks.iter().enumerate() {
        promise(&journal, block, 0..2).await.unwrap();
        promise(&journal, block, 2..5).await.unwrap();
        // Fewer transactions than were promised, or others: neither is the block.
        let parent = blocks[..index].last().map_or(GENESIS, id);
        for other in [fixture::block(parent, 0, 4), fixture::block(parent, 1, 9)] {
            let error = journal.append(&other).await.unwrap_err();
            assert!(
                matches!(error, AppendError::BreaksPromise { number, promised: 5 }
                    if number == other.block.number()),
                "{error}"
            );
            assert!(!error.may_pass());
            check_promised(&journal, block, 5).await;
        }
        journal.append(block).await.unwrap();
        assert_eq!(journal.promised().await.unwrap(), None);
        assert_eq!(rows(location).await, 0);
        check(&journal, &blocks[..=index]).await;
    }
    // A head binds nobody to any transactions, and what is withdrawn to nothing.
    let next = fixture::block(id(&blocks[1]), 0, 3);
    promise(&journal, &next, 0..0).await.unwrap();
    journal.append(&next).await.unwrap();
    let promised = fixture::block(id(&next), 0, 3);
    promise(&journal, &promised, 0..3).await.unwrap();
    journal.withdraw_promise().await.unwrap();
    journal.append(&fixture::block(id(&next), 1, 3)).await.unwrap();
    assert_eq!(journal.promised().await.unwrap(), None);
}

pub(super) async fn takes_only_what_goes_on(location: &str) {
    let blocks = chain(3);
    let journal = filled(location, &blocks[..2]).await;
    let next = fixture::block(id(&blocks[1]), 0, 8);
    let refused = async |block: &ExecutedBlock, range: Range<usize>| {
        let from = range.start as u64;
        let error = promise(&journal, block, range).await.unwrap_err();
        assert!(
            matches!(error, PromiseError::NotNext { tip, offered, .. }
                if tip == Some(id(&blocks[1])) && offered == (block.block.number(), from)),
            "{error}"
        );
        assert!(!error.may_pass());
    };
    // Not the next block, not on the tip, not from the beginning.
    refused(&blocks[1], 0..1).await;
    refused(&fixture::block(id(&next), 0, 3), 0..3).await;
    refused(&fixture::block(BlockNumHash::new(2, B256::ZERO), 0, 3), 0..3).await;
    refused(&next, 1..3).await;
    assert_eq!(journal.promised().await.unwrap(), None);
    // With a gap, with another parent, with other transactions in the places of those promised.
    promise(&journal, &next, 0..4).await.unwrap();
    refused(&next, 5..8).await;
    refused(&fixture::block(BlockNumHash::new(2, B256::ZERO), 0, 8), 4..8).await;
    refused(&fixture::block(id(&blocks[1]), 1, 8), 0..8).await;
    refused(&fixture::block(id(&blocks[1]), 1, 8), 3..5).await;
    refused(&next, 0..3).await;
    check_promised(&journal, &next, 4).await;
    promise(&journal, &next, 4..8).await.unwrap();
    check_promised(&journal, &next, 8).await;
}

/// After a commit of unknown fate it is promised again, and may have grown.
pub(super) async fn may_be_made_again(location: &str) {
    let block = fixture::block(GENESIS, 0, 200);
    let journal = open(location).await;
    for range in [0..0, 0..0, 0..5, 0..5, 0..9, 5..9, 8..9, 7..120, 120..120, 50..200] {
        promise(&journal, &block, range.clone()).await.unwrap();
        check_promised(&journal, &block, range.end).await;
    }
    assert_eq!(rows(location).await, 5);
    journal.append(&block).await.unwrap();
    check(&journal, &[block]).await;
}

pub(super) async fn leaves_with_removed_blocks(location: &str) {
    let blocks = chain(6);
    let journal = filled(location, &blocks).await;
    let next = fixture::block(id(&blocks[5]), 0, 4);
    promise(&journal, &next, 0..4).await.unwrap();
    // Where nothing is removed, the promise stands.
    journal.rewind(6).await.unwrap();
    check_promised(&journal, &next, 4).await;
    journal.rewind(5).await.unwrap();
    assert_eq!(journal.promised().await.unwrap(), None);
    assert_eq!(rows(location).await, 0);
    // Another block of the same parent can be promised and made.
    let other = fixture::block(id(&blocks[4]), 1, 4);
    promise(&journal, &other, 0..3).await.unwrap();
    let journal = open_again(journal, location).await;
    check_promised(&journal, &other, 3).await;
    journal.append(&other).await.unwrap();
    check(&journal, &[&blocks[..5], &[other]].concat()).await;
}

/// A dropped future may leave the group promised or not, but the journal knows which before it goes on.
pub(super) async fn survives_abandoned_promises(location: &str) {
    let block = fixture::block(GENESIS, 0, 60);
    let journal = open(location).await;
    for step in 0..20 {
        let patience = Duration::from_micros(step as u64 * 150);
        let range = 3 * step..3 * step + 3;
        let _ = tokio::time::timeout(patience, promise(&journal, &block, range.clone())).await;
        promise(&journal, &block, range.clone()).await.unwrap();
        check_promised(&journal, &block, range.end).await;
    }
    let _ = tokio::time::timeout(Duration::from_micros(300), journal.withdraw_promise()).await;
    journal.withdraw_promise().await.unwrap();
    assert_eq!(journal.promised().await.unwrap(), None);
}

pub(super) async fn names_what_is_corrupt(location: &str) {
    let block = fixture::block(GENESIS, 0, 12);
    let journal = open(location).await;
    for statement in [
        "UPDATE promises SET head = substr(head, 1, length(head) - 1) WHERE end_index = 4",
        "UPDATE promises SET transactions = substr(transactions, 1, length(transactions) - 1) WHERE end_index = 8",
        "UPDATE promises SET transactions = (SELECT transactions FROM promises WHERE end_index = 9) WHERE end_index = 8",
        "UPDATE promises SET number = 2 WHERE end_index = 8",
        "DELETE FROM promises WHERE end_index = 4",
        "DELETE FROM promises WHERE end_index = 9",
        "DELETE FROM promises",
    ] {
        for range in [0..4, 4..8, 8..9] {
            promise(&journal, &block, range).await.unwrap();
        }
        execute(location, statement).await;
        let error = journal.promised().await.unwrap_err();
        assert!(matches!(error, ReadError::Corrupt { number: 1, .. }), "{statement}: {error}");
        journal.withdraw_promise().await.unwrap();
        assert_eq!(journal.promised().await.unwrap(), None);
    }
}

/// The database refuses by itself what this process would not have asked for had it known.
pub(super) async fn halts_when_somebody_else_promises(location: &str) {
    let blocks = chain(2);
    let next = fixture::block(id(&blocks[1]), 0, 8);
    for statement in [
        "UPDATE promises SET end_index = 5",
        "DELETE FROM promises",
        "DELETE FROM blocks WHERE number = 2",
    ] {
        let journal = open(location).await;
        journal.withdraw_promise().await.unwrap();
        journal
            .append_group(&blocks[journal.tip().map_or(0, |tip| tip.number as usize)..])
            .await
            .unwrap();
        promise(&journal, &next, 0..4).await.unwrap();
        execute(location, statement).await;
        for _ in 0..2 {
            let error = promise(&journal, &next, 4..8).await.unwrap_err();
            assert!(
                matches!(error, PromiseError::Write(WriteError::Halted(_))),
                "{statement}: {error}"
            );
        }
        let error = journal.rewind(1).await.unwrap_err();
        assert!(matches!(error, RewindError::Write(WriteError::Halted(_))), "{error}");
    }
}

fn deposits() -> impl Strategy<Value = TxDeposit> {
    let fields = (any::<[u8; 32]>(), any::<[u8; 20]>(), any::<u128>(), any::<u64>());
    (fields, vec(any::<u8>(), 0..200)).prop_map(|((hash, address, mint, gas_limit), input)| {
        TxDeposit {
            source_hash: hash.into(),
            from: address.into(),
            to: if gas_limit % 2 == 0 { TxKind::Create } else { TxKind::Call(Address::ZERO) },
            mint,
            value: U256::from_be_bytes(hash),
            gas_limit,
            is_system_transaction: false,
            input: Bytes::from(input),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_head_comes_back_as_it_was(
        numbers in any::<[u64; 4]>(), hashes in any::<[[u8; 32]; 3]>(), denominator in 1u32..,
        elasticity in 1u32.., deposits in vec(deposits(), 0..4), flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let [number, timestamp, sequence_number, gas_limit] = numbers;
        let [parent_hash, prev_randao, parent_beacon_block_root] = hashes.map(B256::from);
        let eip1559 = Eip1559Params::new(denominator, elasticity).unwrap();
        let prescribed = Prescribed {
            sequence_number, deposits, gas_limit, eip1559, prev_randao, parent_beacon_block_root,
        };
        let head = PromisedHead { number, parent_hash, timestamp, prescribed };
        let mut stored = encode_head(&head).unwrap();
        prop_assert_eq!(decode_head(&stored, number).unwrap(), head.clone());
        let at = flip.0.index(stored.len());
        stored[at] ^= flip.1;
        // A few bits of a zstd frame mean nothing; what matters is that no other head comes out.
        if let Ok(read) = decode_head(&stored, number) {
            prop_assert_eq!(read, head);
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read_but_never_panic(
        bytes in vec(any::<u8>(), 0..300), wrapped in any::<bool>(),
    ) {
        // Random bytes hardly ever pass for a zstd frame, so every other time they get a real one.
        let frame = [&[1], zstd::encode_all(bytes.as_slice(), 1).unwrap().as_slice()].concat();
        let _ = decode_head(if wrapped { &frame } else { &bytes }, 1);
    }
}

#[test]
fn a_head_holds_deposits_only() {
    let block = fixture::block(GENESIS, 0, 1);
    let stored = encode_head(&head(&block)).unwrap();
    let mut payload = zstd::decode_all(&stored[1..]).unwrap();
    payload.extend(alloy_rlp::encode(signed(&block)[0].encoded()));
    let longer = [&[1], zstd::encode_all(payload.as_slice(), 1).unwrap().as_slice()].concat();
    let error = decode_head(&longer, 1).unwrap_err();
    assert!(matches!(error, RowError::NoDeposit { index: 1 }), "{error}");
}
