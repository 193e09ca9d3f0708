//! A chain with origins of our choice: nothing is executed, as nobody looks at the state.

use std::path::Path;

use alloy_primitives::B256;
use millrace_contracts::{DevGenesis, Genesis};
use millrace_executor::{Executor, ExecutorConfig};
use millrace_protocol::{BlockId, Eip1559Params, L1Attributes, L1Header, RollupGenesis};
use millrace_state::{Config, State};
use millrace_types::{ExecutedBlock, Header, Receipt, SealedHeader, Transaction, TxType};
use sqlx::Connection as _;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    chain::{Head, Resources},
    genesis,
    index::Index,
    journal::{ChainIdentity, Journal},
    view::{BlockHashes, ChainView},
};

/// The origin of the genesis block.
const FIRST: u64 = 100;

fn l1_id(number: u64) -> BlockId {
    BlockId { number, hash: B256::repeat_byte(number as u8) }
}

/// What holds from an L1 block on: each has another gas limit.
fn system_config(l1_number: u64) -> SystemConfig {
    let eip1559 = Some(Eip1559Params::new(50, 3).unwrap());
    SystemConfig {
        batcher: Default::default(),
        gas_limit: 30_000_000 + l1_number,
        base_fee_scalar: 1,
        blob_base_fee_scalar: 2,
        eip1559,
        operator_fee: Default::default(),
    }
}

/// A chain whose blocks from the first one on have these origins.
async fn search(directory: &Path, origins: &[u64]) -> Search {
    let genesis = Genesis::dev(DevGenesis::default());
    let header = genesis::header(&genesis);
    let state = State::create(&directory.join("state"), Config::default(), &genesis.state_diff());
    let state = state.unwrap().0;
    let identity = ChainIdentity { chain_id: 901, genesis_hash: header.hash() };
    let path = directory.join("journal.sqlite");
    let journal = Journal::open(&path.into(), identity).await.unwrap();
    let index = Arc::new(Index::open(&directory.join("index")).unwrap());
    let beginning = RollupGenesis {
        l1: l1_id(FIRST),
        l2: BlockId { number: header.number, hash: header.hash() },
        l2_time: header.timestamp,
        system_config: system_config(FIRST),
    };
    let rollup = RollupConfig { genesis: beginning, ..RollupConfig::usual(901) };
    let spec = Arc::new(genesis.spec.clone());
    let hashes = Arc::new(BlockHashes::new(&header, index.clone()));
    let resources =
        Resources { spec, journal, index, state, hashes, genesis: header.clone(), tip: None };
    let chain = Chain::new(resources);
    let mut parent = header;
    for origin in origins {
        let block = block(&parent, *origin);
        parent = block.block.header.clone();
        chain.journal.append(&block).await.unwrap();
        let view = ChainView::new(chain.state.head(), chain.hashes.clone());
        chain.advance(Head::new(&block, view));
    }
    let executor = Executor::new(Arc::new(rollup.spec.clone()), ExecutorConfig::default());
    Search {
        chain: Arc::new(chain),
        rollup: Arc::new(rollup),
        health: Arc::default(),
        metrics: Arc::new(Metrics::new(executor)),
    }
}

fn block(parent: &SealedHeader, origin: u64) -> ExecutedBlock {
    let BlockId { number, hash } = l1_id(origin);
    let l1 = L1Header {
        number,
        hash,
        parent_hash: l1_id(number - 1).hash,
        timestamp: 12 * number,
        base_fee: 1,
        blob_base_fee: 1,
        prev_randao: B256::ZERO,
        parent_beacon_block_root: B256::ZERO,
    };
    let config = system_config(origin);
    let attributes = L1Attributes::for_block(&config, &l1, 0);
    let header = Header {
        parent_hash: parent.hash(),
        number: parent.number + 1,
        timestamp: parent.timestamp + 2,
        gas_limit: config.gas_limit,
        extra_data: config.eip1559.unwrap().to_extra_data().into(),
        ..Header::default()
    };
    let header = SealedHeader::seal_slow(header);
    let transactions = vec![Arc::new(Transaction::deposit(attributes.to_deposit()))];
    let receipt = Receipt {
        tx_type: TxType::Deposit,
        success: true,
        cumulative_gas_used: 0,
        logs: Vec::new(),
        deposit: None,
    };
    ExecutedBlock {
        block: Arc::new(Block { header, transactions }),
        receipts: Arc::new(vec![receipt]),
        diff: Arc::default(),
        waypoints: Vec::new(),
    }
}

/// Looks for the first block while the journal is away, until somebody has said so.
async fn look_in_vain(search: &Search) -> JoinHandle<Result<Option<Arc<Block>>, ReadError>> {
    let looking = tokio::spawn(search.get(1));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while search.health.problem().is_none() {
        assert!(tokio::time::Instant::now() < deadline && !looking.is_finished(), "nobody waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    looking
}

/// Writes what nobody would into the journal's first block.
async fn spoil(journal: &Path) {
    let url = format!("sqlite:{}", journal.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let spoil = "UPDATE blocks SET body = x'00' WHERE number = 1";
    sqlx::raw_sql(spoil).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn the_newest_block_by_its_origin() {
    let directory = tempfile::tempdir().unwrap();
    let origins = [100, 100, 101, 101, 102, 103, 103];
    let search = search(directory.path(), &origins).await;
    // Every range whose first block qualifies, beside looking at one block after the other.
    let origin = |number: u64| if number == 0 { FIRST } else { origins[number as usize - 1] };
    for (first, last) in (0..=7).flat_map(|first| (first..=7).map(move |last| (first, last))) {
        for l1_number in origin(first)..=105 {
            let mut range = first..=last;
            let expected = range.rfind(|number| origin(*number) <= l1_number).unwrap();
            let found = search.newest_by_origin(first, last, l1_number).await.unwrap();
            assert_eq!(found, expected, "of {first} to {last}, up to L1 block {l1_number}");
        }
    }
}

#[tokio::test]
async fn the_system_config_before_an_l1_block() {
    let directory = tempfile::tempdir().unwrap();
    let search = search(directory.path(), &[100, 101, 101, 102, 103]).await;
    let check = async |l1_number, safe, expected| {
        let found = search.system_config_before(l1_number, safe).await.unwrap();
        assert_eq!(found.gas_limit, 30_000_000 + expected, "before {l1_number}, safe: {safe}");
        assert_eq!(found.eip1559, system_config(expected).eip1559);
    };
    // Up to the genesis there is nothing but what the rollup began with.
    check(FIRST, 5, FIRST).await;
    check(FIRST + 1, 5, FIRST).await;
    check(102, 5, 101).await;
    check(103, 5, 102).await;
    check(104, 5, 103).await;
    // What is not safe says nothing.
    check(104, 3, 101).await;
    check(104, 0, FIRST).await;
}

#[tokio::test]
async fn a_block_that_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let search = search(directory.path(), &[100, 101]).await;
    assert!(search.get(3).await.unwrap().is_none());
    assert!(matches!(search.block(3).await, Err(SearchError::Missing(3))));
    assert!(matches!(search.newest_by_origin(0, 7, 200).await, Err(SearchError::Missing(_))));
    assert_eq!(search.reference(0).await.unwrap().origin, l1_id(FIRST));
    assert_eq!(search.reference(2).await.unwrap().origin, l1_id(101));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_reached_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    // The newest ones are in memory.
    let search = search(directory.path(), &[FIRST; 300]).await;
    let (here, away) = (directory.path().join("journal.sqlite"), directory.path().join("away"));
    std::fs::rename(&here, &away).unwrap();
    let looking = look_in_vain(&search).await;
    let retried = r#"millrace_journal_retries_total{operation="read"}"#;
    assert!(search.metrics.text().contains(retried));
    std::fs::rename(away, here).unwrap();
    assert_eq!(looking.await.unwrap().unwrap().unwrap().number(), 1);
    assert_eq!(search.health.problem(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_holds_what_nobody_wrote_is_not_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let search = search(directory.path(), &[FIRST; 300]).await;
    spoil(&directory.path().join("journal.sqlite")).await;
    let error = search.get(1).await.unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { number: 1, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_comes_back_spoilt_is_not_called_well() {
    let directory = tempfile::tempdir().unwrap();
    let search = search(directory.path(), &[FIRST; 300]).await;
    let (here, away) = (directory.path().join("journal.sqlite"), directory.path().join("away"));
    spoil(&here).await;
    std::fs::rename(&here, &away).unwrap();
    let looking = look_in_vain(&search).await;
    std::fs::rename(away, here).unwrap();
    let error = looking.await.unwrap().unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { number: 1, .. }), "{error}");
    assert!(search.health.problem().is_some());
}
