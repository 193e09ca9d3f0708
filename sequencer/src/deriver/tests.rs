//! Derivation beside an L1 that changes its mind between any two answers: whatever it was told in between, in the end it
//! has what somebody has who comes later.
//!
//! Nobody posts batches here. A follower's blocks come of sequencing windows that expire, so that each depends on L1; a
//! sequencer's are its own, and those stay that refer to L1 blocks which do.

mod made_up_l1;

use std::{path::Path, sync::Arc, time::Duration};

use futures::FutureExt;
use millrace_contracts::{DevGenesis, Genesis};
use millrace_protocol::{BlockId, RollupConfig};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::watch;

use self::made_up_l1::{CHAIN_ID, Change, FIRST, MadeUpL1};
use super::{Goal, SafeHeads};
use crate::{
    builder::{L1Origins, Origin},
    chain::{Chain, testing},
    clock,
    config::{Config, Settings},
    genesis,
    health::Health,
    l1_side::{L1Side, Running},
    l2_ref,
    metrics::Metrics,
    writer::{Assignment, Writer},
};

/// How often L1 changes in a world.
const CHANGES: usize = 12;

/// How long ago L2 began, in seconds: a sequencer makes as many blocks as fast as it can.
const AGO_S: u64 = 300;

const PATIENCE: Duration = Duration::from_secs(120);

/// A rollup on an L1.
#[derive(Clone)]
struct Rollup {
    config: Arc<RollupConfig>,
    genesis: Genesis,
}

impl Rollup {
    fn on(l1: &MadeUpL1, timestamp: u64, seq_window_size: u64) -> Self {
        let genesis = Genesis::dev(DevGenesis { timestamp, ..DevGenesis::default() });
        let header = genesis::header(&genesis);
        let mut config = RollupConfig {
            spec: genesis.spec.clone(),
            block_time: 1,
            seq_window_size,
            l1_chain_id: CHAIN_ID,
            ..RollupConfig::usual(genesis.spec.chain_id())
        };
        config.genesis.l1 = l1.id(FIRST).unwrap();
        config.genesis.l2 = BlockId { number: header.number, hash: header.hash() };
        config.genesis.l2_time = header.timestamp;
        Self { config: Arc::new(config), genesis }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Follower,
    /// Its origins have so many blocks above them.
    Sequencer {
        confirmations: u64,
    },
}

/// A node without an edge.
struct Node {
    chain: Arc<Chain>,
    heads: Arc<SafeHeads>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    stop_deriving: watch::Sender<bool>,
    running: Running,
    writer: Writer,
}

impl Node {
    async fn start(directory: &Path, l1: &MadeUpL1, rollup: &Rollup, role: Role) -> Self {
        let state = millrace_state::Config::default();
        let (chain, executor) = testing::open(directory, &rollup.genesis, state).await;
        let mut config = Config::from_settings(&Settings::defaults()).unwrap();
        config.l1.urls = vec![l1.url.clone()];
        config.l1.poll = Duration::from_millis(5);
        let side = L1Side::new(&config.l1, rollup.config.clone(), &chain).await.unwrap();
        let origin = match role {
            Role::Follower => None,
            Role::Sequencer { confirmations } => {
                let (rollup, window) = (rollup.config.clone(), side.window.clone());
                Some(Box::new(L1Origins { rollup, window, confirmations }) as Box<dyn Origin>)
            }
        };
        let (health, metrics) =
            (Arc::new(Health::default()), Arc::new(Metrics::new(executor.clone())));
        let assignment = Assignment {
            origin,
            block_time_s: rollup.config.block_time,
            gas_limit: rollup.config.genesis.system_config.gas_limit,
            throttle: watch::channel(false).1,
            health: health.clone(),
            metrics: metrics.clone(),
        };
        let writer = Writer::start(&chain, &executor, &config, assignment);
        let heads = side.heads.clone();
        let (stop_deriving, mut stopped) = watch::channel(false);
        let until_stopped =
            async move { stopped.wait_for(|stopped| *stopped).await.map_or((), drop) };
        let links = writer.links(Goal::Follow, Box::new(drop));
        let running = side.run(links, until_stopped.boxed().shared());
        Self { chain, heads, health, metrics, stop_deriving, running, writer }
    }

    /// Ends it; whatever went wrong in it fails the test.
    async fn stop(self) {
        self.stop_deriving.send_replace(true);
        self.running.deriving.await.unwrap().unwrap();
        self.running.following.await.unwrap();
        self.writer.stop();
        self.writer.building.await.unwrap().unwrap();
    }

    fn head(&self) -> BlockId {
        l2_ref::id(&self.chain.head().block.block)
    }

    /// The origin of a block.
    async fn origin(&self, number: u64, rollup: &Rollup) -> Option<BlockId> {
        let served = self.chain.block(number).await.unwrap()?;
        Some(l2_ref::of_ours(&served.block, &rollup.config).origin)
    }

    fn reorgs(&self) -> u64 {
        let text = self.metrics.text();
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix("millrace_l1_reorgs_total "));
        count.unwrap().parse().unwrap()
    }

    /// What holds at any time.
    fn check(&self, finalized: &mut u64) {
        let heads = self.heads.get();
        let now = heads.finalized.id.number;
        assert!(now <= heads.safe.id.number, "final and not safe: {heads:?}");
        assert!(now >= *finalized, "final no more: {heads:?} after {finalized}");
        *finalized = now;
        assert!(!self.writer.building.is_finished() && !self.running.deriving.is_finished());
        let problem = self.health.problem().unwrap_or_default();
        assert!(!problem.contains("contradicts"), "{problem}");
    }
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Reorganizations of any depth that may be, at moments of any kind; mostly L1 is longer afterwards. Now and then one comes
/// right upon the other.
fn changes(rng: &mut StdRng) -> Vec<Change> {
    let change = |rng: &mut StdRng| {
        let depth = rng.random_range(0..12);
        let blocks = if rng.random_ratio(1, 8) { depth } else { depth + rng.random_range(1..6) };
        let after = if rng.random_ratio(1, 4) { 0 } else { rng.random_range(1..200) };
        Change { after, depth, blocks }
    };
    (0..CHANGES).map(|_| change(rng)).collect()
}

/// A world in which L1 changes while a node runs; in the end all that it has is L1's.
#[expect(clippy::print_stdout, reason = "whoever looks at a failure needs the seed")]
async fn check(role: Role, seed: u64) {
    println!("{role:?}: seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let begun = clock::unix_time().as_secs() - AGO_S;
    let l1 = MadeUpL1::start(seed, begun).await;
    l1.extend(5);
    let window = if role == Role::Follower { 2 } else { 1_000 };
    let rollup = Rollup::on(&l1, begun, window);
    let directory = tempfile::tempdir().unwrap();
    let mut finalized = 0;
    let mut reorgs = 0;
    // Once more after a restart, during which L1 changes, too.
    for _ in 0..2 {
        l1.plan(changes(&mut rng));
        let node = Node::start(directory.path(), &l1, &rollup, role).await;
        eventually("all that was to happen", async || {
            node.check(&mut finalized);
            l1.is_done()
        })
        .await;
        // L1 is longer than ever, so that it is followed.
        l1.extend(13);
        settle(&node, &l1, &rollup, role).await;
        node.check(&mut finalized);
        reorgs += node.reorgs();
        if role == Role::Follower {
            let fresh = tempfile::tempdir().unwrap();
            let other = Node::start(fresh.path(), &l1, &rollup, role).await;
            eventually("the same chain", async || {
                other.heads.get().safe == node.heads.get().safe && other.head() == node.head()
            })
            .await;
            other.stop().await;
        }
        node.stop().await;
    }
    assert_eq!(finalized > 0, role == Role::Follower, "final up to {finalized}");
    assert!(reorgs > 2, "L1 was hardly reorganized");
}

/// Waits until a node has made of L1 what there is to make, and looks at all of it.
async fn settle(node: &Node, l1: &MadeUpL1, rollup: &Rollup, role: Role) {
    let tip = l1.tip();
    eventually("L1 to be read", async || node.heads.get().l1_read == tip).await;
    let reach = match role {
        // The next block of L1 will be too late for this epoch.
        Role::Follower => tip.number - 3,
        Role::Sequencer { confirmations } => tip.number - confirmations,
    };
    eventually("the newest epoch", async || {
        let origin = node.origin(node.head().number, rollup).await;
        origin.is_some_and(|origin| origin.number >= reach)
    })
    .await;
    let head = node.head().number;
    for number in 1..=head {
        let origin = node.origin(number, rollup).await.expect("a block");
        assert_eq!(l1.id(origin.number), Some(origin), "the origin of block {number} of {head}");
    }
}

/// As many as are asked for, from `MILLRACE_SEED` on if it is set.
fn seeds() -> impl Iterator<Item = u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's knobs are not the node's configuration"
    )]
    let first = std::env::var("MILLRACE_SEED");
    let first = first.map_or_else(|_| rand::random(), |text| text.parse().expect("a number"));
    (0..).map(move |number: u64| number.wrapping_add(first))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_has_what_l1_says_in_the_end() {
    let worlds = seeds().take(2).map(|seed| check(Role::Follower, seed));
    futures::future::join_all(worlds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequencers_blocks_refer_to_what_is_on_l1() {
    let worlds = [0, 2].into_iter().zip(seeds());
    let worlds = worlds.map(|(confirmations, seed)| check(Role::Sequencer { confirmations }, seed));
    futures::future::join_all(worlds).await;
}
