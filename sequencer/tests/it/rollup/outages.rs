//! L1 that does not answer, or asks for more than the batcher offers or has.

use std::time::{Duration, Instant};

use alloy_primitives::U256;
use serde_json::json;

use super::{
    fixture::{ETHER, Rollup, number, rng},
    load::Load,
};
use crate::support::node::{quantity, wait_for};

const OUTAGE: Duration = Duration::from_mins(1);

#[test]
fn blocks_are_made_while_l1_is_gone_and_posted_when_it_is_back() {
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(&[]);
    let mut load = Load::new(&node.rpc, rng("L1 is gone"));
    load.send(&node.rpc, 50);
    rollup.l1.freeze();
    let frozen = Instant::now();
    let before = node.rpc.block_number();
    let last = load.send(&node.rpc, 50);
    wait_for("the outage to pass", || (frozen.elapsed() > OUTAGE).then_some(()));
    assert!(node.rpc.block_number() > before + 45, "no blocks without L1");
    assert_eq!(node.metric("millrace_l1_lost"), 1.0);
    assert!(node.ops("/readyz").contains("L1 gives no answer"));
    assert!(node.metric(r#"millrace_l1_endpoint_set_aside_total{endpoint="l1-1"}"#) > 0.0);
    rollup.l1.thaw();
    rollup.verify(&node, last);
    wait_for("health", || (node.ops("/readyz") == "ok\n").then_some(()));

    // Whoever wants it to end has not to wait for an L1 that says nothing.
    rollup.l1.freeze();
    load.send(&node.rpc, 20);
    let asked = Instant::now();
    assert!(node.terminate().success());
    assert!(asked.elapsed() < OUTAGE / 2, "it took {:?}", asked.elapsed());
}

#[test]
fn a_batcher_without_money_waits_for_it() {
    let rollup = Rollup::deploy();
    rollup.l1.set_balance(rollup.batcher.address(), U256::from(1_000));
    let node = rollup.sequencer(&[]);
    let mut load = Load::new(&node.rpc, rng("no money"));
    let last = load.send(&node.rpc, 50);
    wait_for("the poverty to be noticed", || {
        (node.metric("millrace_batcher_unfunded") == 1.0).then_some(())
    });
    assert!(node.ops("/readyz").contains("the batcher's account can't pay"));
    assert_eq!(node.metric("millrace_batcher_balance_low"), 1.0);
    assert!(node.metric("millrace_batcher_balance_ether") < 1e-12);
    assert_eq!(number(&node.rpc, "safe"), 0);
    rollup.l1.set_balance(rollup.batcher.address(), U256::from(ETHER));
    rollup.verify(&node, last);
    assert_eq!(node.metric("millrace_batcher_unfunded"), 0.0);
    assert_eq!(node.metric("millrace_batcher_balance_low"), 0.0);
    assert_eq!(node.ops("/readyz"), "ok\n");
}

#[test]
fn calldata_that_l1_has_become_too_dear_for_is_offered_for_more() {
    check_spike("calldata");
}

#[test]
fn blobs_that_l1_has_become_too_dear_for_are_offered_for_more() {
    check_spike("blobs");
}

/// L1's base fee grows a hundredfold while a transaction is on its way, twice.
fn check_spike(carrier: &str) {
    let rollup = Rollup::deploy();
    let l1 = &rollup.l1;
    let node = rollup.sequencer(&["--batcher-carrier", carrier, "--batcher-bump-after", "2s"]);
    let mut load = Load::new(&node.rpc, rng("dear L1"));
    load.send(&node.rpc, 20);
    for _ in 0..2 {
        // A transaction sent at today's price meets tomorrow's: L1 stands still meanwhile.
        l1.halt();
        let bumps = node.metric("millrace_batcher_fee_bumps_total");
        load.send(&node.rpc, 20);
        let mut looks = 0;
        wait_for("a transaction under way", || {
            // L1's blocks close channels.
            looks += 1;
            if looks % 50 == 0 {
                l1.rpc.call("evm_mine", json!([]));
            }
            (node.metric("millrace_batcher_in_flight") > 0.0).then_some(())
        });
        let head = l1.rpc.call("eth_getBlockByNumber", json!(["latest", false]));
        let base_fee = quantity(&head["baseFeePerGas"]);
        let spike = U256::from(base_fee.max(100_000_000)) * U256::from(100);
        l1.rpc.call("anvil_setNextBlockBaseFeePerGas", json!([spike]));
        l1.tick();
        wait_for("a better offer", || {
            (node.metric("millrace_batcher_fee_bumps_total") > bumps).then_some(())
        });
    }
    rollup.verify(&node, number(&node.rpc, "latest"));
}
