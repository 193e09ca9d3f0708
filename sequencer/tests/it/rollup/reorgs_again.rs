//! Reorganizations of L1 at awkward moments: under the open block, one upon the other, and while L1 is being read.

use alloy_primitives::{Address, U256};
use rand::Rng;
use serde_json::json;

use super::{
    deposits::{deposit_call, epoch},
    fixture::{ETHER, Rollup, balance, hash, number, rng, wait_for_safe, wait_until_derived},
    load::Load,
};
use crate::support::{
    node::{Node, wait_for},
    wallet::dev_account,
};

/// See `reorgs`.
const BUMP: [&str; 2] = ["--batcher-bump-after", "2s"];

/// How often a block may be sealed before the reorganization under it is seen.
const ATTEMPTS: usize = 5;

const REORGS: &str = "millrace_l1_reorgs_total";
const TAKEN_BACK: &str = "millrace_blocks_taken_back_total";

#[test]
fn a_reorganization_of_the_open_blocks_epoch_takes_back_nothing_else() {
    let mut rng = rng("the open block's epoch");
    let rollup = Rollup::deploy_with(&[], &["--block-time", "3s"]);
    let node = rollup.sequencer(&BUMP);
    let l1 = &rollup.l1;
    let mut load = Load::new(&node.rpc, rng.clone());
    load.send(&node.rpc, 20);
    // Not one of the load's senders: a deposit uses up a nonce of its sender.
    let depositor = dev_account(8).address();
    let mut is_hit = false;
    for attempt in 0..ATTEMPTS {
        let recipient = Address::from(rng.random::<[u8; 20]>());
        let call = deposit_call(recipient, U256::from(ETHER), 100_000, &[]);
        l1.halt();
        l1.send_from(depositor, Some(rollup.config.deposit_contract), U256::from(ETHER), &call);
        l1.mine(1);
        let epoch_number = l1.number("latest");
        let newest = || node.rpc.call("eth_getBlockByNumber", json!(["latest", true]));
        wait_for("the epoch before", || (epoch(&newest()).1 == epoch_number - 1).then_some(()));
        // An origin has a block above it before it is used.
        l1.mine(1);
        wait_for("the epoch to begin in the open block", || {
            let open = node.rpc.call("eth_getBlockByNumber", json!(["pending", true]));
            (epoch(&open) == (0, epoch_number)).then_some(())
        });
        // These are executed on top of the deposit.
        load.post(&node.rpc, 20);
        let (sealed, taken_back) = (node.rpc.block_number(), node.metric(TAKEN_BACK));
        let (sealed_hash, reorgs) = (hash(&node.rpc, sealed), node.metric(REORGS));
        l1.reorg(2);
        wait_for("the reorganization to be seen", || (node.metric(REORGS) > reorgs).then_some(()));
        let count = node.metric(TAKEN_BACK) - taken_back;
        println!("attempt {attempt}: block {sealed} is sealed, {count} are taken back");
        assert_eq!(hash(&node.rpc, sealed), sealed_hash, "its origin is still there");
        is_hit = count == 0.0;
        l1.tick();
        load.settle(&node.rpc);
        wait_for("the epoch to begin anew", || (epoch(&newest()).1 > epoch_number).then_some(()));
        assert!(balance(&node.rpc, recipient).is_zero(), "a deposit that is gone was made");
        if is_hit {
            break;
        }
    }
    assert!(is_hit, "every time the block was sealed first");
    rollup.verify(&node, number(&node.rpc, "latest"));
}

#[test]
fn a_verifier_follows_reorganizations_that_come_one_upon_the_other() {
    let mut rng = rng("one upon the other");
    let rollup = Rollup::deploy();
    let l1 = &rollup.l1;
    let (node, verifier) = (rollup.sequencer(&BUMP), rollup.verifier());
    let nodes = [&node, &verifier];
    let mut load = Load::new(&node.rpc, rng.clone());
    for is_read_between in [false, true] {
        let last = load.send(&node.rpc, 50);
        nodes.iter().for_each(|node| wait_for_safe(&node.rpc, last));
        l1.halt();
        nodes.iter().for_each(|node| wait_until_derived(l1, node));
        let before = nodes.map(|node| node.metric(REORGS));
        let (first, second) = (rng.random_range(2..5), rng.random_range(3..8));
        println!("{first} blocks, then {second}; read between: {is_read_between}");
        l1.reorg(first);
        if is_read_between {
            // One of them has taken back what it had and reads anew, the other may not know yet.
            wait_for("the first reorganization", || {
                (node.metric(REORGS) > before[0]).then_some(())
            });
        }
        l1.reorg(second);
        l1.tick();
        for (node, before) in nodes.iter().zip(before) {
            wait_for("the reorganizations", || (node.metric(REORGS) > before).then_some(()));
        }
        load.settle(&node.rpc);
    }
    let last = load.send(&node.rpc, 50);
    rollup.verify(&node, last);
    wait_for_safe(&verifier.rpc, last);
    for number in 0..=last {
        assert_eq!(hash(&verifier.rpc, number), hash(&node.rpc, number), "block {number}");
    }
    assert_eq!(verifier.ops("/readyz"), "ok\n");
}

/// Enough L1 blocks that reading them takes a while.
const MANY: u64 = 400;

#[test]
fn a_reorganization_while_a_node_reads_all_of_l1_is_followed() {
    let mut rng = rng("while L1 is read");
    // Long epochs: nothing becomes final.
    let rollup = Rollup::deploy_with(&["--slots-in-an-epoch", "1000"], &[]);
    let l1 = &rollup.l1;
    let node = rollup.sequencer(&BUMP);
    let mut load = Load::new(&node.rpc, rng.clone());
    wait_for_safe(&node.rpc, load.send(&node.rpc, 100));
    node.kill();
    l1.halt();
    let posted = l1.number("latest");
    l1.mine(MANY);

    let node = rollup.sequencer(&BUMP);
    let tip = posted + MANY;
    let read = || read_number(&node);
    wait_for("some of these to be read", || (read() > posted).then_some(()));
    // Some of what holds our batches goes, too.
    let depth = MANY + rng.random_range(1..5);
    l1.reorg(depth);
    let read_before = read();
    assert!(read_before < tip, "L1 was read before it changed");
    println!("depth {depth}, of {tip} L1 blocks {read_before} were read");
    l1.tick();
    wait_for("the reorganization", || (node.metric(REORGS) > 0.0).then_some(()));
    load.settle(&node.rpc);
    let last = load.send(&node.rpc, 50);
    rollup.verify(&node, last);
}

/// The newest L1 block that derivation has read.
fn read_number(node: &Node) -> u64 {
    node.metric("millrace_derivation_l1_number") as u64
}
