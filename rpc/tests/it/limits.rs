//! What happens past each limit.

use std::{sync::atomic::Ordering, time::Duration};

use millrace_rpc::Config;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::client::{PATIENCE, Server};

#[tokio::test]
async fn bodies() {
    let server = Server::start(Config { body_bytes_max: 1000, ..Config::default() }).await;
    let json = "content-type: application/json\r\n";
    let (status, body) = server.http("POST", json, &[b' '; 1001]).await;
    assert_eq!(status, 413);
    assert_eq!(
        body,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"request too large"}}"#
    );
    assert_eq!(server.http("POST", json, &[b' '; 1000]).await.0, 200);
    // Without a declared length the body is counted as it comes.
    let mut request = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        .to_vec();
    for _ in 0..3 {
        request.extend(b"190\r\n");
        request.extend([b' '; 400]);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    assert!(server.raw(&request).await.starts_with(b"HTTP/1.1 413"));

    let mut socket = server.websocket().await;
    socket.send(&" ".repeat(1001)).await;
    let answer = socket.receive_json().await;
    assert_eq!(answer["error"]["message"], "request too large");
    assert_eq!(socket.receive().await, None);
    server.stop().await;
}

#[tokio::test]
async fn depth() {
    let server = Server::start(Config::default()).await;
    let deep = |open: &str, close: &str, depth: usize| {
        format!("{}{}", open.repeat(depth), close.repeat(depth))
    };
    for (nested, code) in [
        (deep("[", "]", 1_000_000), -32600),
        (deep(r#"{"a":"#, "}", 500_000).replace(":}", ":1}"), -32600),
        ("[".repeat(1_000_000), -32700),
    ] {
        let answer: Value = serde_json::from_str(&server.post(nested).await).unwrap();
        let answer = answer.get(0).unwrap_or(&answer);
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
    let nested = deep("[", "]", 100_000);
    for (method, params) in [
        ("eth_getBalance", format!("[{nested}]")),
        ("eth_getBalance", nested.clone()),
        ("eth_call", format!(r#"[{{"to":{nested}}}]"#)),
        ("eth_call", format!(r#"[{{"accessList":{nested}}}]"#)),
        ("eth_getLogs", format!(r#"[{{"topics":{nested}}}]"#)),
        ("eth_getBalance", format!(r#"["0x00000000000000000000000000000000000a11ce",{nested}]"#)),
    ] {
        assert_eq!(server.error(method, &params).await.0, -32602, "{method}");
    }
    // What is ignored may be as deep as it likes.
    assert_eq!(server.result("eth_call", &format!(r#"[{{"unknown":{nested}}}]"#)).await, "0x");
    server.stop().await;
}

#[tokio::test]
async fn connections() {
    let server = Server::start(Config { connections_max: 2, ..Config::default() }).await;
    let first = server.websocket().await;
    let _second = server.websocket().await;
    let refused = server.raw(b"").await;
    let refused = String::from_utf8(refused).unwrap();
    assert!(refused.starts_with("HTTP/1.1 503") && refused.ends_with("too many connections\n"));
    // A connection that ends makes room for another.
    drop(first);
    timeout(PATIENCE, async {
        let body = br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
        while server.http("POST", "content-type: application/json\r\n", body).await.0 != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    server.stop().await;
}

#[tokio::test]
async fn heavy_requests() {
    let config = Config {
        heavy_requests_max: 1,
        request_timeout: Duration::from_secs(2),
        ..Config::default()
    };
    let server = Server::start(config).await;
    let slow = r#"[{"to":"0x0000000000000000000000000000000000000005"}]"#;
    let quick = r#"[{"to":"0x0000000000000000000000000000000000000009"}]"#;
    let mut socket = server.websocket().await;
    socket
        .send(&format!(r#"{{"jsonrpc":"2.0","id":9,"method":"eth_call","params":{slow}}}"#))
        .await;
    let slow_calls = &server.backend.slow_calls;
    timeout(PATIENCE, async {
        while slow_calls.begun.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(server.error("eth_call", quick).await.1, "server busy, try again later");
    // Cheap requests do not notice.
    assert_eq!(server.result("eth_blockNumber", "[]").await, "0x3");
    // The time limit ends the wait for the slow one, but it holds its permit until its work is done.
    assert_eq!(
        socket.receive().await.unwrap(),
        r#"{"jsonrpc":"2.0","id":9,"error":{"code":-32002,"message":"request timed out"}}"#
    );
    let busy = server.error("eth_call", quick).await;
    assert_eq!((busy.0, busy.1.as_str()), (-32000, "server busy, try again later"));
    slow_calls.end.add_permits(1);
    let answered = timeout(PATIENCE, async {
        while server.call("eth_call", quick).await.get("error").is_some() {}
    });
    answered.await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let config = Config { stall_timeout: Duration::from_millis(300), ..Config::default() };
    let server = Server::start(config).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // Far more answers than the buffers of both sockets hold, and nobody reads them.
    let body = format!(
        "[{}]",
        vec![
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",true]}"#;
            900
        ]
        .join(",")
    );
    let request = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let cut_off =
        timeout(PATIENCE, async { while stream.write_all(request.as_bytes()).await.is_ok() {} });
    cut_off.await.expect("the server gives up on a client that never reads");
    assert_eq!(server.result("eth_chainId", "[]").await, "0x385");
    server.stop().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let config = Config { idle_timeout: Duration::from_millis(200), ..Config::default() };
    let server = Server::start(config).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_never_ends_times_out() {
    let config = Config { request_timeout: Duration::from_millis(200), ..Config::default() };
    let server = Server::start(config).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\n").await.unwrap();
    // However often it goes on.
    let cut_off = timeout(PATIENCE, async {
        while stream.write_all(b"x: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    cut_off.await.expect("the server gives up on a head that goes on for ever");
    assert_eq!(server.result("eth_chainId", "[]").await, "0x385");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_never_comes_times_out() {
    let config = Config { request_timeout: Duration::from_millis(200), ..Config::default() };
    let server = Server::start(config).await;
    let request = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
        content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    assert!(server.raw(request).await.starts_with(b"HTTP/1.1 408"));
    server.stop().await;
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way() {
    let config = Config {
        request_timeout: Duration::from_secs(1),
        shutdown_timeout: Duration::from_millis(100),
        ..Config::default()
    };
    let server = Server::start(config).await;
    let mut socket = server.websocket().await;
    socket.subscribe(r#"["newHeads"]"#).await;
    server.stop().await;
    assert_eq!(socket.receive().await, None);
}
