//! The batcher as a whole against an L1 that misbehaves and a process that dies, on a clock that jumps.
//!
//! Every scenario ends in the same way: the faults stop, and what L1 holds must read as exactly the chain. A failure
//! prints its seed.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod interruptions;
mod reader;
mod restarts;
mod troubles;
mod world;

use std::{future::pending, num::NonZeroU128, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, U256};
use millrace_batcher::{
    BatchFormat, Batcher, Config, Derived, Faces, FeeCaps, Handle, Kind, KindPolicy, Signer,
};
use millrace_protocol::{BlockId, CompressionAlgo, RollupConfig, RollupGenesis};
use tokio::time::sleep;

use crate::{
    reader::{Reading, read},
    world::{Faults, GWEI, Pooled, World},
};

const BLOCK_TIME: Duration = Duration::from_secs(2);
/// L2 blocks for each L1 block.
const BLOCKS: usize = 6;

fn rollup() -> Arc<RollupConfig> {
    let usual = RollupConfig::usual(901);
    let genesis = RollupGenesis {
        l1: BlockId { number: 0, hash: B256::repeat_byte(0x11) },
        l2: BlockId { number: 0, hash: B256::repeat_byte(0x22) },
        ..usual.genesis
    };
    Arc::new(RollupConfig {
        genesis,
        block_time: BLOCK_TIME.as_secs(),
        batch_inbox: Address::repeat_byte(0xff),
        ..usual
    })
}

/// Small transactions and frames, so that channels span several of them.
fn config(kind: Kind, format: BatchFormat) -> Config {
    Config {
        format,
        compression: CompressionAlgo::Zlib { level: 6 },
        kind: KindPolicy::Only(kind),
        channel_transactions: 3,
        calldata_bytes_max: 700,
        blob_bytes_max: 600,
        blobs_max: 2,
        channel_duration_max: 3,
        confirmations: 6,
        ..Config::new(rollup())
    }
}

struct Run {
    world: Arc<World>,
    config: Config,
    handle: Handle,
    running: tokio::task::JoinHandle<()>,
    slots: usize,
    /// Whose transactions count as batches, as derivation tells it.
    batcher: Address,
}

impl Run {
    fn new(seed: u64, config: Config, faults: Faults) -> Self {
        println!("seed {seed} {faults:?}");
        let world = World::new(config.rollup.clone(), seed, faults);
        let (handle, running) = start(&world, &config);
        let batcher = world.address();
        Self { world, config, handle, running, slots: 0, batcher }
    }

    /// The process dies and is started again. Derivation has said nothing yet.
    fn restart(&mut self) {
        self.running.abort();
        (self.handle, self.running) = start(&self.world, &self.config);
    }

    /// One L2 block's time, in which the process may die and be started again.
    async fn slot(&mut self) {
        tokio::select! {
            () = self.world.crashed.notified() => {
                self.restart();
                self.tell();
            }
            () = sleep(BLOCK_TIME) => {}
        }
        assert!(!self.running.is_finished(), "the batcher gave up");
        self.slots += 1;
        if self.slots.is_multiple_of(BLOCKS) {
            self.world.lock().mine();
            self.tell();
        }
    }

    /// So many L1 blocks with a chain that grows.
    async fn grow(&mut self, l1_blocks: usize) {
        for _ in 0..l1_blocks * BLOCKS {
            self.world.seal();
            self.slot().await;
        }
    }

    /// So many L1 blocks with a chain that doesn't.
    async fn rest(&mut self, l1_blocks: usize) {
        for _ in 0..l1_blocks * BLOCKS {
            self.slot().await;
        }
    }

    fn tell(&self) {
        let (safe, l1_number) = (self.reading().safe, self.world.lock().head().number);
        self.handle.derived(Derived { l1_number, safe, batcher: self.batcher });
    }

    fn reading(&self) -> Reading {
        read(&self.world.lock(), &self.config.rollup)
    }

    /// The faults stop, and everything gets safe within so many L1 blocks.
    async fn settle(&mut self, l1_blocks: usize) -> Reading {
        self.world.lock().faults = Faults::default();
        let tip = self.world.lock().tip().number;
        for _ in 0..l1_blocks {
            self.handle.flush().await.unwrap();
            self.rest(1).await;
            let reading = self.reading();
            if reading.safe == tip {
                println!("{reading:?}, {:?}", self.handle.figures().borrow());
                return reading;
            }
        }
        panic!("{} of {tip} blocks are safe, {:?}", self.reading().safe, self.handle.figures());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// The world plays all parts.
fn faces(world: &Arc<World>) -> Faces {
    Faces { blocks: world.clone(), l1: world.clone(), ledger: world.clone(), signer: world.clone() }
}

fn start(world: &Arc<World>, config: &Config) -> (Handle, tokio::task::JoinHandle<()>) {
    let (batcher, handle) = Batcher::new(config.clone(), faces(world)).unwrap();
    let running = tokio::spawn(async move {
        batcher.run(pending()).await.unwrap();
    });
    (handle, running)
}

#[tokio::test(start_paused = true)]
async fn posts_the_chain_and_nothing_twice() {
    for (kind, format) in [
        (Kind::Calldata, BatchFormat::Singular),
        (Kind::Calldata, BatchFormat::Span),
        (Kind::Blobs, BatchFormat::Singular),
        (Kind::Blobs, BatchFormat::Span),
    ] {
        let mut run = Run::new(1, config(kind, format), Faults::default());
        run.grow(10).await;
        let reading = run.settle(10).await;
        assert_eq!((reading.repeated, reading.lost_frames), (0, 0));
        assert!(reading.frames_max > 1, "channels span transactions");
        // In time everything is settled and forgotten.
        run.rest(20).await;
        let open = run.world.lock().ledger.values().filter(|(_, fate)| fate.is_none()).count();
        assert_eq!(open, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn dies_between_any_two_steps_and_posts_nothing_twice() {
    let faults = Faults {
        crash: 0.01,
        fail: 0.05,
        lost_reply: 0.05,
        stale: 0.05,
        left_out: 0.2,
        ..Faults::default()
    };
    let mut crashes = 0;
    for seed in 0..8 {
        let format = [BatchFormat::Span, BatchFormat::Singular][seed as usize % 2];
        let mut run = Run::new(seed, config(Kind::Calldata, format), faults);
        run.grow(40).await;
        let reading = run.settle(60).await;
        assert_eq!((reading.repeated, reading.lost_frames), (0, 0), "seed {seed}");
        crashes += run.world.lock().crashes;
    }
    assert!(crashes > 100, "only {crashes} crashes");
}

#[tokio::test(start_paused = true)]
async fn dies_with_blobs() {
    let faults = Faults { crash: 0.01, fail: 0.05, lost_reply: 0.05, ..Faults::default() };
    let mut run = Run::new(9, config(Kind::Blobs, BatchFormat::Span), faults);
    run.grow(12).await;
    let reading = run.settle(60).await;
    assert_eq!((reading.repeated, reading.lost_frames), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn reorgs_of_any_depth_with_crashes() {
    let faults = Faults {
        crash: 0.003,
        fail: 0.02,
        lost_reply: 0.02,
        stale: 0.05,
        left_out: 0.1,
        reorg: 0.15,
        depth_max: 10,
        dropped: 0.5,
        ..Faults::default()
    };
    for seed in 20..28 {
        let mut run = Run::new(seed, config(Kind::Calldata, BatchFormat::Span), faults);
        run.grow(60).await;
        run.settle(150).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reorg_that_drops_transactions_brings_the_same_bytes_again() {
    let faults = Faults { reorg: 0.2, depth_max: 3, dropped: 1.0, ..Faults::default() };
    // Transactions are held longer than reorgs are deep: nothing is encoded anew.
    let mut run = Run::new(30, config(Kind::Calldata, BatchFormat::Span), faults);
    run.grow(60).await;
    let reading = run.settle(60).await;
    assert_eq!(reading.repeated, 0);
    assert_eq!(run.handle.figures().borrow().abandoned_total, 0);
}

#[tokio::test(start_paused = true)]
async fn fees_rise_a_hundredfold() {
    for kind in [Kind::Calldata, Kind::Blobs] {
        let mut config = config(kind, BatchFormat::Span);
        config.doubt = 6;
        let mut run = Run::new(40, config, Faults::default());
        run.grow(5).await;
        // To commit to blobs takes long in real time.
        for _ in 0..if kind == Kind::Blobs { 1 } else { 2 } {
            // Something has to be in flight at the old price.
            run.world.lock().closed = true;
            run.grow(4).await;
            run.world.lock().closed = false;
            {
                let market = &mut run.world.lock().market;
                market.base_fee *= 100;
                market.blob_base_fee = (market.blob_base_fee * 100).max(100 * GWEI);
            }
            run.grow(10).await;
            let market = run.world.lock().market;
            println!("{market:?} {:?}", run.handle.figures().borrow());
            assert!(run.handle.backlog().borrow().blocks < 100, "posting goes on");
            run.world.lock().market.base_fee /= 100;
            run.world.lock().market.blob_base_fee = 1;
            run.grow(5).await;
        }
        assert!(run.handle.figures().borrow().bumps_total > 0);
        run.settle(20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_cap_it_waits_for_prices_to_fall() {
    let mut config = config(Kind::Calldata, BatchFormat::Span);
    config.caps = FeeCaps { fee_cap_max: 50 * GWEI, ..FeeCaps::default() };
    config.backlog_blocks_max = 50;
    let mut run = Run::new(41, config, Faults::default());
    run.grow(5).await;
    run.world.lock().market.base_fee = 500 * GWEI;
    run.grow(15).await;
    assert!(run.handle.figures().borrow().capped > 0);
    assert!(run.handle.backlog().borrow().is_over);
    run.world.lock().market.base_fee = 10 * GWEI;
    run.settle(20).await;
    assert!(!run.handle.backlog().borrow().is_over);
    assert_eq!(run.handle.figures().borrow().capped, 0);
}

#[tokio::test(start_paused = true)]
async fn the_cheaper_kind_is_chosen_and_kinds_are_not_mixed() {
    let mut config = config(Kind::Calldata, BatchFormat::Span);
    config.kind = KindPolicy::Cheaper {
        start: Kind::Calldata,
        hysteresis_percent: NonZeroU128::new(20).unwrap(),
    };
    let mut run = Run::new(42, config, Faults { left_out: 0.3, ..Faults::default() });
    run.grow(5).await;
    assert_eq!(run.handle.figures().borrow().kind, Some(Kind::Blobs));
    run.world.lock().market.blob_base_fee = 100 * GWEI;
    run.grow(10).await;
    assert_eq!(run.handle.figures().borrow().kind, Some(Kind::Calldata));
    run.world.lock().market.blob_base_fee = 1;
    run.grow(10).await;
    let reading = run.settle(30).await;
    assert_eq!((reading.repeated, reading.lost_frames), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_transaction_occupies_the_nonce() {
    // Cheap, and stuck for ever unless it is replaced.
    let mut run = Run::new(50, config(Kind::Calldata, BatchFormat::Span), Faults::default());
    run.world.lock().pool.insert(0, Pooled::foreign(0, Kind::Calldata, 2 * GWEI, 60 * GWEI));
    run.world.lock().market.base_fee = 61 * GWEI;
    run.world.lock().market.tip = 1;
    run.grow(20).await;
    let reading = run.settle(20).await;
    assert_eq!(reading.repeated, 0);

    // Stuck, and of the kind that ours can't replace.
    let mut run = Run::new(52, config(Kind::Calldata, BatchFormat::Span), Faults::default());
    run.world.lock().pool.insert(0, Pooled::foreign(0, Kind::Blobs, GWEI, GWEI));
    run.grow(4).await;
    run.settle(20).await;
    assert_eq!(run.handle.figures().borrow().abandoned_total, 1);

    // Included before ours: the nonce is gone.
    let mut run = Run::new(51, config(Kind::Calldata, BatchFormat::Span), Faults::default());
    run.grow(6).await;
    run.world.lock().closed = true;
    run.grow(3).await;
    {
        let mut world = run.world.lock();
        let nonce = world.account().nonce;
        world.pool.insert(nonce, Pooled::foreign(nonce, Kind::Calldata, 100 * GWEI, 1_000 * GWEI));
        world.closed = false;
    }
    run.grow(20).await;
    run.settle(40).await;
    assert!(run.handle.figures().borrow().abandoned_total > 0);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_misses_its_timeout_is_posted_again() {
    let mut run = Run::new(60, config(Kind::Calldata, BatchFormat::Span), Faults::default());
    run.world.lock().faults.left_out = 0.5;
    let mut part_way = false;
    for _ in 0..50 {
        run.grow(1).await;
        // Stop when a channel is included in part.
        let (mut open, mut first) = (false, true);
        for block in &run.world.lock().l1 {
            for data in block.transactions.iter().flat_map(|transaction| &transaction.inbox) {
                open = !millrace_protocol::decode_frames(data).unwrap().last().unwrap().is_last;
                first = false;
            }
        }
        if open && !first {
            part_way = true;
            break;
        }
    }
    assert!(part_way, "a channel is cut in two");
    run.world.lock().closed = true;
    run.rest(60).await;
    run.world.lock().closed = false;
    run.settle(60).await;
    assert!(run.handle.figures().borrow().abandoned_total > 0);
}

#[tokio::test(start_paused = true)]
async fn an_empty_account_waits_for_money() {
    let mut run = Run::new(70, config(Kind::Calldata, BatchFormat::Span), Faults::default());
    run.grow(5).await;
    let balance = std::mem::take(&mut run.world.lock().account().balance);
    run.grow(10).await;
    let figures = run.handle.figures().borrow().clone();
    assert!(figures.unfunded && figures.balance_low, "{figures:?}");
    run.world.lock().account().balance = balance;
    let reading = run.settle(30).await;
    assert_eq!((reading.repeated, reading.lost_frames), (0, 0));
    let figures = run.handle.figures().borrow().clone();
    assert!(!figures.unfunded && figures.cost_per_hour > Some(U256::ZERO));
}

#[tokio::test(start_paused = true)]
async fn blocks_that_are_rolled_back_are_replaced() {
    for seed in 80..84 {
        let faults = Faults { left_out: 0.3, crash: 0.002, ..Faults::default() };
        let mut run = Run::new(seed, config(Kind::Calldata, BatchFormat::Span), faults);
        for round in 0..6 {
            run.grow(5).await;
            let tip = run.world.lock().tip().number;
            let safe = run.reading().safe;
            let unsafe_blocks = (tip - safe) as usize;
            // What is safe stays; at times the tip is back where it was before anybody looks.
            run.world.roll_back(unsafe_blocks * (round % 3) / 2);
            if round % 2 == 0 {
                while run.world.lock().tip().number < tip {
                    run.world.seal();
                }
            }
        }
        run.settle(80).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_ledger_begins_at_the_safe_head() {
    let mut run = Run::new(90, config(Kind::Calldata, BatchFormat::Span), Faults::default());
    run.grow(10).await;
    run.running.abort();
    run.world.lock().ledger.clear();
    run.restart();
    run.tell();
    run.grow(10).await;
    run.settle(60).await;
}

#[tokio::test(start_paused = true)]
async fn pauses_resumes_and_shuts_down() {
    let config = config(Kind::Calldata, BatchFormat::Span);
    let mut run = Run::new(95, config.clone(), Faults::default());
    run.grow(5).await;
    run.handle.pause().await.unwrap();
    run.rest(10).await;
    let posted = run.handle.figures().borrow().posted;
    run.grow(5).await;
    assert_eq!(run.handle.figures().borrow().posted, posted);
    run.handle.resume().await.unwrap();
    run.settle(20).await;

    run.running.abort();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (batcher, handle) = Batcher::new(config, faces(&run.world)).unwrap();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let running = tokio::spawn(batcher.run(shutdown));
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    assert!(handle.flush().await.is_err());
}
