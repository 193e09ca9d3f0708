//! L1 by endpoints that have the faults of real providers: alone, and beside a good one.

use std::time::Duration;

use super::{
    fixture::{Rollup, hash, number, rng, wait_for_safe},
    inbox::{self, READABLE},
    load::Load,
};
use crate::support::{
    anvil::Anvil,
    node::{Node, wait_for},
    proxy::{Fault, Proxy, Tags},
};

/// A second, where a good endpoint takes a millisecond.
const SLOW: Fault = Fault::Slow(Duration::from_secs(1));

fn wait_for_health(node: &Node, part: &str) {
    wait_for(&format!("the operator to read \"{part}\""), || {
        node.ops("/readyz").contains(part).then_some(())
    });
}

fn wait_until_well(node: &Node) {
    wait_for("nothing to be wrong", || (node.ops("/readyz") == "ok\n").then_some(()));
}

/// Lets L1 make so many blocks, whoever sees them.
fn pass_l1_blocks(rollup: &Rollup, count: u64) {
    let latest = rollup.l1.number("latest");
    wait_for("blocks of L1", || (rollup.l1.number("latest") >= latest + count).then_some(()));
}

/// Whatever L1's endpoints did, the chain never went back for it, and every block was posted once.
fn assert_unharmed(rollup: &Rollup, node: &Node) {
    let last = number(&node.rpc, "latest");
    rollup.verify(node, last);
    inbox::assert_posted_once(rollup, last);
    assert_eq!(node.metric("millrace_derivation_contradictions_total"), 0.0);
    assert_eq!(node.metric("millrace_blocks_taken_back_total"), 0.0);
    assert_eq!(node.metric("millrace_l1_reorgs_total"), 0.0);
}

#[test]
fn a_node_whose_only_endpoint_is_faulty_says_so_and_goes_on_when_it_is_mended() {
    let rollup = Rollup::deploy();
    let mut proxy = Proxy::start(&rollup.l1.rpc.url);
    let node = rollup.sequencer_by(&proxy.url(), &READABLE);
    let mut load = Load::new(&node.rpc, rng("a faulty endpoint"));
    load.send(&node.rpc, 20);

    // Where one fault follows another, L1 is not mended in between: its chain is looked at when it comes back.
    let outages: [&[(Fault, &str)]; 3] = [
        &[(Fault::Html, "not JSON-RPC")],
        &[(Fault::BadGateway, "HTTP status 502")],
        &[(Fault::Refuses, "unreachable"), (Fault::OtherChain, "another chain")],
    ];
    for outage in outages {
        for &(fault, said) in outage {
            proxy.set(fault);
            wait_for_health(&node, said);
            // Derivation may have met it first.
            wait_for("L1 to be lost", || (node.metric("millrace_l1_lost") == 1.0).then_some(()));
        }
        // Nobody who uses the chain notices.
        load.send(&node.rpc, 20);
        proxy.set(Fault::None);
        wait_until_well(&node);
        assert_eq!(node.metric("millrace_l1_lost"), 0.0);
    }

    // Of blocks or of transactions: whoever misses them first.
    proxy.set(Fault::NullReceipts);
    wait_for_health(&node, "doesn't tell");
    load.send(&node.rpc, 20);
    // As long as it takes to believe that somebody else used the batcher's nonces.
    pass_l1_blocks(&rollup, 6);
    assert!(node.ops("/readyz").contains("doesn't tell"));
    proxy.set(Fault::None);
    wait_until_well(&node);

    // An L1 that stands still can't be told from one that makes no blocks.
    let tags = Tags::of(&rollup.l1);
    proxy.set(Fault::Stale(tags));
    let read = |node: &Node| node.metric("millrace_l1_head_number");
    let stuck = read(&node);
    load.send(&node.rpc, 20);
    pass_l1_blocks(&rollup, 6);
    assert!(read(&node) <= stuck + 1.0, "what it reads is not stale");
    proxy.set(Fault::None);
    wait_for("L1's head", || (read(&node) > stuck + 5.0).then_some(()));

    // Some of its nodes have got stuck, and others have not.
    proxy.set(Fault::Flapping(Tags::of(&rollup.l1)));
    let last = load.send(&node.rpc, 20);
    pass_l1_blocks(&rollup, 6);
    proxy.set(Fault::None);
    wait_for_safe(&node.rpc, last);

    // Slow is not gone: the chain becomes safe all the same.
    proxy.set(SLOW);
    let last = load.send(&node.rpc, 20);
    wait_for_safe(&node.rpc, last);
    proxy.set(Fault::None);
    assert_unharmed(&rollup, &node);
}

#[test]
fn a_node_that_finds_l1_behind_its_own_chain_takes_nothing_back_and_waits() {
    let rollup = Rollup::deploy();
    let mut proxy = Proxy::start(&rollup.l1.rpc.url);
    let node = rollup.sequencer_by(&proxy.url(), &READABLE);
    let tags = Tags::of(&rollup.l1);
    let mut load = Load::new(&node.rpc, rng("L1 is behind"));
    wait_for_safe(&node.rpc, load.send(&node.rpc, 20));
    pass_l1_blocks(&rollup, 5);
    load.send(&node.rpc, 20);
    node.kill();

    proxy.set(Fault::Stale(tags));
    let node = rollup.sequencer_by(&proxy.url(), &READABLE);
    let head = node.rpc.block_number();
    let known = hash(&node.rpc, head);
    wait_for("the builder to stop", || {
        (node.metric("millrace_builder_stalled") == 1.0).then_some(())
    });
    assert_ne!(node.ops("/readyz"), "ok\n");
    pass_l1_blocks(&rollup, 5);
    assert_eq!((node.rpc.block_number(), hash(&node.rpc, head)), (head, known.clone()));

    proxy.set(Fault::None);
    load.send(&node.rpc, 20);
    assert_eq!(hash(&node.rpc, head), known);
    assert_unharmed(&rollup, &node);
}

#[test]
fn a_node_with_a_second_endpoint_does_without_the_first() {
    let rollup = Rollup::deploy();
    let mut proxy = Proxy::start(&rollup.l1.rpc.url);
    let urls = format!("{},{}", proxy.url(), rollup.l1.rpc.url);
    let node = rollup.sequencer_by(&urls, &READABLE);
    let mut load = Load::new(&node.rpc, rng("two endpoints"));
    load.send(&node.rpc, 20);
    let first =
        |name: &str| node.metric(&format!(r#"millrace_l1_endpoint_{name}{{endpoint="l1-1"}}"#));
    let faults = [
        (Fault::Html, "set_aside_total"),
        (Fault::Refuses, "set_aside_total"),
        (Fault::NullReceipts, "requests_total"),
        (SLOW, "requests_total"),
        (Fault::Stale(Tags::of(&rollup.l1)), "stale_total"),
    ];
    for (fault, noticed) in faults {
        let before = first(noticed);
        proxy.set(fault);
        wait_for("the fault to be noticed", || (first(noticed) > before).then_some(()));
        let last = load.send(&node.rpc, 20);
        wait_for_safe(&node.rpc, last);
        if fault == Fault::NullReceipts {
            pass_l1_blocks(&rollup, 6);
        }
        assert_eq!(node.ops("/readyz"), "ok\n", "{fault:?}");
    }
    proxy.set(Fault::None);
    wait_for("the first endpoint to be in use again", || {
        (first("usable") == 1.0 && first("head") + 3.0 > node.metric("millrace_l1_head_number"))
            .then_some(())
    });
    assert_unharmed(&rollup, &node);
}

#[test]
fn an_endpoint_of_another_chain_is_never_used() {
    let rollup = Rollup::deploy();
    let stranger = Anvil::start(&["--timestamp", "1600000000"]);
    let mut other_id = Proxy::start(&rollup.l1.rpc.url);
    other_id.set(Fault::OtherChain);
    let other_genesis = Proxy::start(&stranger.rpc.url);
    let urls = [other_id.url(), other_genesis.url(), rollup.l1.rpc.url.clone()].join(",");
    let node = rollup.sequencer_by(&urls, &[]);
    let last = Load::new(&node.rpc, rng("another chain")).send(&node.rpc, 50);
    rollup.verify(&node, last);
    for (endpoint, proxy) in [("l1-1", other_id), ("l1-2", other_genesis)] {
        let metric = |name: &str| {
            node.metric(&format!(r#"millrace_l1_endpoint_{name}{{endpoint="{endpoint}"}}"#))
        };
        assert_eq!(metric("usable"), 0.0);
        assert!(metric("untrue_total") > 0.0);
        // It was asked who it is, and nothing else.
        let calls = proxy.calls();
        let asked: Vec<&str> = calls.keys().map(String::as_str).collect();
        assert_eq!(asked, ["eth_chainId", "eth_getBlockByNumber"]);
        assert_eq!(calls["eth_chainId"], calls["eth_getBlockByNumber"]);
    }
    assert!(node.log().contains("serves another chain"));
}
