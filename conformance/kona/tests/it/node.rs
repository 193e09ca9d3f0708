//! Serves blocks as an L2 node does: just enough HTTP and JSON-RPC for one client.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use op_alloy_consensus::OpBlock;
use serde_json::{Value, json};

/// Serves the blocks, the first of which is number zero, until the process ends. The last one is the safe head.
pub(crate) fn serve(chain_id: u64, blocks: &[OpBlock]) -> String {
    let blocks: Vec<Value> = blocks.iter().map(block_json).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve_connection(stream.unwrap(), chain_id, &blocks);
        }
    });
    url
}

fn serve_connection(mut stream: TcpStream, chain_id: u64, blocks: &[Value]) {
    let mut requests = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read_request(&mut requests) {
        let answer =
            json!({ "jsonrpc": "2.0", "id": 1, "result": answer(&request, chain_id, blocks) });
        let answer = answer.to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
        if stream.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

/// Nothing when the client has gone.
fn read_request(stream: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn answer(request: &Value, chain_id: u64, blocks: &[Value]) -> Value {
    match (request["method"].as_str().unwrap(), request["params"][0].as_str()) {
        ("eth_chainId", _) => format!("{chain_id:#x}").into(),
        ("eth_getBlockByNumber", Some("safe")) => blocks[blocks.len() - 1].clone(),
        ("eth_getBlockByNumber", Some(number)) => {
            let number = usize::from_str_radix(number.trim_start_matches("0x"), 16).unwrap();
            blocks.get(number).cloned().unwrap_or_default()
        }
        (method, _) => panic!("{method} is not served"),
    }
}

fn block_json(block: &OpBlock) -> Value {
    let mut json = serde_json::to_value(&block.header).unwrap();
    json["hash"] = json!(block.header.hash_slow());
    json["uncles"] = json!([]);
    json["transactions"] = serde_json::to_value(&block.body.transactions).unwrap();
    json["withdrawals"] = serde_json::to_value(&block.body.withdrawals).unwrap();
    json
}
