//! A sequencer that is killed between every two steps by which a batch reaches L1.

use alloy_primitives::B256;
use serde_json::json;

use super::{
    fixture::{Rollup, number, rng},
    inbox::{self, READABLE},
    load::Load,
};
use crate::support::{
    node::{Node, wait_for},
    proxy::{Proxy, Way},
    signer::Signer,
};

const SIGN: &str = "eth_signTransaction";
const SEND: &str = "eth_sendRawTransaction";
const RECEIPT: &str = "eth_getTransactionReceipt";

/// How far a transaction of the batcher has come when the sequencer is killed.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Signed, and not written down.
    Signed,
    /// Written down, and not sent.
    Written,
    /// Sent, and waiting in L1's pool; nobody has told the batcher so.
    Pooled,
    /// In a block of L1, and the batcher has not even heard that it was taken.
    Included,
    /// In a block of L1, and the batcher, which knows that it was taken, has not seen it there.
    Unseen,
    /// Seen in a block of L1, and not deep in it.
    Seen,
    /// Deep in L1, and written down as settled.
    Settled,
}

impl Step {
    const ALL: [Self; 7] = [
        Self::Signed,
        Self::Written,
        Self::Pooled,
        Self::Included,
        Self::Unseen,
        Self::Seen,
        Self::Settled,
    ];
}

/// A rollup whose batcher reaches its signer and L1 only by ways that can be blocked.
struct Scene {
    rollup: Rollup,
    _signer: Signer,
    to_signer: Proxy,
    to_l1: Proxy,
}

impl Scene {
    fn new() -> Self {
        let rollup = Rollup::deploy();
        let signer = Signer::start(&rollup.batcher);
        let (to_signer, to_l1) = (Proxy::start(&signer.url()), Proxy::start(&rollup.l1.rpc.url));
        Self { rollup, _signer: signer, to_signer, to_l1 }
    }

    fn start(&self) -> Node {
        let (url, address) = (self.to_signer.url(), self.rollup.batcher.address().to_string());
        let key = ["--batcher-signer-url", &url, "--batcher-address", &address];
        let node =
            self.rollup.sequencer_with_key(&self.to_l1.url(), &[&key[..], &READABLE].concat());
        node.unwrap_or_else(|log| panic!("it does not start:\n{log}"))
    }

    /// Lets the node come as far as this, and no further. The transaction that it is about, once that is known.
    fn reach(&self, step: Step, node: &Node) -> Option<B256> {
        let l1 = &self.rollup.l1;
        match step {
            Step::Signed => {
                self.to_signer.hold(SIGN, Way::Back);
                self.to_signer.held();
                None
            }
            Step::Written => {
                self.to_l1.hold(SEND, Way::There);
                Some(self.to_l1.held_transaction().0)
            }
            Step::Pooled => {
                self.to_l1.hold(SEND, Way::There);
                let (held, _) = self.to_l1.held_transaction();
                // It is sent again, and L1's next block doesn't come.
                l1.halt();
                self.to_l1.hold(SEND, Way::Back);
                assert_eq!(self.to_l1.held_transaction().0, held);
                Some(held)
            }
            Step::Included => {
                self.to_l1.hold(SEND, Way::Back);
                let (held, _) = self.to_l1.held_transaction();
                l1.rpc.receipt(&held.to_string());
                Some(held)
            }
            Step::Unseen => {
                // By receipts the batcher sees how L1 goes on, too: what shall be sent must be ready.
                self.to_l1.hold(SEND, Way::There);
                let (held, _) = self.to_l1.held_transaction();
                self.to_l1.hold(RECEIPT, Way::There);
                self.to_l1.held();
                l1.rpc.receipt(&held.to_string());
                Some(held)
            }
            Step::Seen => {
                let held = self.reach(Step::Unseen, node);
                // It gets no deeper.
                l1.halt();
                let included = node.metric("millrace_batcher_transactions_included_total");
                self.to_l1.release();
                wait_for("the inclusion to be seen", || {
                    let now = node.metric("millrace_batcher_transactions_included_total");
                    (now > included).then_some(())
                });
                assert!(node.metric("millrace_batcher_unsettled") > 0.0);
                held
            }
            Step::Settled => {
                let mut before = f64::INFINITY;
                wait_for("a channel to be settled", || {
                    let now = node.metric("millrace_batcher_unsettled");
                    let is_less = now < std::mem::replace(&mut before, now);
                    (is_less && before.is_finite()).then_some(())
                });
                None
            }
        }
    }
}

#[test]
fn a_sequencer_killed_between_any_two_steps_posts_nothing_twice_and_skips_nothing() {
    let rng = rng("kills at every step");
    let scene = Scene::new();
    let l1 = &scene.rollup.l1;
    let sends = || scene.to_l1.calls().get(SEND).copied().unwrap_or(0);
    let mut node = scene.start();
    for step in Step::ALL {
        Load::new(&node.rpc, rng.clone()).send(&node.rpc, 10);
        let offered = scene.reach(step, &node);
        let newest = node.rpc.block_number();
        node.kill();
        scene.to_signer.release();
        scene.to_l1.release();

        let sent = sends();
        node = scene.start();
        assert!(node.rpc.block_number() >= newest, "{step:?}: acknowledged blocks are gone");
        if let Step::Pooled = step {
            wait_for("it to be sent again", || (sends() > sent).then_some(()));
        }
        l1.tick();
        // What was written down gets there, and nothing else in its place.
        if let Some(transaction) = offered {
            l1.rpc.receipt(&transaction.to_string());
        }
    }
    Load::new(&node.rpc, rng).send(&node.rpc, 10);
    let last = number(&node.rpc, "latest");
    scene.rollup.verify(&node, last);
    inbox::assert_posted_once(&scene.rollup, last);
    assert_eq!(node.metric("millrace_derivation_contradictions_total"), 0.0);
}

#[test]
fn a_sequencer_killed_before_its_better_offer_is_out_makes_it_again() {
    let rng = rng("a kill between two offers");
    let rollup = Rollup::deploy();
    let (l1, proxy) = (&rollup.l1, Proxy::start(&rollup.l1.rpc.url));
    let posting = [&READABLE[..], &["--batcher-bump-after", "2s"]].concat();
    let node = rollup.sequencer_by(&proxy.url(), &posting);
    // The first offer waits in the pool of an L1 that makes no blocks.
    l1.halt();
    Load::new(&node.rpc, rng.clone()).send(&node.rpc, 10);
    wait_for("a transaction under way", || {
        (node.metric("millrace_batcher_in_flight") > 0.0).then_some(())
    });
    proxy.hold(SEND, Way::There);
    let (better, nonce) = proxy.held_transaction();
    node.kill();
    proxy.release();

    let sent = |proxy: &Proxy| proxy.calls()[SEND];
    let before = sent(&proxy);
    let node = rollup.sequencer_by(&proxy.url(), &posting);
    wait_for("the better offer", || (sent(&proxy) > before).then_some(()));
    let known = |hash: B256| !l1.rpc.call("eth_getTransactionByHash", json!([hash])).is_null();
    wait_for("it to replace the first one", || known(better).then_some(()));
    l1.tick();
    wait_for("its inclusion", || (l1.nonce(rollup.batcher.address()) > nonce).then_some(()));
    let last = Load::new(&node.rpc, rng).send(&node.rpc, 10);
    rollup.verify(&node, last);
    inbox::assert_posted_once(&rollup, last);
}
