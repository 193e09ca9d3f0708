//! Where the batcher's key is: in a keystore, with a signer, or not where it should be.

use std::{path::Path, process::Command};

use alloy_primitives::hex;

use super::{
    fixture::{Rollup, number, rng},
    load::Load,
};
use crate::support::{
    node::wait_for,
    signer::{REFUSAL, Signer},
};

const PASSWORD: &str = "correct horse battery staple";

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Has another program put the key into a keystore.
fn write_keystore(rollup: &Rollup, directory: &Path) {
    let cast = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/node_modules/.bin/cast");
    let output = Command::new(cast)
        .args(["wallet", "import", "batcher.json", "--unsafe-password", PASSWORD])
        .args(["--private-key", &hex::encode_prefixed(rollup.batcher.to_bytes())])
        .arg("--keystore-dir")
        .arg(directory)
        .output()
        .expect("cast is missing: `make test` installs it, or `npm ci --prefix conformance`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_keystore_of_another_program_signs_and_what_is_wrong_with_it_is_said() {
    let rollup = Rollup::deploy();
    let directory = tempfile::tempdir().expect("a directory");
    write_keystore(&rollup, directory.path());
    let keystore = directory.path().join("batcher.json");
    let file = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).expect("write a file");
        file
    };
    let password = file("password", &format!("{PASSWORD}\n"));
    let wrong = file("wrong", "incorrect horse");
    let garbage = file("garbage", "0x1234");
    let absent = directory.path().join("absent");
    let l1 = &rollup.l1.rpc.url;

    let refused = |settings: &[&str], said: &[&str]| {
        let log = rollup.sequencer_with_key(l1, settings).expect_err("it must not start");
        for said in said {
            assert!(log.contains(said), "not a word of \"{said}\":\n{log}");
        }
        assert!(!log.contains("horse"), "a password is shown:\n{log}");
    };
    let by_keystore = |keystore: &Path, password: &Path| {
        let keystore = ["--batcher-keystore", path(keystore)];
        let password = ["--batcher-keystore-password-file", path(password)];
        [keystore, password].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let by_keystore = |keystore: &Path, password: &Path, said: &[&str]| {
        let settings = by_keystore(keystore, password);
        refused(&settings.iter().map(String::as_str).collect::<Vec<_>>(), said);
    };
    by_keystore(&keystore, &wrong, &["open the keystore", path(&keystore), "Mac Mismatch"]);
    by_keystore(&keystore, &absent, &["read", path(&absent), "No such file"]);
    by_keystore(&absent, &password, &["open the keystore", path(&absent), "No such file"]);
    by_keystore(&garbage, &password, &["open the keystore", path(&garbage)]);
    refused(&["--batcher-key-file", path(&absent)], &["read", path(&absent), "No such file"]);
    refused(&["--batcher-key-file", path(&garbage)], &["not a private key", path(&garbage)]);
    refused(&["--batcher-keystore", path(&keystore)], &["batcher.keystore", "belong together"]);
    // A key on the command line could be read by everybody on the machine.
    let key = hex::encode_prefixed(rollup.batcher.to_bytes());
    refused(&["--batcher-key", &key], &["unexpected argument"]);

    let settings = [
        ["--batcher-keystore", path(&keystore)],
        ["--batcher-keystore-password-file", path(&password)],
    ];
    let node = rollup.sequencer_with_key(l1, settings.as_flattened());
    let node = node.unwrap_or_else(|log| panic!("it does not start:\n{log}"));
    let last = Load::new(&node.rpc, rng("a keystore")).send(&node.rpc, 50);
    rollup.verify(&node, last);
}

#[test]
fn a_signer_signs_for_the_batcher_and_what_it_refuses_waits() {
    let rollup = Rollup::deploy();
    let signer = Signer::start(&rollup.batcher);
    let address = rollup.batcher.address().to_string();
    for carrier in ["blobs", "calldata"] {
        let (l1, url) = (&rollup.l1.rpc.url, signer.url());
        let settings = [
            ["--batcher-signer-url", &url],
            ["--batcher-address", &address],
            ["--batcher-carrier", carrier],
        ];
        signer.lock(true);
        let node = rollup.sequencer_with_key(l1, settings.as_flattened());
        let node = node.unwrap_or_else(|log| panic!("it does not start:\n{log}"));
        let safe = number(&node.rpc, "safe");
        let last = Load::new(&node.rpc, rng("a signer")).send(&node.rpc, 50);
        wait_for("the refusal to be told", || {
            node.ops("/readyz").contains("the signer refuses").then_some(())
        });
        assert!(node.ops("/readyz").contains(REFUSAL));
        assert_eq!(node.metric("millrace_batcher_trouble"), 1.0);
        // Once, and not whenever it is tried again.
        assert_eq!(node.log().matches(REFUSAL).count(), 1);
        // Restarted, the node first sees safe again what was posted before.
        assert!(number(&node.rpc, "safe") <= safe.max(last - 1));
        signer.lock(false);
        rollup.verify(&node, last);
        assert_eq!(node.ops("/readyz"), "ok\n");
        assert!(node.terminate().success());
    }
}
