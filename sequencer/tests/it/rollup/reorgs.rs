//! Reorganizations of L1 that take batches and deposits with them.

use alloy_primitives::{Address, U256};
use rand::{Rng, seq::SliceRandom};
use serde_json::json;

use super::{
    deposits::deposit_call,
    fixture::{ETHER, Rollup, balance, number, rng, wait_for_safe},
    load::Load,
};
use crate::support::{node::wait_for, wallet::dev_account};

const DEPTHS_MAX: u64 = 10;

/// Anvil's pool forgets what was in blocks that it drops. Should that happen before the batcher has seen them, it takes the
/// transaction for one that waits, and offers more.
const BUMP: [&str; 2] = ["--batcher-bump-after", "2s"];

#[test]
fn what_a_reorganization_of_l1_removes_is_posted_again() {
    let mut rng = rng("reorganizations");
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(&BUMP);
    let l1 = &rollup.l1;
    let genesis = rollup.config.genesis.l1.number;
    wait_for("blocks to reorganize", || (l1.number("latest") > genesis + DEPTHS_MAX).then_some(()));
    let mut load = Load::new(&node.rpc, rng.clone());
    let mut depths: Vec<u64> = (1..=DEPTHS_MAX).collect();
    depths.shuffle(&mut rng);
    println!("depths: {depths:?}");
    // Not one of the load's senders: a deposit uses up a nonce of its sender.
    let depositor = dev_account(8).address();
    for depth in depths {
        let recipient = Address::repeat_byte(0xd0 + u8::try_from(depth).expect("small"));
        let call = deposit_call(recipient, U256::from(ETHER), 100_000, &[]);
        let portal = Some(rollup.config.deposit_contract);
        let posted = l1.nonce(rollup.batcher.address());
        let sent = l1.send_from(depositor, portal, U256::from(ETHER), &call);
        load.send(&node.rpc, 20);
        wait_for("a batch on L1", || (l1.nonce(rollup.batcher.address()) > posted).then_some(()));
        l1.halt();
        wait_for("L1 to be read", || {
            (node.metric("millrace_l1_tip_number") == l1.number("latest") as f64).then_some(())
        });
        let reorgs = node.metric("millrace_l1_reorgs_total");
        l1.reorg(depth);
        l1.tick();
        wait_for("the reorganization to be seen", || {
            (node.metric("millrace_l1_reorgs_total") > reorgs).then_some(())
        });
        // Depending on the depth, the deposit was among what is gone.
        if l1.rpc.call("eth_getTransactionReceipt", json!([sent])).is_null() {
            wait_for("the deposit to be gone", || {
                balance(&node.rpc, recipient).is_zero().then_some(())
            });
        }
    }
    // What lost its place found another one.
    load.settle(&node.rpc);
    rollup.verify(&node, number(&node.rpc, "latest"));
}

#[test]
fn a_reorganization_while_nobody_looked_is_noticed() {
    let mut rng = rng("a reorganization while nobody looked");
    let rollup = Rollup::deploy();
    let node = rollup.sequencer(&BUMP);
    let mut load = Load::new(&node.rpc, rng.clone());
    for _ in 0..2 {
        wait_for_safe(&node.rpc, load.send(&node.rpc, 50));
    }
    let safe = number(&node.rpc, "safe");
    node.kill();
    let depth = rng.random_range(4..=DEPTHS_MAX);
    println!("depth: {depth}");
    rollup.l1.halt();
    rollup.l1.reorg(depth);
    rollup.l1.tick();

    let node = rollup.sequencer(&BUMP);
    wait_for_safe(&node.rpc, safe);
    let last = Load::new(&node.rpc, rng).send(&node.rpc, 50);
    rollup.verify(&node, last);
}
