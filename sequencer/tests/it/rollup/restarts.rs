//! Nodes that end without warning, lose their data, or begin anew beside others.

use std::{thread, time::Duration};

use alloy_primitives::Bytes;
use millrace_protocol::{Batch, ChannelId, decode_frames, read_batches};
use rand::Rng;
use serde_json::json;

use super::{
    fixture::{Rollup, hash, number, rng, wait_for_safe},
    load::Load,
};
use crate::support::anvil::text;

const KILLS: usize = 6;

#[test]
fn a_sequencer_killed_while_it_posts_goes_on() {
    let mut rng = rng("kills");
    let rollup = Rollup::deploy();
    let posting = ["--batcher-format", "singular", "--batcher-carrier", "calldata"];
    let mut newest = 0;
    for _ in 0..KILLS {
        let node = rollup.sequencer(&posting);
        assert!(node.rpc.block_number() >= newest, "acknowledged blocks are gone");
        let mut load = Load::new(&node.rpc, rng.clone());
        newest = load.send(&node.rpc, 50);
        // Anywhere between writing a transaction down and seeing it deep in L1.
        thread::sleep(Duration::from_millis(rng.random_range(0..4_000)));
        node.kill();
    }
    let node = rollup.sequencer(&posting);
    let mut load = Load::new(&node.rpc, rng);
    load.send(&node.rpc, 50);
    let last = number(&node.rpc, "latest");
    rollup.verify(&node, last);
    // Every block was posted, in order, and none of them twice.
    let posted: Vec<u64> = posted(&rollup).into_iter().take(last as usize).collect();
    let genesis = rollup.config.genesis.l2_time;
    let blocks: Vec<u64> =
        (1..=last).map(|number| genesis + number * rollup.config.block_time).collect();
    assert_eq!(posted, blocks);
}

/// The timestamps of all single batches that the batcher has posted as calldata, in the order of L1.
fn posted(rollup: &Rollup) -> Vec<u64> {
    let mut channels: Vec<(ChannelId, Vec<u8>)> = Vec::new();
    for number in rollup.config.genesis.l1.number..=rollup.l1.number("latest") {
        let params = json!([format!("{number:#x}"), true]);
        let block = rollup.l1.rpc.call("eth_getBlockByNumber", params);
        for transaction in block["transactions"].as_array().expect("transactions") {
            let to = transaction["to"].as_str().unwrap_or_default();
            if to.parse() != Ok(rollup.config.batch_inbox) {
                continue;
            }
            let data: Bytes = text(&transaction["input"]).parse().expect("hex");
            for frame in decode_frames(&data).expect("frames") {
                match channels.iter_mut().find(|(id, _)| *id == frame.channel) {
                    Some((_, content)) => content.extend(&frame.data),
                    None => channels.push((frame.channel, frame.data.to_vec())),
                }
            }
        }
    }
    let rules = rollup.config.spec.rules(rollup.config.genesis.l2_time);
    let batches = channels.iter().flat_map(|(_, content)| read_batches(content, rules));
    batches
        .map(|batch| match Batch::decode(&batch.expect("a batch")) {
            Ok(Batch::Singular(batch)) => batch.timestamp,
            other => panic!("not a single batch: {other:?}"),
        })
        .collect()
}

#[test]
fn a_node_without_its_data_rebuilds_the_chain_and_goes_on_sequencing() {
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(&[]);
    let last = Load::new(&node.rpc, rng("lost data")).send(&node.rpc, 300);
    // Somebody who only follows L1 comes to the same chain.
    let verifier = rollup.verifier();
    for node in [&node, &verifier] {
        wait_for_safe(&node.rpc, last);
    }
    let hashes: Vec<String> = (0..=last).map(|number| hash(&node.rpc, number)).collect();
    for (block, hash_of_it) in (0..).zip(&hashes) {
        assert_eq!(&hash(&verifier.rpc, block), hash_of_it, "block {block}");
    }
    verifier.kill();
    node.kill();
    std::fs::remove_dir_all(rollup.data_dir("sequencer")).expect("remove the data");

    let node = rollup.sequencer(&[]);
    wait_for_safe(&node.rpc, last);
    for (block, hash_of_it) in (0..).zip(&hashes) {
        assert_eq!(&hash(&node.rpc, block), hash_of_it, "block {block}");
    }
    let last = Load::new(&node.rpc, rng("lost data, again")).send(&node.rpc, 100);
    rollup.verify(&node, last);
}
