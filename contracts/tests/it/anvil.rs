//! The plan on a real L1 by other people's tools: anvil, cast, and a deposit by viem.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use alloy_primitives::{Address, hex};
use millrace_contracts::{
    DEV_ACCOUNTS, DEV_MNEMONIC, Deployment, DeploymentConfig, DeploymentStep, L1Contracts,
    default_batch_inbox,
};
use millrace_protocol::{OperatorFee, SystemConfig};

const ANVIL_CHAIN_ID: u64 = 31_337;

#[test]
fn the_plan_is_idempotent_and_viem_deposits() {
    let anvil = Anvil::start();
    let plan = Deployment::new(&DeploymentConfig {
        l1_chain_id: ANVIL_CHAIN_ID,
        l2_chain_id: 901,
        owner: DEV_ACCOUNTS[0],
        guardian: DEV_ACCOUNTS[0],
        unsafe_block_signer: Address::ZERO,
        batch_inbox: default_batch_inbox(901),
        system_config: SystemConfig {
            batcher: DEV_ACCOUNTS[1],
            gas_limit: 60_000_000,
            base_fee_scalar: 1_368,
            blob_base_fee_scalar: 810_949,
            eip1559: None,
            operator_fee: OperatorFee::default(),
        },
        salt: Default::default(),
    })
    .unwrap();

    // One that came to an end after two steps, one that finishes its work, and one that finds nothing to do.
    assert_eq!(anvil.execute(&plan.steps[..2]), 2);
    assert_eq!(anvil.execute(&plan.steps), 2);
    assert_eq!(anvil.execute(&plan.steps), 0);

    let call = hex::encode_prefixed(L1Contracts::start_block_call());
    let contract = plan.contracts.system_config.to_string();
    let returned = anvil.cast(&["call", &contract, "--data", &call]);
    let start = L1Contracts::read_start_block(&hex::decode(returned).unwrap());
    // anvil mines a block for each transaction.
    assert_eq!(start, Some(4));

    let mut deposits = Command::new("node");
    let script = conformance().join("clients/deposit.mjs");
    run(deposits.arg(script).arg(&anvil.url).arg(plan.contracts.portal.to_string()));
}

fn conformance() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance");
    assert!(
        folder.join("node_modules").is_dir(),
        "conformance/node_modules is missing: `make test` installs it, or `npm ci --prefix conformance`"
    );
    folder.canonicalize().unwrap()
}

/// A tool of Foundry's: the pinned one, or elsewhere than on Linux the one on the path.
fn tool(name: &str) -> Command {
    let pinned = conformance().join("node_modules/.bin").join(name);
    let mut command = Command::new(if pinned.exists() { pinned } else { name.into() });
    command.env("FOUNDRY_DISABLE_NIGHTLY_WARNING", "1").env("NO_COLOR", "1");
    command
}

/// Runs a program that must succeed, and returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// An L1 of its own, on a port that was free.
struct Anvil {
    process: Child,
    url: String,
}

impl Anvil {
    fn start() -> Self {
        let mut process = tool("anvil")
            .args(["--port", "0", "--hardfork", "prague", "--mnemonic", DEV_MNEMONIC])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .find_map(|line| line.unwrap().strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil says where it listens");
        // It goes on to print, and must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url: format!("http://{url}") }
    }

    /// Does what an operator's deployer does: what is there is skipped. How many steps it sent.
    fn execute(&self, steps: &[DeploymentStep]) -> usize {
        let mut sent = 0;
        for step in steps {
            if self.code(step.creates) != "0x" {
                continue;
            }
            let (to, data) = (step.to.to_string(), hex::encode_prefixed(&step.data));
            let signer = ["--mnemonic", DEV_MNEMONIC, "--mnemonic-index", "2"];
            self.cast(&[&["send", &to, &data][..], &signer].concat());
            assert_eq!(self.code(step.creates), step.contract.runtime_code().to_string());
            sent += 1;
        }
        sent
    }

    fn code(&self, address: Address) -> String {
        self.cast(&["code", &address.to_string()])
    }

    fn cast(&self, arguments: &[&str]) -> String {
        run(tool("cast").args(arguments).args(["--rpc-url", &self.url]))
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
