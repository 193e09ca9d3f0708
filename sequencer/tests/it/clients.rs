//! Other people's tools, unmodified, against a real node: cast, forge, viem and ethers, as `npm ci` in conformance/
//! installs them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::node::Node;

/// The first account of the development mnemonic; its key is public knowledge.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const RECIPIENT: &str = "0x00000000000000000000000000000000000c0ffe";

fn conformance() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance");
    assert!(
        folder.join("node_modules").is_dir(),
        "conformance/node_modules is missing: `make test` installs it, or `npm ci --prefix conformance`"
    );
    folder.canonicalize().expect("the folder")
}

/// Runs a program that must succeed, and returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

fn tool(name: &str) -> Command {
    let mut command = Command::new(conformance().join("node_modules/.bin").join(name));
    // Foundry's tools look for a newer version of themselves, and for a configuration, where they are not asked to.
    command.env("FOUNDRY_DISABLE_NIGHTLY_WARNING", "1").env("NO_COLOR", "1");
    command
}

fn with_node(test: impl FnOnce(&Node)) {
    let data_dir = tempfile::tempdir().expect("a directory");
    let node = Node::start(data_dir.path(), &[]);
    test(&node);
    assert!(node.terminate().success());
}

#[test]
fn cast_sends_and_reads() {
    with_node(|node| {
        let url = node.rpc.url.as_str();
        let sent = run(tool("cast").args([
            "send",
            "--rpc-url",
            url,
            "--private-key",
            KEY,
            RECIPIENT,
            "--value",
            "3ether",
        ]));
        assert!(sent.contains("status") && sent.contains("(success)"), "{sent}");
        let read =
            |args: &[&str]| run(tool("cast").args(args).args(["--rpc-url", url])).trim().to_owned();
        assert_eq!(read(&["balance", RECIPIENT]), "3000000000000000000");
        assert_eq!(read(&["chain-id"]), "901");
        assert_eq!(read(&["nonce", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"]), "1");
        // The gas price oracle is a predeploy, so a call runs real contract code.
        let decimals =
            read(&["call", "0x420000000000000000000000000000000000000F", "decimals()(uint256)"]);
        assert_eq!(decimals, "6");
        assert!(read(&["block", "latest"]).contains("stateRoot"));
        let rich = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
        let estimate = read(&["estimate", RECIPIENT, "--value", "1", "--from", rich]);
        assert_eq!(estimate, "21000");
    });
}

#[test]
fn forge_creates_and_scripts() {
    with_node(|node| {
        let url = node.rpc.url.as_str();
        let project = tempfile::tempdir().expect("a directory");
        copy(&conformance().join("foundry"), project.path());
        let forge = || {
            let mut command = tool("forge");
            command.current_dir(project.path()).env("FOUNDRY_SOLC", conformance().join("solc.sh"));
            command
        };
        let created = run(forge()
            .args(["create", "src/Counter.sol:Counter", "--rpc-url", url])
            .args(["--private-key", KEY, "--broadcast", "--constructor-args", "41"]));
        let address = created
            .lines()
            .find_map(|line| line.strip_prefix("Deployed to: "))
            .unwrap_or_else(|| panic!("no address in {created}"));
        let number = || {
            run(tool("cast").args(["call", address, "number()(uint256)", "--rpc-url", url]))
                .trim()
                .to_owned()
        };
        assert_eq!(number(), "41");
        run(tool("cast").args([
            "send",
            address,
            "increment()",
            "--rpc-url",
            url,
            "--private-key",
            KEY,
        ]));
        assert_eq!(number(), "42");

        let script = run(forge()
            .args(["script", "script/Deploy.s.sol:Deploy", "--rpc-url", url, "--private-key", KEY])
            .arg("--broadcast"));
        assert!(script.contains("ONCHAIN EXECUTION COMPLETE & SUCCESSFUL"), "{script}");
    });
}

#[test]
fn viem_works_unmodified() {
    with_node(|node| {
        let said = run(Command::new("node")
            .current_dir(conformance())
            .args(["clients/viem.mjs", &node.rpc.url]));
        assert!(said.ends_with("viem ok\n"), "{said}");
    });
}

#[test]
fn ethers_works_unmodified() {
    with_node(|node| {
        let said = run(Command::new("node")
            .current_dir(conformance())
            .args(["clients/ethers.mjs", &node.rpc.url]));
        assert!(said.ends_with("ethers ok\n"), "{said}");
    });
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("read a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            std::fs::create_dir(&target).expect("a folder");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("copy a file");
        }
    }
}
