//! Every way in which blocks travel: 10,000 transactions of all kinds between them, and some deposits.

use alloy_primitives::{Address, U256};

use super::{
    deposits::deposit_call,
    fixture::{Rollup, number, rng},
    load::Load,
};
use crate::support::wallet::dev_account;

const TRANSACTIONS: usize = 2_500;

/// Sends transactions while the sequencer posts in this way. What the batcher has written down and closed by then.
fn check(name: &str, args: &[&str]) -> Posted {
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(args);
    let mut load = Load::new(&node.rpc, rng(name));
    let (depositor, portal) = (dev_account(9).address(), rollup.config.deposit_contract);
    let call = deposit_call(Address::repeat_byte(0x99), U256::ONE, 100_000, &[1, 2, 3]);
    // In several goes, so that several channels carry them.
    for _ in 0..5 {
        rollup.l1.send_from(depositor, Some(portal), U256::from(2), &call);
        load.send(&node.rpc, TRANSACTIONS / 5);
    }
    rollup.verify(&node, number(&node.rpc, "latest"));
    Posted {
        channels: node.metric("millrace_batcher_channels_total"),
        transactions: node.metric("millrace_batcher_transactions_total"),
    }
}

struct Posted {
    channels: f64,
    transactions: f64,
}

#[test]
fn spans_in_brotli_travel_in_blobs() {
    let posted = check("span, brotli, blobs", &["--batcher-carrier", "blobs"]);
    assert!(posted.channels > 1.0);
}

#[test]
fn spans_in_brotli_travel_as_calldata_over_several_transactions() {
    let args = [
        ["--batcher-carrier", "calldata"],
        ["--batcher-calldata-bytes-max", "10000"],
        ["--batcher-channel-transactions", "6"],
    ];
    let posted = check("span, brotli, calldata", args.as_flattened());
    assert!(posted.transactions > posted.channels, "no channel takes several transactions");
}

#[test]
fn single_batches_in_zlib_travel_as_calldata_over_several_transactions() {
    let args = [
        ["--batcher-format", "singular"],
        ["--batcher-compression", "zlib"],
        ["--batcher-carrier", "calldata"],
        ["--batcher-calldata-bytes-max", "10000"],
        ["--batcher-channel-transactions", "6"],
    ];
    let posted = check("singular, zlib, calldata", args.as_flattened());
    assert!(posted.transactions > posted.channels, "no channel takes several transactions");
}

#[test]
fn single_batches_in_zlib_travel_in_blobs() {
    let args = [
        ["--batcher-format", "singular"],
        ["--batcher-compression", "zlib"],
        ["--batcher-carrier", "blobs"],
    ];
    let posted = check("singular, zlib, blobs", args.as_flattened());
    assert!(posted.channels > 1.0);
}
