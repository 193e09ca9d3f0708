//! The batcher's ledger, on either database.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{B256, Bytes, U256};
use millrace_batcher::{
    BlockRange, Change, Fate, FrameRange, Kind, Ledger as _, Loaded, Record, TxFees,
};
use millrace_protocol::ChannelId;
use millrace_sequencer::journal::{Journal, JournalLedger};

use super::fixture::{IDENTITY, chain};

async fn open(location: &str) -> JournalLedger {
    let journal = Journal::open(&location.parse().unwrap(), IDENTITY).await.unwrap();
    JournalLedger::new(Arc::new(journal))
}

/// A record of its own for each number, with some extreme values.
pub(super) fn record(number: u64, attempt: u32) -> Record {
    let even = number.is_multiple_of(2);
    Record {
        hash: B256::from(U256::from(number) << 32 | U256::from(attempt)),
        nonce: number,
        attempt,
        channel: ChannelId([number as u8; 16]),
        blocks: BlockRange {
            first: 10 * number,
            last: 10 * number + 9,
            last_hash: B256::repeat_byte(0x1b),
            transaction_bytes: if even { 0 } else { 1 << 40 },
        },
        frames: FrameRange { first: if even { 0 } else { u16::MAX }, count: 6, is_last: even },
        kind: if even { Kind::Blobs } else { Kind::Calldata },
        fees: TxFees { tip: 1, fee_cap: u128::MAX, blob_fee_cap: number.into() },
        raw: Bytes::from(vec![number as u8; if even { 800_000 } else { 100 }]),
    }
}

fn insert(record: &Record) -> Change {
    Change::Insert(record.clone())
}

fn close(record: &Record, fate: Fate) -> Change {
    Change::Close { hash: record.hash, fate }
}

pub(super) async fn remembers_what_is_open(location: &str) {
    let ledger = open(location).await;
    assert_eq!(ledger.load().await.unwrap(), Loaded::default());
    ledger.apply(Vec::new()).await.unwrap();
    // Not in order, as attempts are.
    let records = [record(3, 0), record(4, 0), record(5, 0), record(3, 1)];
    let ordered = [0, 3, 1, 2].map(|index: usize| records[index].clone()).to_vec();
    // A COMMIT of unknown fate is offered again.
    for _ in 0..2 {
        ledger.apply(records.iter().map(insert).collect()).await.unwrap();
        let expected = Loaded { open: ordered.clone(), settled: None };
        assert_eq!(ledger.load().await.unwrap(), expected);
    }
    drop(ledger);

    let ledger = open(location).await;
    let six = record(6, 0);
    let changes = vec![
        close(&records[0], Fate::Settled),
        close(&records[3], Fate::Settled),
        close(&records[1], Fate::Abandoned),
        close(&record(99, 0), Fate::Settled),
        insert(&six),
    ];
    for _ in 0..2 {
        ledger.apply(changes.clone()).await.unwrap();
        let open = vec![records[2].clone(), six.clone()];
        assert_eq!(ledger.load().await.unwrap(), Loaded { open, settled: Some(39) });
    }
    // The first word about a record stands.
    ledger.apply(vec![close(&records[1], Fate::Settled)]).await.unwrap();
    assert_eq!(ledger.load().await.unwrap().settled, Some(39));
    // Unless it is about to be sent again.
    ledger.apply(vec![insert(&records[1])]).await.unwrap();
    drop(ledger);
    let open = vec![records[1].clone(), records[2].clone(), six.clone()];
    assert_eq!(
        self::open(location).await.load().await.unwrap(),
        Loaded { open, settled: Some(39) }
    );
}

pub(super) async fn forgets_closed_records(location: &str) -> u64 {
    let ledger = open(location).await;
    let records: Vec<_> = (0..1_300).map(|number| record(2 * number + 1, 0)).collect();
    ledger.apply(records.iter().map(insert).collect()).await.unwrap();
    let abandoned = records[..50].iter().map(|record| close(record, Fate::Abandoned));
    ledger.apply(abandoned.collect()).await.unwrap();
    let settled = records[50..1_250].iter().map(|record| close(record, Fate::Settled));
    ledger.apply(settled.collect()).await.unwrap();
    let last = records[1_249].blocks.last;
    let expected = Loaded { open: records[1_250..].to_vec(), settled: Some(last) };
    assert_eq!(ledger.load().await.unwrap(), expected);
    // Those abandoned, the newest settled ones, and the open ones.
    50 + 1_000 + 50
}

/// Blocks come and go beside it.
pub(super) async fn goes_its_own_way(location: &str) {
    let journal = Arc::new(Journal::open(&location.parse().unwrap(), IDENTITY).await.unwrap());
    let ledger = JournalLedger::new(journal.clone());
    let blocks = chain(12);
    let appending = async {
        for block in &blocks {
            journal.append(block).await.unwrap();
        }
        journal.rewind(7).await.unwrap();
    };
    let writing = async {
        for number in 0..12 {
            ledger.apply(vec![insert(&record(number, 0))]).await.unwrap();
        }
    };
    tokio::join!(appending, writing);
    assert_eq!(journal.tip().unwrap().number, 7);
    assert_eq!(ledger.load().await.unwrap().open.len(), 12);
}

/// A dropped future may have made the changes or not; made again, they are there once.
pub(super) async fn survives_abandoned_changes(location: &str) {
    let ledger = open(location).await;
    let mut expected = Vec::new();
    for number in 0..15 {
        let record = record(number, 0);
        let patience = Duration::from_micros(number * 400);
        let _ = tokio::time::timeout(patience, ledger.apply(vec![insert(&record)])).await;
        ledger.apply(vec![insert(&record)]).await.unwrap();
        expected.push(record);
        assert_eq!(ledger.load().await.unwrap().open, expected);
    }
}
