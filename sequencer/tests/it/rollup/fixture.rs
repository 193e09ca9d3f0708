//! A rollup under test, and what its scenarios have in common.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use millrace_contracts::read_rollup;
use millrace_protocol::RollupConfig;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use tempfile::TempDir;

use super::kona;
use crate::support::{
    anvil::{Anvil, L1_CHAIN_ID},
    node::{Node, Rpc, quantity, wait_for},
    wallet::{CHAIN_ID, dev_account},
};

/// How every node reaches L1 and every sequencer posts, unless a test says otherwise: fast, as L1's blocks are a second
/// apart.
const L1_SETTINGS: [&str; 4] = ["--l1-confirmations", "1", "--l1-poll", "200ms"];
const BATCHER_SETTINGS: [&str; 6] =
    ["--batcher-idle", "2s", "--batcher-channel-l1-blocks", "3", "--batcher-confirmations", "3"];

/// One ether, in wei.
pub(super) const ETHER: u64 = 1_000_000_000_000_000_000;

/// A rollup that was put on an L1 of its own.
pub(super) struct Rollup {
    pub(super) l1: Anvil,
    pub(super) batcher: PrivateKeySigner,
    pub(super) config: RollupConfig,
    dir: TempDir,
}

impl Rollup {
    /// Starts an L1 and puts a rollup on it.
    pub(super) fn deploy() -> Self {
        Self::deploy_with(&[], &[])
    }

    /// The same with further arguments for anvil and for the deployment.
    pub(super) fn deploy_with(anvil: &[&str], deploy: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let l1 = Anvil::start(anvil);
        let batcher = PrivateKeySigner::from_bytes(&keccak256("the batcher")).expect("a key");
        l1.set_balance(batcher.address(), U256::from(1_000 * u128::from(ETHER)));
        let owner = dev_account(0);
        write_key(&dir.path().join("owner.key"), &owner);
        write_key(&dir.path().join("batcher.key"), &batcher);
        let output = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(["deploy", "--l1-url", &l1.rpc.url, "--l1-chain-id", &L1_CHAIN_ID.to_string()])
            .arg("--key-file")
            .arg(dir.path().join("owner.key"))
            .args(["--owner", &owner.address().to_string()])
            .args(["--batcher", &batcher.address().to_string()])
            .args(["--chain-id", &CHAIN_ID.to_string(), "--fund-development-accounts"])
            // For now L1 makes no blocks of its own accord.
            .args(["--l1-confirmations", "0"])
            .args(deploy)
            .arg("--out")
            .arg(dir.path())
            .output()
            .expect("run millrace");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = std::fs::read_to_string(dir.path().join("rollup.json")).expect("rollup.json");
        let config = read_rollup(&text).expect("a rollup");
        l1.tick();
        Self { l1, batcher, config, dir }
    }

    fn rollup_file(&self) -> PathBuf {
        self.dir.path().join("rollup.json")
    }

    /// Where a node of this name keeps its chain.
    pub(super) fn data_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts a sequencer that posts.
    pub(super) fn sequencer(&self, args: &[&str]) -> Node {
        self.sequencer_by(&self.l1.rpc.url, args)
    }

    /// Starts a sequencer that posts, and reaches L1 by other ways than straight.
    pub(super) fn sequencer_by(&self, l1_urls: &str, args: &[&str]) -> Node {
        let key = self.dir.path().join("batcher.key");
        let key = ["--batcher-key-file", key.to_str().expect("UTF-8")];
        started("sequencer", self.sequencer_with_key(l1_urls, &[&key[..], args].concat()))
    }

    /// Starts a sequencer that posts as somebody new, who has ether.
    pub(super) fn sequencer_of(&self, batcher: &PrivateKeySigner, args: &[&str]) -> Node {
        let path = self.dir.path().join(format!("{}.key", batcher.address()));
        write_key(&path, batcher);
        self.l1.set_balance(batcher.address(), U256::from(1_000 * u128::from(ETHER)));
        let key = ["--batcher-key-file", path.to_str().expect("UTF-8")];
        let node = self.sequencer_with_key(&self.l1.rpc.url, &[&key[..], args].concat());
        started("sequencer", node)
    }

    /// Starts a sequencer that posts with the key that these settings name. If it ends instead, what it said.
    pub(super) fn sequencer_with_key(&self, l1_urls: &str, args: &[&str]) -> Result<Node, String> {
        self.node("sequencer", l1_urls, &[&BATCHER_SETTINGS[..], args].concat())
    }

    /// Starts a sequencer that posts nothing.
    pub(super) fn silent_sequencer(&self, args: &[&str]) -> Node {
        started("sequencer", self.node("sequencer", &self.l1.rpc.url, args))
    }

    /// Starts a node that derives the chain from L1.
    pub(super) fn verifier(&self) -> Node {
        self.verifier_with(&[])
    }

    /// The same with further settings.
    pub(super) fn verifier_with(&self, args: &[&str]) -> Node {
        started("verifier", self.node("verifier", &self.l1.rpc.url, args))
    }

    fn node(&self, role: &str, l1_urls: &str, args: &[&str]) -> Result<Node, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.args(["node", "--role", role, "--l1-url", l1_urls]).args(L1_SETTINGS);
        command.arg("--rollup").arg(self.rollup_file());
        // The last of several settings would be an error: a test's own ones replace the usual.
        Node::spawn(&mut command, &self.data_dir(role), args)
    }

    /// Waits until L1 vouches for a block and then derives the chain from L1 alone, by our rules and by somebody else's:
    /// all that it says is what the node serves, at least up to that block.
    pub(super) fn verify(&self, node: &Node, number: u64) {
        self.verify_with_invalid(node, number, &[]);
    }

    /// The same, where somebody posted batches on purpose that made no valid blocks: these numbers have deposits only.
    pub(super) fn verify_with_invalid(&self, node: &Node, number: u64, invalid: &[u64]) {
        self.verify_by_ourselves(node, number);
        kona::check(&self.l1, &self.rollup_file(), node, number, invalid);
    }

    /// The same by our rules alone.
    pub(super) fn verify_by_ourselves(&self, node: &Node, number: u64) {
        wait_for_safe(&node.rpc, number);
        let derived = self.derive_against(&node.rpc);
        assert!(derived >= number, "only {derived} of {number} blocks are derived");
    }

    /// Runs `millrace verify`, which must agree. How many blocks it derived.
    fn derive_against(&self, served: &Rpc) -> u64 {
        self.derive(served, &[])
    }

    /// The same in a directory of this name, which it keeps.
    pub(super) fn derive_in(&self, name: &str, served: &Rpc) -> u64 {
        let data_dir = self.data_dir(name);
        self.derive(served, &["--data-dir", data_dir.to_str().expect("UTF-8")])
    }

    fn derive(&self, served: &Rpc, args: &[&str]) -> u64 {
        let output = Command::new(env!("CARGO_BIN_EXE_millrace"))
            .args(["verify", "--l1-url", &self.l1.rpc.url, "--against", &served.url])
            .args(L1_SETTINGS)
            .args(args)
            .arg("--rollup")
            .arg(self.rollup_file())
            .output()
            .expect("run millrace");
        let said = String::from_utf8_lossy(&output.stdout);
        let last = said.lines().last().unwrap_or_default();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "verify: {}\n{last}\n{log}", output.status);
        let blocks = last.split_whitespace().next().and_then(|count| count.parse().ok());
        blocks.unwrap_or_else(|| panic!("verify says {last}"))
    }
}

fn started(role: &str, node: Result<Node, String>) -> Node {
    node.unwrap_or_else(|log| panic!("the {role} did not start:\n{log}"))
}

pub(super) fn write_key(path: &Path, key: &PrivateKeySigner) {
    std::fs::write(path, key.to_bytes().to_string()).expect("write a key");
}

/// Randomness, from a seed that is printed.
pub(super) fn rng(test: &str) -> StdRng {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's knobs are not the node's configuration"
    )]
    let seed = std::env::var("MILLRACE_ROLLUP_SEED");
    let seed = seed.map_or_else(|_| rand::random(), |text| text.parse().expect("a number"));
    println!("{test}: MILLRACE_ROLLUP_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// A key that nobody else has.
pub(super) fn fresh_key(rng: &mut StdRng) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::from(rng.random::<[u8; 32]>())).expect("a key")
}

/// The number of a block with a name.
pub(super) fn number(rpc: &Rpc, name: &str) -> u64 {
    quantity(&rpc.call("eth_getBlockByNumber", json!([name, false]))["number"])
}

/// The hash of a block.
pub(super) fn hash(rpc: &Rpc, number: u64) -> String {
    let block = rpc.call("eth_getBlockByNumber", json!([format!("{number:#x}"), false]));
    block["hash"].as_str().unwrap_or_else(|| panic!("no block {number}")).to_owned()
}

/// Waits until a node has derived all that L1 says, which stands still.
pub(super) fn wait_until_derived(l1: &Anvil, node: &Node) {
    wait_for("L1 to be used up", || {
        (node.metric("millrace_derivation_l1_number") == l1.number("latest") as f64).then_some(())
    });
}

/// Waits until L1 vouches for a block.
pub(super) fn wait_for_safe(rpc: &Rpc, at_least: u64) {
    let what = format!("block {at_least} to be safe");
    wait_for(&what, || (number(rpc, "safe") >= at_least).then_some(()));
}

/// An account's balance on L2.
pub(super) fn balance(rpc: &Rpc, account: Address) -> U256 {
    let balance = rpc.call("eth_getBalance", json!([account, "latest"]));
    serde_json::from_value(balance).expect("a quantity")
}
