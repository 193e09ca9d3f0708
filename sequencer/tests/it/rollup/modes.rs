//! Every way in which blocks travel: 10,000 transactions of all kinds between them.

use super::{
    fixture::{Rollup, number, rng},
    load::Load,
};

const TRANSACTIONS: usize = 2_500;

/// Sends transactions while the sequencer posts in this way. What the batcher has written down and closed by then.
fn check(name: &str, args: &[&str]) -> Posted {
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(args);
    let mut load = Load::new(&node.rpc, rng(name));
    // In several goes, so that several channels carry them.
    for _ in 0..5 {
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
fn spans_in_brotli_travel_as_calldata() {
    let posted = check("span, brotli, calldata", &["--batcher-carrier", "calldata"]);
    assert!(posted.channels > 1.0);
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
