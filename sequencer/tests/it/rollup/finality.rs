//! What is final: where a node begins again, and what L1 cannot take back.

use super::{
    fixture::{Rollup, hash, number, rng, wait_until_derived},
    load::Load,
};
use crate::support::node::{Node, wait_for};

/// Two slots in an epoch: L1 blocks are final when there are four above them, instead of 64.
const SHORT_EPOCHS: [&str; 2] = ["--slots-in-an-epoch", "2"];

/// See `reorgs`.
const BUMP: [&str; 2] = ["--batcher-bump-after", "2s"];

fn finalized(node: &Node) -> u64 {
    number(&node.rpc, "finalized")
}

#[test]
fn nodes_begin_again_at_the_final_block_and_keep_it() {
    let rng = rng("final blocks");
    let rollup = Rollup::deploy_with(&SHORT_EPOCHS, &[]);
    let l1 = &rollup.l1;
    let node = rollup.sequencer(&BUMP);
    let mut load = Load::new(&node.rpc, rng.clone());
    let first = load.send(&node.rpc, 100);
    wait_for("blocks to be final", || (finalized(&node) >= first).then_some(()));
    let derived = rollup.derive_in("verify", &node.rpc);
    assert!(derived >= first);
    let kept = hash(&node.rpc, first);
    node.kill();

    // Meanwhile L1 forgets what it still may.
    l1.halt();
    l1.reorg(3);
    l1.tick();
    let node = rollup.sequencer(&BUMP);
    // Not derived again, so known at once.
    assert!(finalized(&node) >= first, "it begins at {}", finalized(&node));
    assert!(number(&node.rpc, "safe") >= first);
    assert!(!node.log().contains("contradicts"), "{}", node.log());
    let second = load.send(&node.rpc, 100);
    rollup.verify(&node, second);
    // So does whoever verified before.
    let derived = rollup.derive_in("verify", &node.rpc);
    assert!(derived >= second, "{derived}");

    // A deeper one would take back what is final.
    wait_for("blocks to be final", || (finalized(&node) >= second).then_some(()));
    l1.halt();
    wait_until_derived(l1, &node);
    let (last, last_hash) = (finalized(&node), hash(&node.rpc, finalized(&node)));
    l1.reorg(12);
    l1.mine(1);
    wait_for("a person to be called", || {
        node.ops("/readyz").contains("contradicts its final block").then_some(())
    });
    assert!(finalized(&node) >= last);
    assert_eq!((hash(&node.rpc, first), hash(&node.rpc, last)), (kept, last_hash));
    assert!(node.terminate().success());
}
