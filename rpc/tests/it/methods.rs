//! Every method, on a chain that never changes.

use alloy_primitives::B256;
use millrace_rpc::Config;
use serde_json::{Value, json};

use crate::{
    client::Server,
    fixture::{ALICE, EMITTER, TOPIC},
};

#[tokio::test]
async fn the_node() {
    let server = Server::start(Config::default()).await;
    for (method, params, expected) in [
        ("web3_clientVersion", "[]", json!("millrace/test")),
        (
            "web3_sha3",
            r#"["0x"]"#,
            json!("0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        ),
        ("net_version", "[]", json!("901")),
        ("net_listening", "[]", json!(true)),
        ("net_peerCount", "[]", json!("0x0")),
        ("eth_chainId", "[]", json!("0x385")),
        ("eth_syncing", "[]", json!(false)),
        ("eth_accounts", "[]", json!([])),
        ("eth_blockNumber", "[]", json!("0x3")),
        ("eth_gasPrice", "[]", json!("0x3baa0c40")),
        ("eth_maxPriorityFeePerGas", "[]", json!("0xf4240")),
        ("eth_blobBaseFee", "[]", json!("0x1")),
    ] {
        assert_eq!(server.result(method, params).await, expected, "{method}");
    }
    server.stop().await;
}

#[tokio::test]
async fn state() {
    let server = Server::start(Config::default()).await;
    let hash = server.backend.blocks[2].block.header.hash();
    for (method, params, expected) in [
        ("eth_getBalance", format!(r#"["{ALICE}"]"#), json!("0xf4243")),
        ("eth_getBalance", format!(r#"["{ALICE}",null]"#), json!("0xf4243")),
        ("eth_getBalance", format!(r#"["{ALICE}","0x1"]"#), json!("0xf4241")),
        ("eth_getBalance", format!(r#"["{ALICE}","safe"]"#), json!("0xf4242")),
        ("eth_getBalance", format!(r#"["{ALICE}","finalized"]"#), json!("0xf4241")),
        ("eth_getBalance", format!(r#"["{ALICE}","pending"]"#), json!("0xf4244")),
        ("eth_getBalance", format!(r#"["{ALICE}","{hash}"]"#), json!("0xf4242")),
        ("eth_getBalance", format!(r#"["{ALICE}",{{"blockHash":"{hash}"}}]"#), json!("0xf4242")),
        ("eth_getBalance", format!(r#"["{ALICE}",{{"blockNumber":"0x1"}}]"#), json!("0xf4241")),
        ("eth_getBalance", format!(r#"["{EMITTER}"]"#), json!("0x0")),
        ("eth_getTransactionCount", format!(r#"["{ALICE}","latest"]"#), json!("0x3")),
        ("eth_getTransactionCount", format!(r#"["{ALICE}","pending"]"#), json!("0x4")),
        ("eth_getCode", format!(r#"["{EMITTER}"]"#), json!("0x6000")),
        ("eth_getCode", format!(r#"["{ALICE}"]"#), json!("0x")),
        (
            "eth_getStorageAt",
            format!(r#"["{EMITTER}","0x0"]"#),
            json!(format!("0x{}1", "0".repeat(63))),
        ),
    ] {
        assert_eq!(server.result(method, &params).await, expected, "{method} {params}");
    }
    let full_key = format!("0x{}5", "0".repeat(63));
    let proof = server
        .result("eth_getProof", &format!(r#"["{ALICE}",["{full_key}","0x00a"],"latest"]"#))
        .await;
    assert_eq!(
        proof,
        json!({
            "address": format!("{ALICE:?}").to_lowercase(),
            "accountProof": ["0xc0"],
            "balance": "0x0",
            "codeHash": "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
            "nonce": "0x0",
            "storageHash": format!("0x{}", "56".repeat(32)),
            "storageProof": [
                { "key": full_key, "value": "0x0", "proof": [] },
                { "key": "0xa", "value": "0x0", "proof": [] },
            ],
        })
    );
    server.stop().await;
}

#[tokio::test]
async fn errors_have_geths_words() {
    let server = Server::start(Config::default()).await;
    let to = |last: u32| format!(r#"[{{"to":"0x{last:040x}"}}]"#);
    let none = Value::Null;
    let reason = format!("0x08c379a0{:064x}{:064x}{:0<64}", 32, 4, "6e6f7065");
    for (method, params, code, message, data) in [
        ("eth_getBalance", "[]".into(), -32602, "missing value for required argument 0", &none),
        (
            "eth_getBalance",
            r#"["0x12"]"#.into(),
            -32602,
            "invalid argument 0: hex string has length 2, want 40 for common.Address",
            &none,
        ),
        (
            "eth_getBalance",
            format!(r#"["{ALICE}","newest"]"#),
            -32602,
            "invalid argument 1: hex string without 0x prefix",
            &none,
        ),
        ("eth_getBalance", format!(r#"["{ALICE}","0x99"]"#), -32000, "header not found", &none),
        (
            "eth_getBalance",
            format!(r#"["{ALICE}","0x0"]"#),
            -32000,
            "state of block 0 is not available: the oldest kept is 1",
            &none,
        ),
        ("eth_getBlockByNumber", r#"["0xdead"]"#.into(), 4444, "pruned history unavailable", &none),
        ("eth_getBlockByNumber", r#"["0xbad"]"#.into(), -32603, "internal error", &none),
        ("eth_call", to(1), 3, "execution reverted", &json!("0x")),
        ("eth_call", to(2), 3, "execution reverted: nope", &json!(reason)),
        ("eth_call", to(3), -32000, "out of gas", &none),
        ("eth_call", to(4), -32000, "method handler crashed", &none),
        ("eth_call", to(6), -32000, "server busy, try again later", &none),
        ("eth_call", to(8), -32000, "execution aborted (timeout = 5s)", &none),
        ("eth_call", "[]".into(), -32602, "missing value for required argument 0", &none),
        ("eth_call", r#"[{},"0x99"]"#.into(), -32000, "header not found", &none),
        (
            "eth_call",
            r#"[{"gasPrice":"0x1","maxFeePerGas":"0x1"}]"#.into(),
            -32000,
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
            &none,
        ),
        ("eth_estimateGas", to(1), -32000, "gas required exceeds allowance (50000000)", &none),
        (
            "eth_sendRawTransaction",
            r#"["0x"]"#.into(),
            -32000,
            "typed transaction too short",
            &none,
        ),
        (
            "eth_sendRawTransaction",
            r#"["0x01"]"#.into(),
            -32000,
            "nonce too low: next nonce 4, tx nonce 3",
            &none,
        ),
        ("eth_sendRawTransaction", r#"["0x02"]"#.into(), -32000, "already known", &none),
        (
            "eth_sendRawTransaction",
            r#"["0x03"]"#.into(),
            -32000,
            "the journal is not writable",
            &none,
        ),
        ("eth_sendRawTransaction", r#"["0x04"]"#.into(), -32603, "internal error", &none),
        (
            "eth_sendRawTransaction",
            r#"["0x123"]"#.into(),
            -32602,
            "invalid argument 0: hex string of odd length",
            &none,
        ),
        ("eth_subscribe", r#"["newHeads"]"#.into(), -32601, "notifications not supported", &none),
        ("eth_unsubscribe", r#"["0x1"]"#.into(), -32000, "subscription not found", &none),
        ("eth_getLogs", "[]".into(), -32602, "missing value for required argument 0", &none),
        (
            "eth_getLogs",
            r#"[{"fromBlock":"0x2","toBlock":"0x1"}]"#.into(),
            -32602,
            "invalid block range params",
            &none,
        ),
        ("eth_getLogs", format!(r#"[{{"blockHash":"{TOPIC}"}}]"#), -32000, "unknown block", &none),
        (
            "eth_feeHistory",
            r#"["0x1","0x99",[]]"#.into(),
            -32000,
            "request beyond head block: requested 153, head 3",
            &none,
        ),
    ] {
        let (got_code, got_message, got_data) = server.error(method, &params).await;
        assert_eq!(
            (got_code, &*got_message, &got_data),
            (code, message, data),
            "{method} {params}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn calls() {
    let server = Server::start(Config::default()).await;
    let call = r#"{"input":"0x1234","from":null,"gas":"0x5208","unheardOf":[]}"#;
    let overrides = format!(r#"{{"{ALICE}":{{"balance":"0x1","code":"0x00","stateDiff":{{}}}}}}"#);
    assert_eq!(server.result("eth_call", &format!("[{call}]")).await, "0x1234");
    assert_eq!(
        server
            .result("eth_call", &format!(r#"[{call},"latest",{overrides},{{"number":"0x9"}}]"#))
            .await,
        "0x1234"
    );
    assert_eq!(server.result("eth_estimateGas", &format!("[{call}]")).await, "0x5208");
    let hash = server.result("eth_sendRawTransaction", r#"["0x7f"]"#).await;
    assert_eq!(hash, json!(alloy_primitives::keccak256([0x7f])));
    server.stop().await;
}

#[tokio::test]
async fn blocks() {
    let server = Server::start(Config::default()).await;
    let busy = server.backend.busy_block().clone();
    let hash = busy.block.header.hash();
    let by_number = server.result("eth_getBlockByNumber", r#"["0x2",false]"#).await;
    let by_hash = server.result("eth_getBlockByHash", &format!(r#"["{hash}"]"#)).await;
    assert_eq!(by_number, by_hash);
    assert_eq!(by_number["hash"], json!(hash));
    assert_eq!(by_number["number"], "0x2");
    assert_eq!(by_number["gasUsed"], "0x28488");
    assert_eq!(by_number["baseFeePerGas"], "0x3b9aca00");
    assert_eq!(by_number["nonce"], "0x0000000000000000");
    assert_eq!(by_number["uncles"], json!([]));
    assert_eq!(by_number["withdrawals"], json!([]));
    let hashes: Vec<_> = busy.block.transactions.iter().map(|tx| tx.hash()).collect();
    assert_eq!(by_number["transactions"], json!(hashes));

    let full = server.result("eth_getBlockByNumber", r#"["0x2",true]"#).await;
    assert_eq!(full["transactions"][1]["hash"], json!(hashes[1]));
    assert_eq!(full["size"], json!(format!("0x{:x}", size_of(&busy))));

    let pending = server.result("eth_getBlockByNumber", r#"["pending",true]"#).await;
    assert_eq!((&pending["hash"], &pending["nonce"]), (&Value::Null, &Value::Null));
    assert_eq!(pending["number"], "0x4");
    assert_eq!(pending["transactions"][1]["blockHash"], Value::Null);

    for (method, params, expected) in [
        ("eth_getBlockByNumber", r#"["0x99"]"#.to_owned(), Value::Null),
        ("eth_getBlockByHash", format!(r#"["{TOPIC}"]"#), Value::Null),
        ("eth_getBlockReceipts", r#"["0x99"]"#.into(), Value::Null),
        ("eth_getBlockReceipts", r#"["0x0"]"#.into(), json!([])),
        ("eth_getBlockTransactionCountByNumber", r#"["0x2"]"#.into(), json!("0x3")),
        ("eth_getBlockTransactionCountByHash", format!(r#"["{hash}"]"#), json!("0x3")),
        ("eth_getBlockTransactionCountByNumber", r#"["0x99"]"#.into(), Value::Null),
        ("eth_getUncleCountByBlockNumber", r#"["0x2"]"#.into(), json!("0x0")),
        ("eth_getUncleCountByBlockHash", format!(r#"["{TOPIC}"]"#), Value::Null),
        ("eth_getUncleByBlockNumberAndIndex", r#"["0x2","0x0"]"#.into(), Value::Null),
        ("eth_getUncleByBlockHashAndIndex", format!(r#"["{hash}","0x0"]"#), Value::Null),
    ] {
        assert_eq!(server.result(method, &params).await, expected, "{method} {params}");
    }
    for (tag, number) in [("latest", 3), ("safe", 2), ("finalized", 1), ("earliest", 0)] {
        let block = server.result("eth_getBlockByNumber", &format!(r#"["{tag}"]"#)).await;
        assert_eq!(block["number"], json!(format!("0x{number:x}")), "{tag}");
    }
    server.stop().await;
}

/// The length of the block as alloy encodes it.
fn size_of(block: &millrace_rpc::ChainBlock) -> usize {
    use alloy_consensus::{Block, BlockBody};
    use alloy_rlp::Encodable;
    let transactions = block.block.transactions.iter().map(|tx| tx.envelope().clone()).collect();
    let body = BlockBody { transactions, ommers: vec![], withdrawals: Some(Default::default()) };
    Block { header: block.block.header.header().clone(), body }.length()
}

#[tokio::test]
async fn transactions() {
    let server = Server::start(Config::default()).await;
    let busy = server.backend.busy_block().clone();
    let (block_hash, txs) = (busy.block.header.hash(), &busy.block.transactions);
    let get = async |hash: alloy_primitives::B256| {
        server.result("eth_getTransactionByHash", &format!(r#"["{hash}"]"#)).await
    };
    let signature = alloy_primitives::Signature::test_signature();
    assert_eq!(
        get(txs[1].hash()).await,
        json!({
            "blockHash": block_hash,
            "blockNumber": "0x2",
            "blockTimestamp": "0x6553f102",
            "from": ALICE,
            "gas": "0xc350",
            "gasPrice": "0x77359400",
            "hash": txs[1].hash(),
            "input": "0xab",
            "nonce": "0x0",
            "to": EMITTER,
            "transactionIndex": "0x1",
            "value": "0x7",
            "type": "0x0",
            "chainId": "0x385",
            "v": format!("0x{:x}", 901 * 2 + 35 + u64::from(signature.v())),
            "r": signature.r(),
            "s": signature.s(),
        })
    );
    let dynamic = get(txs[2].hash()).await;
    assert_eq!(dynamic["type"], "0x2");
    assert_eq!(dynamic["to"], Value::Null);
    assert_eq!(dynamic["gasPrice"], json!(format!("0x{:x}", 1_005_000_000)));
    assert_eq!(dynamic["maxFeePerGas"], json!(format!("0x{:x}", 3_000_000_000_u64)));
    assert_eq!(dynamic["accessList"], json!([]));
    assert_eq!(dynamic["yParity"], dynamic["v"]);
    assert_eq!(
        get(txs[0].hash()).await,
        json!({
            "blockHash": block_hash,
            "blockNumber": "0x2",
            "blockTimestamp": "0x6553f102",
            "from": "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001",
            "gas": "0xf4240",
            "gasPrice": "0x0",
            "hash": txs[0].hash(),
            "input": "0x098999be",
            "nonce": "0x2",
            "to": "0x4200000000000000000000000000000000000015",
            "transactionIndex": "0x0",
            "value": "0x0",
            "type": "0x7e",
            "v": "0x0",
            "r": "0x0",
            "s": "0x0",
            "sourceHash": format!("0x{:064x}", 2),
            "depositReceiptVersion": "0x1",
        })
    );
    let pooled = get(server.backend.pooled.hash()).await;
    assert_eq!((&pooled["blockHash"], &pooled["transactionIndex"]), (&Value::Null, &Value::Null));
    assert_eq!(get(TOPIC).await, Value::Null);

    let by = async |method: &str, place: &str| server.result(method, place).await;
    assert_eq!(by("eth_getTransactionByBlockNumberAndIndex", r#"["0x2","0x2"]"#).await, dynamic);
    let place = format!(r#"["{block_hash}","0x2"]"#);
    assert_eq!(by("eth_getTransactionByBlockHashAndIndex", &place).await, dynamic);
    let absent = by("eth_getTransactionByBlockNumberAndIndex", r#"["0x2","0x3"]"#).await;
    assert_eq!(absent, Value::Null);
    let encoded = json!(txs[2].encoded());
    assert_eq!(by("eth_getRawTransactionByBlockHashAndIndex", &place).await, encoded);
    assert_eq!(by("eth_getRawTransactionByBlockNumberAndIndex", r#"["0x2","0x2"]"#).await, encoded);
    let hash = txs[2].hash();
    assert_eq!(by("eth_getRawTransactionByHash", &format!(r#"["{hash}"]"#)).await, encoded);
    assert_eq!(by("eth_getRawTransactionByHash", &format!(r#"["{TOPIC}"]"#)).await, "0x");
    server.stop().await;
}

#[tokio::test]
async fn receipts() {
    let server = Server::start(Config::default()).await;
    let busy = server.backend.busy_block().clone();
    let (block_hash, txs) = (busy.block.header.hash(), &busy.block.transactions);
    let all = server.result("eth_getBlockReceipts", r#"["0x2"]"#).await;
    for (index, tx) in txs.iter().enumerate() {
        let hash = tx.hash();
        let one = server.result("eth_getTransactionReceipt", &format!(r#"["{hash}"]"#)).await;
        assert_eq!(one, all[index]);
    }
    let creation = &all[2];
    assert_eq!(
        creation,
        &json!({
            "blockHash": block_hash,
            "blockNumber": "0x2",
            "transactionHash": txs[2].hash(),
            "transactionIndex": "0x2",
            "from": ALICE,
            "to": null,
            "contractAddress": ALICE.create(1),
            "cumulativeGasUsed": "0x28488",
            "gasUsed": "0x15f90",
            "effectiveGasPrice": "0x3be71540",
            "logs": [{
                "address": EMITTER,
                "topics": [TOPIC, format!("0x{:064x}", 0)],
                "data": "0x000000",
                "blockNumber": "0x2",
                "transactionHash": txs[2].hash(),
                "transactionIndex": "0x2",
                "blockHash": block_hash,
                "blockTimestamp": "0x6553f102",
                "logIndex": "0x2",
                "removed": false,
            }],
            "logsBloom": busy.receipts[2].bloom(),
            "status": "0x1",
            "type": "0x2",
            "l1GasPrice": "0x64",
            "l1GasUsed": "0x640",
            "l1Fee": "0x1234",
            "l1BaseFeeScalar": "0x558",
            "l1BlobBaseFee": "0xc8",
            "l1BlobBaseFeeScalar": "0xc5fc5",
        })
    );
    let deposit = &all[0];
    assert_eq!((&deposit["depositNonce"], &deposit["l1Fee"]), (&json!("0x2"), &json!("0x0")));
    assert_eq!(deposit["depositReceiptVersion"], "0x1");
    assert_eq!((&deposit["effectiveGasPrice"], &deposit["type"]), (&json!("0x0"), &json!("0x7e")));
    // What is promised and not sealed has no receipt yet, but for clients that know of such things.
    let executed = server.backend.pending.block.transactions[1].hash();
    let params = format!(r#"["{executed}"]"#);
    assert_eq!(server.result("eth_getTransactionReceipt", &params).await, Value::Null);
    let request = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getTransactionReceipt","params":{params}}}"#
    );
    let (status, answer) = server.http_at("/preconf", request.as_bytes()).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(status, 200);
    let receipt = &answer["result"];
    assert_eq!(
        (&receipt["blockNumber"], &receipt["blockHash"]),
        (&json!("0x4"), &json!(B256::ZERO))
    );
    assert_eq!(
        (&receipt["transactionIndex"], &receipt["gasUsed"]),
        (&json!("0x1"), &json!("0x7530"))
    );
    assert_eq!((&receipt["l1Fee"], &receipt["status"]), (&json!("0x1234"), &json!("0x1")));
    assert_eq!(receipt["logs"][0]["logIndex"], "0x0");
    // It is the one of the pending block's receipts, and a WebSocket at that path gets it as well.
    assert_eq!(server.result("eth_getBlockReceipts", r#"["pending"]"#).await[1], *receipt);
    let mut socket = server.websocket_at("/preconf").await;
    socket.send(&request).await;
    assert_eq!(socket.receive_json().await["result"], *receipt);
    let mut socket = server.websocket().await;
    socket.send(&request).await;
    assert_eq!(socket.receive_json().await["result"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn logs() {
    let server = Server::start(Config { log_blocks_max: 3, ..Config::default() }).await;
    let count = async |filter: &str| {
        let logs = server.result("eth_getLogs", &format!("[{filter}]")).await;
        logs.as_array().unwrap().len()
    };
    let hash = server.backend.busy_block().block.header.hash();
    assert_eq!(count("{}").await, 0);
    assert_eq!(count(r#"{"fromBlock":"0x1","toBlock":"0x3"}"#).await, 3);
    assert_eq!(count(r#"{"fromBlock":"0x1"}"#).await, 3);
    assert_eq!(count(r#"{"fromBlock":"0x1","toBlock":"0xffff"}"#).await, 3);
    assert_eq!(count(r#"{"fromBlock":"0x4","toBlock":"0xffff"}"#).await, 0);
    assert_eq!(count(r#"{"fromBlock":"0x4"}"#).await, 0);
    assert_eq!(count(r#"{"fromBlock":"0x4","toBlock":"latest"}"#).await, 0);
    assert_eq!(count(r#"{"fromBlock":"0x1","toBlock":"pending"}"#).await, 4);
    assert_eq!(count(&format!(r#"{{"blockHash":"{hash}"}}"#)).await, 3);
    let topics = format!(r#"[["{TOPIC}"],"0x{:064x}"]"#, 1);
    assert_eq!(count(&format!(r#"{{"blockHash":"{hash}","topics":{topics}}}"#)).await, 1);
    assert_eq!(count(&format!(r#"{{"blockHash":"{hash}","address":"{ALICE}"}}"#)).await, 0);
    let (code, message, _) =
        server.error("eth_getLogs", r#"[{"fromBlock":"0x0","toBlock":"0x3"}]"#).await;
    assert_eq!(code, -32602);
    assert_eq!(message, "query exceeds max block range 3, retry with the range 0-2");
    server.stop().await;

    let server = Server::start(Config { log_results_max: 2, ..Config::default() }).await;
    let (code, message, _) =
        server.error("eth_getLogs", r#"[{"fromBlock":"0x0","toBlock":"0x3"}]"#).await;
    assert_eq!(code, -32602);
    assert_eq!(message, "query exceeds max results 2, retry with the range 0-1");
    server.stop().await;
}

#[tokio::test]
async fn fee_history() {
    let server = Server::start(Config::default()).await;
    let history = server.result("eth_feeHistory", r#"["0x2","0x2",[0,50,100]]"#).await;
    // The base fee falls by (1 - used / target) / 250 in a block: the target is a sixth of the limit.
    let next = 1_000_000_000 - 1_000_000_000 / 5_000_000 * (5_000_000 - 165_000) / 250;
    assert_eq!(
        history,
        json!({
            "oldestBlock": "0x1",
            "reward": [["0x0", "0x0", "0x0"], ["0x0", "0x4c4b40", "0x3b9aca00"]],
            "baseFeePerGas": ["0x3b9aca00", "0x3b9aca00", format!("0x{next:x}")],
            "gasUsedRatio": [0.0015, 0.0055],
            "baseFeePerBlobGas": ["0x1", "0x1", "0x1"],
            "blobGasUsedRatio": [0.0, 0.0],
        })
    );
    for count in ["\"0x400\"", "1024", "\"1024\"", "\"0xffffffffffffffff\""] {
        let all = server.result("eth_feeHistory", &format!(r#"[{count},"latest",[]]"#)).await;
        assert_eq!((&all["oldestBlock"], all.get("reward")), (&json!("0x0"), None), "{count}");
        assert_eq!(all["baseFeePerGas"].as_array().unwrap().len(), 5);
    }
    let none = server.result("eth_feeHistory", r#"["0x0","latest",[]]"#).await;
    assert_eq!(none, json!({ "oldestBlock": "0x0", "gasUsedRatio": [] }));
    server.stop().await;
}
