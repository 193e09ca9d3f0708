//! Plain requests are answered without an HTTP library. Nobody can tell, however they come and whatever comes after them.

use std::time::Duration;

use millrace_rpc::Config;
use soketto::handshake::{Client, ServerResponse};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::compat::TokioAsyncReadCompatExt;

use crate::client::{PATIENCE, Server};

const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":"0x385"}"#;

fn request(headers: &str, body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A request that hyper answers: the same, but for a header that a browser would send.
fn unusual(headers: &str, body: &str) -> String {
    request(&format!("origin: http://localhost\r\n{headers}"), body)
}

fn numbered(id: usize) -> (String, String) {
    let request = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#);
    (request, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x385"}}"#))
}

/// Reads one response: its head without the date, and its body.
async fn response(stream: &mut TcpStream) -> (String, String) {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a response"));
        }
        let head = String::from_utf8(head).unwrap();
        let lines: Vec<_> = head.lines().filter(|line| !line.is_empty()).collect();
        let date = lines.iter().find(|line| line.starts_with("date: ")).expect("a date");
        assert_eq!(date.len(), "date: Sun, 06 Nov 1994 08:49:37 GMT".len(), "{date}");
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.expect("a length").parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        let mut rest: Vec<_> = lines.into_iter().filter(|line| !line.starts_with("date")).collect();
        rest[1..].sort_unstable();
        (rest.join("\n"), String::from_utf8(body).unwrap())
    };
    timeout(PATIENCE, read).await.expect("in time")
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("in time").is_ok_and(|n| n == 0)
}

#[tokio::test]
async fn both_ways_give_the_same_answers() {
    let config = Config { batch_requests_max: 3, response_bytes_max: 250, ..Config::default() };
    let server = Server::start(config).await;
    let send = |id: &str, tx: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_sendRawTransaction","params":["{tx}"]}}"#
        )
    };
    let bodies = [
        CHAIN_ID.to_owned(),
        String::new(),
        "nonsense".to_owned(),
        "\u{e9}".to_owned(),
        r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#.to_owned(),
        send("1", "0x00"),
        send("1", "0x"),
        send("1", "0x0"),
        send("1", "zz"),
        send(r#""a""#, "0x01"),
        send("null", "0x01"),
        format!("[{},{}]", send("1", "0x00"), send("2", "0x01")),
        // The third answer has no room.
        format!("[{},{},{}]", send("1", "0x00"), send("2", "0x01"), send("3", "0x02")),
        format!("[{},{},{CHAIN_ID}]", send("1", "0x00"), send("2", "0x01")),
        format!("[{0},{0},{0},{0}]", send("1", "0x00")),
        format!("[{}]", [CHAIN_ID; 4].join(",")),
    ];
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    let mut other = TcpStream::connect(server.address).await.unwrap();
    for body in &bodies {
        plain.write_all(request("", body).as_bytes()).await.unwrap();
        // With one more member, which means nothing, a request is not read in the short way either.
        let body = body.replace(r#"{"jsonrpc""#, r#"{"x":0,"jsonrpc""#);
        other.write_all(unusual("", &body).as_bytes()).await.unwrap();
        assert_eq!(response(&mut plain).await, response(&mut other).await, "{body}");
    }
    for body in &bodies {
        let mut plain = TcpStream::connect(server.address).await.unwrap();
        let mut other = TcpStream::connect(server.address).await.unwrap();
        plain.write_all(request("connection: close\r\n", body).as_bytes()).await.unwrap();
        other.write_all(unusual("connection: close\r\n", body).as_bytes()).await.unwrap();
        assert_eq!(response(&mut plain).await, response(&mut other).await, "{body}");
        assert!(is_closed(&mut plain).await && is_closed(&mut other).await, "{body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn requests_come_in_pieces_and_in_heaps() {
    let server = Server::start(Config::default()).await;
    let text = request("", CHAIN_ID);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for end in 1..text.len() {
        let (first, rest) = text.as_bytes().split_at(end);
        stream.write_all(first).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(rest).await.unwrap();
        assert_eq!(response(&mut stream).await.1, ANSWER, "in two pieces of which one has {end}");
    }
    // More than one read brings, sent before anything is read: they are answered in order.
    let (mut heap, mut expected) = (String::new(), Vec::new());
    for id in 0..1_000 {
        let (body, answer) = numbered(id);
        heap.push_str(&request("", &body));
        expected.push(answer);
    }
    stream.write_all(heap.as_bytes()).await.unwrap();
    for expected in expected {
        assert_eq!(response(&mut stream).await.1, expected);
    }
    // A body of many reads, and an answer as large.
    let padded = format!("{CHAIN_ID}{}", " ".repeat(3 << 20));
    stream.write_all(request("", &padded).as_bytes()).await.unwrap();
    assert_eq!(response(&mut stream).await.1, ANSWER);
    let batch = format!("[{}]", vec![CHAIN_ID; 1_000].join(","));
    stream.write_all(request("", &batch).as_bytes()).await.unwrap();
    assert_eq!(response(&mut stream).await.1, format!("[{}]", vec![ANSWER; 1_000].join(",")));
    server.stop().await;
}

#[tokio::test]
async fn something_else_may_follow() {
    let server = Server::start(Config::default()).await;
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{CHAIN_ID}\r\n0\r\n\r\n",
        CHAIN_ID.len()
    );
    let others = [
        (chunked, "HTTP/1.1 200 OK", ANSWER),
        (unusual("", CHAIN_ID), "HTTP/1.1 200 OK", ANSWER),
        ("GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "HTTP/1.1 200 OK", ""),
        (
            "PUT / HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            "HTTP/1.1 405 Method Not Allowed",
            "method not allowed\n",
        ),
    ];
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // All of it at once: what was read with a plain request is not lost on the way to hyper.
    let mut all = request("", CHAIN_ID).repeat(2);
    all.extend(others.iter().map(|(text, ..)| text.as_str()));
    all.push_str(&request("", CHAIN_ID));
    stream.write_all(all.as_bytes()).await.unwrap();
    let check = async |stream: &mut TcpStream, status: &str, body: &str| {
        let (head, answer) = response(stream).await;
        assert_eq!((head.lines().next(), answer.as_str()), (Some(status), body));
    };
    for _ in 0..2 {
        check(&mut stream, "HTTP/1.1 200 OK", ANSWER).await;
    }
    for (_, status, body) in &others {
        check(&mut stream, status, body).await;
    }
    check(&mut stream, "HTTP/1.1 200 OK", ANSWER).await;

    // Nonsense is told so, as it would be at the beginning.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(format!("{}\0\r\n\r\n", request("", CHAIN_ID)).as_bytes()).await.unwrap();
    check(&mut stream, "HTTP/1.1 200 OK", ANSWER).await;
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&rest));

    // And a connection may turn into a WebSocket.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request("", CHAIN_ID).as_bytes()).await.unwrap();
    check(&mut stream, "HTTP/1.1 200 OK", ANSWER).await;
    let mut client = Client::new(stream.compat(), "localhost", "/");
    assert!(matches!(client.handshake().await.unwrap(), ServerResponse::Accepted { .. }));
    let (mut sender, mut receiver) = client.into_builder().finish();
    sender.send_text(CHAIN_ID).await.unwrap();
    sender.flush().await.unwrap();
    let mut message = Vec::new();
    timeout(PATIENCE, receiver.receive_data(&mut message)).await.unwrap().unwrap();
    assert_eq!(message, ANSWER.as_bytes());
    server.stop().await;
}

#[tokio::test]
async fn connections_end() {
    let config = Config {
        idle_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_millis(500),
        ..Config::default()
    };
    let server = Server::start(config).await;
    // Silence after an answer counts as much as silence from the beginning.
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    silent.write_all(request("", CHAIN_ID).as_bytes()).await.unwrap();
    assert_eq!(response(&mut silent).await.1, ANSWER);
    assert!(is_closed(&mut silent).await);
    // A body that stops coming, on a connection that was good for something before.
    let mut late = TcpStream::connect(server.address).await.unwrap();
    late.write_all(request("", CHAIN_ID).as_bytes()).await.unwrap();
    assert_eq!(response(&mut late).await.1, ANSWER);
    let text = request("", CHAIN_ID);
    late.write_all(&text.as_bytes()[..text.len() - 1]).await.unwrap();
    let (head, body) = response(&mut late).await;
    assert!(head.starts_with("HTTP/1.1 408 Request Timeout\n"), "{head}");
    assert_eq!(body, "the body took too long\n");
    assert!(is_closed(&mut late).await);
    // One that ends.
    let mut short = TcpStream::connect(server.address).await.unwrap();
    short.write_all(&text.as_bytes()[..text.len() - 1]).await.unwrap();
    short.shutdown().await.unwrap();
    let (head, body) = response(&mut short).await;
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\n"), "{head}");
    assert_eq!(body, "could not read the body\n");
    assert!(is_closed(&mut short).await);
    server.stop().await;

    // Those that wait for nothing do not hold the server up when it stops.
    let server = Server::start(Config::default()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(request("", CHAIN_ID).as_bytes()).await.unwrap();
    assert_eq!(response(&mut idle).await.1, ANSWER);
    server.stop().await;
    assert!(is_closed(&mut idle).await);
}
