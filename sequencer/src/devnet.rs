//! A rollup with everything around it, for development: anvil as L1, the contracts on it, and a node that posts there.

use std::{
    future::Future,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use alloy_primitives::{Address, B256, U64};
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context, bail};
use millrace_contracts::DEV_ACCOUNTS;
use millrace_l1::{Call, Endpoint, EndpointConfig};

use crate::{
    banner::{Listening, dev_key},
    config::{Config, KeySource},
    deploy::{Funded, NewRollup},
    l1_side,
    node::{Role, run_node},
};

/// The chain id of an L1 that we start.
const ANVIL_CHAIN_ID: u64 = 31_337;

/// Development accounts by what they do on L1: the first one owns the contracts.
const OWNER: usize = 0;
const BATCHER: usize = 9;

/// How long an L1 that we start may take to answer.
const ANVIL_START_MAX: Duration = Duration::from_secs(30);

/// How many L1 blocks batches have to arrive: two hours of anvil's, as tests want it shorter than a public chain's.
const SEQ_WINDOW_SIZE: u64 = 3_600;

/// What a devnet is to be like.
#[derive(Debug, Clone)]
pub struct Devnet {
    /// The program that is L1, if none is named by `l1.url`.
    pub anvil: PathBuf,
    /// Where it listens.
    pub l1_port: u16,
    /// Seconds between its blocks.
    pub l1_block_time_s: u64,
}

/// Where a devnet is to be found.
#[derive(Debug, Clone)]
pub struct DevnetListening {
    /// The node.
    pub node: Listening,
    /// L1.
    pub l1_url: String,
    /// The rollup's files.
    pub rollup: PathBuf,
    /// The portal on L1, which takes deposits.
    pub portal: Address,
}

/// Runs a devnet until `shutdown`. `announce` hears where it is once it serves.
pub async fn run_devnet(
    mut config: Config,
    devnet: Devnet,
    announce: impl FnOnce(&DevnetListening),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    // Taken down last, when the node has posted what it could.
    let _anvil = if config.l1.urls.is_empty() {
        if let Some(path) =
            config.data_dir.as_ref().filter(|path| path.join("rollup.json").exists())
        {
            bail!(
                "{} holds a rollup whose L1 went with the process that had started it: keep an L1 and name it with --l1-url, \
                 or begin anew in another directory",
                path.display()
            );
        }
        config.l1.urls.push(format!("http://127.0.0.1:{}", devnet.l1_port));
        Some(devnet.start_anvil()?)
    } else {
        None
    };
    let client = l1_side::client(&config.l1, chain_id(&config.l1.urls[0]).await?, None)?;
    let owner = PrivateKeySigner::from_bytes(&dev_key(OWNER)).context("a development key")?;
    let rollup = NewRollup {
        chain_id: config.chain_id,
        block_time_s: config.block_time_s,
        seq_window_size: SEQ_WINDOW_SIZE,
        owner: owner.address(),
        batcher: DEV_ACCOUNTS[BATCHER],
        gas_limit: config.gas_limit,
        salt: B256::ZERO,
        funded: Funded::Developers,
        // Its L1 goes with it, or belongs to somebody who knows what it is for.
        l1_confirmations: 0,
    };
    let rollup = rollup.deploy(&client, &owner).await.context("deploy the rollup")?;
    let (files, _temporary) = match &config.data_dir {
        Some(path) => (path.clone(), None),
        None => {
            let dir = tempfile::Builder::new().prefix("millrace-rollup-").tempdir();
            let dir = dir.context("make a temporary directory")?;
            (dir.path().to_owned(), Some(dir))
        }
    };
    rollup.write(&files)?;
    let (l1_url, portal) = (config.l1.urls[0].clone(), rollup.config.deposit_contract);
    config.batcher.key.get_or_insert(KeySource::Development(BATCHER));
    let announce = |node: &Listening| {
        let node = node.clone();
        announce(&DevnetListening { node, l1_url, rollup: files.join("rollup.json"), portal });
    };
    run_node(config, rollup, Role::Sequencer, announce, shutdown).await
}

impl Devnet {
    /// Starts an L1 of our own.
    fn start_anvil(&self) -> anyhow::Result<Anvil> {
        let (port, block_time) = (self.l1_port.to_string(), self.l1_block_time_s.to_string());
        let chain_id = ANVIL_CHAIN_ID.to_string();
        let mut command = Command::new(&self.anvil);
        command
            .args(["--port", &port, "--block-time", &block_time, "--chain-id", &chain_id])
            .args(["--hardfork", "prague", "--slots-in-an-epoch", "2", "--silent"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let process = command.spawn().with_context(|| {
            let anvil = self.anvil.display();
            format!("start {anvil}: name another L1 with --l1-url, or install anvil (tools/install.sh devnet)")
        })?;
        Ok(Anvil(process))
    }
}

/// What L1 says its chain id is, as soon as it answers.
async fn chain_id(url: &str) -> anyhow::Result<u64> {
    let endpoint = Endpoint::new(&EndpointConfig::new("l1", url)).context("l1.url")?;
    let call = Call::new("eth_chainId", serde_json::json!([]));
    let deadline = tokio::time::Instant::now() + ANVIL_START_MAX;
    loop {
        match endpoint.call(&call).await {
            Ok(answer) => {
                let id: U64 = serde_json::from_str(answer.get())
                    .with_context(|| format!("L1 answers {answer} for its chain id"))?;
                return Ok(id.to());
            }
            Err(error) if tokio::time::Instant::now() > deadline => {
                return Err(error).context("ask L1 for its chain id");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// An L1 that ends with us.
struct Anvil(Child);

impl Drop for Anvil {
    fn drop(&mut self) {
        // One that has ended by itself is no news here.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
