//! Batches that never come.

use super::{
    fixture::{Rollup, rng, wait_for_safe},
    load::Load,
};
use crate::support::node::wait_for;

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
