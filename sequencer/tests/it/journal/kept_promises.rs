//! What a process had promised when it ended is the next block of its successor.

use std::{path::Path, sync::Arc};

use alloy_primitives::Address;
use millrace_protocol::{Eip1559Params, Prescribed};
use millrace_sequencer::journal::{ChainIdentity, Journal, PromisedHead, StoredBlock};
use millrace_types::Transaction;
use serde_json::{Value, json};

use super::suite::execute;
use crate::support::{
    node::{Node, quantity},
    wallet::{dev_account, sign, transfer},
};

/// Slots that are over at once: what the block promised must not depend on when it is sealed.
const ARGS: [&str; 2] = ["--block-time", "1s"];

/// A node that has made some blocks and is down, so that its journal can be looked at.
struct Down {
    directory: tempfile::TempDir,
    identity: ChainIdentity,
}

impl Down {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let node = Node::start(directory.path(), &ARGS);
        let raw = sign(&dev_account(0), transfer(Address::repeat_byte(7), 1, 0)).1;
        let hash = node.rpc.call("eth_sendRawTransaction", json!([raw]));
        node.rpc.receipt(hash.as_str().unwrap());
        let genesis = node.rpc.call("eth_getBlockByNumber", json!(["0x0", false]));
        let identity = ChainIdentity {
            chain_id: node.rpc.quantity("eth_chainId", json!([])),
            genesis_hash: genesis["hash"].as_str().unwrap().parse().unwrap(),
        };
        assert!(node.terminate().success());
        Self { directory, identity }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn journal_path(&self) -> String {
        self.path().join("journal.sqlite").to_str().unwrap().to_owned()
    }

    async fn journal(&self) -> Journal {
        Journal::open(&self.journal_path().parse().unwrap(), self.identity).await.unwrap()
    }
}

/// What the block after this one could begin with: the same as that one did.
fn head_after(tip: &StoredBlock) -> PromisedHead {
    let header = &tip.block.header;
    let deposit = tip.block.transactions[0].as_deposit().unwrap().clone();
    PromisedHead {
        number: header.number + 1,
        parent_hash: header.hash(),
        timestamp: header.timestamp + 1,
        prescribed: Prescribed {
            sequence_number: header.number + 1,
            deposits: vec![deposit],
            gas_limit: header.gas_limit,
            eip1559: Eip1559Params::from_extra_data(&header.extra_data).unwrap(),
            prev_randao: header.hash(),
            parent_beacon_block_root: header.parent_beacon_block_root.unwrap(),
        },
    }
}

/// A transfer by one of the accounts that every chain for development begins with.
fn signed(account: u32, nonce: u64) -> Arc<Transaction> {
    let (raw, _) = sign(&dev_account(account), transfer(Address::repeat_byte(7), 1, nonce));
    Arc::new(Transaction::decode(raw).unwrap())
}

/// Promises groups of transactions after the newest block.
async fn promise(journal: &Journal, groups: &[Vec<Arc<Transaction>>]) -> PromisedHead {
    let tip = journal.tip().unwrap();
    let head = head_after(&journal.block(tip.number).await.unwrap().unwrap());
    let mut first_index = 0;
    for group in groups {
        journal.promise(&head, first_index, group).await.unwrap();
        first_index += group.len() as u64;
    }
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_promised_is_the_next_block() {
    let down = Down::new();
    let journal = down.journal().await;
    // Not in the order that fees or arrival would give them.
    let groups = [
        vec![],
        vec![signed(3, 0), signed(1, 0)],
        vec![signed(2, 0), signed(1, 1), signed(3, 1)],
        vec![signed(0, 1)],
    ];
    let head = promise(&journal, &groups).await;
    journal.close().await;

    // Killed again whenever it likes: it is promised until it is in a block.
    Node::interrupt_start(down.path(), std::time::Duration::from_millis(150));
    let node = Node::start(down.path(), &ARGS);
    // At once, not some time later: whoever asks must never see less than was promised.
    for (index, transaction) in groups.concat().iter().enumerate() {
        let hash = json!([transaction.hash()]);
        let receipt = node.rpc.call("eth_getTransactionReceipt", hash);
        assert_eq!(quantity(&receipt["blockNumber"]), head.number, "transaction {index}");
        assert_eq!(quantity(&receipt["transactionIndex"]), 1 + index as u64);
        assert_eq!(receipt["status"], "0x1");
    }
    let number = format!("{:#x}", head.number);
    let block = node.rpc.call("eth_getBlockByNumber", json!([number, true]));
    assert_eq!(block["transactions"].as_array().map(Vec::len), Some(7));
    assert_eq!(quantity(&block["timestamp"]), head.timestamp);
    assert_eq!(block["parentHash"], json!(head.parent_hash));
    assert_eq!(block["mixHash"], json!(head.prescribed.prev_randao));
    // And the chain goes on.
    node.rpc.wait_for_block(head.number + 2);
    assert!(node.terminate().success());
    let journal = down.journal().await;
    assert_eq!(journal.promised().await.unwrap(), None);
    // A promise of deposits alone is a block, too.
    let head = promise(&journal, &[vec![]]).await;
    journal.close().await;
    let node = Node::start(down.path(), &ARGS);
    let block = node.rpc.call("eth_getBlockByNumber", json!([format!("{:#x}", head.number), true]));
    assert_eq!(quantity(&block["timestamp"]), head.timestamp);
    assert_eq!(block["transactions"].as_array().map(Vec::len), Some(1));
    assert!(node.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_said_aloud() {
    let down = Down::new();
    // The executor never ran this, so nobody can have been shown it: something is wrong with us.
    let journal = down.journal().await;
    let head = promise(&journal, &[vec![signed(1, 0)], vec![signed(1, 7)]]).await;
    journal.close().await;
    for _ in 0..2 {
        let log = Node::try_start(down.path(), &ARGS).unwrap_err();
        let number = head.number;
        assert!(log.contains(&format!("block {number} was promised")), "{log}");
        assert!(log.contains("nonce too high"), "{log}");
    }
    let journal = down.journal().await;
    assert_eq!(journal.promised().await.unwrap().unwrap().transactions.len(), 2);
    journal.close().await;

    // Of a block that cannot come next, as if somebody had cut the chain: it is let go.
    execute(&down.journal_path(), "UPDATE promises SET number = number + 5").await;
    let node = Node::start(down.path(), &ARGS);
    let hash = json!([signed(1, 0).hash()]);
    assert_eq!(node.rpc.call("eth_getTransactionReceipt", hash), Value::Null);
    assert!(
        node.log().contains("a promise is not of the block after the newest"),
        "{}",
        node.log()
    );
    node.rpc.wait_for_block(head.number);
    assert!(node.terminate().success());
    assert_eq!(down.journal().await.promised().await.unwrap(), None);
}
