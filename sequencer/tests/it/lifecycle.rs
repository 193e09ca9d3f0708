//! Starting, stopping, and refusing to start.

use std::process::Command;

use serde_json::json;

use crate::support::{
    node::{Node, quantity, wait_for},
    wallet::{dev_account, sign, transfer},
};

fn millrace(args: &[&str]) -> (bool, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_millrace")).args(args).output().expect("run millrace");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_stopped_chain_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    let sender = dev_account(0);
    let recipient = dev_account(9).address();
    let hash = node
        .rpc
        .call("eth_sendRawTransaction", json!([sign(&sender, transfer(recipient, 5, 0)).1]));
    let receipt = node.rpc.receipt(hash.as_str().unwrap());
    let status = node.terminate();
    assert!(status.success(), "{status}");

    let node = Node::start(dir.path(), &[]);
    assert_eq!(node.rpc.receipt(hash.as_str().unwrap()), receipt);
    let number = quantity(&receipt["blockNumber"]);
    node.rpc.wait_for_block(number + 2);
    assert_eq!(
        node.rpc.quantity("eth_getTransactionCount", json!([sender.address(), "latest"])),
        1
    );
    assert!(node.terminate().success());
}

#[test]
fn the_slot_is_finished_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &["--block-time", "3s"]);
    let before = node.rpc.block_number();
    let raw = sign(&dev_account(0), transfer(dev_account(1).address(), 1, 0)).1;
    let hash = node.rpc.call("eth_sendRawTransaction", json!([raw]));
    wait_for("the open block to hold it", || {
        let nonce = node
            .rpc
            .quantity("eth_getTransactionCount", json!([dev_account(0).address(), "pending"]));
        (nonce == 1).then_some(())
    });
    assert!(node.terminate().success());

    let node = Node::start(dir.path(), &["--block-time", "3s"]);
    let receipt = node.rpc.call("eth_getTransactionReceipt", json!([hash]));
    assert!(quantity(&receipt["blockNumber"]) > before, "{receipt}");
}

#[test]
fn a_second_process_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    let log = Node::try_start(dir.path(), &[]).map(drop).unwrap_err();
    assert!(log.contains(&format!("in use by another process (pid {})", node.pid())), "{log}");
}

#[test]
fn another_chain_id_is_refused_in_an_existing_directory() {
    let dir = tempfile::tempdir().unwrap();
    drop(Node::start(dir.path(), &[]));
    let log = Node::try_start(dir.path(), &["--chain-id", "902"]).map(drop).unwrap_err();
    assert!(log.contains("chain_id") && log.contains("901"), "{log}");
}

#[test]
fn settings_come_from_file_environment_and_flags() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("millrace.toml");
    std::fs::write(&file, "chain_id = 7777\ngas_limit = 30000000\nblock_time = \"2s\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["dev", "--config"]).arg(&file).env("MILLRACE_GAS_LIMIT", "40000000");
    let node =
        Node::spawn(&mut command, &dir.path().join("data"), &["--block-time", "1s"]).unwrap();
    assert_eq!(node.rpc.quantity("eth_chainId", json!([])), 7777);
    node.rpc.wait_for_block(1);
    let block = node.rpc.call("eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!(quantity(&block["gasLimit"]), 40_000_000);
}

#[test]
fn a_wrong_configuration_is_explained_key_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        let file = dir.path().join("millrace.toml");
        std::fs::write(&file, text).unwrap();
        millrace(&["config", "check", file.to_str().unwrap()])
    };
    let (ok, effective, _) =
        check("data_dir = \"x\"\njournal_url = \"postgres://me:hunter2@db/chain\"\n");
    assert!(
        ok && effective.contains("chain_id = 901") && !effective.contains("hunter2"),
        "{effective}"
    );

    let (ok, _, errors) = check("journal_url = \"postgres://db/chain\"\n");
    assert!(!ok && errors.contains("data_dir: "), "{errors}");

    let (ok, _, errors) = check("gas_limt = 5\n");
    assert!(!ok && errors.contains("gas_limt"), "{errors}");

    let (ok, _, errors) = check("gas_limit = 5\nblock_time = \"1500ms\"\nthreads = 0\n");
    assert!(!ok);
    for key in ["gas_limit: ", "block_time: ", "threads: "] {
        assert!(errors.contains(key), "{key} in {errors}");
    }
    let (ok, _, errors) = millrace(&["dev", "--block-time", "soon"]);
    assert!(!ok && errors.contains("250ms, 1s, 5m or 3h"), "{errors}");
}

#[test]
fn json_logs_are_one_object_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &["--log-format", "json"]);
    let hash = node.rpc.call(
        "eth_sendRawTransaction",
        json!([sign(&dev_account(0), transfer(dev_account(1).address(), 1, 0)).1]),
    );
    node.rpc.receipt(hash.as_str().unwrap());
    let sealed = wait_for("a line about the block", || {
        let log = node.log();
        let mut lines = log.lines().map(|line| {
            serde_json::from_str::<serde_json::Value>(line)
                .unwrap_or_else(|_| panic!("not JSON: {line}"))
        });
        lines.find(|line| line["message"] == "sealed")
    });
    assert_eq!(sealed["transactions"], 2);
}

#[test]
fn health_and_metrics_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), &[]);
    node.rpc.wait_for_block(1);
    let get = |path: &str| {
        let mut response = ureq::get(format!("{}{path}", node.ops_url)).call().unwrap();
        response.body_mut().read_to_string().unwrap()
    };
    assert_eq!(get("/livez"), "ok\n");
    assert_eq!(get("/readyz"), "ok\n");
    let metrics = get("/metrics");
    let head = metrics.lines().find_map(|line| line.strip_prefix("millrace_head_number ")).unwrap();
    assert!(head.parse::<u64>().unwrap() >= 1, "{metrics}");
}
