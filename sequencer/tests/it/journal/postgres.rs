//! What only a database server can do to the journal: go away, come back, lose its answers.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use alloy_eips::BlockNumHash;
use millrace_batcher::{Change, Ledger as _};
use millrace_protocol::BlockId;
use millrace_sequencer::journal::{
    AppendError, Finalized, Journal, JournalLedger, OpenError, PromiseError, RewindError,
    WriteError,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    fixture::{self, GENESIS, IDENTITY, chain},
    ledger::record,
    promises::{head, signed},
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn server_faults() {
    let mut server = Server::start().await;
    refuses_a_server_that_does_not_sync(&server).await;
    reconnects_when_its_session_is_ended(&server).await;
    a_refused_commit_changes_nothing(&server).await;
    finds_a_commit_whose_answer_was_lost(&server).await;
    finds_a_rewinding_whose_answer_was_lost(&server).await;
    finds_a_promise_whose_answer_was_lost(&server).await;
    leaves_changes_of_the_ledger_to_be_offered_again(&server).await;
    is_in_doubt_while_the_server_is_down(&mut server).await;
}

async fn open(url: &str) -> Journal {
    Journal::open(&url.parse().unwrap(), IDENTITY).await.unwrap()
}

fn tip(blocks: &[millrace_types::ExecutedBlock]) -> Option<BlockNumHash> {
    blocks.last().map(|block| block.block.header.num_hash())
}

async fn administer(server: &Server, database: &str, statement: &str) {
    let mut connection = PgConnection::connect(&server.url(database)).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn refuses_a_server_that_does_not_sync(server: &Server) {
    let url = server.create_database("unsynced").await;
    administer(server, "unsynced", "ALTER SYSTEM SET fsync = off").await;
    administer(server, "unsynced", "SELECT pg_reload_conf()").await;
    let refused = loop {
        // The server takes a moment to notice.
        match Journal::open(&url.parse().unwrap(), IDENTITY).await {
            Ok(journal) => journal.close().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, OpenError::NotDurable("fsync")), "{refused}");
    administer(server, "unsynced", "ALTER SYSTEM RESET fsync").await;
    administer(server, "unsynced", "SELECT pg_reload_conf()").await;
    while Journal::open(&url.parse().unwrap(), IDENTITY).await.is_err() {}
}

async fn reconnects_when_its_session_is_ended(server: &Server) {
    let blocks = chain(3);
    let journal = open(&server.create_database("ended").await).await;
    journal.append_group(&blocks[..2]).await.unwrap();
    administer(
        server,
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'ended'",
    )
    .await;
    let error = journal.append(&blocks[2]).await.unwrap_err();
    assert!(matches!(error, AppendError::Write(WriteError::NotStored(_))), "{error}");
    assert_eq!(journal.tip(), tip(&blocks[..2]));
    journal.append(&blocks[2]).await.unwrap();
    assert_eq!(journal.tip(), tip(&blocks));
}

/// The statements succeed, the COMMIT itself does not.
async fn a_refused_commit_changes_nothing(server: &Server) {
    let blocks = chain(3);
    let journal = open(&server.create_database("refused").await).await;
    journal.append_group(&blocks[..2]).await.unwrap();
    administer(
        server,
        "refused",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'refused at commit'; END $$;
         CREATE CONSTRAINT TRIGGER refusal AFTER INSERT ON blocks
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    let error = journal.append(&blocks[2]).await.unwrap_err();
    assert!(matches!(error, AppendError::Write(WriteError::NotStored(_))), "{error}");
    assert!(error.to_string().contains("refused at commit"), "{error}");
    assert_eq!(journal.tip(), tip(&blocks[..2]));
    administer(server, "refused", "DROP TRIGGER refusal ON blocks").await;
    journal.append(&blocks[2]).await.unwrap();
    assert_eq!(journal.tip(), tip(&blocks));
}

async fn finds_a_commit_whose_answer_was_lost(server: &Server) {
    let blocks = chain(4);
    let (journal, cutting, proxy) = open_through_a_proxy(server, "lost").await;
    journal.append_group(&blocks[..2]).await.unwrap();
    // The connection ends just after the server has committed and before we hear of it.
    cutting.cut_at(b"COMMIT");
    journal.append(&blocks[2]).await.unwrap();
    cutting.assert_done();
    assert_eq!(journal.tip(), tip(&blocks[..3]));
    journal.append(&blocks[3]).await.unwrap();
    journal.close().await;
    proxy.abort();
    assert_eq!(open(&server.url("lost")).await.tip(), tip(&blocks));
}

/// The same for blocks that go, and for what becomes final.
async fn finds_a_rewinding_whose_answer_was_lost(server: &Server) {
    let blocks = chain(6);
    let (journal, cutting, proxy) = open_through_a_proxy(server, "lost_rewinding").await;
    journal.append_group(&blocks).await.unwrap();
    let BlockNumHash { number, hash } = blocks[1].block.header.num_hash();
    let l1 = BlockId { number: 7, hash };
    let finalized = Finalized { l2: BlockId { number, hash }, l1 };
    cutting.cut_at(b"COMMIT");
    journal.set_finalized(finalized).await.unwrap();
    cutting.assert_done();
    cutting.cut_at(b"COMMIT");
    journal.rewind(3).await.unwrap();
    cutting.assert_done();
    assert_eq!((journal.tip(), journal.finalized()), (tip(&blocks[..3]), Some(finalized)));
    journal.append(&blocks[3]).await.unwrap();
    journal.close().await;
    proxy.abort();
    let journal = open(&server.url("lost_rewinding")).await;
    assert_eq!((journal.tip(), journal.finalized()), (tip(&blocks[..4]), Some(finalized)));
}

/// The same for promises, which are statements that commit by themselves.
async fn finds_a_promise_whose_answer_was_lost(server: &Server) {
    let block = fixture::block(GENESIS, 0, 12);
    let (journal, cutting, proxy) = open_through_a_proxy(server, "lost_promise").await;
    let promise = async |range: Range<usize>| {
        let group = &signed(&block)[range.clone()];
        journal.promise(&head(&block), range.start as u64, group).await
    };
    // The first makes the server know the statement: from then on it is one message and its answer.
    promise(0..4).await.unwrap();
    cutting.cut_at(signed(&block)[7].hash().as_slice());
    promise(4..8).await.unwrap();
    cutting.assert_done();
    let promised = journal.promised().await.unwrap().unwrap();
    assert_eq!(promised.transactions, signed(&block)[..8]);
    promise(8..12).await.unwrap();
    journal.append(&block).await.unwrap();
    assert_eq!(journal.promised().await.unwrap(), None);
    journal.close().await;
    proxy.abort();
    assert_eq!(open(&server.url("lost_promise")).await.promised().await.unwrap(), None);
}

/// Nothing shows whether the ledger was changed, so whoever changed it is told that it is unknown.
async fn leaves_changes_of_the_ledger_to_be_offered_again(server: &Server) {
    let (journal, cutting, proxy) = open_through_a_proxy(server, "lost_record").await;
    let ledger = JournalLedger::new(Arc::new(journal));
    let record = record(1, 0);
    let changes = vec![Change::Insert(record.clone())];
    cutting.cut_at(b"COMMIT");
    ledger.apply(changes.clone()).await.unwrap_err();
    cutting.assert_done();
    ledger.apply(changes).await.unwrap();
    assert_eq!(ledger.load().await.unwrap().open, [record]);
    drop(ledger);
    proxy.abort();
}

/// What a message has to say for its answer to get lost; once.
#[derive(Clone, Default)]
struct Cutting(Arc<Mutex<Option<Vec<u8>>>>);

impl Cutting {
    fn cut_at(&self, words: &[u8]) {
        *self.0.lock().unwrap() = Some(words.to_vec());
    }

    /// Whether this is the message.
    fn cuts(&self, message: &[u8]) -> bool {
        let said = |words: &mut Vec<u8>| message.windows(words.len()).any(|part| part == words);
        self.0.lock().unwrap().take_if(said).is_some()
    }

    fn assert_done(&self) {
        assert_eq!(*self.0.lock().unwrap(), None, "no answer was lost");
    }
}

/// A journal whose connections can be cut: the switch for it, and the proxy.
async fn open_through_a_proxy(
    server: &Server,
    database: &str,
) -> (Journal, Cutting, JoinHandle<()>) {
    server.create_database(database).await;
    let cutting = Cutting::default();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = tokio::spawn(cut_answers(listener, server.port(), cutting.clone()));
    let journal = open(&format!("postgres://postgres@127.0.0.1:{port}/{database}")).await;
    (journal, cutting, proxy)
}

/// Relays connections; once told to, it lets one message through to the server and its answer get lost.
async fn cut_answers(listener: TcpListener, server: u16, cutting: Cutting) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
        let cutting = cutting.clone();
        tokio::spawn(async move {
            let (mut asked, mut answered) = ([0; 65536], [0; 65536]);
            loop {
                tokio::select! {
                    count = client.read(&mut asked) => {
                        let Ok(count @ 1..) = count else { break };
                        server.write_all(&asked[..count]).await.unwrap();
                        if cutting.cuts(&asked[..count]) {
                            // The answer proves that it is done; nobody hears it.
                            assert!(server.read(&mut answered).await.unwrap() > 0);
                            break;
                        }
                    }
                    count = server.read(&mut answered) => {
                        let Ok(count @ 1..) = count else { break };
                        if client.write_all(&answered[..count]).await.is_err() { break }
                    }
                }
            }
        });
    }
}

async fn is_in_doubt_while_the_server_is_down(server: &mut Server) {
    let blocks = chain(5);
    let url = server.create_database("down").await;
    let journal = open(&url).await;
    journal.append_group(&blocks[..3]).await.unwrap();
    let next = fixture::block(blocks[2].block.header.num_hash(), 0, 4);
    let promise = async || journal.promise(&head(&next), 0, signed(&next)).await;
    server.kill();
    for _ in 0..2 {
        let error = promise().await.unwrap_err();
        assert!(matches!(error, PromiseError::Write(WriteError::Unknown(_))), "{error}");
        assert!(error.may_pass());
        let error = journal.append(&blocks[3]).await.unwrap_err();
        assert!(matches!(error, AppendError::Write(WriteError::Unknown(_))), "{error}");
        assert_eq!(journal.tip(), tip(&blocks[..3]));
        let error = journal.rewind(1).await.unwrap_err();
        assert!(matches!(error, RewindError::Write(WriteError::Unknown(_))), "{error}");
        assert_eq!(journal.tip(), tip(&blocks[..3]));
    }
    server.restart().await;
    promise().await.unwrap();
    assert_eq!(journal.promised().await.unwrap().unwrap().transactions, signed(&next));
    journal.withdraw_promise().await.unwrap();
    journal.append(&blocks[3]).await.unwrap();
    journal.append(&blocks[4]).await.unwrap();
    assert_eq!(journal.tip(), tip(&blocks));
    drop(journal);
    assert_eq!(open(&url).await.tip(), tip(&blocks));
}
