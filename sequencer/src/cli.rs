//! The command line: what can be asked of the binary.

use std::path::PathBuf;

use alloy_primitives::{Address, B256};
use clap::{Args, Parser, Subcommand};

use crate::{
    config::{Settings, Span},
    node::Role,
};

/// An optimistic-rollup sequencer in one binary.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a chain for development, without L1: one process, funded accounts, every fork up to Isthmus.
    Dev(Box<NodeArgs>),
    /// Runs a rollup with everything around it: anvil as L1, the contracts on it, a sequencer that posts its blocks there.
    Devnet(Box<DevnetArgs>),
    /// Runs a node of a rollup: the sequencer, or a verifier that derives the chain from L1.
    Node(Box<RollupArgs>),
    /// Puts a rollup's contracts on L1, and writes rollup.json and genesis.json. Run again, it gives the same rollup.
    Deploy(Box<DeployArgs>),
    /// Derives the chain from L1 alone and prints its blocks; exits 0 only if all agree with what a node serves.
    Verify(Box<VerifyArgs>),
    /// Executes witness files of real blocks and compares the block hashes; exits 0 only if all match.
    Replay {
        /// The witness files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Looks at configuration files.
    Config {
        /// What to do with one.
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

/// What can be done with a configuration file.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Says what is wrong with a file, by key, and prints what would be in force, with secrets redacted.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// How a node is told its settings.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// A TOML file with any of the settings below, under their names with underscores.
    #[arg(long, env = "MILLRACE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
}

/// How a devnet is told its settings.
#[derive(Debug, Args)]
pub struct DevnetArgs {
    /// The program that is L1, unless one is named by --l1-url.
    #[arg(long, env = "MILLRACE_ANVIL", value_name = "PATH", default_value = "anvil")]
    pub anvil: PathBuf,
    /// Where it listens.
    #[arg(long, env = "MILLRACE_L1_PORT", value_name = "PORT", default_value_t = 8545)]
    pub l1_port: u16,
    /// Seconds between its blocks.
    #[arg(long, env = "MILLRACE_L1_BLOCK_TIME", value_name = "SECONDS", default_value_t = 2)]
    pub l1_block_time: u64,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// How a node of a rollup is told its settings.
#[derive(Debug, Args)]
pub struct RollupArgs {
    /// What the node is there for.
    #[arg(long, env = "MILLRACE_ROLE", value_name = "ROLE", default_value = "verifier")]
    pub role: Role,
    /// Which rollup.
    #[command(flatten)]
    pub rollup: RollupFiles,
    /// The node.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// A rollup's files.
#[derive(Debug, Args)]
pub struct RollupFiles {
    /// The rollup's rollup.json.
    #[arg(long, env = "MILLRACE_ROLLUP", value_name = "FILE")]
    pub rollup: PathBuf,
    /// Its genesis.json [default: beside rollup.json].
    #[arg(long, env = "MILLRACE_GENESIS", value_name = "FILE")]
    pub genesis: Option<PathBuf>,
}

/// How a new rollup is described.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// JSON-RPC addresses of L1 nodes, separated by commas.
    #[arg(
        long,
        env = "MILLRACE_L1_URL",
        value_name = "URLS",
        value_delimiter = ',',
        required = true,
        hide_env_values = true
    )]
    pub l1_url: Vec<String>,
    /// The chain id of L1, so that nothing is sent to another chain.
    #[arg(long, value_name = "ID")]
    pub l1_chain_id: u64,
    /// How many L1 blocks have to lie above the deployment before the files are written: a deeper reorganization of L1
    /// would leave them worthless.
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub l1_confirmations: u64,
    /// A file with the private key, in hexadecimal, of whoever pays for the deployment.
    #[arg(long, value_name = "PATH")]
    pub key_file: PathBuf,
    /// Who may change the system config and upgrade the contracts.
    #[arg(long, value_name = "ADDRESS")]
    pub owner: Address,
    /// Who may post batches.
    #[arg(long, value_name = "ADDRESS")]
    pub batcher: Address,
    /// The rollup's chain id.
    #[arg(long, value_name = "ID")]
    pub chain_id: u64,
    /// How far apart its blocks are, in whole seconds.
    #[arg(long, value_name = "SPAN", default_value = "1s")]
    pub block_time: Span,
    /// The gas limit of its blocks.
    #[arg(long, value_name = "GAS", default_value_t = 200_000_000)]
    pub gas_limit: u64,
    /// How many L1 blocks after its epoch a batch may still be included.
    #[arg(long, value_name = "N", default_value_t = 3_600)]
    pub seq_window_size: u64,
    /// Tells the rollup apart from others that have everything else in common.
    #[arg(long, value_name = "HASH", default_value_t = B256::ZERO)]
    pub salt: B256,
    /// Gives the public development accounts ether on the rollup. Never for a chain with users.
    #[arg(long)]
    pub fund_development_accounts: bool,
    /// The directory that the files are written to.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub out: PathBuf,
}

/// What is to be verified.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Which rollup.
    #[command(flatten)]
    pub rollup: RollupFiles,
    /// A node that serves the chain: its blocks are compared with those that L1 says.
    #[arg(long, value_name = "URL")]
    pub against: Option<String>,
    /// How L1 is reached, and where the derived chain is kept.
    #[command(flatten)]
    pub node: NodeArgs,
}
