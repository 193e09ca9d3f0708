//! L1 that asks for a hundred times as much as before, and nonces that somebody else holds.

use alloy_primitives::{Address, Bytes, U256};
use serde_json::{Value, json};

use super::{
    fixture::{Rollup, number, rng, wait_for_safe},
    inbox::{self, READABLE},
    load::Load,
};
use crate::support::{
    anvil::text,
    node::{Node, quantity, wait_for},
    proxy::{Fault, Proxy, Way},
    wallet::GWEI,
};

/// What blobs cost before: a fraction of what the same batches cost as calldata.
const BLOB_PRICE: u128 = GWEI / 20;

const BUMP: [&str; 2] = ["--batcher-bump-after", "2s"];

/// The batcher's transaction with a nonce, once it is in a block of L1.
fn included(rollup: &Rollup, nonce: u64) -> Value {
    let batcher = rollup.batcher.address();
    let l1 = &rollup.l1;
    wait_for("a transaction with the nonce", || (l1.nonce(batcher) > nonce).then_some(()));
    let method = "eth_getTransactionBySenderAndNonce";
    l1.rpc.call(method, json!([batcher, format!("{nonce:#x}")]))
}

/// Waits until channels travel in this way, and one of them is on L1.
fn wait_for_carrier(rollup: &Rollup, node: &Node, carrier: &str, kind: &str) {
    let metric = format!(r#"millrace_batcher_carrier{{carrier="{carrier}"}}"#);
    wait_for(carrier, || (node.metric(&metric) == 1.0).then_some(()));
    let mut nonce = rollup.l1.nonce(rollup.batcher.address());
    wait_for("a batch", || {
        let found = included(rollup, nonce)["type"] == kind;
        nonce += 1;
        found.then_some(())
    });
}

#[test]
fn blobs_that_cost_a_hundred_times_as_much_are_paid_for_or_done_without() {
    let rollup = Rollup::deploy();
    let mut proxy = Proxy::start(&rollup.l1.rpc.url);
    proxy.set(Fault::BlobPrice(BLOB_PRICE));
    let node = rollup.sequencer_by(&proxy.url(), &BUMP);
    let mut load = Load::new(&node.rpc, rng("dear blobs"));
    load.send(&node.rpc, 20);
    wait_for_carrier(&rollup, &node, "blobs", "0x3");

    // The price rises when a transaction is written down and about to be sent.
    proxy.hold("eth_sendRawTransaction", Way::There);
    let (cheap, nonce) = proxy.held_transaction();
    proxy.set(Fault::BlobPrice(100 * BLOB_PRICE));
    proxy.release();
    load.send(&node.rpc, 20);
    let paid = included(&rollup, nonce);
    assert_ne!(text(&paid["hash"]), cheap.to_string());
    assert_eq!(paid["type"], "0x3", "blobs in a pool are replaced by blobs alone");
    let offered = u128::from(quantity(&paid["maxFeePerBlobGas"]));
    assert!(offered >= 100 * BLOB_PRICE);
    assert!(node.metric("millrace_batcher_fee_bumps_total") >= 1.0);

    // What comes now travels as calldata, until blobs are cheaper again.
    load.send(&node.rpc, 20);
    wait_for_carrier(&rollup, &node, "calldata", "0x2");
    proxy.set(Fault::BlobPrice(BLOB_PRICE));
    load.send(&node.rpc, 20);
    wait_for_carrier(&rollup, &node, "blobs", "0x3");
    rollup.verify(&node, number(&node.rpc, "latest"));
}

#[test]
fn a_nonce_that_somebody_holds_is_won_or_given_up_and_no_price_is_paid_above_the_cap() {
    const CAP: u128 = 50 * GWEI;
    let rollup = Rollup::deploy();
    let (l1, batcher) = (&rollup.l1, &rollup.batcher);
    let nobody = Address::repeat_byte(0xaa);
    let set_base_fee = |wei: u128| {
        l1.rpc.call("anvil_setNextBlockBaseFeePerGas", json!([U256::from(wei)]));
    };

    // Somebody with the batcher's key has sent what no block will take, at the nonce that is next.
    l1.halt();
    let stuck = l1.nonce(batcher.address());
    let cheap = l1.send_calldata_for(batcher, nobody, Bytes::new(), 2 * GWEI);
    set_base_fee(100 * GWEI);
    l1.tick();
    let node =
        rollup.sequencer(&[&READABLE[..], &BUMP, &["--batcher-fee-cap-gwei", "50"]].concat());
    let mut load = Load::new(&node.rpc, rng("held nonces"));
    load.send(&node.rpc, 20);
    // L1's price is beyond what the operator pays: that is said, and nothing happens until it falls.
    wait_for("the cap to be reached", || {
        (node.metric("millrace_batcher_capped") >= 1.0).then_some(())
    });
    let (status, said) = node.ops_answer("/readyz");
    assert!(said.contains("more than the configured caps"), "{said}");
    assert_eq!(status, 200, "it serves its users all the same");
    assert_eq!(l1.nonce(batcher.address()), stuck);
    let ours = included(&rollup, stuck);
    assert_ne!(text(&ours["hash"]), cheap);
    assert_eq!(text(&ours["to"]).parse(), Ok(rollup.config.batch_inbox));
    assert!(u128::from(quantity(&ours["maxFeePerGas"])) <= CAP);
    wait_for("health", || (node.ops("/readyz") == "ok\n").then_some(()));
    let last = load.send(&node.rpc, 20);
    wait_for_safe(&node.rpc, last);
    inbox::assert_posted_once(&rollup, last);

    // And once more somebody is faster, who pays more than the batcher may: that channel, and what followed it, is posted
    // again.
    l1.halt();
    let dear = l1.send_calldata_for(batcher, nobody, Bytes::new(), 1_000 * GWEI);
    load.send(&node.rpc, 20);
    l1.tick();
    l1.rpc.receipt(&dear);
    let last = load.send(&node.rpc, 20);
    rollup.verify(&node, last);
}
