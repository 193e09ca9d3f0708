//! Batches that never come.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::{
    fixture::{Rollup, rng, wait_for_safe},
    load::Load,
};
use crate::support::{node::wait_for, wallet::dev_account};

#[test]
fn a_chain_whose_window_expired_is_taken_back_to_agree_and_goes_on() {
    let rollup = Rollup::deploy_with(&[], &["--seq-window-size", "16"]);
    let node = rollup.silent_sequencer(&[]);
    let mut load = Load::new(&node.rpc, rng("expired window"));
    let last = load.send(&node.rpc, 50);
    wait_for("L1 to decide against us", || {
        (node.metric("millrace_derivation_contradictions_total") > 0.0).then_some(())
    });
    wait_for_safe(&node.rpc, last);
    // They are not lost: blocks to come have them.
    load.settle(&node.rpc);
    assert!(node.terminate().success());

    let node = rollup.sequencer(&[]);
    let mut load = Load::new(&node.rpc, rng("a new window"));
    load.send(&node.rpc, 50);
    // They stay where they are, too.
    let last = load.settle_at(&node.rpc, "safe");
    rollup.verify(&node, last);
}

/// How long ago L1 is, in seconds. The node keeps 192 blocks of history for this window, at 12 s an L1 block, and the blocks
/// since then are more.
const AGO_S: u64 = 400;

#[test]
fn a_chain_whose_window_expired_before_the_history_that_is_kept_goes_back_after_a_restart() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let past = (now - AGO_S).to_string();
    let arguments = ["--seq-window-size", "16"];
    let rollup = Rollup::deploy_with(&["--timestamp", &past], &arguments);
    rollup.l1.halt();
    // A block a second since then are made at once, as all of them are late.
    let mut node = rollup.silent_sequencer(&["--history-blocks", "1"]);
    let mut load = Load::new(&node.rpc, rng("an old window"));
    load.send(&node.rpc, 50);
    node.rpc.wait_for_block(AGO_S);
    wait_for("old state to be forgotten", || {
        let balance = json!([dev_account(0).address(), "0x1"]);
        node.rpc.answer("eth_getBalance", balance)?.get("error").is_some().then_some(())
    });
    rollup.l1.tick();
    assert!(!node.wait_for_exit().success(), "it went back to a state that it has not");
    assert!(node.log().contains("Start the node again by the same command"), "{}", node.log());

    let node = rollup.sequencer(&["--history-blocks", "1"]);
    wait_for("L1 to decide against us", || {
        (node.metric("millrace_derivation_contradictions_total") > 0.0).then_some(())
    });
    load.send(&node.rpc, 50);
    let last = load.settle_at(&node.rpc, "safe");
    rollup.verify(&node, last);
}
