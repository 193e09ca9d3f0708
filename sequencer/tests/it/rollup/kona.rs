//! Somebody else's derivation: kona-check, which shares no code with us.

use std::{path::Path, process::Command};

use crate::support::{anvil::Anvil, node::Node};

/// Where kona-check lies, once it is built. It is a workspace of its own (`conformance/kona`), so cargo does not build it
/// for these tests; `make ci` does, and then insists on it.
const PROGRAM: &str = "MILLRACE_KONA_CHECK";

/// Compares every block up to a safe one with what kona derives from L1. `invalid` are blocks whose batches hold
/// transactions that cannot be executed, which kona-check does not find out by itself.
pub(super) fn check(l1: &Anvil, rollup: &Path, node: &Node, until: u64, invalid: &[u64]) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's tools are not the node's configuration"
    )]
    let program = std::env::var(PROGRAM).unwrap_or_default();
    if program.is_empty() {
        println!("{PROGRAM} is not set: kona is not asked");
        return;
    }
    let mut command = Command::new(&program);
    command.args(["--l1-url", &l1.rpc.url, "--l2-url", &node.rpc.url, "--rollup"]).arg(rollup);
    command.args(["--until", &until.to_string()]);
    for number in invalid {
        command.args(["--invalid", &number.to_string()]);
    }
    let output = command.output().unwrap_or_else(|error| panic!("run {program}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    let summary = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    assert!(output.status.success(), "kona-check: {}\n{last}\n{summary}", output.status);
    let agreed = said.lines().filter(|line| line.ends_with(" ok")).count() as u64;
    assert_eq!(agreed, until, "kona-check: {summary}");
    println!("{}", summary.trim_end());
}
