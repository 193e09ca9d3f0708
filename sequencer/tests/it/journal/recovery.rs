//! A killed node executes its newest blocks again, with the waypoints of the journal where they help.

use std::path::Path;

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use crate::support::{
    node::Node,
    wallet::{dev_account, sign, transfer},
};

/// Enough gas for the waypoints of one block even if they come to lie in four.
const TRANSFERS: u64 = 200;

/// What a node counts that was killed after some work and started again.
struct Restarted {
    metrics: String,
}

impl Restarted {
    /// `damage` is done to its journal while it is down.
    fn new(args: &[&str], damage: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Slots long enough for all of it, and short enough to be over before the state's first checkpoint.
        let args = [&["--threads", "2", "--block-time", "2s"], args].concat();
        let sender = dev_account(0);
        let sign = |nonce| sign(&sender, transfer(dev_account(9).address(), 5, nonce)).1;
        let signed: Vec<_> = (0..TRANSFERS).map(sign).collect();
        let node = Node::start(directory.path(), &args);
        // One after the other, so that the block is built in many groups.
        let send = |raw| node.rpc.call("eth_sendRawTransaction", json!([raw]));
        let hashes: Vec<_> = signed.iter().map(send).collect();
        let last = hashes.last().unwrap();
        let receipt = node.rpc.receipt(last.as_str().unwrap());
        node.kill();
        if let Some(statement) = damage {
            execute(&directory.path().join("journal.sqlite"), statement);
        }

        let node = Node::start(directory.path(), &args);
        assert_eq!(node.rpc.receipt(last.as_str().unwrap()), receipt);
        assert!(node.log().contains("executing journaled blocks again"), "{}", node.log());
        let mut response = ureq::get(format!("{}/metrics", node.ops_url)).call().unwrap();
        Self { metrics: response.body_mut().read_to_string().unwrap() }
    }

    fn count(&self, name: &str) -> u64 {
        let value = self.metrics.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap_or_else(|| panic!("{name}: {}", self.metrics)).trim().parse().unwrap()
    }

    fn stretches_kept(&self) -> u64 {
        self.count("millrace_executor_stretches_total{result=\"kept\"}")
    }

    fn stretches_broken(&self) -> u64 {
        self.count("millrace_executor_stretches_total{result=\"broken\"}")
    }

    fn unusable(&self) -> u64 {
        self.count("millrace_journal_waypoints_unusable_total")
    }
}

#[test]
fn waypoints_lead_through_the_newest_blocks() {
    let restarted = Restarted::new(&[], None);
    assert!(restarted.stretches_kept() >= 2, "{}", restarted.metrics);
    assert_eq!((restarted.stretches_broken(), restarted.unusable()), (0, 0));
}

#[test]
fn a_node_that_was_told_to_keep_no_waypoints_does_without() {
    let restarted = Restarted::new(&["--journal-waypoints", "false"], None);
    assert_eq!((restarted.stretches_kept(), restarted.unusable()), (0, 0));
}

#[test]
fn damaged_waypoints_are_counted_and_passed_over() {
    let damage = "UPDATE waypoints SET stretches = substr(stretches, 1, length(stretches) - 1)";
    let restarted = Restarted::new(&[], Some(damage));
    assert_eq!(restarted.stretches_kept(), 0);
    assert!(restarted.unusable() >= 1, "{}", restarted.metrics);
}

fn execute(journal: &Path, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("sqlite:{}", journal.display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}
