//! WebSockets: requests, subscriptions, and clients that misbehave.

use std::sync::{Arc, atomic::Ordering};

use millrace_rpc::{BlockEvent, Config};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    client::{PATIENCE, Server},
    fixture::{TOPIC, legacy},
};

#[tokio::test]
async fn requests_and_batches() {
    let server = Server::start(Config::default()).await;
    let mut socket = server.websocket().await;
    socket.send(r#"{"jsonrpc":"2.0","id":"a","method":"eth_chainId"}"#).await;
    assert_eq!(socket.receive().await.unwrap(), r#"{"jsonrpc":"2.0","id":"a","result":"0x385"}"#);
    socket.send("nonsense").await;
    assert_eq!(socket.receive_json().await["error"]["code"], -32700);
    socket.send("[]").await;
    assert_eq!(socket.receive_json().await["error"]["message"], "empty batch");
    socket
        .send(r#"[{"jsonrpc":"2.0","id":1,"method":"eth_foo"},{"jsonrpc":"2.0","method":"x"}]"#)
        .await;
    assert_eq!(socket.receive_json().await[0]["error"]["code"], -32601);
    // Many at once are all answered, in whatever order.
    for id in 0..200 {
        socket.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#)).await;
    }
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(socket.receive_json().await["id"].as_u64().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..200).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn heads_logs_and_transactions() {
    let server = Server::start(Config::default()).await;
    let mut socket = server.websocket().await;
    let heads = socket.subscribe(r#"["newHeads"]"#).await;
    let mut log_socket = server.websocket().await;
    let logs = log_socket.subscribe(&format!(r#"["logs",{{"topics":["{TOPIC}"]}}]"#)).await;
    let mut tx_socket = server.websocket().await;
    tx_socket.subscribe(r#"["newPendingTransactions"]"#).await;
    let mut full_socket = server.websocket().await;
    full_socket.subscribe(r#"["newPendingTransactions",true]"#).await;
    assert!(heads.starts_with("0x") && heads.len() == 34, "{heads}");

    let block = server.backend.next_block(vec![(legacy(2), 30_000, 2)]);
    server.backend.block_events.send(BlockEvent::Sealed(block.clone())).unwrap();
    let event = socket.receive_json().await;
    assert_eq!(event["method"], "eth_subscription");
    assert_eq!(event["params"]["subscription"], json!(heads));
    assert_eq!(event["params"]["result"]["number"], "0x4");
    assert_eq!(event["params"]["result"]["hash"], json!(block.block.header.hash()));
    for index in ["0x0", "0x1"] {
        let event = log_socket.receive_json().await;
        assert_eq!(event["params"]["subscription"], json!(logs));
        assert_eq!(event["params"]["result"]["logIndex"], index);
        assert_eq!(event["params"]["result"]["removed"], false);
    }
    server.backend.block_events.send(BlockEvent::Removed(block)).unwrap();
    assert_eq!(log_socket.receive_json().await["params"]["result"]["removed"], true);

    let txs = Arc::from([legacy(7), legacy(8)]);
    server.backend.transactions.send(Arc::clone(&txs)).unwrap();
    for tx in txs.iter() {
        assert_eq!(tx_socket.receive_json().await["params"]["result"], json!(tx.hash()));
        let event = full_socket.receive_json().await;
        assert_eq!(event["params"]["result"]["hash"], json!(tx.hash()));
        assert_eq!(
            event["params"]["result"]["nonce"],
            json!(format!("0x{:x}", {
                use alloy_consensus::Transaction;
                tx.nonce()
            }))
        );
    }

    let unsubscribe =
        format!(r#"{{"jsonrpc":"2.0","id":2,"method":"eth_unsubscribe","params":["{heads}"]}}"#);
    socket.send(&unsubscribe).await;
    assert_eq!(socket.receive().await.unwrap(), r#"{"jsonrpc":"2.0","id":2,"result":true}"#);
    socket.send(&unsubscribe).await;
    assert_eq!(socket.receive_json().await["error"]["message"], "subscription not found");
    server.stop().await;
}

#[tokio::test]
async fn what_is_promised() {
    let server = Server::start(Config::default()).await;
    let mut hashes = server.websocket().await;
    hashes.subscribe(r#"["newFlashblockTransactions"]"#).await;
    let mut full = server.websocket().await;
    full.subscribe(r#"["newFlashblockTransactions",true]"#).await;
    let filter = |topic: u8| format!(r#"{{"topics":["{TOPIC}","0x{topic:064x}"]}}"#);
    let mut filtered = server.websocket().await;
    filtered.subscribe(&format!(r#"["newFlashblockTransactions",{}]"#, filter(0))).await;
    let mut logs = server.websocket().await;
    logs.subscribe(&format!(r#"["pendingLogs",{}]"#, filter(0))).await;
    let mut nothing = server.websocket().await;
    nothing.subscribe(&format!(r#"["newFlashblockTransactions",{}]"#, filter(9))).await;
    nothing.subscribe(&format!(r#"["pendingLogs",{}]"#, filter(9))).await;
    nothing.subscribe(r#"["newHeads"]"#).await;

    let run = server.backend.promised_run(0, 2);
    server.backend.promised.send(run.clone()).unwrap();
    for (tx, _) in &run.transactions {
        assert_eq!(hashes.receive_json().await["params"]["result"], json!(tx.hash()));
    }
    // Whoever gets everything gets the L1 attributes first, and these have no log.
    let attributes = full.receive_json().await["params"]["result"].take();
    assert_eq!((&attributes["type"], &attributes["logs"]), (&json!("0x7e"), &json!([])));
    let transfer = full.receive_json().await["params"]["result"].take();
    assert_eq!(filtered.receive_json().await["params"]["result"], transfer);
    for (field, expected) in [
        ("hash", json!(run.transactions[1].0.hash())),
        ("blockHash", Value::Null),
        ("blockNumber", json!("0x4")),
        ("transactionIndex", json!("0x1")),
        ("gasUsed", json!("0x7530")),
        ("cumulativeGasUsed", json!("0x124f8")),
        ("contractAddress", Value::Null),
        ("status", json!("0x1")),
        ("value", json!("0x7")),
        ("logsBloom", json!(run.transactions[1].1.bloom())),
    ] {
        assert_eq!(transfer.get(field), Some(&expected), "{field}");
    }
    let log = logs.receive_json().await["params"]["result"].take();
    assert_eq!(transfer["logs"], json!([log]));
    assert_eq!((&log["logIndex"], &log["blockNumber"]), (&json!("0x0"), &json!("0x4")));

    // What comes after something else says so.
    let run = server.backend.promised_run(1, 1);
    server.backend.promised.send(run).unwrap();
    assert_eq!(full.receive_json().await["params"]["result"], transfer);

    // Who wanted other logs has heard nothing.
    let block = server.backend.next_block(Vec::new());
    server.backend.block_events.send(BlockEvent::Sealed(block)).unwrap();
    assert_eq!(nothing.receive_json().await["params"]["result"]["difficulty"], "0x0");

    nothing
        .send(
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newFlashblockTransactions",7]}"#,
        )
        .await;
    assert_eq!(
        nothing.receive_json().await["error"]["message"],
        "invalid argument 1: neither a boolean nor a filter"
    );
    server.stop().await;
}

#[tokio::test]
async fn subscriptions_are_limited_and_end_with_their_connection() {
    let server = Server::start(Config { subscriptions_max: 2, ..Config::default() }).await;
    let mut socket = server.websocket().await;
    socket.subscribe(r#"["newHeads"]"#).await;
    socket.subscribe(r#"["logs"]"#).await;
    socket.send(r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#).await;
    let refused = socket.receive_json().await;
    assert_eq!(refused["error"]["message"], "too many subscriptions on this connection");
    socket.send(r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["weather"]}"#).await;
    let unknown = socket.receive_json().await;
    assert_eq!(unknown["error"]["code"], -32601);
    assert_eq!(unknown["error"]["message"], r#"no "weather" subscription in eth namespace"#);
    assert_eq!(server.backend.block_events.receiver_count(), 2);
    drop(socket);
    timeout(PATIENCE, async {
        while server.backend.block_events.receiver_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("subscriptions end with their connection");
    assert_eq!(server.backend.logs_asked.load(Ordering::Relaxed), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_subscriber_that_never_reads_is_disconnected() {
    let config = Config {
        websocket_buffer_bytes: 64 << 10,
        response_bytes_max: 32 << 10,
        ..Config::default()
    };
    let server = Server::start(config).await;
    let mut slow = server.websocket().await;
    slow.subscribe(r#"["newPendingTransactions",true]"#).await;
    let mut other = server.websocket().await;
    other.subscribe(r#"["newHeads"]"#).await;
    // Far more than the buffers of both sockets hold; none of it may pile up in the server.
    let txs: Arc<[_]> = (0..100).map(legacy).collect();
    timeout(PATIENCE, async {
        while server.backend.transactions.receiver_count() > 0 {
            let _ = server.backend.transactions.send(txs.clone());
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a subscriber that never reads is disconnected");
    // Its neighbours do not notice.
    let block = server.backend.next_block(Vec::new());
    server.backend.block_events.send(BlockEvent::Sealed(block)).unwrap();
    assert_eq!(other.receive_json().await["params"]["result"]["number"], "0x4");
    // It finds what had been sent, and then the end.
    timeout(PATIENCE, async { while slow.receive().await.is_some() {} }).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_subscriber_that_missed_events_is_told_and_disconnected() {
    let server = Server::start(Config::default()).await;
    let mut socket = server.websocket().await;
    let id = socket.subscribe(r#"["newHeads"]"#).await;
    let block = server.backend.next_block(Vec::new());
    // One thread runs this test and the server, so nothing is received in between: the channel holds 16.
    for _ in 0..100 {
        server.backend.block_events.send(BlockEvent::Sealed(block.clone())).unwrap();
    }
    let event = socket.receive_json().await;
    assert_eq!(event["params"]["subscription"], json!(id));
    assert_eq!(
        event["params"]["error"]["message"],
        "subscription fell behind and missed 84 events"
    );
    assert_eq!(socket.receive().await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_and_never_reads_is_not_read_further() {
    let config = Config {
        websocket_buffer_bytes: 64 << 10,
        response_bytes_max: 64 << 10,
        stall_timeout: std::time::Duration::from_millis(300),
        ..Config::default()
    };
    let server = Server::start(config).await;
    let mut socket = server.websocket().await;
    let request =
        r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x2",true]}"#;
    timeout(PATIENCE, async { while socket.try_send(request).await {} })
        .await
        .expect("the server gives up on a client that never reads");
    assert_eq!(server.result("eth_chainId", "[]").await, "0x385");
    server.stop().await;
}
