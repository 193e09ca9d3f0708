//! A chain that has to go back while its journal is out of reach, or further than its state is kept.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{
    fixture::{Rollup, hash, number, rng, wait_for_safe, wait_until_derived},
    load::Load,
};
use crate::{journal::server::Server, support::node::wait_for};

#[test]
fn a_journal_that_is_gone_while_the_chain_goes_back_is_waited_for() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut server = runtime.block_on(Server::start());
    let database = runtime.block_on(server.create_database("verifier"));
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(&[]);
    let verifier = rollup.verifier_with(&["--journal-url", &database]);
    let mut load = Load::new(&node.rpc, rng("the journal is gone"));
    wait_for_safe(&verifier.rpc, load.send(&node.rpc, 50));

    // Blocks that the verifier has lose their origins, and it cannot remove them.
    rollup.l1.halt();
    wait_until_derived(&rollup.l1, &verifier);
    server.kill();
    rollup.l1.reorg(8);
    let retries = r#"millrace_journal_retries_total{operation="rewind"}"#;
    wait_for("the outage to be met", || verifier.ops("/metrics").contains(retries).then_some(()));
    wait_for("the operator to hear of it", || {
        verifier.ops("/readyz").contains("cannot be taken back").then_some(())
    });
    runtime.block_on(server.restart());
    rollup.l1.tick();

    let last = load.send(&node.rpc, 50);
    rollup.verify(&node, last);
    wait_for_safe(&verifier.rpc, last);
    assert!(verifier.metric("millrace_blocks_taken_back_total") > 0.0);
    for block in 0..=last {
        assert_eq!(hash(&verifier.rpc, block), hash(&node.rpc, block), "block {block}");
    }
    wait_for("health", || (verifier.ops("/readyz") == "ok\n").then_some(()));
    assert!(verifier.terminate().success());
}

/// So far L1's clock is behind ours: the chain has as many blocks ahead of L1, at once.
const BEHIND_S: u64 = 600;

#[test]
fn a_contradiction_of_more_than_the_state_is_kept_for_is_mended_by_a_restart() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let begun = (now - BEHIND_S).to_string();
    let rollup = Rollup::deploy_with(&["--timestamp", &begun], &["--seq-window-size", "12"]);
    let settings = ["--history-blocks", "10"];
    let order = rollup.data_dir("sequencer").join("rebuild.json");

    // Nothing is posted: L1 decides about blocks that lie under hundreds of others. Not before they are there, however
    // long that takes.
    rollup.l1.halt();
    let mut node = rollup.silent_sequencer(&settings);
    let mut load = Load::new(&node.rpc, rng("a deep contradiction"));
    load.send(&node.rpc, 20);
    rollup.l1.tick();
    let status = node.wait_for_exit();
    let log = node.log();
    assert_eq!(status.code(), Some(75), "{log}");
    assert!(log.contains("Start the node again by the same command"), "{log}");
    assert!(order.exists());

    let node = rollup.silent_sequencer(&settings);
    wait_for("the chain to go back", || {
        (node.metric("millrace_blocks_taken_back_total") > 100.0).then_some(())
    });
    let log = node.log();
    assert!(log.contains("computing the state again from the journal"), "{log}");
    // Whoever was in the blocks that went is in others.
    load.settle(&node.rpc);
    rollup.verify(&node, number(&node.rpc, "safe"));
    assert!(node.terminate().success());

    // It is done, and not done again. Less is kept now: as nobody posts, the next window to expire might ask for the same
    // once more, so L1 stands still.
    rollup.l1.halt();
    let node = rollup.silent_sequencer(&settings);
    assert!(!order.exists());
    let log = node.log();
    assert!(log.contains("the chain has gone back"), "{log}");
    assert!(!log.contains("computing the state again"), "{log}");
}
