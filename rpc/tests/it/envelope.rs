//! JSON-RPC's envelope and HTTP's, byte for byte.

use millrace_rpc::Config;

use crate::client::Server;

fn error(id: &str, code: i32, message: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{message}"}}}}"#)
}

#[tokio::test]
async fn single_requests() {
    let server = Server::start(Config::default()).await;
    let check = async |body: &str, expected: &str| {
        assert_eq!(server.post(body).await, expected, "{body}");
    };
    // Any id that is not a structure comes back as it was sent.
    for id in
        ["1", "0", "-7", "1.50", "null", "true", r#""a\"b""#, "123456789012345678901234567890"]
    {
        check(
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#),
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x385"}}"#),
        )
        .await;
    }
    let ok = r#"{"jsonrpc":"2.0","id":1,"result":"0x385"}"#;
    for params in ["[]", "null", " [ ] "] {
        let body = format!(
            r#" {{"method":"eth_chainId","params":{params},"id":1,"jsonrpc":"2.0","x":{{}}}} "#
        );
        check(&body, ok).await;
    }
    // A notification is not answered.
    check(r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#, "").await;

    for body in
        ["", " ", "{", "{]", "nonsense", r#"{"jsonrpc":"2.0","id":1"#, "{} {}", "[1,]", "[1"]
    {
        check(body, &error("null", -32700, "parse error")).await;
    }
    for (body, id) in [
        ("1", "null"),
        ("null", "null"),
        (r#""eth_chainId""#, "null"),
        ("{}", "null"),
        (r#"{"id":5}"#, "5"),
        (r#"{"id":5,"method":"eth_chainId"}"#, "5"),
        (r#"{"jsonrpc":"1.0","id":5,"method":"eth_chainId"}"#, "5"),
        (r#"{"jsonrpc":2,"id":5,"method":"eth_chainId"}"#, "5"),
        (r#"{"jsonrpc":"2.0","id":5,"method":7}"#, "5"),
        (r#"{"jsonrpc":"2.0","id":5,"method":""}"#, "5"),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"eth_chainId"}"#, "null"),
        (r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#, "null"),
    ] {
        check(body, &error(id, -32600, "invalid request")).await;
    }

    let unknown = "the method eth_foo does not exist/is not available";
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"eth_foo","params":[1]}"#,
        &error("1", -32601, unknown),
    )
    .await;
    let named = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{"a":1}}"#;
    check(named, &error("1", -32602, "non-array args")).await;
    let extra = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}"#;
    check(extra, &error("1", -32602, "too many arguments, want at most 0")).await;
    server.stop().await;
}

#[tokio::test]
async fn batches() {
    let server = Server::start(Config { batch_requests_max: 3, ..Config::default() }).await;
    let check = async |body: &str, expected: &str| {
        assert_eq!(server.post(body).await, expected, "{body}");
    };
    let call = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#);
    let ok = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x385"}}"#);
    let note = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;
    let invalid = error("null", -32600, "invalid request");

    check(&format!("[{},{}]", call(1), call(2)), &format!("[{},{}]", ok(1), ok(2))).await;
    check(&format!("[{},{note},7]", call(1)), &format!("[{},{invalid}]", ok(1))).await;
    check(&format!("[{note},{note}]"), "").await;
    check("[]", &error("null", -32600, "empty batch")).await;
    check(" [ ] ", &error("null", -32600, "empty batch")).await;
    check("[[]]", &format!("[{invalid}]")).await;
    let too_large = error("8", -32600, "batch too large");
    check(&format!("[1,{},{},{}]", call(8), call(9), call(10)), &format!("[{too_large}]")).await;
    // What does not fit the limit on responses is answered all the same, with an error.
    server.stop().await;
    let server = Server::start(Config { response_bytes_max: 120, ..Config::default() }).await;
    let oversized = |id: &str| error(id, -32003, "response too large");
    let body = format!("[{},{},{},{},{note}]", call(1), call(2), call(3), call(4));
    let expected = format!("[{},{},{},{}]", ok(1), ok(2), oversized("3"), oversized("4"));
    assert_eq!(server.post(body).await, expected);
    let client_version = r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":[]}"#;
    assert_eq!(server.post(client_version).await, oversized("1"));
    server.stop().await;
}

#[tokio::test]
async fn http() {
    let server = Server::start(Config::default()).await;
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let status =
        async |method: &str, headers: &str, body: &[u8]| server.http(method, headers, body).await.0;
    for json in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json-rpc",
        "application/jsonrequest",
    ] {
        assert_eq!(status("POST", &format!("content-type: {json}\r\n"), body).await, 200, "{json}");
    }
    for other in ["", "content-type: text/plain\r\n", "content-type: application/jsonp\r\n"] {
        assert_eq!(status("POST", other, body).await, 415, "{other}");
    }
    assert_eq!(status("GET", "", b"").await, 200);
    assert_eq!(status("PUT", "content-type: application/json\r\n", body).await, 405);
    assert_eq!(status("DELETE", "", b"").await, 405);
    // Without configuration no other origin may ask.
    assert_eq!(status("OPTIONS", "origin: https://example.org\r\n", b"").await, 405);
    let upgrade = "upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let request = |origin: &str| {
        format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, close\r\n{upgrade}{origin}\r\n"
        )
    };
    let refused = server.raw(request("origin: https://evil.example\r\n").as_bytes()).await;
    assert!(refused.starts_with(b"HTTP/1.1 403"), "{}", String::from_utf8_lossy(&refused));
    server.stop().await;

    let server = Server::start(Config { origins: vec!["*".into()], ..Config::default() }).await;
    let preflight = "origin: https://example.org\r\naccess-control-request-method: POST\r\n";
    assert_eq!(server.http("OPTIONS", preflight, b"").await.0, 200);
    server.stop().await;
}
