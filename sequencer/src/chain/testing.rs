//! A chain on a directory of its own, for tests: real stores, recovered as at every start.

use std::{path::Path, sync::Arc};

use millrace_contracts::Genesis;
use millrace_executor::{Executor, ExecutorConfig};
use millrace_state::{Config, State};

use super::{Chain, Resources};
use crate::{
    genesis,
    index::Index,
    journal::{ChainIdentity, Journal},
    recovery::{Promises, Recovery},
};

/// Opens the chain that lies in the directory, or begins it.
pub(crate) async fn open(
    directory: &Path,
    genesis: &Genesis,
    config: Config,
) -> (Arc<Chain>, Executor) {
    let header = genesis::header(genesis);
    let path = directory.join("state");
    let state = match State::open(&path, config.clone()) {
        Ok(state) => state,
        Err(_) => State::create(&path, config, &genesis.state_diff()).unwrap().0,
    };
    let spec = Arc::new(genesis.spec.clone());
    let identity = ChainIdentity { chain_id: spec.chain_id(), genesis_hash: header.hash() };
    let journal = directory.join("journal.sqlite").into();
    let journal = Journal::open(&journal, identity).await.unwrap();
    let index = Arc::new(Index::open(&directory.join("index")).unwrap());
    let executor = Executor::new(spec.clone(), ExecutorConfig::default());
    let recovery = Recovery {
        executor: &executor,
        state: &state,
        journal: &journal,
        index: &index,
        genesis: &header,
        promises: Promises::Leave,
    };
    let (tip, hashes) = recovery.run().await.unwrap();
    let resources = Resources { spec, journal, index, state, hashes, genesis: header, tip };
    (Arc::new(Chain::new(resources)), executor)
}
