//! What the journal promises, on either database.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_eips::BlockNumHash;
use alloy_primitives::B256;
use millrace_protocol::BlockId;
use millrace_sequencer::journal::{
    AppendError, ChainIdentity, FinalizeError, Finalized, Journal, Location, OpenError, ReadError,
    RewindError, WriteError,
};
use millrace_types::{ExecutedBlock, Waypoint};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use super::{
    fixture::{self, GENESIS, IDENTITY, chain, extend, stored, with_waypoints},
    ledger, promises,
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    on(async |name| file(name)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    let server = Server::start().await;
    on(async |name| server.create_database(name).await).await;
}

/// Runs everything, each on a database of its own.
async fn on(create: impl AsyncFn(&str) -> String) {
    gives_back_what_was_appended(&create("reads").await).await;
    stands_where_it_stood_after_reopening(&create("reopens").await).await;
    appends_groups_whole_or_not_at_all(&create("appends_groups").await).await;
    takes_only_the_next_block(&create("takes_next").await).await;
    rewinds(&create("rewinds").await).await;
    belongs_to_one_chain(&create("belongs").await).await;
    has_one_owner(&create("owner").await).await;
    names_the_corrupt_block(&create("corrupt").await).await;
    refuses_a_newer_schema(&create("newer").await).await;
    halts_when_somebody_else_writes(&create("outsider").await).await;
    may_be_read_while_it_is_written(&create("concurrent").await).await;
    survives_abandoned_appends(&create("abandoned").await).await;
    keeps_waypoints_until_the_checkpoint_has_come(&create("keeps").await).await;
    keeps_no_waypoints_unless_told(&create("keeps_none").await).await;
    rewinds_waypoints(&create("rewinds_waypoints").await).await;
    remembers_what_is_final(&create("finalizes").await).await;
    never_goes_below_what_is_final(&create("is_final").await).await;
    halts_when_somebody_else_finalizes(&create("finalizes_elsewhere").await).await;
    survives_abandoned_rewinds(&create("abandoned_rewinds").await).await;
    ledger::remembers_what_is_open(&create("ledger").await).await;
    forgets_closed_transactions(&create("ledger_closed").await).await;
    ledger::goes_its_own_way(&create("ledger_beside").await).await;
    ledger::survives_abandoned_changes(&create("ledger_abandoned").await).await;
    promises::gives_back_what_was_promised(&create("promises").await).await;
    promises::is_kept_or_broken_by_blocks(&create("promises_kept").await).await;
    promises::takes_only_what_goes_on(&create("promises_order").await).await;
    promises::may_be_made_again(&create("promises_again").await).await;
    promises::leaves_with_removed_blocks(&create("promises_rewind").await).await;
    promises::survives_abandoned_promises(&create("promises_abandoned").await).await;
    promises::names_what_is_corrupt(&create("promises_corrupt").await).await;
    promises::halts_when_somebody_else_promises(&create("promises_outsider").await).await;
    does_without_damaged_waypoints(&create("damaged").await).await;
    upgrades_a_journal_without_waypoints(&create("upgrades").await).await;
}

pub(super) async fn open(location: &str) -> Journal {
    Journal::open(&location.parse().unwrap(), IDENTITY).await.unwrap()
}

pub(super) async fn filled(location: &str, blocks: &[ExecutedBlock]) -> Journal {
    let journal = open(location).await;
    journal.append_group(blocks).await.unwrap();
    journal
}

/// The whole journal is these blocks and nothing else.
pub(super) async fn check(journal: &Journal, expected: &[ExecutedBlock]) {
    assert_eq!(journal.tip(), expected.last().map(id));
    let mut blocks = journal.range(0..=u64::MAX);
    if !expected.is_empty() {
        blocks = journal.range(1..=u64::MAX);
    }
    for expected in expected {
        assert_eq!(blocks.next().await.unwrap(), Some(stored(expected)));
    }
    assert_eq!(blocks.next().await.unwrap(), None);
}

pub(super) fn id(executed: &ExecutedBlock) -> BlockNumHash {
    executed.block.header.num_hash()
}

async fn gives_back_what_was_appended(location: &str) {
    let blocks = chain(20);
    let journal = open(location).await;
    assert_eq!(journal.tip(), None);
    assert_eq!(journal.block(1).await.unwrap(), None);
    for block in &blocks {
        journal.append(block).await.unwrap();
        assert_eq!(journal.tip(), Some(id(block)));
    }
    check(&journal, &blocks).await;
    for block in &blocks {
        let BlockNumHash { number, hash } = id(block);
        assert_eq!(journal.block(number).await.unwrap(), Some(stored(block)));
        assert_eq!(journal.block(hash).await.unwrap(), Some(stored(block)));
        assert_eq!(journal.header(number).await.unwrap().as_ref(), Some(&block.block.header));
        // Senders are not part of a transaction's identity, so they need a look of their own.
        let read = journal.block(number).await.unwrap().unwrap();
        for (read, written) in read.block.transactions.iter().zip(&block.block.transactions) {
            assert_eq!(read.sender(), written.sender());
            assert_eq!(read.encoded(), written.encoded());
        }
    }
    for absent in [0, 21, i64::MAX as u64, 1 << 63, u64::MAX] {
        assert_eq!(journal.block(absent).await.unwrap(), None);
        assert_eq!(journal.header(absent).await.unwrap(), None);
    }
    assert_eq!(journal.block(B256::ZERO).await.unwrap(), None);
    let mut middle = journal.range(5..=7);
    for block in &blocks[4..7] {
        assert_eq!(middle.next().await.unwrap(), Some(stored(block)));
    }
    assert_eq!(middle.next().await.unwrap(), None);
    #[expect(clippy::reversed_empty_ranges)]
    let mut empty = journal.range(7..=5);
    assert_eq!(empty.next().await.unwrap(), None);
}

async fn stands_where_it_stood_after_reopening(location: &str) {
    let blocks = chain(9);
    for (index, block) in blocks.iter().enumerate() {
        let journal = open(location).await;
        check(&journal, &blocks[..index]).await;
        journal.append(block).await.unwrap();
        match index % 2 {
            0 => journal.close().await,
            _ => drop(journal),
        }
    }
    check(&open(location).await, &blocks).await;
}

async fn appends_groups_whole_or_not_at_all(location: &str) {
    let blocks = chain(12);
    let journal = filled(location, &blocks[..5]).await;
    journal.append_group(&[]).await.unwrap();
    check(&journal, &blocks[..5]).await;
    let mut broken = blocks[5..].to_vec();
    broken.remove(3);
    let error = journal.append_group(&broken).await.unwrap_err();
    assert!(
        matches!(error, AppendError::NotNext { offered, .. } if offered == id(&blocks[9])),
        "{error}"
    );
    check(&journal, &blocks[..5]).await;
    journal.append_group(&blocks[5..]).await.unwrap();
    check(&journal, &blocks).await;
}

async fn takes_only_the_next_block(location: &str) {
    let blocks = chain(4);
    let journal = filled(location, &blocks[..2]).await;
    // What is the tip already may be appended again: its fate may have been unknown.
    journal.append(&blocks[1]).await.unwrap();
    let other_parent = fixture::block(BlockNumHash::new(2, B256::ZERO), 0, 1);
    for refused in [&blocks[0], &blocks[3], &other_parent] {
        let error = journal.append(refused).await.unwrap_err();
        assert!(
            matches!(error, AppendError::NotNext { tip, offered }
                if tip == Some(id(&blocks[1])) && offered == id(refused)),
            "{error}"
        );
    }
    let mut receiptless = blocks[2].clone();
    receiptless.receipts = Default::default();
    let error = journal.append(&receiptless).await.unwrap_err();
    assert!(matches!(error, AppendError::Invalid { number: 3, .. }), "{error}");
    journal.append_group(&blocks[2..]).await.unwrap();
    check(&journal, &blocks).await;
}

async fn rewinds(location: &str) {
    let mut blocks = chain(10);
    let journal = filled(location, &blocks).await;
    journal.rewind(10).await.unwrap();
    journal.rewind(u64::MAX).await.unwrap();
    check(&journal, &blocks).await;
    journal.rewind(6).await.unwrap();
    check(&journal, &blocks[..6]).await;
    assert_eq!(journal.block(id(&blocks[6]).hash).await.unwrap(), None);
    let other = extend(id(&blocks[5]), 77, 3);
    blocks.truncate(6);
    blocks.extend(other);
    journal.append_group(&blocks[6..]).await.unwrap();
    check(&journal, &blocks).await;
    drop(journal);
    let journal = open(location).await;
    check(&journal, &blocks).await;
    journal.rewind(0).await.unwrap();
    check(&journal, &[]).await;
    journal.append(&blocks[0]).await.unwrap();
    check(&journal, &blocks[..1]).await;
}

async fn belongs_to_one_chain(location: &str) {
    drop(filled(location, &chain(1)).await);
    let parsed: Location = location.parse().unwrap();
    let other_chain = ChainIdentity { chain_id: u64::MAX, ..IDENTITY };
    let error = Journal::open(&parsed, other_chain).await.unwrap_err();
    assert!(matches!(error, OpenError::OtherChain { expected: u64::MAX, found: 901 }), "{error}");
    let other_genesis = ChainIdentity { genesis_hash: B256::ZERO, ..IDENTITY };
    let error = Journal::open(&parsed, other_genesis).await.unwrap_err();
    assert!(
        matches!(error, OpenError::OtherGenesis { found, .. } if found == GENESIS.hash),
        "{error}"
    );
    check(&open(location).await, &chain(1)).await;
}

async fn has_one_owner(location: &str) {
    let journal = open(location).await;
    let error = Journal::open(&location.parse().unwrap(), IDENTITY).await.unwrap_err();
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
    journal.append_group(&chain(2)).await.unwrap();
    drop(journal);
    check(&open(location).await, &chain(2)).await;
}

async fn names_the_corrupt_block(location: &str) {
    let blocks = chain(8);
    let journal = filled(location, &blocks).await;
    for statement in [
        "UPDATE blocks SET header = (SELECT header FROM blocks WHERE number = 1) WHERE number = 2",
        "UPDATE blocks SET body = receipts WHERE number = 3",
        "UPDATE blocks SET receipts = (SELECT receipts FROM blocks WHERE number = 3) WHERE number = 4",
        "UPDATE blocks SET body = substr(body, 1, length(body) - 1) WHERE number = 5",
        "DELETE FROM blocks WHERE number = 7",
    ] {
        execute(location, statement).await;
    }
    let mut all = journal.range(1..=8);
    assert_eq!(all.next().await.unwrap(), Some(stored(&blocks[0])));
    for corrupt in 2..=5 {
        let error = all.next().await.unwrap_err();
        assert!(
            matches!(error, ReadError::Corrupt { number, .. } if number == corrupt),
            "{corrupt}: {error}"
        );
        assert!(journal.block(corrupt).await.is_err());
    }
    assert!(matches!(journal.header(2).await, Err(ReadError::Corrupt { number: 2, .. })));
    assert_eq!(all.next().await.unwrap(), Some(stored(&blocks[5])));
    assert!(matches!(all.next().await, Err(ReadError::Missing(7))));
}

async fn refuses_a_newer_schema(location: &str) {
    drop(filled(location, &chain(1)).await);
    execute(
        location,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         SELECT 99991231235959, 'later', success, checksum, 0 FROM _sqlx_migrations LIMIT 1",
    )
    .await;
    let error = Journal::open(&location.parse().unwrap(), IDENTITY).await.unwrap_err();
    assert!(matches!(error, OpenError::NewerSchema(99991231235959)), "{error}");
}

async fn halts_when_somebody_else_writes(location: &str) {
    let blocks = chain(4);
    let journal = filled(location, &blocks[..3]).await;
    execute(location, "DELETE FROM blocks WHERE number = 3").await;
    for _ in 0..2 {
        let error = journal.append(&blocks[3]).await.unwrap_err();
        assert!(matches!(error, AppendError::Write(WriteError::Halted(_))), "{error}");
    }
    let error = journal.rewind(1).await.unwrap_err();
    assert!(matches!(error, RewindError::Write(WriteError::Halted(_))), "{error}");
    drop(journal);
    check(&open(location).await, &blocks[..2]).await;
}

async fn may_be_read_while_it_is_written(location: &str) {
    let blocks = chain(60);
    let journal = filled(location, &blocks[..20]).await;
    let write = async {
        for block in &blocks[20..] {
            journal.append(block).await.unwrap();
        }
    };
    let read = async {
        for block in blocks[..20].iter().rev() {
            assert_eq!(journal.block(id(block).hash).await.unwrap(), Some(stored(block)));
        }
        let mut all = journal.range(1..=u64::MAX);
        let mut count = 0;
        while let Some(read) = all.next().await.unwrap() {
            assert_eq!(read, stored(&blocks[count]));
            count += 1;
        }
        assert!(count >= 20);
    };
    tokio::join!(write, read);
    check(&journal, &blocks).await;
}

/// A dropped future may leave the block stored or not, but the journal knows which before it goes on.
async fn survives_abandoned_appends(location: &str) {
    let blocks = chain(20);
    let journal = open(location).await;
    for (index, block) in blocks.iter().enumerate() {
        let patience = std::time::Duration::from_micros(index as u64 * 200);
        let _ = tokio::time::timeout(patience, journal.append(block)).await;
        journal.append(block).await.unwrap();
        assert_eq!(journal.tip(), Some(id(block)));
    }
    check(&journal, &blocks).await;
}

/// A dropped future may leave the blocks there or not, but the journal knows which before it goes on.
async fn survives_abandoned_rewinds(location: &str) {
    let blocks = chain(24);
    let journal = filled(location, &blocks).await;
    for (step, to) in (0..12).map(|step| (step, 22 - 2 * step)) {
        let patience = std::time::Duration::from_micros(step * 300);
        let _ = tokio::time::timeout(patience, journal.rewind(to)).await;
        // The next block fits whatever happened, once the rewinding has been offered again.
        journal.rewind(to).await.unwrap();
        check(&journal, &blocks[..to as usize]).await;
        journal.append(&blocks[to as usize]).await.unwrap();
    }
    check(&open_again(journal, location).await, &blocks[..1]).await;
}

pub(super) async fn open_again(journal: Journal, location: &str) -> Journal {
    drop(journal);
    open(location).await
}

/// An L2 block, final by an L1 block of that number.
fn finalized(l2: BlockNumHash, l1_number: u64) -> Finalized {
    let l1 = BlockId { number: l1_number, hash: B256::with_last_byte(l1_number as u8) };
    Finalized { l2: BlockId { number: l2.number, hash: l2.hash }, l1 }
}

async fn remembers_what_is_final(location: &str) {
    let blocks = chain(6);
    let mut journal = filled(location, &blocks).await;
    assert_eq!(journal.finalized(), None);
    // Genesis can be final before anything else is, and L1 goes on while L2 has nothing new.
    let steps = [
        finalized(GENESIS, 0),
        finalized(GENESIS, 3),
        finalized(id(&blocks[1]), 4),
        finalized(id(&blocks[1]), 5),
        finalized(id(&blocks[4]), 5),
    ];
    for step in steps {
        journal.set_finalized(step).await.unwrap();
        journal.set_finalized(step).await.unwrap();
        assert_eq!(journal.finalized(), Some(step));
        journal = open_again(journal, location).await;
        assert_eq!(journal.finalized(), Some(step));
    }
    // What says less changes nothing.
    for older in [steps[0], steps[2], steps[3], finalized(id(&blocks[5]), 4)] {
        journal.set_finalized(older).await.unwrap();
        assert_eq!(journal.finalized(), Some(steps[4]));
    }
    let mut elsewhere = finalized(id(&blocks[5]), 5);
    elsewhere.l1.hash = B256::ZERO;
    let error = journal.set_finalized(elsewhere).await.unwrap_err();
    assert!(matches!(error, FinalizeError::OtherL1 { .. }), "{error}");
    let other_hash = BlockNumHash::new(5, B256::ZERO);
    let beyond = BlockNumHash::new(7, id(&blocks[5]).hash);
    for absent in [other_hash, beyond, BlockNumHash::new(u64::MAX, B256::ZERO)] {
        let error = journal.set_finalized(finalized(absent, 9)).await.unwrap_err();
        assert!(
            matches!(error, FinalizeError::NotJournaled(block) if block.number == absent.number),
            "{error}"
        );
    }
    assert_eq!(open_again(journal, location).await.finalized(), Some(steps[4]));
}

async fn never_goes_below_what_is_final(location: &str) {
    let blocks = chain(8);
    let journal = filled(location, &blocks).await;
    journal.set_finalized(finalized(id(&blocks[3]), 9)).await.unwrap();
    for to in [0, 3] {
        let error = journal.rewind(to).await.unwrap_err();
        assert!(matches!(error, RewindError::Final { finalized: 4, .. }), "{error}");
        check(&journal, &blocks).await;
    }
    journal.rewind(4).await.unwrap();
    check(&journal, &blocks[..4]).await;
    let journal = open_again(journal, location).await;
    assert!(matches!(journal.rewind(3).await, Err(RewindError::Final { to: 3, finalized: 4 })));
    journal.append_group(&blocks[4..]).await.unwrap();
    check(&journal, &blocks).await;
}

/// The database refuses by itself what this process would not have asked for had it known.
async fn halts_when_somebody_else_finalizes(location: &str) {
    let blocks = chain(4);
    let journal = filled(location, &blocks).await;
    journal.set_finalized(finalized(id(&blocks[0]), 1)).await.unwrap();
    execute(location, "UPDATE finalized SET number = 3").await;
    let error = journal.rewind(1).await.unwrap_err();
    assert!(matches!(error, RewindError::Write(WriteError::Halted(_))), "{error}");
    check(&open_again(journal, location).await, &blocks).await;
}

/// A closed record has no bytes any more, and after a while it is gone.
async fn forgets_closed_transactions(location: &str) {
    let kept = ledger::forgets_closed_records(location).await;
    let all = "SELECT count(*) FROM l1_transactions";
    assert_eq!(query(location, all).await, kept as i64);
    let closed = "SELECT count(*) FROM l1_transactions WHERE fate <> 0 AND raw IS NOT NULL";
    assert_eq!(query(location, closed).await, 0);
}

/// A chain of blocks with enough gas for waypoints: the waypoints as they should be read, too.
fn recorded(
    parent: BlockNumHash,
    seed: u64,
    length: usize,
) -> (Vec<ExecutedBlock>, Vec<Vec<Waypoint>>) {
    let (mut blocks, mut waypoints, mut tip) = (Vec::new(), Vec::new(), parent);
    for _ in 0..length {
        let block = with_waypoints(fixture::block(tip, seed, 60), 5);
        tip = id(&block);
        waypoints.push(Waypoint::coalesce(&block.waypoints, &block.receipts, 16));
        blocks.push(block);
    }
    (blocks, waypoints)
}

/// A journal whose owner may move the checkpoint.
async fn open_keeping(location: &str) -> (Journal, Arc<AtomicU64>) {
    let checkpoint = Arc::new(AtomicU64::new(0));
    let asked = checkpoint.clone();
    let journal = open(location).await.keeping_waypoints(move || asked.load(Ordering::SeqCst));
    (journal, checkpoint)
}

/// The numbers of the blocks with waypoints, each with the right ones.
async fn kept(
    journal: &Journal,
    blocks: &[ExecutedBlock],
    waypoints: &[Vec<Waypoint>],
) -> Vec<u64> {
    let mut kept = Vec::new();
    for (executed, waypoints) in blocks.iter().zip(waypoints) {
        let found = journal.waypoints(&executed.block).await;
        if !found.is_empty() {
            assert_eq!(found, *waypoints);
            kept.push(executed.block.number());
        }
    }
    kept
}

async fn keeps_waypoints_until_the_checkpoint_has_come(location: &str) {
    let (blocks, waypoints) = recorded(GENESIS, 0, 12);
    let (journal, checkpoint) = open_keeping(location).await;
    for block in &blocks[..6] {
        journal.append(block).await.unwrap();
    }
    check(&journal, &blocks[..6]).await;
    assert_eq!(kept(&journal, &blocks, &waypoints).await, [1, 2, 3, 4, 5, 6]);
    drop(journal);
    let (journal, _) = open_keeping(location).await;
    assert_eq!(kept(&journal, &blocks, &waypoints).await, [1, 2, 3, 4, 5, 6]);
    drop(journal);

    // The oldest leave, two for each that comes, and never one above the checkpoint.
    let (journal, moved) = open_keeping(location).await;
    moved.store(5, Ordering::SeqCst);
    journal.append(&blocks[6]).await.unwrap();
    assert_eq!(kept(&journal, &blocks, &waypoints).await, [3, 4, 5, 6, 7]);
    journal.append_group(&blocks[7..9]).await.unwrap();
    assert_eq!(kept(&journal, &blocks, &waypoints).await, [6, 7, 8, 9]);
    journal.append(&blocks[9]).await.unwrap();
    assert_eq!(kept(&journal, &blocks, &waypoints).await, [6, 7, 8, 9, 10]);
    // The same block again, as after a commit whose fate was unknown.
    journal.append(&blocks[9]).await.unwrap();
    assert_eq!(kept(&journal, &blocks, &waypoints).await, [6, 7, 8, 9, 10]);
    assert_eq!((journal.waypoints_unusable(), checkpoint.load(Ordering::SeqCst)), (0, 0));
    check(&journal, &blocks[..10]).await;
}

async fn keeps_no_waypoints_unless_told(location: &str) {
    let (blocks, waypoints) = recorded(GENESIS, 0, 3);
    let journal = filled(location, &blocks).await;
    assert!(kept(&journal, &blocks, &waypoints).await.is_empty());
    assert_eq!(count_waypoints(location).await, 0);
    drop(journal);
    // Nor where they would not pay.
    let (journal, _) = open_keeping(location).await;
    let small = with_waypoints(fixture::block(id(&blocks[2]), 0, 20), 5);
    journal.append(&small).await.unwrap();
    assert_eq!(journal.waypoints(&small.block).await, []);
    assert_eq!(count_waypoints(location).await, 0);
}

async fn rewinds_waypoints(location: &str) {
    let (mut blocks, mut waypoints) = recorded(GENESIS, 0, 6);
    let (journal, _) = open_keeping(location).await;
    journal.append_group(&blocks).await.unwrap();
    journal.rewind(3).await.unwrap();
    assert_eq!(kept(&journal, &blocks, &waypoints).await, [1, 2, 3]);
    blocks.truncate(3);
    waypoints.truncate(3);
    let (other, other_waypoints) = recorded(id(&blocks[2]), 7, 2);
    blocks.extend(other);
    waypoints.extend(other_waypoints);
    journal.append_group(&blocks[3..]).await.unwrap();
    check(&journal, &blocks).await;
    assert_eq!(kept(&journal, &blocks, &waypoints).await, [1, 2, 3, 4, 5]);
}

async fn does_without_damaged_waypoints(location: &str) {
    let (blocks, waypoints) = recorded(GENESIS, 0, 5);
    let (journal, _) = open_keeping(location).await;
    journal.append_group(&blocks[..4]).await.unwrap();
    for statement in [
        "UPDATE waypoints SET stretches = substr(stretches, 1, length(stretches) - 1) WHERE number = 1",
        "UPDATE waypoints SET stretches = (SELECT receipts FROM blocks WHERE number = 2) WHERE number = 2",
        "UPDATE waypoints SET stretches = substr(stretches, 1, 0) WHERE number = 3",
        // Left over by somebody who cut the chain and did not know of them.
        "UPDATE waypoints SET number = 5 WHERE number = 4",
    ] {
        execute(location, statement).await;
    }
    assert!(kept(&journal, &blocks[..4], &waypoints).await.is_empty());
    assert_eq!(journal.waypoints_unusable(), 3);
    // The blocks themselves are untouched, and the journal goes on.
    check(&journal, &blocks[..4]).await;
    journal.append(&blocks[4]).await.unwrap();
    assert_eq!(kept(&journal, &blocks, &waypoints).await, [5]);
    // Without their table, too.
    execute(location, "DROP TABLE waypoints").await;
    assert_eq!(journal.waypoints(&blocks[4].block).await, []);
    assert_eq!(journal.waypoints_unusable(), 7);
}

async fn upgrades_a_journal_without_waypoints(location: &str) {
    let (blocks, waypoints) = recorded(GENESIS, 0, 4);
    drop(filled(location, &blocks[..2]).await);
    execute(location, "DROP TABLE waypoints").await;
    execute(location, "DELETE FROM _sqlx_migrations WHERE version = 20261121120000").await;
    let (journal, _) = open_keeping(location).await;
    check(&journal, &blocks[..2]).await;
    journal.append_group(&blocks[2..]).await.unwrap();
    check(&journal, &blocks).await;
    assert_eq!(kept(&journal, &blocks, &waypoints).await, [3, 4]);
}

async fn count_waypoints(location: &str) -> i64 {
    let count = "SELECT count(*) FROM waypoints";
    if location.starts_with("postgres") {
        let mut connection = PgConnection::connect(location).await.unwrap();
        sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap()
    } else {
        let mut connection =
            SqliteConnection::connect(&format!("sqlite:{location}")).await.unwrap();
        sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap()
    }
}

/// A query's one number.
pub(super) async fn query(location: &str, statement: &str) -> i64 {
    let statement = AssertSqlSafe(statement);
    if location.starts_with("postgres") {
        let mut connection = PgConnection::connect(location).await.unwrap();
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
    } else {
        let url = format!("sqlite:{location}");
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap()
    }
}

/// Does to a database behind the journal's back what no journal does.
pub(super) async fn execute(location: &str, statement: &str) {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    if location.starts_with("postgres") {
        let mut connection = PgConnection::connect(location).await.unwrap();
        statement.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    } else {
        assert!(Path::new(location).exists());
        let mut connection =
            SqliteConnection::connect(&format!("sqlite:{location}")).await.unwrap();
        statement.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}
