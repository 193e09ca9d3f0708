//! A real chain that goes back: what is gone, what waits again, and what a crash in between does.

use std::path::Path;

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, bytes};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use millrace_contracts::{DevGenesis, Genesis};
use millrace_executor::{
    BlockAttributes, Candidate, Executed, Executor, Limits, OpenBlock, StateView as _, assemble,
};
use millrace_protocol::{BlockId, L1Attributes, OperatorFee, predeploys::SEQUENCER_FEE_VAULT};
use millrace_rpc::{Backend as _, BlockRef, Inclusion, LogFilter, LogQuery, LogScope, Lookup};
use millrace_state::Config;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tokio::sync::broadcast;

use super::*;
use crate::{
    backend::NodeBackend,
    chain::{Open, Places, testing},
    intake::{GivenBack, Intake, IntakeError, usable_gas},
    journal::{Finalized, WriteError},
    l1_cost,
    mempool::{self, Mempool, Rules, SubmitError},
    metrics::Metrics,
    roots::apply_for_roots,
    view::ChainView,
};

const GAS_LIMIT: u64 = 60_000_000;
const ETHER: u128 = 10_u128.pow(18);

/// Emits a log with one topic, and deploys nothing.
const LOGGING: Bytes = bytes!("602a60006000a100");

/// A node without a clock and an edge: blocks are made when a test says so.
struct World {
    chain: Arc<Chain>,
    intake: Arc<Intake>,
    backend: NodeBackend,
    executor: Executor,
}

impl World {
    async fn open(directory: &Path) -> Self {
        // Only flushing writes checkpoints.
        let config = Config {
            checkpoint_blocks: u64::MAX,
            checkpoint_interval: std::time::Duration::from_secs(3_600),
            ..Config::default()
        };
        Self::open_with(directory, config).await
    }

    async fn open_with(directory: &Path, config: Config) -> Self {
        let genesis = Genesis::dev(DevGenesis { gas_limit: GAS_LIMIT, ..DevGenesis::default() });
        let (chain, executor) = testing::open(directory, &genesis, config).await;
        let spec = &chain.spec;
        let metrics = Arc::new(Metrics::new(executor.clone()));
        let rules = Rules::new(spec.chain_id(), usable_gas(GAS_LIMIT));
        let pool = Mempool::new(mempool::Limits::default(), 7);
        let (intake, _) = Intake::new(chain.clone(), rules, pool, metrics);
        let backend = NodeBackend::new(chain.clone(), intake.clone(), executor.clone(), None);
        Self { chain, intake, backend, executor }
    }

    /// Opens a block and executes what waits. `salt` tells blocks with one parent apart.
    fn begin(&self, salt: u64) -> OpenBlock {
        self.begin_with(salt, GAS_LIMIT)
    }

    /// The same with another gas limit.
    fn begin_with(&self, salt: u64, gas_limit: u64) -> OpenBlock {
        let head = self.chain.head();
        let parent = head.block.block.header.clone();
        let timestamp = parent.timestamp + 2;
        let fees = DevGenesis::L1_FEES;
        let l1_attributes = L1Attributes {
            l1_number: 0,
            l1_timestamp: 0,
            l1_hash: B256::ZERO,
            sequence_number: parent.number + 1,
            base_fee: fees.base_fee,
            blob_base_fee: fees.blob_base_fee,
            base_fee_scalar: fees.base_fee_scalar,
            blob_base_fee_scalar: fees.blob_base_fee_scalar,
            batcher_hash: B256::ZERO,
            operator_fee: Some(OperatorFee::default()),
        };
        let deposits = [Arc::new(Transaction::deposit(l1_attributes.to_deposit()))];
        let attributes = BlockAttributes {
            timestamp,
            beneficiary: SEQUENCER_FEE_VAULT,
            gas_limit,
            base_fee: self.chain.spec.next_base_fee(&parent, timestamp).unwrap(),
            prev_randao: B256::from(U256::from(salt)),
            parent_beacon_block_root: B256::ZERO,
            extra_data: self.chain.spec.eip1559_constants(timestamp).to_extra_data().into(),
            excess_blob_gas: 0,
            parent,
        };
        let (base_fee, gas_limit) = (attributes.base_fee, attributes.gas_limit);
        let mut block = self.executor.open(attributes, Arc::new(head.view.clone())).unwrap();
        let group = block.include_deposits(&deposits).unwrap();
        let places = Arc::default();
        self.show(&block, &places, 0);
        self.intake.settle(&[], &group);
        self.intake.open_block(base_fee, gas_limit, l1_cost::prices_set_by(&deposits));
        let candidates: Arc<[Candidate]> = self.intake.take_best(1_000, gas_limit / 2).into();
        let group = block.run(candidates.clone(), Limits::NONE).unwrap();
        self.show(&block, &places, deposits.len());
        self.intake.settle(&candidates, &group);
        block
    }

    /// Shows the block as it is now. So many of its transactions were shown before.
    fn show(&self, block: &OpenBlock, places: &Arc<Places>, shown: usize) {
        let included = block.transactions().iter().cloned().zip(block.receipts().iter().cloned());
        let included: Vec<_> = included.collect();
        places.add(&included[shown..]);
        let open = Arc::new(Open {
            attributes: block.attributes().clone(),
            runs: vec![Arc::new(included)],
            gas_used: block.gas_used(),
            view: block.view(),
            places: places.clone(),
        });
        self.chain.show_open(open.clone());
        self.chain.show_promised(open);
    }

    fn apply(&self, executed: Executed) -> (millrace_types::ExecutedBlock, millrace_state::View) {
        let number = executed.attributes.number();
        let (view, roots) =
            apply_for_roots(&self.chain.state, number, &executed.diff, |_| {}).unwrap();
        (assemble(executed, roots), view)
    }

    async fn build(&self, salt: u64) -> B256 {
        let (block, view) = self.apply(self.begin(salt).finish().unwrap());
        self.chain.journal.append(&block).await.unwrap();
        let number = block.block.number();
        self.chain.state.allow_checkpoint(number);
        self.chain.index.add(&block.block, &block.receipts).unwrap();
        self.chain.hashes.push(number, block.block.header.hash());
        self.chain.advance(Head::new(&block, ChainView::new(view, self.chain.hashes.clone())));
        block.block.header.hash()
    }

    async fn submit(&self, signer: &PrivateKeySigner, nonce: u64, to: TxKind, value: u128) -> B256 {
        self.intake.submit(sign(signer, nonce, to, value)).await.unwrap()
    }

    /// Six blocks, in each of which carol gets as many wei as its number says and somebody emits a log.
    async fn six_blocks(&self) -> Vec<B256> {
        let mut hashes = Vec::new();
        for number in 1..=6 {
            self.payment(number).await;
            self.submit(&dev(1), number - 1, TxKind::Create, 0).await;
            hashes.push(self.build(0).await);
        }
        hashes
    }

    async fn payment(&self, number: u64) -> B256 {
        self.submit(&dev(0), number - 1, TxKind::Call(carol()), number.into()).await
    }

    async fn balance_of_carol(&self) -> u64 {
        let account = self.backend.account(carol(), BlockRef::Latest).await.unwrap();
        account.unwrap_or_default().balance.to()
    }

    async fn nonce(&self, signer: &PrivateKeySigner, at: BlockRef) -> u64 {
        self.backend.account(signer.address(), at).await.unwrap().map_or(0, |account| account.nonce)
    }

    /// The blocks of all logs.
    async fn logs(&self) -> Vec<u64> {
        let scope = LogScope::Range(0, self.backend.heads().latest);
        let filter = LogFilter { addresses: vec![], topics: vec![vec![B256::with_last_byte(42)]] };
        let found = self.backend.logs(LogQuery { scope, filter, results_max: 1_000 }).await;
        found.unwrap().iter().map(|hit| hit.block_number).collect()
    }

    /// Everything agrees that this block is the newest.
    fn check_newest(&self, number: u64, hash: B256) {
        let head = self.chain.head();
        let header = &head.block.block.header;
        assert_eq!((header.number, header.hash()), (number, hash));
        let tip = self.chain.journal.tip().unwrap();
        assert_eq!((tip.number, tip.hash), (number, hash));
        assert_eq!(self.chain.index.watermark().unwrap(), Some(number));
        assert_eq!(self.chain.number_of(&hash).unwrap(), Some(number));
        let progress = self.chain.state.progress();
        assert_eq!(progress.head, number);
        assert!(progress.checkpoint <= number);
        assert_eq!(self.chain.state.root(number).unwrap().state_root, header.state_root);
        assert_eq!(self.chain.hashes.get(number).unwrap(), Some(hash));
        assert_eq!(head.view.block_hash(number - 1).unwrap(), header.parent_hash);
    }

    /// Nobody finds anything of these blocks.
    async fn check_gone(&self, blocks: &[Arc<Block>]) {
        for block in blocks {
            let hash = block.header.hash();
            assert!(self.backend.block(BlockRef::Hash(hash)).await.unwrap().is_none());
            assert!(self.backend.header(BlockRef::Hash(hash)).await.unwrap().is_none());
            assert!(self.backend.account(carol(), BlockRef::Hash(hash)).await.is_err());
            assert!(self.chain.journal.block(hash).await.unwrap().is_none());
            for tx in &block.transactions {
                assert!(self.backend.transaction(tx.hash()).await.unwrap().is_none());
            }
        }
    }
}

fn journal_path(directory: &Path) -> std::path::PathBuf {
    directory.join("journal.sqlite")
}

/// A funded account.
fn dev(index: u32) -> PrivateKeySigner {
    alloy_signer_local::MnemonicBuilder::<alloy_signer_local::coins_bip39::English>::default()
        .phrase("test test test test test test test test test test test junk")
        .index(index)
        .and_then(|builder| builder.build())
        .unwrap()
}

/// Somebody without anything.
fn carol() -> Address {
    Address::repeat_byte(0xca)
}

fn sign(signer: &PrivateKeySigner, nonce: u64, to: TxKind, value: u128) -> Bytes {
    sign_with_gas(signer, nonce, to, value, 100_000)
}

fn sign_with_gas(
    signer: &PrivateKeySigner,
    nonce: u64,
    to: TxKind,
    value: u128,
    gas_limit: u64,
) -> Bytes {
    let tx = TxEip1559 {
        chain_id: 901,
        nonce,
        gas_limit,
        max_fee_per_gas: 10_u128.pow(11),
        max_priority_fee_per_gas: 10_u128.pow(9),
        to,
        value: U256::from(value),
        input: if to.is_create() { LOGGING } else { Bytes::new() },
        ..Default::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    tx.into_signed(signature).encoded_2718().into()
}

fn transactions(blocks: &[Arc<Block>]) -> Vec<Arc<Transaction>> {
    blocks.iter().flat_map(|block| block.transactions.iter().cloned()).collect()
}

fn numbers(blocks: &[Arc<Block>]) -> Vec<u64> {
    blocks.iter().map(|block| block.number()).collect()
}

async fn execute(directory: &Path, statement: &str) {
    let url = format!("sqlite:{}", journal_path(directory).display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// From now on the journal refuses to remove blocks, as if it were a moment before it does.
async fn refuse_to_remove(directory: &Path) {
    let refuse =
        "CREATE TRIGGER refusal BEFORE DELETE ON blocks BEGIN SELECT RAISE(ABORT, 'refused'); END";
    execute(directory, refuse).await;
}

async fn goes_back_and_on(durable: bool) {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path()).await;
    let hashes = world.six_blocks().await;
    assert_eq!((world.balance_of_carol().await, world.logs().await), (21, vec![1, 2, 3, 4, 5, 6]));
    if durable {
        world.chain.state.flush().unwrap();
        assert_eq!(world.chain.state.checkpoint_block(), 6);
    }
    let mut events = world.chain.events();
    let before = world.chain.head();

    let gone = world.chain.rewind(3).await.unwrap();
    assert_eq!(numbers(&gone), [4, 5, 6]);
    world.check_newest(3, hashes[2]);
    world.check_gone(&gone).await;
    assert_eq!((world.balance_of_carol().await, world.logs().await), (6, vec![1, 2, 3]));
    assert_eq!(world.nonce(&dev(0), BlockRef::Latest).await, 3);
    // Whoever holds on to an abandoned state is told, rather than deceived.
    assert!(before.view.account(&carol()).is_err());
    for expected in [6, 5, 4] {
        match events.try_recv().unwrap() {
            BlockEvent::Removed(block) => assert_eq!(block.block.number(), expected),
            event => panic!("{event:?}"),
        }
    }
    assert!(matches!(events.try_recv(), Err(broadcast::error::TryRecvError::Empty)));

    // Their transactions wait again, and come into other blocks.
    for _ in 0..2 {
        let given = world.intake.give_back(transactions(&gone)).unwrap();
        assert_eq!(given, GivenBack { returned: 6, refused: 0 });
    }
    assert_eq!(world.backend.next_nonce(dev(0).address()).await.unwrap(), 6);
    let returned = gone[2].transactions[1].hash();
    assert!(matches!(world.backend.transaction(returned).await.unwrap(), Some(Lookup::Pooled(_))));
    let fourth = world.build(1).await;
    assert_ne!(fourth, hashes[3]);
    assert_eq!((world.balance_of_carol().await, world.logs().await), (21, vec![1, 2, 3, 4, 4, 4]));
    match world.backend.transaction(returned).await.unwrap() {
        Some(Lookup::Included(Inclusion::Sealed { block, index })) => {
            assert_eq!(block.block.header.hash(), fourth);
            assert_eq!(block.block.transactions[index].hash(), returned);
        }
        found => panic!("{found:?}"),
    }
    let fifth = world.build(1).await;
    world.check_newest(5, fifth);
    drop((world, before));
    World::open(directory.path()).await.check_newest(5, fifth);

    // The same as if the other blocks had never been.
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path()).await;
    for number in 1..=6 {
        world.payment(number).await;
        world.submit(&dev(1), number - 1, TxKind::Create, 0).await;
        if number <= 3 {
            assert_eq!(world.build(0).await, hashes[number as usize - 1]);
        }
    }
    assert_eq!(world.build(1).await, fourth);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_memory_goes_back_and_on() {
    goes_back_and_on(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_the_disk_goes_back_and_on() {
    goes_back_and_on(true).await;
}

/// The state has forgotten the blocks and the journal has not.
async fn stops_before_the_journal(durable: bool, crash: bool) {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::open(directory.path()).await;
    let hashes = world.six_blocks().await;
    if durable {
        world.chain.state.flush().unwrap();
    }
    refuse_to_remove(directory.path()).await;
    let error = world.chain.rewind(3).await.unwrap_err();
    let refused = |error: &RewindError| {
        matches!(error, RewindError::Journal(journal::RewindError::Write(WriteError::NotStored(_))))
    };
    assert!(refused(&error), "{error}");
    let error = world.chain.rewind(3).await.unwrap_err();
    assert!(refused(&error), "{error}");
    assert!(world.chain.state.checkpoint_block() <= 3);
    assert_eq!(world.balance_of_carol().await, 6);
    assert!(world.backend.block(BlockRef::Number(4)).await.unwrap().is_none());
    execute(directory.path(), "DROP TRIGGER refusal").await;
    if crash {
        // The chain stands where it stood.
        drop(world);
        world = World::open(directory.path()).await;
        world.check_newest(6, hashes[5]);
        assert_eq!((world.balance_of_carol().await, world.logs().await.len()), (21, 6));
    }
    let gone = world.chain.rewind(3).await.unwrap();
    assert_eq!(numbers(&gone), [4, 5, 6]);
    world.check_newest(3, hashes[2]);
    world.check_gone(&gone).await;
    let fourth = world.build(1).await;
    drop(world);
    World::open(directory.path()).await.check_newest(4, fourth);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_refuses_is_asked_again() {
    stops_before_the_journal(false, false).await;
    stops_before_the_journal(true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewinding_that_the_journal_held_up_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path()).await;
    let hashes = world.six_blocks().await;
    let mut events = world.chain.events();
    refuse_to_remove(directory.path()).await;
    let mut rewinding = world.chain.rewinding(3).unwrap();
    for _ in 0..2 {
        let error = rewinding.run().await.unwrap_err();
        assert!(error.may_pass(), "{error}");
    }
    assert!(events.try_recv().is_err(), "nobody hears of what may yet be undone");
    // The commit whose answer was lost: what is gone from the journal is known all the same.
    execute(directory.path(), "DROP TRIGGER refusal").await;
    world.chain.journal.rewind(3).await.unwrap();
    rewinding.run().await.unwrap();
    assert_eq!(numbers(&rewinding.finish()), [4, 5, 6]);
    for expected in [6, 5, 4] {
        match events.try_recv().unwrap() {
            BlockEvent::Removed(block) => assert_eq!(block.block.number(), expected),
            event => panic!("{event:?}"),
        }
    }
    world.check_newest(3, hashes[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_journal_changes_nothing() {
    stops_before_the_journal(false, true).await;
    stops_before_the_journal(true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_the_journal_leaves_nothing_behind() {
    for durable in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let world = World::open(directory.path()).await;
        let hashes = world.six_blocks().await;
        if durable {
            world.chain.state.flush().unwrap();
        }
        let gone = world.chain.newest_above(3, 6).await.unwrap();
        let gone: Vec<_> = gone.iter().map(|served| served.block.clone()).collect();
        world.chain.show_head(3).await.unwrap();
        world.chain.state.unwind(3).unwrap();
        world.chain.journal.rewind(3).await.unwrap();
        assert_eq!(world.chain.index.watermark().unwrap(), Some(6));
        drop(world);

        let world = World::open(directory.path()).await;
        world.check_newest(3, hashes[2]);
        world.check_gone(&gone).await;
        assert_eq!((world.balance_of_carol().await, world.logs().await), (6, vec![1, 2, 3]));
        let fourth = world.build(1).await;
        world.check_newest(4, fourth);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_final_stays() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path()).await;
    let hashes = world.six_blocks().await;
    let l2 = BlockId { number: 4, hash: hashes[3] };
    world.chain.journal.set_finalized(Finalized { l2, l1: BlockId::default() }).await.unwrap();
    let error = world.chain.rewind(3).await.unwrap_err();
    assert!(
        matches!(error, RewindError::Journal(journal::RewindError::Final { to: 3, finalized: 4 })),
        "{error}"
    );
    world.check_newest(6, hashes[5]);
    assert_eq!(numbers(&world.chain.rewind(4).await.unwrap()), [5, 6]);
    world.check_newest(4, hashes[3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_not_kept_is_not_gone_back_to() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { history_blocks: 2, ..Config::default() };
    let world = World::open_with(directory.path(), config).await;
    world.six_blocks().await;
    world.chain.state.flush().unwrap();
    let seventh = world.build(0).await;
    // A checkpoint forgets what earlier ones wrote.
    world.chain.state.flush().unwrap();
    let error = world.chain.rewind(1).await.unwrap_err();
    assert!(matches!(error, RewindError::TooDeep { to: 1, oldest: 5 }), "{error}");
    world.check_newest(7, seventh);
    let eighth = world.build(0).await;
    world.check_newest(8, eighth);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_blocks_go_in_steps() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path()).await;
    let mut hashes = vec![world.chain.genesis().hash()];
    for _ in 1..=300 {
        hashes.push(world.build(0).await);
    }
    let gone = world.chain.rewind(7).await.unwrap();
    assert_eq!(numbers(&gone), (8..=300).collect::<Vec<_>>());
    world.check_newest(7, hashes[7]);
    assert_eq!(world.build(0).await, hashes[8]);
    // All of it, then.
    assert_eq!(world.chain.rewind(0).await.unwrap().len(), 8);
    assert_eq!((world.chain.journal.tip(), world.chain.head().block.block.number()), (None, 0));
    assert_eq!(world.build(0).await, hashes[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_block_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path()).await;
    let first = world.build(0).await;
    assert!(world.chain.withdraw_open().is_empty(), "a sealed block's transactions are elsewhere");
    let (sent, later) = (world.payment(1).await, world.payment(2).await);
    let abandoned = world.begin(0);
    world.payment(3).await;
    assert_eq!(world.nonce(&dev(0), BlockRef::Pending).await, 2);
    drop(abandoned);

    let withdrawn = world.chain.withdraw_open();
    assert_eq!(withdrawn.iter().map(|tx| tx.hash()).collect::<Vec<_>>(), [sent, later]);
    // Nothing is journaled above the head.
    assert!(world.chain.rewind(1).await.unwrap().is_empty());
    world.check_newest(1, first);
    assert_eq!(world.nonce(&dev(0), BlockRef::Pending).await, 0);
    let given = world.intake.give_back(withdrawn).unwrap();
    assert_eq!(given, GivenBack { returned: 2, refused: 0 });
    assert_eq!(world.backend.next_nonce(dev(0).address()).await.unwrap(), 3);
    world.build(0).await;
    assert_eq!(world.balance_of_carol().await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_valid_any_more_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path()).await;
    let dave = PrivateKeySigner::from_bytes(&B256::repeat_byte(0xda)).unwrap();
    world.build(0).await;
    world.submit(&dev(0), 0, TxKind::Call(dave.address()), ETHER).await;
    world.build(0).await;
    let spent = world.submit(&dave, 0, TxKind::Call(carol()), 5).await;
    world.build(0).await;
    assert_eq!(world.balance_of_carol().await, 5);
    let gone = world.chain.rewind(1).await.unwrap();
    // Dave has nothing until the block after.
    let given = world.intake.give_back(transactions(&gone)).unwrap();
    assert_eq!(given, GivenBack { returned: 1, refused: 1 });
    assert!(world.backend.transaction(spent).await.unwrap().is_none());
    world.build(1).await;
    world.submit(&dave, 0, TxKind::Call(carol()), 5).await;
    world.build(1).await;
    assert_eq!(world.balance_of_carol().await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_never_reached_the_journal_goes_from_the_state() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path()).await;
    let hashes = world.six_blocks().await;
    world.payment(7).await;
    world.apply(world.begin(0).finish().unwrap());
    assert_eq!(world.chain.state.progress().head, 7);
    let withdrawn = world.chain.withdraw_open();
    assert!(world.chain.rewind(6).await.unwrap().is_empty());
    world.check_newest(6, hashes[5]);
    world.intake.give_back(withdrawn).unwrap();
    world.build(1).await;
    assert_eq!(world.balance_of_carol().await, 28);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_follows_the_gas_limit_of_the_block_at_hand() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path()).await;
    let offer = |nonce, gas_limit| {
        let encoded = sign_with_gas(&dev(2), nonce, TxKind::Call(carol()), 1, gas_limit);
        world.intake.submit(encoded)
    };
    let too_large = |error: Option<IntakeError>| {
        matches!(error, Some(IntakeError::Refused(SubmitError::BlockGasLimit)))
    };
    drop(world.begin_with(0, 10_000_000));
    assert!(too_large(offer(0, 9_000_001).await.err()));
    let large = offer(0, 9_000_000).await.unwrap();
    drop(world.begin_with(0, 12_000_000));
    let larger = offer(1, 11_000_000).await.unwrap();
    // Less than either asks for: both go, as they would wait for ever.
    drop(world.begin_with(0, 5_000_000));
    for gone in [large, larger] {
        assert!(world.backend.transaction(gone).await.unwrap().is_none());
    }
    assert!(too_large(offer(0, 9_000_000).await.err()));
    offer(0, 4_000_000).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reduced_gas_limit_would_refuse_comes_back_when_the_reduction_goes() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::open(directory.path()).await;
    world.build(0).await;
    let encoded = sign_with_gas(&dev(2), 0, TxKind::Call(carol()), 1, 9_000_000);
    let large = world.intake.submit(encoded).await.unwrap();
    world.build(0).await;
    drop(world.begin_with(0, 5_000_000));
    assert!(world.chain.withdraw_open().is_empty());
    let gone = world.chain.rewind(1).await.unwrap();
    let given = world.intake.give_back(transactions(&gone)).unwrap();
    assert_eq!(given, GivenBack { returned: 1, refused: 0 });
    assert!(matches!(world.backend.transaction(large).await.unwrap(), Some(Lookup::Pooled(_))));
    // If the next block is small all the same, it goes as it would have.
    drop(world.begin_with(0, 5_000_000));
    assert!(world.backend.transaction(large).await.unwrap().is_none());
}
