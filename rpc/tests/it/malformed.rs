//! Ten thousand bodies that are not quite requests: each is answered with JSON, none with a 5xx, none is left hanging.

use millrace_rpc::Config;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::client::{PATIENCE, Server};

const BODIES: usize = 10_000;

const METHODS: [&str; 12] = [
    "eth_call",
    "eth_chainId",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_getBalance",
    "eth_getBlockByNumber",
    "eth_getLogs",
    "eth_getProof",
    "eth_getStorageAt",
    "eth_sendRawTransaction",
    "eth_subscribe",
    "eth_unknown",
];

const VALUES: [&str; 22] = [
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "\"\"",
    "\"0x\"",
    "\"0x0\"",
    "\"0x01\"",
    "\"0xzz\"",
    "\"latest\"",
    "\"pending\"",
    "\"0xffffffffffffffffffff\"",
    "\"0x00000000000000000000000000000000000a11ce\"",
    "\"0x0000000000000000000000000000000000000003\"",
    "\"0x7070707070707070707070707070707070707070707070707070707070707070\"",
    "\"\\ud800\"",
    "[]",
    "[null]",
    "{}",
    "{\"blockHash\":1}",
    "[25.5,75]",
];

const KEYS: [&str; 10] =
    ["to", "from", "gas", "data", "topics", "address", "fromBlock", "blockHash", "stateDiff", "x"];

fn value(rng: &mut StdRng, depth: u32) -> String {
    match rng.random_range(0..10) {
        0 if depth < 4 => {
            let items: Vec<_> =
                (0..rng.random_range(0..4)).map(|_| value(rng, depth + 1)).collect();
            format!("[{}]", items.join(","))
        }
        1..=3 if depth < 4 => {
            let mut fields = Vec::new();
            for _ in 0..rng.random_range(0..4) {
                let key = KEYS.choose(rng).unwrap();
                fields.push(format!("\"{key}\":{}", value(rng, depth + 1)));
            }
            format!("{{{}}}", fields.join(","))
        }
        _ => (*VALUES.choose(rng).unwrap()).to_owned(),
    }
}

fn body(rng: &mut StdRng) -> Vec<u8> {
    let request = |rng: &mut StdRng| {
        let params: Vec<_> = (0..rng.random_range(0..5)).map(|_| value(rng, 0)).collect();
        let id = value(rng, 3);
        let method = METHODS.choose(rng).unwrap();
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":[{}]}}"#,
            params.join(",")
        )
    };
    let mut body = match rng.random_range(0..4) {
        0 => (0..rng.random_range(0..64)).map(|_| rng.random()).collect(),
        1 => {
            let requests: Vec<_> = (0..rng.random_range(0..4)).map(|_| request(rng)).collect();
            format!("[{}]", requests.join(",")).into_bytes()
        }
        _ => request(rng).into_bytes(),
    };
    // Half of them are damaged further.
    for _ in 0..rng.random_range(0..2) * rng.random_range(1..4) {
        if body.is_empty() {
            break;
        }
        let at = rng.random_range(0..body.len());
        match rng.random_range(0..3) {
            0 => body[at] = rng.random(),
            1 => body.truncate(at),
            _ => {
                body.remove(at);
            }
        }
    }
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bodies_are_answered() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let server = Server::start(Config::default()).await;
    let mut stream = BufReader::new(TcpStream::connect(server.address).await.unwrap());
    for number in 0..BODIES {
        let body = body(&mut rng);
        let shown = || format!("body {number} of seed {seed}: {}", String::from_utf8_lossy(&body));
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (status, answer) = timeout(PATIENCE, async {
            let request = [head.as_bytes(), &body].concat();
            stream.get_mut().write_all(&request).await.unwrap();
            read_response(&mut stream).await
        })
        .await
        .unwrap_or_else(|_| panic!("no answer to {}", shown()));
        assert_eq!(status, 200, "{}", shown());
        if !answer.is_empty() {
            // Not parsed into a value: ids come back as they were sent, numbers beyond any type included.
            let answer: &RawValue =
                serde_json::from_slice(&answer).unwrap_or_else(|_| panic!("{}", shown()));
            assert!(answer.get().contains(r#""jsonrpc":"2.0""#), "{}", shown());
        }
    }
    assert_eq!(server.result("eth_chainId", "[]").await, "0x385");
    server.stop().await;
}

async fn read_response(stream: &mut BufReader<TcpStream>) -> (u16, Vec<u8>) {
    let mut status = String::new();
    stream.read_line(&mut status).await.unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (status.split(' ').nth(1).unwrap().parse().unwrap(), body)
}
