//! What a hostile client does to a real node: it gets an error, and nobody else notices.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use alloy_primitives::{U256, hex};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{
    fault,
    node::{Node, wait_for},
    wallet::{GWEI, dev_account, sign, transfer},
};

/// The node still answers, and still makes blocks.
fn check_unharmed(node: &Node) {
    let before = node.rpc.block_number();
    node.rpc.wait_for_block(before + 2);
}

#[test]
fn bad_transactions_get_the_words_that_wallets_match_on() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    let signer = dev_account(0);
    let friend = dev_account(1).address();
    let refused = |raw: String| node.rpc.error("eth_sendRawTransaction", json!([raw]));
    let check = |raw: String, words: &str| {
        let (code, message) = refused(raw);
        assert!(code == -32000 && message.contains(words), "{code} {message:?}, not {words:?}");
    };

    let raw = sign(&signer, transfer(friend, 1, 0)).1;
    let hash = node.rpc.call("eth_sendRawTransaction", json!([raw]));
    node.rpc.receipt(hash.as_str().unwrap());
    check(raw, "nonce too low: next nonce 1, tx nonce 0");
    let queued = sign(&signer, transfer(friend, 1, 5)).1;
    node.rpc.call("eth_sendRawTransaction", json!([queued]));
    check(queued, "already known");
    check(sign(&signer, transfer(friend, 2, 5)).1, "replacement transaction underpriced");

    let mut tx = transfer(friend, 1, 1);
    tx.chain_id = 1;
    check(sign(&signer, tx).1, "invalid chain id");
    let mut tx = transfer(friend, 1, 1);
    tx.gas_limit = 20_999;
    check(sign(&signer, tx).1, "intrinsic gas too low: gas 20999, minimum needed 21000");
    let mut tx = transfer(friend, 1, 1);
    tx.gas_limit = 1 << 40;
    check(sign(&signer, tx).1, "exceeds block gas limit");
    let mut tx = transfer(friend, 1, 1);
    tx.max_priority_fee_per_gas = 200 * GWEI;
    check(sign(&signer, tx).1, "max priority fee per gas higher than max fee per gas");
    let mut tx = transfer(friend, 1, 1);
    tx.value = U256::MAX;
    check(sign(&signer, tx).1, "insufficient funds for gas * price + value");
    let mut tx = transfer(friend, 1, 1);
    tx.input = vec![1; 200_000].into();
    tx.gas_limit = 100_000_000;
    check(sign(&signer, tx).1, "oversized data");

    // A deposit is L1's to send.
    let deposit = millrace_types::Transaction::deposit(op_alloy_consensus::TxDeposit {
        from: dev_account(0).address(),
        mint: 1_000_000_000_000_000_000,
        gas_limit: 100_000,
        ..Default::default()
    });
    check(hex::encode_prefixed(deposit.encoded()), "transaction type not supported");
    let good = sign(&signer, transfer(friend, 1, 1)).1;
    for raw in [
        "0x".to_owned(),
        "0x00".into(),
        "0x02c0".into(),
        good[..good.len() - 2].into(),
        format!("{good}00"),
    ] {
        let (code, message) = refused(raw);
        assert_eq!(code, -32000, "{message}");
    }
    node.rpc.call("eth_sendRawTransaction", json!([good]));
}

#[test]
fn random_bytes_are_refused_and_harm_nobody() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    let good = sign(&dev_account(0), transfer(dev_account(1).address(), 1, 0)).0.to_vec();
    for _ in 0..1_000 {
        // A real transaction with some bytes changed reaches deeper than noise does.
        let mut raw = good.clone();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..raw.len());
            raw[at] = rng.random();
        }
        raw.truncate(rng.random_range(1..=raw.len()));
        let answer =
            node.rpc.answer("eth_sendRawTransaction", json!([hex::encode_prefixed(&raw)])).unwrap();
        assert!(answer.get("result").is_some() || answer["error"]["code"].is_i64(), "{answer}");
    }
    check_unharmed(&node);
}

#[test]
fn hostile_requests_are_answered_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &["--rpc-log-blocks-max", "2"]);
    let before = node.memory_bytes();
    let post = |body: &str| node.rpc.post(body.as_bytes()).unwrap();
    // What came as an array is answered by one.
    let code = |text: &str| {
        let answer: Value = serde_json::from_str(text).unwrap();
        answer.get(0).unwrap_or(&answer)["error"]["code"].as_i64()
    };

    assert_eq!(code(&post("{\"jsonrpc\": \"2.0\", \"method").1), Some(-32700));
    assert_eq!(code(&post("[]").1), Some(-32600));
    let (unknown, message) = node.rpc.error("eth_mine", json!([]));
    assert_eq!(
        (unknown, message.as_str()),
        (-32601, "the method eth_mine does not exist/is not available")
    );

    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let request =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":{nested}}}");
    assert!(matches!(code(&post(&request).1), Some(-32700 | -32600 | -32602)));
    assert!(matches!(code(&post(&nested).1), Some(-32700 | -32600)));

    let call = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":[]}";
    let batch = format!("[{}]", vec![call; 5_000].join(","));
    let (_, text) = post(&batch);
    assert!(text.contains("batch too large"), "{}", &text[..text.len().min(200)]);

    // The server may hang up before it has read ten megabytes that it will not take.
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":[\"{}\"]}}",
        "a".repeat(10 << 20)
    );
    if let Ok((status, _)) = node.rpc.post(body.as_bytes()) {
        assert_eq!(status, 413);
    }
    node.rpc.wait_for_block(4);
    let (code, message) =
        node.rpc.error("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "latest" }]));
    assert!(code == -32602 && message.contains("range"), "{code} {message}");

    check_unharmed(&node);
    let after = node.memory_bytes();
    assert!(after < before + (200 << 20), "memory went from {before} to {after}");
}

#[test]
fn a_call_that_never_ends_does_not_stop_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    // JUMPDEST PUSH0 JUMP, for ever.
    let bomb = json!([{ "to": "0x00000000000000000000000000000000000b0b0b" }, "latest",
        { "0x00000000000000000000000000000000000b0b0b": { "code": "0x5b5f56" } }]);
    let bombs: Vec<_> = (0..16)
        .map(|_| {
            let (rpc, bomb) = (node.rpc.clone(), bomb.clone());
            std::thread::spawn(move || rpc.error("eth_call", bomb))
        })
        .collect();
    check_unharmed(&node);
    for bomb in bombs {
        let (code, message) = bomb.join().unwrap();
        assert_eq!(code, -32000, "{message}");
    }
}

/// Subscribes to everything over a raw WebSocket and then never reads.
#[test]
fn a_subscriber_that_never_reads_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    let address = node.rpc.url.trim_start_matches("http://").to_owned();
    let mut deaf: Vec<TcpStream> = (0..8).map(|_| subscribe(&address)).collect();
    let before = node.memory_bytes();

    let sender = dev_account(2);
    let deadline = Instant::now() + Duration::from_secs(6);
    let mut nonce = 0;
    while Instant::now() < deadline {
        let mut tx = transfer(dev_account(3).address(), 1, nonce);
        tx.input = vec![0; 40_000].into();
        tx.gas_limit = 1_000_000;
        // A full pool is no failure here.
        if node
            .rpc
            .answer("eth_sendRawTransaction", json!([sign(&sender, tx).1]))
            .unwrap()
            .get("result")
            .is_some()
        {
            nonce += 1;
        }
    }
    check_unharmed(&node);
    let after = node.memory_bytes();
    assert!(nonce > 20, "the load never got going");
    assert!(after < before + (400 << 20), "memory went from {before} to {after}");
    // Whether cut off or not, whoever reads at last gets no more than was buffered for him.
    for stream in &mut deaf {
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            total += read;
            assert!(total < 64 << 20, "far more was buffered than may be");
        }
    }
}

fn subscribe(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .unwrap();
    let mut answer = [0; 1024];
    let read = stream.read(&mut answer).unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 101"), "no WebSocket");
    for what in ["newHeads", "newPendingTransactions"] {
        let full = if what == "newHeads" { "" } else { ",true" };
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"{what}\"{full}]}}"
        );
        // One masked text frame; a mask of zeros leaves the text as it is.
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap().min(125)];
        assert!(text.len() <= 125);
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        stream.write_all(&frame).unwrap();
    }
    stream
}

/// The journal's disk fills up: nothing is acknowledged until there is room again, and nothing acknowledged is lost.
#[test]
fn a_full_disk_stops_acknowledgements_and_says_so() {
    let Some(disk) = SmallDisk::new(48) else { return };
    let node = Node::start(disk.path(), &[]);
    let raw = |nonce| sign(&dev_account(0), transfer(dev_account(1).address(), 1, nonce)).1;
    let first = node.rpc.call("eth_sendRawTransaction", json!([raw(0)]));
    let receipt = node.rpc.receipt(first.as_str().unwrap());

    let ballast = disk.path().join("ballast");
    disk.fill(&ballast);
    let readiness = || {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.get(format!("{}/readyz", node.ops_url)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    };
    let (_, said) =
        wait_for("the node to notice", || Some(readiness()).filter(|(status, _)| *status == 503));
    assert!(said.contains("full"), "{said}");
    let stuck = node.rpc.block_number();
    let (_, message) = node.rpc.error("eth_sendRawTransaction", json!([raw(1)]));
    assert!(message.contains("journal"), "{message}");
    assert_eq!(node.rpc.receipt(first.as_str().unwrap()), receipt, "reads go on");
    assert_eq!(node.rpc.block_number(), stuck);

    std::fs::remove_file(&ballast).unwrap();
    node.rpc.wait_for_block(stuck + 2);
    let second = node.rpc.call("eth_sendRawTransaction", json!([raw(1)]));
    let second_receipt = node.rpc.receipt(second.as_str().unwrap());
    node.kill();

    let node = Node::start(disk.path(), &[]);
    assert_eq!(node.rpc.receipt(first.as_str().unwrap()), receipt);
    assert_eq!(node.rpc.receipt(second.as_str().unwrap()), second_receipt);
    drop(node);
}

/// A disk that no longer syncs: whoever goes on after that acknowledges what may be gone tomorrow.
#[test]
fn a_failing_sync_ends_the_process_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let library = fault::library(dir.path());
    let (data_dir, switch) = (dir.path().join("data"), dir.path().join("failing"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command
        .arg("dev")
        .env("LD_PRELOAD", library)
        .env("MILLRACE_FAULT", format!("fsync:{}", switch.display()));
    let mut node = Node::spawn(&mut command, &data_dir, &[]).unwrap();
    let raw = |nonce| sign(&dev_account(0), transfer(dev_account(1).address(), 1, nonce)).1;
    let first = node.rpc.call("eth_sendRawTransaction", json!([raw(0)]));
    let receipt = node.rpc.receipt(first.as_str().unwrap());

    std::fs::write(&switch, "").unwrap();
    let second = node.rpc.answer("eth_sendRawTransaction", json!([raw(1)]));
    let status = node.wait_for_exit();
    assert!(!status.success(), "{status}");
    assert!(node.log().contains("journal"), "it says why");

    let node = Node::start(&data_dir, &[]);
    assert_eq!(node.rpc.receipt(first.as_str().unwrap()), receipt);
    // Nobody was told that the second is in a block, so it may be or may not; the chain goes on either way.
    let nonce =
        node.rpc.quantity("eth_getTransactionCount", json!([dev_account(0).address(), "latest"]));
    assert!(nonce == 1 || (nonce == 2 && second.is_some()), "{nonce}");
    check_unharmed(&node);
}

/// A file system in memory of a few MiB, mounted for one test.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// Nothing where we may not mount: that takes root, as CI has.
    fn new(mib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(dir.path())
            .status()
            .expect("run mount");
        if !status.success() {
            println!("skipped: mounting a small tmpfs takes root");
            return None;
        }
        Some(Self { dir })
    }

    fn path(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Takes all the room that is left.
    fn fill(&self, ballast: &std::path::Path) {
        let mut file = std::fs::File::create(ballast).unwrap();
        for block in [1 << 20, 4096, 1] {
            while file.write_all(&vec![0; block]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.dir.path()).status().ok();
    }
}
