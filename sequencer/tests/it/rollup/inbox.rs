//! What the batcher has put into the inbox on L1, block by block.

use alloy_primitives::Bytes;
use millrace_protocol::{Batch, ChannelId, decode_frames, read_batches};
use serde_json::json;

use super::fixture::Rollup;
use crate::support::anvil::text;

/// How a batcher has to post for this to be read: a batch for each block, in plain sight.
pub(super) const READABLE: [&str; 4] =
    ["--batcher-format", "singular", "--batcher-carrier", "calldata"];

/// Every block up to this one was posted, in order, and none of them twice.
pub(super) fn assert_posted_once(rollup: &Rollup, last: u64) {
    let posted: Vec<u64> = posted(rollup).into_iter().take(last as usize).collect();
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
