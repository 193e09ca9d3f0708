//! Putting a rollup on an L1 that changes its mind.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use alloy_primitives::B256;
use millrace_contracts::read_rollup;
use serde_json::json;

use super::fixture::write_key;
use crate::support::{
    anvil::{Anvil, L1_CHAIN_ID, text},
    node::wait_for,
    wallet::{CHAIN_ID, dev_account},
};

/// A running `millrace deploy`. Dropping it kills it.
struct Deploying {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Deploying {
    fn log(&self) -> String {
        self.log.lock().expect("nobody panics with it").clone()
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("look after millrace")
    }
}

impl Drop for Deploying {
    fn drop(&mut self) {
        // It has ended already, if all is well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_deployment_that_l1_moves_is_written_down_where_it_stays() {
    const CONFIRMATIONS: u64 = 3;
    let (dir, l1) = (tempfile::tempdir().expect("a directory"), Anvil::start(&[]));
    let owner = dev_account(0);
    write_key(&dir.path().join("owner.key"), &owner);
    let owner = owner.address().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["deploy", "--l1-url", &l1.rpc.url, "--l1-chain-id", &L1_CHAIN_ID.to_string()])
        .args(["--chain-id", &CHAIN_ID.to_string(), "--owner", &owner, "--batcher", &owner])
        .args(["--l1-confirmations", &CONFIRMATIONS.to_string(), "--key-file"])
        .arg(dir.path().join("owner.key"))
        .arg("--out")
        .arg(dir.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("start millrace");
    let errors = child.stderr.take().expect("piped");
    let mut deploying = Deploying { child, log: Arc::default() };
    let sink = deploying.log.clone();
    let reading = thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            let mut log = sink.lock().expect("nobody panics with it");
            log.push_str(&line);
            log.push('\n');
        }
    });
    wait_for("the deployment to be on L1", || {
        let log = deploying.log();
        assert!(deploying.ended().is_none(), "it ended by itself:\n{log}");
        log.contains("waiting until L1 keeps the deployment").then_some(())
    });
    let file = dir.path().join("rollup.json");
    assert!(!file.exists(), "L1 may yet move it");

    // The same transaction in another block.
    let moved = l1.rpc.call("eth_getBlockByNumber", json!(["latest", false]));
    let transaction = text(&moved["transactions"][0]);
    let raw = l1.rpc.call("eth_getRawTransactionByHash", json!([transaction]));
    l1.rpc.call("anvil_setCoinbase", json!([dev_account(1).address()]));
    l1.rpc.call("anvil_reorg", json!([1, [[raw, 0]]]));
    l1.mine(CONFIRMATIONS);
    let status = wait_for("the deployment to end", || deploying.ended());
    reading.join().expect("its log is read");
    assert!(status.success(), "{}", deploying.log());

    let config = read_rollup(&std::fs::read_to_string(file).expect("rollup.json"));
    let beginning = config.expect("a rollup").genesis.l1;
    let number = format!("{:#x}", beginning.number);
    let stays = l1.rpc.call("eth_getBlockByNumber", json!([number, false]));
    assert_eq!(text(&stays["number"]), text(&moved["number"]), "it moved to the side");
    assert_ne!(text(&stays["hash"]), text(&moved["hash"]));
    assert_eq!(text(&stays["hash"]).parse::<B256>(), Ok(beginning.hash));
    assert!(stays["transactions"].as_array().is_some_and(|all| !all.is_empty()));
}
