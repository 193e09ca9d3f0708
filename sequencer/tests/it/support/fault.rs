//! A disk that fails on demand, for a child process: a library that it is started with, and a file that throws the switch.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Builds the library that makes a child's disk fail.
pub(crate) fn library(directory: &Path) -> PathBuf {
    let library = directory.join("fault.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/fault.c");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output()
        .expect("a C compiler is needed: install the package `gcc`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}
