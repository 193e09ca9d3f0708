//! A writer that gets orders between two blocks: what was promised before must not stand in the way of what comes then.

use std::{path::Path, time::Duration};

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use millrace_contracts::{DevGenesis, Genesis};
use millrace_derivation::{Attributes, L2Ref, Provenance};
use millrace_protocol::BlockId;
use millrace_rpc::Before;
use millrace_types::{Block, Transaction};
use tokio::time::Instant;

use super::*;
use crate::{
    builder::{NoL1, Plan, Stalled},
    chain::{News, testing},
    clock,
    config::Settings,
    journal::PromisedHead,
};

const GAS_LIMIT: u64 = 60_000_000;
/// Long enough to send some transactions into the first block, and to make sure of what is promised of it.
const BLOCK_TIME_S: u64 = 6;

/// L1, as far as a writer hears of it: it decides nothing, and after the first block it is not there.
struct OneBlock(NoL1);

impl Origin for OneBlock {
    fn plan(&mut self, parent: &Block, timestamp: u64) -> Result<Plan, Stalled> {
        match parent.number() {
            0 => self.0.plan(parent, timestamp),
            _ => Err(Stalled::OriginGone { number: 0 }),
        }
    }

    fn may_skip_time(&self) -> bool {
        false
    }
}

struct World {
    chain: Arc<Chain>,
    writer: Writer,
    origin: NoL1,
    genesis_time: u64,
}

impl World {
    /// A chain without blocks, of whose first one this was promised; and its writer, which makes one block or none.
    async fn begin(directory: &Path, promised: &[Bytes], makes_blocks: bool) -> Self {
        // Ahead of the clock, so that every slot has its full length, however often a block is made again.
        let genesis_time = clock::unix_time().as_secs() + 3_600;
        let dev =
            DevGenesis { timestamp: genesis_time, gas_limit: GAS_LIMIT, ..DevGenesis::default() };
        let genesis = Genesis::dev(dev);
        let (chain, executor) =
            testing::open(directory, &genesis, millrace_state::Config::default()).await;
        let origin = NoL1 {
            spec: chain.spec.clone(),
            genesis_timestamp: genesis_time,
            l1_fees: DevGenesis::L1_FEES,
            gas_limit: GAS_LIMIT,
        };
        let head = PromisedHead {
            number: 1,
            parent_hash: chain.genesis().hash(),
            timestamp: genesis_time + BLOCK_TIME_S,
            prescribed: first_block(&origin, &chain, genesis_time).prescribed,
        };
        if !promised.is_empty() {
            let promised: Vec<_> = promised.iter().map(decode).collect();
            chain.journal.promise(&head, 0, &promised).await.unwrap();
        }
        let config = Config::from_settings(&Settings::defaults()).unwrap();
        let makes = makes_blocks.then(|| Box::new(OneBlock(origin.clone())) as Box<dyn Origin>);
        let assignment = Assignment {
            origin: makes,
            block_time_s: BLOCK_TIME_S,
            gas_limit: GAS_LIMIT,
            throttle: watch::channel(false).1,
            health: Arc::default(),
            metrics: Arc::new(Metrics::new(executor.clone())),
        };
        let writer = Writer::start(&chain, &executor, &config, assignment);
        Self { chain, writer, origin, genesis_time }
    }

    /// What L1 orders the first block to be.
    fn order(&self, transactions: Vec<Bytes>) -> Arc<Attributes> {
        let genesis = self.chain.genesis();
        let l1 = BlockId { number: 0, hash: Default::default() };
        Arc::new(Attributes {
            parent: L2Ref {
                id: BlockId { number: genesis.number, hash: genesis.hash() },
                parent_hash: genesis.parent_hash,
                timestamp: genesis.timestamp,
                origin: l1,
                sequence_number: 0,
            },
            timestamp: self.genesis_time + BLOCK_TIME_S,
            origin: l1,
            prescribed: first_block(&self.origin, &self.chain, self.genesis_time).prescribed,
            transactions,
            derived_from: l1,
            provenance: Provenance::Batch,
        })
    }

    async fn submit(&self, raw: &Bytes) {
        self.writer.intake.submit(raw.clone()).await.unwrap();
    }

    /// How many transactions, deposits not counted, the journal has promised.
    async fn promised(&self) -> usize {
        self.chain.journal.promised().await.unwrap().map_or(0, |found| found.transactions.len())
    }

    async fn wait_for_promise(&self, transactions: usize) {
        wait_for(|| async { self.promised().await == transactions }).await;
    }

    /// Waits for the first block, which has these and nothing else.
    async fn wait_for_block(&self, transactions: &[Bytes]) {
        wait_for(|| async { self.chain.head().block.block.number() == 1 }).await;
        let head = self.chain.head();
        let found = &head.block.block.transactions[1..];
        let found: Vec<_> = found.iter().map(|tx| tx.encoded().clone()).collect();
        assert_eq!(found, transactions);
        assert_eq!(self.promised().await, 0);
    }

    async fn end(self) {
        self.writer.stop();
        self.writer.building.await.unwrap().unwrap();
    }
}

fn first_block(origin: &NoL1, chain: &Chain, genesis_time: u64) -> Plan {
    let head = chain.head();
    origin.clone().plan(&head.block.block, genesis_time + BLOCK_TIME_S).unwrap()
}

/// Awaits a condition. A slot is seconds long, and machines may be slow.
async fn wait_for<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn decode(raw: &Bytes) -> Arc<Transaction> {
    Arc::new(Transaction::decode(raw.clone()).unwrap())
}

/// Payments by an account that has ether from the beginning.
fn payments() -> [Bytes; 3] {
    let payer: PrivateKeySigner =
        alloy_signer_local::MnemonicBuilder::<alloy_signer_local::coins_bip39::English>::default()
            .phrase("test test test test test test test test test test test junk")
            .build()
            .unwrap();
    [0, 1, 2].map(|nonce| {
        let tx = TxEip1559 {
            chain_id: 901,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10_u128.pow(11),
            max_priority_fee_per_gas: 10_u128.pow(9),
            to: TxKind::Call(Address::repeat_byte(0xca)),
            value: U256::from(1),
            ..Default::default()
        };
        let signature = payer.sign_hash_sync(&tx.signature_hash()).unwrap();
        Bytes::from(tx.into_signed(signature).encoded_2718())
    })
}

/// L1 takes back a block between two slots, when the next cannot begin: what comes in its place is promised from its beginning.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_in_place_of_another_is_promised_anew() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second, third] = payments();
    let world = World::begin(directory.path(), &[], true).await;
    world.submit(&first).await;
    world.submit(&second).await;
    world.wait_for_promise(2).await;
    world.wait_for_block(&[first.clone(), second.clone()]).await;

    world.writer.orders.rewind(0, 0).await.unwrap();
    // They return to the pool by themselves.
    world.wait_for_promise(2).await;
    world.submit(&third).await;
    world.wait_for_promise(3).await;
    world.wait_for_block(&[first, second, third]).await;
    world.end().await;
}

/// L1 takes back blocks above those that ours refer to, while ours is open and again when it is sealed.
#[tokio::test(flavor = "multi_thread")]
async fn a_promise_outlives_l1_blocks_that_nothing_refers_to() {
    let directory = tempfile::tempdir().unwrap();
    let [first, _, _] = payments();
    let world = World::begin(directory.path(), &[], true).await;
    world.submit(&first).await;
    world.wait_for_promise(1).await;
    let is_sealed = || world.chain.head().block.block.number() == 1;
    // All refers to block 0 of L1.
    world.writer.orders.rewind(0, 1).await.unwrap();
    assert!(world.promised().await == 1 || is_sealed());
    world.wait_for_block(&[first]).await;
    world.writer.orders.rewind(0, 1).await.unwrap();
    assert!(is_sealed());
    world.end().await;
}

/// A node that has promised something as a sequencer, and now only follows L1: that decides otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn what_l1_orders_takes_the_place_of_what_was_promised() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second, third] = payments();
    let promised = [first.clone(), second, third];
    let world = World::begin(directory.path(), &promised, false).await;
    assert_eq!(world.promised().await, 3);
    let adopted = world.writer.orders.adopt(world.order(vec![first.clone()])).await.unwrap();
    assert_eq!(adopted.unwrap().number(), 1);
    world.wait_for_block(&[first]).await;
    world.end().await;
}

/// Some transactions are promised before their block is sealed and some are sealed before that, as it happens; each is told of
/// once, with what comes before it.
#[tokio::test(flavor = "multi_thread")]
async fn subscribers_hear_of_each_transaction_once() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::begin(directory.path(), &[], true).await;
    let mut runs = world.chain.promises();
    let payments = payments();
    for payment in &payments {
        world.submit(payment).await;
    }
    world.wait_for_block(&payments).await;
    let head = world.chain.head();
    let block = &head.block.block;

    let mut before: Option<Before> = None;
    while before.is_none_or(|before| before.transactions < block.transactions.len()) {
        let run =
            tokio::time::timeout(Duration::from_secs(60), runs.recv()).await.unwrap().unwrap();
        // The deposit may have been promised before anybody listened.
        let expected = before.unwrap_or(run.before);
        assert_eq!(run.before, expected);
        assert!(before.is_some() || run.before.transactions <= 1);
        assert_eq!(run.header.number, 1);
        let mut next = expected;
        for (transaction, receipt) in &run.transactions {
            assert_eq!(transaction.hash(), block.transactions[next.transactions].hash());
            assert_eq!(*receipt, head.block.receipts[next.transactions]);
            next.transactions += 1;
            next.logs += receipt.logs.len();
            next.gas = receipt.cumulative_gas_used;
        }
        before = Some(next);
    }
    assert!(runs.try_recv().is_err());
    world.end().await;
}

/// A block may come by another way than the open block.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_hears_of_what_l1_orders() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second, _] = payments();
    let world = World::begin(directory.path(), &[], false).await;
    let chain = world.chain.clone();
    let mut waiting = chain.waiters.wait(decode(&second).hash());
    let mut runs = chain.promises();
    let order = world.order(vec![first, second]);
    world.writer.orders.adopt(order).await.unwrap().unwrap();
    match waiting.news().await.unwrap() {
        News::Sealed(block, 2) => assert_eq!(block.block.number(), 1),
        news => panic!("{news:?}"),
    }
    let run = runs.recv().await.unwrap();
    assert_eq!((run.before, run.transactions.len()), (Before::default(), 3));
    world.end().await;
}
