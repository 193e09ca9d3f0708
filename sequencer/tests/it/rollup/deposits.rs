//! Deposits: they arrive where and as L1 says, whatever they do then.

use std::{path::Path, process::Command};

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use millrace_protocol::alias_l1_address;
use op_alloy_consensus::UserDepositSource;
use serde_json::{Value, json};

use super::fixture::{ETHER, Rollup, balance, number, wait_for_safe};
use crate::support::{
    anvil::{Anvil, text},
    node::{Node, Rpc, quantity, wait_for},
    wallet::{self, dev_account, sign},
};

/// `depositTransaction(address,uint256,uint64,bool,bytes)`.
const DEPOSIT: [u8; 4] = hex!("e9e05c42");

/// The call that deposits: `value` of what was minted goes to `to`.
pub(super) fn deposit_call(to: Address, value: U256, gas: u64, data: &[u8]) -> Vec<u8> {
    let mut call = DEPOSIT.to_vec();
    call.extend(to.into_word());
    call.extend(value.to_be_bytes::<32>());
    call.extend(U256::from(gas).to_be_bytes::<32>());
    call.extend([0; 32]);
    call.extend(U256::from(5 * 32).to_be_bytes::<32>());
    call.extend(U256::from(data.len()).to_be_bytes::<32>());
    call.extend(data);
    call.resize(call.len().next_multiple_of(32) + 4, 0);
    call
}

/// A deposit on L1: the block and the index of its log.
struct OnL1 {
    block: u64,
    /// In the block, not in the transaction.
    log_index: u64,
    source_hash: B256,
    gas_used: u64,
}

/// Waits for a transaction on L1 that deposits once.
fn on_l1(l1: &Anvil, hash: &str) -> OnL1 {
    let receipt = l1.rpc.receipt(hash);
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    let log = &receipt["logs"][0];
    let block_hash = text(&receipt["blockHash"]).parse().expect("a hash");
    let log_index = quantity(&log["logIndex"]);
    let source = UserDepositSource::new(block_hash, log_index);
    OnL1 {
        log_index,
        block: quantity(&receipt["blockNumber"]),
        source_hash: source.source_hash(),
        gas_used: quantity(&receipt["gasUsed"]),
    }
}

/// A block's place in its epoch, and the epoch's number, as its first transaction says it. Nothing but zeros for the genesis,
/// which has none.
pub(super) fn epoch(block: &Value) -> (u64, u64) {
    if quantity(&block["number"]) == 0 {
        return (0, 0);
    }
    let input = hex::decode(text(&block["transactions"][0]["input"])).expect("hex");
    let number = |at: usize| u64::from_be_bytes(input[at..at + 8].try_into().expect("eight bytes"));
    // A selector and two scalars, the sequence number, the timestamp and the number.
    (number(12), number(28))
}

/// The first block of an L1 block's epoch, as soon as it is there.
pub(super) fn first_of_epoch(rpc: &Rpc, l1_number: u64) -> Value {
    wait_for("the epoch", || (newest_epoch(rpc) >= l1_number).then_some(()));
    let mut at = rpc.block_number();
    loop {
        let block = rpc.call("eth_getBlockByNumber", json!([format!("{at:#x}"), true]));
        if epoch(&block) == (0, l1_number) {
            return block;
        }
        assert!(at > 1, "no block begins epoch {l1_number}");
        at -= 1;
    }
}

fn newest_epoch(rpc: &Rpc) -> u64 {
    epoch(&rpc.call("eth_getBlockByNumber", json!(["latest", true]))).1
}

/// The deposit's transaction on L2, which has to be the only one of users in the first block of its epoch.
fn on_l2(node: &Node, deposit: &OnL1) -> (Value, Value) {
    let block = first_of_epoch(&node.rpc, deposit.block);
    let transaction = block["transactions"][1].clone();
    assert_eq!(text(&transaction["sourceHash"]), deposit.source_hash.to_string(), "{block}");
    let receipt = node.rpc.receipt(text(&transaction["hash"]));
    assert_eq!(receipt["blockHash"], block["hash"]);
    (transaction, receipt)
}

fn address(value: &Value) -> Address {
    text(value).parse().expect("an address")
}

#[test]
fn deposits_arrive_in_the_first_block_of_their_epoch() {
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(&[]);
    let (l1, portal) = (&rollup.l1, rollup.config.deposit_contract);
    let (depositor, recipient) = (dev_account(3).address(), Address::repeat_byte(0x33));
    let before = balance(&node.rpc, depositor);

    let ether = U256::from(ETHER);
    let call = deposit_call(recipient, ether, 100_000, &[]);
    let sent = l1.send_from(depositor, Some(portal), U256::from(3) * ether, &call);
    let (transaction, receipt) = on_l2(&node, &on_l1(l1, &sent));
    assert_eq!(address(&transaction["from"]), depositor, "an account is not aliased");
    assert_eq!(transaction["type"], "0x7e");
    assert_eq!(text(&transaction["mint"]), format!("{:#x}", 3 * u128::from(ETHER)));
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(balance(&node.rpc, recipient), ether);
    assert_eq!(balance(&node.rpc, depositor), before + U256::from(2) * ether, "no fee is paid");

    check_one_l1_block(&rollup, &node);
    let last = number(&node.rpc, "latest");
    rollup.verify(&node, last);
}

/// Several deposits of one L1 block come in the order of their logs, whatever else logs something there.
fn check_one_l1_block(rollup: &Rollup, node: &Node) {
    let (l1, portal) = (&rollup.l1, Some(rollup.config.deposit_contract));
    l1.halt();
    let mut create = deposit_call(Address::ZERO, U256::ZERO, 200_000, &creation(&[0xfe]));
    create[4 + 4 * 32 - 1] = 1;
    let creator = dev_account(5).address();
    let nonce = node.rpc.quantity("eth_getTransactionCount", json!([creator, "latest"]));
    let pay = |gas| deposit_call(Address::repeat_byte(0x34), U256::ONE, gas, &[]);
    let owner = dev_account(0).address();
    let mut config_update = keccak256("setUnsafeBlockSigner(address)")[..4].to_vec();
    config_update.extend(Address::repeat_byte(1).into_word());
    let sent = [
        l1.send_from(owner, Some(rollup.config.system_config_contract), U256::ZERO, &config_update),
        l1.send_from(dev_account(3).address(), portal, U256::ONE, &pay(50_000)),
        l1.send_from(creator, portal, U256::ZERO, &create),
        l1.send_from(dev_account(3).address(), portal, U256::ONE, &pay(60_000)),
    ];
    l1.mine(1);
    l1.tick();
    // As L1 has them; without the update, which is no deposit.
    let mut deposits = sent[1..].iter().map(|hash| on_l1(l1, hash)).collect::<Vec<_>>();
    deposits.sort_by_key(|deposit| deposit.log_index);
    assert!(deposits.iter().all(|deposit| deposit.block == deposits[0].block));
    assert!(deposits[2].log_index > 0);
    let block = first_of_epoch(&node.rpc, deposits[0].block);
    let transactions = block["transactions"].as_array().expect("transactions");
    let arrived: Vec<_> = transactions[1..].iter().map(|tx| text(&tx["sourceHash"])).collect();
    let expected: Vec<_> = deposits.iter().map(|deposit| deposit.source_hash.to_string()).collect();
    assert_eq!(arrived, expected);
    let code = node.rpc.call("eth_getCode", json!([creator.create(nonce), "latest"]));
    assert_eq!(code, "0xfe");
}

#[test]
fn a_contracts_deposit_comes_from_its_alias() {
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(&[]);
    let (l1, portal) = (&rollup.l1, rollup.config.deposit_contract);
    // Passes on what it is called with, and fails if that fails.
    let mut runtime = hex!("365f5f375f5f365f3473").to_vec();
    runtime.extend(portal);
    runtime.extend(hex!("5af115602557005b5f5ffd"));
    let sender = dev_account(4).address();
    let sent = l1.send_from(sender, None, U256::ZERO, &creation(&runtime));
    let contract = address(&l1.rpc.receipt(&sent)["contractAddress"]);

    let call = deposit_call(Address::repeat_byte(0x44), U256::from(7), 100_000, &[1, 2, 3]);
    let sent = l1.send_from(sender, Some(contract), U256::from(9), &call);
    let (transaction, _) = on_l2(&node, &on_l1(l1, &sent));
    let alias = alias_l1_address(contract);
    assert_eq!(address(&transaction["from"]), alias);
    assert_eq!(transaction["input"], "0x010203");
    assert_eq!(balance(&node.rpc, alias), U256::from(2), "what was minted and not passed on");

    let last = number(&node.rpc, "latest");
    rollup.verify(&node, last);
}

/// What puts a contract of this code on the chain.
pub(super) fn creation(runtime: &[u8]) -> Vec<u8> {
    let length = u8::try_from(runtime.len()).expect("a short contract");
    // PUSH1 length, DUP1, PUSH1 9, PUSH0, CODECOPY, PUSH0, RETURN
    let mut code = vec![0x60, length, 0x80, 0x60, 9, 0x5f, 0x39, 0x5f, 0xf3];
    code.extend(runtime);
    code
}

#[test]
fn a_deposit_that_fails_keeps_its_mint_and_pays_for_its_gas_on_l1() {
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(&[]);
    let (l1, portal) = (&rollup.l1, rollup.config.deposit_contract);
    let depositor = dev_account(6).address();
    // A contract without any valid instruction burns all the gas that it is given.
    let nonce =
        node.rpc.quantity("eth_getTransactionCount", json!([dev_account(7).address(), "latest"]));
    let burner = dev_account(7).address().create(nonce);
    let create = wallet::creation(creation(&[0xfe]), nonce);
    let raw = sign(&dev_account(7), create).1;
    node.rpc.receipt(text(&node.rpc.call("eth_sendRawTransaction", json!([raw]))));

    let before = balance(&node.rpc, depositor);
    let call = deposit_call(burner, U256::from(ETHER), 1_000_000, &[]);
    let sent = l1.send_from(depositor, Some(portal), U256::from(ETHER), &call);
    let deposit = on_l1(l1, &sent);
    assert!(deposit.gas_used > 900_000, "a million of L2 gas costs only {}", deposit.gas_used);
    let (_, receipt) = on_l2(&node, &deposit);
    assert_eq!(receipt["status"], "0x0");
    assert_eq!(quantity(&receipt["gasUsed"]), 1_000_000);
    assert_eq!(balance(&node.rpc, burner), U256::ZERO);
    assert_eq!(balance(&node.rpc, depositor), before + U256::from(ETHER));

    let last = number(&node.rpc, "latest");
    rollup.verify(&node, last);
}

#[test]
fn viem_deposits_into_a_devnet_unmodified() {
    let l1 = Anvil::start(&[]);
    l1.tick();
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    command.args(["devnet", "--l1-url", &l1.rpc.url, "--l1-confirmations", "1"]);
    let node =
        Node::spawn(&mut command, dir.path(), &["--l1-poll", "200ms", "--batcher-idle", "2s"])
            .unwrap_or_else(|log| panic!("the devnet did not start:\n{log}"));
    let file = dir.path().join("rollup.json");
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("a file")).expect("JSON");
    let conformance = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance");
    let portal = text(&config["deposit_contract_address"]);
    let output = Command::new("node")
        .current_dir(conformance)
        .args(["clients/deposit.mjs", &l1.rpc.url, portal, &node.rpc.url])
        .output()
        .expect("run node");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(said.ends_with("deposits ok\n"), "{said}\n{errors}");

    wait_for_safe(&node.rpc, number(&node.rpc, "latest"));
    let output = Command::new(env!("CARGO_BIN_EXE_millrace"))
        .args(["verify", "--l1-url", &l1.rpc.url, "--l1-poll", "200ms", "--rollup"])
        .arg(&file)
        .args(["--against", &node.rpc.url])
        .output()
        .expect("run millrace");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
