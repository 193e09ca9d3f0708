//! The acceptance test: real blocks come out with the network's hashes; and what is said when they do not.

use std::fs;

use alloy_primitives::{Bytes, keccak256};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const BLOCKS: [u64; 4] = [26_207_960, 26_207_962, 26_208_384, 26_208_927];

fn witness_file(number: u64) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../shared/data/op-sepolia-{number}.json"));
    assert!(path.is_file(), "the shared data must lie beside the repository: {}", path.display());
    path
}

fn run_to_string(files: &[PathBuf]) -> (bool, String) {
    let mut out = Vec::new();
    let all_right = run(files, &mut out).unwrap();
    (all_right, String::from_utf8(out).unwrap())
}

/// Changes the smallest witness, replays it and returns what is printed.
fn replay_changed(change: impl FnOnce(&mut Value)) -> String {
    let mut json: Value =
        serde_json::from_slice(&fs::read(witness_file(BLOCKS[0])).unwrap()).unwrap();
    change(&mut json);
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("witness.json");
    fs::write(&file, json.to_string()).unwrap();
    let (all_right, printed) = run_to_string(&[file]);
    assert!(!all_right, "{printed}");
    printed
}

fn wrong_hash(json: &mut Value) {
    json["expected_block_hash"] = json!(B256::repeat_byte(0xab));
}

fn computed() -> ExecutedBlock {
    replay(&witness_file(BLOCKS[0]), ExecutorConfig::default()).unwrap().1
}

fn header_json(header: &Header) -> Value {
    let quantity = |number: u64| format!("{number:#x}");
    json!({
        "parentHash": header.parent_hash,
        "sha3Uncles": header.ommers_hash,
        "miner": header.beneficiary,
        "stateRoot": header.state_root,
        "transactionsRoot": header.transactions_root,
        "receiptsRoot": header.receipts_root,
        "logsBloom": header.logs_bloom,
        "difficulty": "0x0",
        "number": quantity(header.number),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "extraData": header.extra_data,
        "mixHash": header.mix_hash,
        "nonce": header.nonce,
        "baseFeePerGas": header.base_fee_per_gas.map(quantity),
        "withdrawalsRoot": header.withdrawals_root,
        "blobGasUsed": header.blob_gas_used.map(quantity),
        "excessBlobGas": header.excess_blob_gas.map(quantity),
        "parentBeaconBlockRoot": header.parent_beacon_block_root,
    })
}

#[test]
fn the_networks_blocks_come_out_with_their_hashes() {
    let (all_right, printed) = run_to_string(&BLOCKS.map(witness_file));
    assert!(all_right, "{printed}");
    assert_eq!(
        printed,
        "26207960 0xdb32d9ddfa5fd26c9fb0260bbfa53da88326aa2a465e34d75180564aa31b851e ok\n\
         26207962 0xdcacc3f9f5d921a6c9640fb35bdb675d54107e4b7f788f6d5d4e40dc2d722943 ok\n\
         26208384 0x26733c902943d6075a7a97b3617cca3df816f64acd733aa1989d1648cef739e4 ok\n\
         26208927 0x898f449ac32b97b76ac1038fd341b842b19c59396e0b8fe7a9665516b3500712 ok\n"
    );
}

#[test]
fn they_do_so_on_any_number_of_threads() {
    for number in BLOCKS {
        let alone = replay(&witness_file(number), ExecutorConfig::default()).unwrap().1;
        for threads in 2..=8 {
            let config = ExecutorConfig { threads, eager: true, ..ExecutorConfig::default() };
            let block = replay(&witness_file(number), config).unwrap().1;
            assert_eq!(block.block.header, alone.block.header, "{threads} threads");
            assert_eq!(block.receipts, alone.receipts, "{threads} threads");
            assert_eq!(block.diff, alone.diff, "{threads} threads");
        }
    }
}

#[test]
fn without_a_reference_everything_computed_is_shown() {
    let printed = replay_changed(wrong_hash);
    let block = computed();
    let header = &block.block.header;
    assert!(printed.starts_with(&format!("26207960 {} differs", header.hash())), "{printed}");
    assert!(printed.contains(&format!("stateRoot: {}\n", header.state_root)), "{printed}");
    for (index, transaction) in block.block.transactions.iter().enumerate() {
        let line = format!("transaction {index} {}: status 1, gas ", transaction.hash());
        assert!(printed.contains(&line), "{line}: {printed}");
    }
}

#[test]
fn the_first_header_field_that_differs_is_named() {
    let mut expected = computed().block.header.clone_header();
    expected.receipts_root = B256::repeat_byte(1);
    expected.gas_used += 1;
    let printed = replay_changed(|json| {
        wrong_hash(json);
        json["expected_header"] = header_json(&expected);
    });
    let line = format!(
        "  header field receiptsRoot: computed {}, expected {}\n",
        computed().block.header.receipts_root,
        expected.receipts_root
    );
    assert!(printed.contains(&line), "{printed}");
    assert!(!printed.contains("gasUsed"), "{printed}");
}

/// A chain that forked off: the child's file knows the header that its parent should have had.
#[test]
fn a_childs_parent_header_is_a_reference() {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, json: Value| {
        let file = dir.path().join(name);
        fs::write(&file, json.to_string()).unwrap();
        file
    };
    let mut expected = computed().block.header.clone_header();
    expected.base_fee_per_gas = Some(7);
    let mut json: Value =
        serde_json::from_slice(&fs::read(witness_file(BLOCKS[0])).unwrap()).unwrap();
    json["expected_block_hash"] = json!(expected.hash_slow());
    let block = write("block.json", json.clone());
    json["parent_header"] = header_json(&expected);
    json["payload"]["timestamp"] = json!(format!("{:#x}", expected.timestamp + 2));
    let child = write("child.json", json);

    let (all_right, printed) = run_to_string(&[block, child]);
    assert!(!all_right);
    assert!(printed.contains("  header field baseFeePerGas: computed "), "{printed}");
    assert!(printed.contains(", expected 7\n"), "{printed}");
}

#[test]
fn the_first_transaction_that_differs_is_named() {
    let block = computed();
    let receipts: Vec<_> = block
        .receipts
        .iter()
        .enumerate()
        .map(|(index, receipt)| {
            let logs: Vec<_> = receipt
                .logs
                .iter()
                .map(|log| json!({ "address": log.address, "topics": log.topics(), "data": log.data.data }))
                .collect();
            json!({
                "status": format!("{:#x}", u8::from(receipt.success)),
                "cumulativeGasUsed": format!("{:#x}", receipt.cumulative_gas_used + u64::from(index >= 3)),
                "depositNonce": receipt.deposit.map(|deposit| format!("{:#x}", deposit.nonce)),
                "logs": logs,
            })
        })
        .collect();
    let printed = replay_changed(|json| {
        wrong_hash(json);
        json["expected_receipts"] = json!(receipts);
    });
    let line =
        format!("  transaction 3 {}: cumulativeGasUsed: ", block.block.transactions[3].hash());
    assert!(printed.contains(&line), "{printed}");
    assert_eq!(printed.matches("  transaction ").count(), 1, "{printed}");
}

#[test]
fn the_first_account_that_differs_is_named() {
    let block = computed();
    let mut changed: Vec<_> = block.diff.accounts().collect();
    changed.sort_unstable_by_key(|(diff, _)| diff.address);
    let accounts: serde_json::Map<_, _> = changed
        .iter()
        .enumerate()
        .map(|(index, (diff, slots))| {
            let account = diff.account.unwrap();
            let wrong = alloy_primitives::U256::from(u8::from(index >= 2));
            let storage: std::collections::BTreeMap<_, _> = slots.iter().copied().collect();
            let json = json!({
                "nonce": format!("{:#x}", account.nonce),
                "balance": account.balance + wrong,
                "codeHash": account.bytecode_hash,
                "storage": storage,
            });
            (diff.address.to_string(), json)
        })
        .collect();
    let printed = replay_changed(|json| {
        wrong_hash(json);
        json["expected_accounts"] = Value::Object(accounts);
    });
    let line = format!("  account {}: balance: computed ", changed[2].0.address);
    assert!(printed.contains(&line), "{printed}");
    assert_eq!(printed.matches("  account ").count(), 1, "{printed}");
}

#[test]
fn a_block_that_cannot_be_executed_says_why() {
    let printed = replay_changed(|json| {
        let transactions = json["payload"]["transactions"].as_array_mut().unwrap();
        let last = transactions.last().cloned().unwrap();
        transactions.push(last);
    });
    assert!(printed.contains("execute the block: transaction 10 (0x"), "{printed}");
    assert!(printed.contains("): nonce too low"), "{printed}");
}

#[test]
fn a_missing_preimage_is_named() {
    let mut missing = B256::ZERO;
    let printed = replay_changed(|json| {
        let root = json["parent_header"]["stateRoot"].as_str().unwrap().parse::<B256>().unwrap();
        missing = root;
        let is_root =
            |bytes: &Value| keccak256(bytes.as_str().unwrap().parse::<Bytes>().unwrap()) == root;
        json["preimages"].as_array_mut().unwrap().retain(|bytes| !is_root(bytes));
    });
    assert!(printed.contains(&format!("the witness lacks the preimage of {missing}")), "{printed}");
}

#[test]
fn bad_files_do_not_hide_good_ones() {
    let dir = TempDir::new().unwrap();
    let nonsense = dir.path().join("nonsense.json");
    fs::write(&nonsense, "{\"chain\": 7}").unwrap();
    let absent = dir.path().join("absent.json");
    let (all_right, printed) = run_to_string(&[nonsense, absent, witness_file(BLOCKS[0])]);
    assert!(!all_right);
    let lines: Vec<_> = printed.lines().collect();
    assert!(lines[0].contains("nonsense.json: not a witness: "), "{printed}");
    assert!(lines[1].contains("absent.json: read the file: "), "{printed}");
    assert!(lines[2].ends_with(" ok"), "{printed}");
}
