//! A rollup as files: `rollup.json`, which says where it lives on L1, and `genesis.json`, which says how L2 begins.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use millrace_contracts::{Genesis, read_rollup, write_rollup};
use millrace_protocol::{BlockId, OpFork, RollupConfig};

use crate::genesis;

/// A rollup: its identity, and the state that it begins with.
#[derive(Debug, Clone)]
pub struct Rollup {
    /// Where it lives on L1.
    pub config: Arc<RollupConfig>,
    /// How L2 begins.
    pub genesis: Genesis,
}

impl Rollup {
    /// Reads both files; the genesis lies beside the other one unless a place is named.
    pub fn read(rollup: &Path, genesis: Option<&Path>) -> anyhow::Result<Self> {
        let beside = || rollup.with_file_name("genesis.json");
        let genesis = genesis.map_or_else(beside, PathBuf::from);
        let text =
            fs::read_to_string(rollup).with_context(|| format!("read {}", rollup.display()))?;
        let config = read_rollup(&text).with_context(|| format!("read {}", rollup.display()))?;
        let text =
            fs::read_to_string(&genesis).with_context(|| format!("read {}", genesis.display()))?;
        let genesis_block =
            Genesis::from_json(&text).with_context(|| format!("read {}", genesis.display()))?;
        Self::new(config, genesis_block)
    }

    /// Puts both together, if they belong together.
    pub fn new(config: RollupConfig, mut genesis: Genesis) -> anyhow::Result<Self> {
        if genesis.spec.chain_id() != config.spec.chain_id() {
            bail!(
                "the genesis is of chain {}, and the rollup of chain {}",
                genesis.spec.chain_id(),
                config.spec.chain_id()
            );
        }
        // The rollup's file tells the forks' times, too, and all who derive go by that.
        genesis.spec = config.spec.clone();
        if !genesis.spec.rules(genesis.timestamp).is_active(OpFork::Isthmus) {
            bail!("blocks are built by Isthmus' rules only, from genesis on");
        }
        let header = genesis::header(&genesis);
        let found = BlockId { number: header.number, hash: header.hash() };
        if found != config.genesis.l2 {
            bail!(
                "the genesis makes block {} {}, and the rollup begins with block {} {}",
                found.number,
                found.hash,
                config.genesis.l2.number,
                config.genesis.l2.hash
            );
        }
        Ok(Self { config: Arc::new(config), genesis })
    }

    /// Writes both files into a directory, whole or not at all.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
        let genesis = self.genesis.to_json().context("write the genesis")?;
        write_durably(&directory.join("genesis.json"), &genesis)?;
        let rollup = write_rollup(&self.config).context("write the rollup")?;
        // Last: whoever finds it finds the other one, too.
        write_durably(&directory.join("rollup.json"), &rollup)
    }
}

/// Writes a file so that after a crash it is there whole or not at all.
pub(crate) fn write_durably(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let context = || format!("write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)?;
    file.as_file().sync_all().with_context(context)?;
    file.persist(path).with_context(context)?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(context)
}
