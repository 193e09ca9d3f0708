//! `eth_sendRawTransactionSync`: receipts, what clients are told instead, and who may wait.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use alloy_primitives::{B256, keccak256};
use millrace_rpc::Config;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::client::{PATIENCE, Server};

const METHOD: &str = "eth_sendRawTransactionSync";

/// Waits until so many wait.
async fn wait_for_waiting(server: &Server, count: usize) {
    timeout(PATIENCE, async {
        while server.backend.waiting.load(Ordering::Relaxed) != count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{count} should wait"));
}

#[tokio::test]
async fn the_receipt_of_what_is_promised_or_sealed() {
    let server = Server::start(Config::default()).await;
    let promised = server.result(METHOD, r#"["0x10"]"#).await;
    assert_eq!(promised, server.result("eth_getBlockReceipts", r#"["pending"]"#).await[1]);
    assert_eq!(promised["blockHash"], json!(B256::ZERO));
    let sealed = server.result(METHOD, r#"["0x11",1000]"#).await;
    let hash = server.backend.busy_block().block.transactions[1].hash();
    assert_eq!(
        sealed,
        server.result("eth_getTransactionReceipt", &json!([hash]).to_string()).await
    );
    server.stop().await;
}

#[tokio::test]
async fn refusals_are_those_of_the_method_that_does_not_wait() {
    let server = Server::start(Config::default()).await;
    for encoded in ["0x", "0x01", "0x02", "0x03", "0x04", "0x0", "00"] {
        let params = json!([encoded]).to_string();
        assert_eq!(
            server.error(METHOD, &params).await,
            server.error("eth_sendRawTransaction", &params).await,
            "{encoded}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn what_was_taken_and_not_executed_is_named() {
    let server =
        Server::start(Config { sync_timeout: Duration::from_millis(20), ..Config::default() })
            .await;
    let in_the_pool = "the transaction is in the pool, and was not executed within";
    for (encoded, code, message) in [
        ("0x12", 4, format!("{in_the_pool} 20ms")),
        ("0x13", 5, format!("{in_the_pool} 20ms: nonce too high: next nonce 4, tx nonce 6")),
        ("0x14", 5, "the transaction was dropped from the pool: evicted from a full pool".into()),
    ] {
        let byte = u8::from_str_radix(&encoded[2..], 16).unwrap();
        let (is_code, is_message, data) = server.error(METHOD, &json!([encoded]).to_string()).await;
        assert_eq!((is_code, is_message, data), (code, message, json!(keccak256([byte]))));
    }
    server.stop().await;
}

#[tokio::test]
async fn clients_may_say_how_long_they_wait() {
    let server = Server::start(Config {
        sync_timeout: Duration::from_millis(30),
        sync_timeout_max: Duration::from_millis(60),
        ..Config::default()
    })
    .await;
    for (asked, waited) in [
        ("null", 30),
        ("0", 30),
        ("7", 7),
        (r#""0x7""#, 7),
        ("60", 60),
        ("61", 60),
        ("18446744073709551615", 60),
    ] {
        let started = Instant::now();
        let (code, message, _) = server.error(METHOD, &format!(r#"["0x12",{asked}]"#)).await;
        assert_eq!(code, 4);
        assert!(message.ends_with(&format!(" {waited}ms")), "{asked}: {message}");
        assert!(started.elapsed() >= Duration::from_millis(waited), "{asked}");
    }
    for wrong in ["-1", "1.5", "true", r#""7""#, "[]"] {
        let (code, message, _) = server.error(METHOD, &format!(r#"["0x12",{wrong}]"#)).await;
        assert_eq!(code, -32602, "{wrong}");
        assert!(message.starts_with("invalid argument 1: "), "{message}");
    }
    assert_eq!(server.error(METHOD, "[]").await.0, -32602);
    assert_eq!(server.error(METHOD, r#"["0x12",1,2]"#).await.0, -32602);
    server.stop().await;
}

#[tokio::test]
async fn so_many_wait_and_no_more_and_those_who_leave_make_room() {
    // Nobody's time is up while this test lasts.
    let ages = Duration::from_secs(25);
    let server = Server::start(Config {
        sync_waiting_max: 2,
        sync_timeout: ages,
        sync_timeout_max: ages,
        ..Config::default()
    })
    .await;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{METHOD}","params":["0x12"]}}"#);
    let mut socket = server.websocket().await;
    socket.send(&body).await;
    let http = {
        let (address, body) = (server.address, body.clone());
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let head = format!(
                "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
            drop(stream);
        })
    };
    wait_for_waiting(&server, 2).await;
    let busy = json!("server busy, try again later");
    let answer: Value = serde_json::from_str(&server.post(&body).await).unwrap();
    assert_eq!((&answer["error"]["code"], &answer["error"]["message"]), (&json!(-32000), &busy));
    // Others are not in their way.
    assert_eq!(server.result("eth_chainId", "[]").await, "0x385");

    // A client that hangs up waits no longer, whatever it speaks.
    http.abort();
    wait_for_waiting(&server, 1).await;
    drop(socket);
    wait_for_waiting(&server, 0).await;
    assert_eq!(server.result(METHOD, r#"["0x10"]"#).await["status"], "0x1");
    server.stop().await;
}
