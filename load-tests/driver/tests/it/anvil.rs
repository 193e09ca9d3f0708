//! Anvil as a child process.

use std::{
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running anvil. Dropping it kills it.
pub(crate) struct Anvil {
    child: Child,
    pub(crate) url: String,
    blocks: Receiver<()>,
}

impl Anvil {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/node_modules/.bin/anvil");
        assert!(
            program.exists(),
            "anvil is missing: `make test` installs it, or `npm ci --prefix conformance`"
        );
        let mut child = Command::new(program)
            .args(["--hardfork", "prague", "--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("anvil starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("anvil says where it listens").unwrap();
            if let Some(address) = line.strip_prefix("Listening on ") {
                break format!("http://{address}");
            }
        };
        // A test that waits for blocks waits for fewer than these; the others may be forgotten.
        let (seen, blocks) = sync_channel(1_000);
        thread::spawn(move || report_blocks(lines, &seen));
        Self { child, url, blocks }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("anvil is there to be killed");
        self.child.wait().expect("anvil ends");
    }

    /// Waits until so many blocks more were made.
    pub(crate) fn wait_for_blocks(&self, count: usize) {
        while self.blocks.try_recv().is_ok() {}
        for _ in 0..count {
            self.blocks.recv_timeout(PATIENCE).expect("anvil makes blocks");
        }
    }
}

/// It goes on writing, and must not be stopped by a full pipe.
fn report_blocks(lines: Lines<BufReader<ChildStdout>>, seen: &SyncSender<()>) {
    for line in lines.map_while(Result::ok) {
        if line.contains("Block Number:") {
            let _ = seen.try_send(());
        }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It is gone already, or goes now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
