//! The Solidity tests of the contracts on L1, in `forge/`, by the forge that conformance/ pins.

use std::{path::Path, process::Command};

use rand::Rng;

use crate::chain::seeded;

#[test]
fn forge_test_passes() {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = contracts.join("../conformance/node_modules");
    assert!(
        tools.is_dir(),
        "conformance/node_modules is missing: `make test` installs it, or `npm ci --prefix conformance`"
    );
    // Elsewhere than on Linux, forge has to be on the path.
    let pinned = tools.join(".bin/forge");
    let forge = if pinned.exists() { pinned.as_path() } else { Path::new("forge") };
    // What is built goes where cargo builds: two checkouts never share it, and the sources stay clean.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("forge");
    let output = Command::new(forge)
        .arg("test")
        .args(["--fuzz-seed", &format!("{:#x}", seeded().random::<u64>())])
        .current_dir(contracts)
        .env("FOUNDRY_OUT", target.join("out"))
        .env("FOUNDRY_CACHE_PATH", target.join("cache"))
        .env("FOUNDRY_FUZZ_FAILURE_PERSIST_DIR", target.join("failures"))
        .env("FOUNDRY_DISABLE_NIGHTLY_WARNING", "1")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "forge test: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
