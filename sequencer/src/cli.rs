//! The command line: what can be asked of the binary.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Settings;

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
