//! What a client is told before its transaction's block is sealed, and that it stays true.

use std::thread;

use alloy_consensus::TxEip1559;
use alloy_primitives::{B256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};

use crate::support::{
    node::{Node, Rpc, quantity, wait_for},
    wallet::{GWEI, creation, dev_account, sign, transfer},
};

const SYNC: &str = "eth_sendRawTransactionSync";

/// Runs `LOG1` and deploys nothing.
const LOGGING: [u8; 8] = [0x60, 0x2a, 0x60, 0x00, 0x60, 0x00, 0xa1, 0x00];

fn hash_of(signed: &(alloy_primitives::Bytes, String)) -> Value {
    json!(keccak256(&signed.0))
}

fn is_sealed(receipt: &Value) -> bool {
    receipt["blockHash"] != json!(B256::ZERO)
}

/// A receipt without what sealing adds to it.
fn promise(receipt: &Value) -> Value {
    let mut promise = receipt.clone();
    promise["blockHash"] = json!(B256::ZERO);
    for log in promise["logs"].as_array_mut().expect("logs") {
        log["blockHash"] = json!(B256::ZERO);
    }
    promise
}

/// The code, message and data of an error.
fn error(rpc: &Rpc, params: Value) -> (i64, String, Value) {
    let answer = rpc.answer(SYNC, params).expect("an answer");
    let error = &answer["error"];
    assert!(error.is_object(), "{answer}");
    let message = error["message"].as_str().expect("a message");
    (error["code"].as_i64().expect("a code"), message.to_owned(), error["data"].clone())
}

#[test]
fn a_receipt_comes_before_its_block_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &["--block-time", "3s"]);
    let preconfirmed = Rpc::new(format!("{}/preconf", node.rpc.url));
    let receipt_at = |rpc: &Rpc, hash: &Value| rpc.call("eth_getTransactionReceipt", json!([hash]));
    let sender = dev_account(0);
    let (hash, raw, receipt) = (0..)
        .find_map(|nonce| {
            // As much of a slot as there is lies ahead; should it not be enough, another one will be.
            let head = node.rpc.block_number();
            node.rpc.wait_for_block(head + 1);
            let number = node.rpc.block_number() + 1;
            let signed = sign(&sender, creation(LOGGING.to_vec(), nonce));
            let hash = hash_of(&signed);
            let receipt = node.rpc.call(SYNC, json!([signed.1]));
            let seen = (
                receipt_at(&node.rpc, &hash),
                receipt_at(&preconfirmed, &hash),
                node.rpc.call("eth_getBlockByNumber", json!(["pending", false])),
                node.rpc.call("eth_getBlockReceipts", json!(["pending"])),
                node.rpc
                    .call("eth_getLogs", json!([{ "fromBlock": "pending", "toBlock": "pending" }])),
                node.rpc.call("eth_getTransactionByHash", json!([hash])),
                node.rpc.call(SYNC, json!([signed.1])),
            );
            if node.rpc.block_number() >= number {
                return None;
            }
            let (plain, early, pending, receipts, logs, transaction, again) = seen;
            assert_eq!(quantity(&receipt["blockNumber"]), number);
            assert!(!is_sealed(&receipt), "{receipt}");
            assert_eq!(plain, Value::Null, "clients that know nothing of promises see none");
            assert_eq!(early, receipt);
            assert_eq!(again, receipt, "who sends it again hears the same");
            let index = quantity(&receipt["transactionIndex"]) as usize;
            assert_eq!(pending["transactions"][index], hash);
            assert_eq!(pending["number"], receipt["blockNumber"]);
            assert_eq!(receipts[index], receipt);
            assert_eq!(logs, receipt["logs"]);
            assert_eq!((&transaction["hash"], &transaction["blockNumber"]), (&hash, &Value::Null));
            Some((hash, signed.1, receipt))
        })
        .expect("one of them");
    assert_eq!(
        (&receipt["status"], receipt["logs"].as_array().map(Vec::len)),
        (&json!("0x1"), Some(1))
    );
    assert!(quantity(&receipt["l1Fee"]) > 0, "{receipt}");

    let sealed = node.rpc.receipt(hash.as_str().unwrap());
    assert!(is_sealed(&sealed));
    assert_eq!(promise(&sealed), receipt);
    assert_eq!(node.rpc.call(SYNC, json!([raw])), sealed, "what is sealed is waited for no longer");
    assert_eq!(receipt_at(&preconfirmed, &hash), sealed);
    assert!(node.terminate().success());
}

#[test]
fn who_waits_in_vain_is_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    let (sender, friend) = (dev_account(0), dev_account(1).address());
    let at = |nonce| sign(&sender, transfer(friend, 1, nonce));

    // What is refused is refused at once, in the same words.
    let broke = sign(&PrivateKeySigner::random(), transfer(friend, 1, 0)).1;
    for raw in [broke, "0x".to_owned(), "0x02c0".to_owned()] {
        let (code, message, _) = error(&node.rpc, json!([raw]));
        assert_eq!((code, message), node.rpc.error("eth_sendRawTransaction", json!([raw])));
    }

    // It pays too little for any block of now.
    let latest = node.rpc.call("eth_getBlockByNumber", json!(["latest", false]));
    let price = u128::from(quantity(&latest["baseFeePerGas"]) / 2);
    let cheap =
        TxEip1559 { max_fee_per_gas: price, max_priority_fee_per_gas: 0, ..transfer(friend, 1, 0) };
    let poor = dev_account(2);
    let cheap = sign(&poor, cheap);
    let (code, message, data) = error(&node.rpc, json!([cheap.1, 100]));
    assert_eq!((code, data), (4, hash_of(&cheap)), "{message}");
    // Sent again it is waited for again.
    let (code, again, _) = error(&node.rpc, json!([cheap.1, 100]));
    assert_eq!((code, again), (4, message));

    // A predecessor is missing.
    let gapped = at(1);
    let (code, message, data) = error(&node.rpc, json!([gapped.1, 100]));
    assert_eq!((code, data), (5, hash_of(&gapped)));
    assert!(message.ends_with("nonce too high: next nonce 0, tx nonce 1"), "{message}");

    // When it comes, whoever waits for the successor hears of it.
    let (rpc, raw) = (node.rpc.clone(), gapped.1.clone());
    let successor = thread::spawn(move || rpc.call(SYNC, json!([raw, 10_000])));
    let first = node.rpc.call(SYNC, json!([at(0).1]));
    let second = successor.join().unwrap();
    let place = |receipt: &Value| {
        (quantity(&receipt["blockNumber"]), quantity(&receipt["transactionIndex"]))
    };
    assert!(place(&first) < place(&second), "{first} {second}");

    // One that is replaced while somebody waits.
    let doomed = sign(&poor, transfer(friend, 1, 1));
    let (rpc, raw) = (node.rpc.clone(), doomed.1.clone());
    let waiting = thread::spawn(move || error(&rpc, json!([raw, 10_000])));
    wait_for("it to be in the pool", || {
        let found = node.rpc.call("eth_getTransactionByHash", json!([hash_of(&doomed)]));
        (!found.is_null()).then_some(())
    });
    let better = TxEip1559 {
        max_fee_per_gas: 200 * GWEI,
        max_priority_fee_per_gas: 2 * GWEI,
        ..transfer(friend, 1, 1)
    };
    let better = sign(&poor, better);
    node.rpc.call("eth_sendRawTransaction", json!([better.1]));
    let (code, message, data) = waiting.join().unwrap();
    assert_eq!((code, data), (5, hash_of(&doomed)));
    let expected = format!("replaced by {}", hash_of(&better).as_str().unwrap());
    assert!(message.ends_with(&expected), "{message}");

    // The node stops, and does not wait for anybody's predecessors.
    let orphan = at(7);
    let (rpc, raw) = (node.rpc.clone(), orphan.1.clone());
    let waiting = thread::spawn(move || error(&rpc, json!([raw, 10_000])));
    wait_for("it to be in the pool", || {
        let found = node.rpc.call("eth_getTransactionByHash", json!([hash_of(&orphan)]));
        (!found.is_null()).then_some(())
    });
    assert!(node.terminate().success());
    let (code, message, data) = waiting.join().unwrap();
    assert_eq!((code, data), (5, hash_of(&orphan)));
    assert_eq!(message, "the transaction was dropped from the pool: the sequencer has stopped");
}

#[test]
fn many_who_wait_at_once_are_all_told_the_truth() {
    const SENDERS: u32 = 8;
    const EACH: u64 = 40;
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    let clients: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let rpc = Rpc::new(node.rpc.url.clone());
            thread::spawn(move || {
                let (signer, friend) = (dev_account(sender), dev_account(9).address());
                let send =
                    |nonce| rpc.call(SYNC, json!([sign(&signer, transfer(friend, 1, nonce)).1]));
                (0..EACH).map(send).collect::<Vec<_>>()
            })
        })
        .collect();
    let receipts: Vec<Value> =
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert_eq!(receipts.len(), SENDERS as usize * EACH as usize);
    assert!(
        receipts.iter().any(|receipt| !is_sealed(receipt)),
        "all of them came with their blocks"
    );
    for receipt in receipts {
        assert_eq!(receipt["status"], "0x1");
        let sealed = node.rpc.receipt(receipt["transactionHash"].as_str().unwrap());
        assert_eq!(promise(&sealed), promise(&receipt));
    }
    assert!(node.terminate().success());
}
