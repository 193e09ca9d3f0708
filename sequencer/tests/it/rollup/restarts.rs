//! Nodes that end without warning, lose their data, or begin anew beside others.

use std::{thread, time::Duration};

use rand::Rng;

use super::{
    fixture::{Rollup, hash, number, rng, wait_for_safe},
    inbox,
    load::Load,
};

const KILLS: usize = 6;

#[test]
fn a_sequencer_killed_while_it_posts_goes_on() {
    let mut rng = rng("kills");
    let rollup = Rollup::deploy();
    let mut newest = 0;
    for _ in 0..KILLS {
        let node = rollup.sequencer(&inbox::READABLE);
        assert!(node.rpc.block_number() >= newest, "acknowledged blocks are gone");
        let mut load = Load::new(&node.rpc, rng.clone());
        newest = load.send(&node.rpc, 50);
        // Anywhere between writing a transaction down and seeing it deep in L1.
        thread::sleep(Duration::from_millis(rng.random_range(0..4_000)));
        node.kill();
    }
    let node = rollup.sequencer(&inbox::READABLE);
    let mut load = Load::new(&node.rpc, rng);
    load.send(&node.rpc, 50);
    let last = number(&node.rpc, "latest");
    rollup.verify(&node, last);
    inbox::assert_posted_once(&rollup, last);
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
