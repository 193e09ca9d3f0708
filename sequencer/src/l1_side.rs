//! The L1 side of a node: what follows L1, derives from it and posts to it, wired together.

use std::{future::Future, sync::Arc, time::Duration};

use alloy_primitives::Address;
use anyhow::{Context, anyhow, bail};
use millrace_batcher::{Backlog, Batcher, Derived, Faces, Figures, Handle};
use millrace_derivation::{L2Ref, Start};
use millrace_l1::{
    At, BeaconConfig, BlobSchedule, BlobSource, ClientConfig, EndpointConfig, Follower,
    FollowerConfig, FollowerHandle, L1Client, Reader, ScheduleVerdict,
};
use millrace_protocol::{BlockId, RollupConfig};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    builder::{L1Window, Orders},
    chain::Chain,
    config::{BatcherConfig, L1Config},
    deriver::{Deriver, Goal, SILENCE_MAX, SafeHeads, silence},
    health::{Health, Part},
    journal::JournalLedger,
    l2_ref,
    metrics::Metrics,
    posting::{self, Journaled, L1Face},
};

/// L1, as far as one rollup is concerned: who is asked, and what for.
pub(crate) struct L1Side {
    pub(crate) client: L1Client,
    reader: Arc<Reader>,
    follower: Follower,
    pub(crate) handle: FollowerHandle,
    events: mpsc::Receiver<millrace_l1::Event>,
    rollup: Arc<RollupConfig>,
    pub(crate) heads: Arc<SafeHeads>,
    pub(crate) window: Arc<L1Window>,
}

/// The part of a node's L1 side that runs.
pub(crate) struct Running {
    pub(crate) following: JoinHandle<()>,
    pub(crate) deriving: JoinHandle<anyhow::Result<()>>,
}

/// A client of the configured endpoints. Each has to be of this chain and to have this block.
pub(crate) fn client(
    config: &L1Config,
    chain_id: u64,
    genesis: Option<BlockId>,
) -> anyhow::Result<L1Client> {
    let names = 1..;
    let endpoints =
        names.zip(&config.urls).map(|(n, url)| EndpointConfig::new(format!("l1-{n}"), url));
    let mut client = ClientConfig::new(endpoints.collect(), chain_id, genesis);
    client.heads_age_max = config.poll;
    L1Client::new(client).context("l1.url")
}

impl L1Side {
    /// Prepares everything; nothing is asked yet but our own journal.
    pub(crate) async fn new(
        config: &L1Config,
        rollup: Arc<RollupConfig>,
        chain: &Chain,
    ) -> anyhow::Result<Self> {
        let client = client(config, rollup.l1_chain_id, Some(rollup.genesis.l1))?;
        if config.beacon_urls.is_empty() && PUBLIC_L1S.contains(&rollup.l1_chain_id) {
            bail!("l1.beacon_url: blobs on L1 {} are read from a beacon node", rollup.l1_chain_id);
        }
        let beacon = |(n, url): (usize, &String)| BeaconConfig {
            endpoint: EndpointConfig::new(format!("beacon-{n}"), url),
            slot_seconds: None,
        };
        let beacons: Vec<_> = (1..).zip(&config.beacon_urls).map(beacon).collect();
        let blobs = BlobSource::new(&beacons).context("l1.beacon_url")?;
        let schedule = BlobSchedule::of_chain(rollup.l1_chain_id);
        let reader = Arc::new(Reader::new(client.clone(), blobs, schedule.clone(), rollup.clone()));
        let start = beginnings(chain, &rollup).await?;
        let follower = FollowerConfig { poll_interval: config.poll, ..FollowerConfig::new(start) };
        let (follower, handle, events) = Follower::new(client.clone(), schedule, follower);
        let heads = Arc::new(SafeHeads::at(finalized(chain, &rollup).await?));
        Ok(Self { client, reader, follower, handle, events, rollup, heads, window: Arc::default() })
    }

    /// Begins to follow L1 and to derive from it, until `shutdown`.
    pub(crate) fn run(
        self,
        links: Links,
        shutdown: impl Future<Output = ()> + Send + Clone + 'static,
    ) -> Running {
        let Links { chain, orders, health, metrics, goal, on_progress } = links;
        let deriver = Deriver {
            rollup: self.rollup,
            chain,
            orders,
            reader: self.reader,
            follower: self.handle,
            events: self.events,
            window: self.window,
            heads: self.heads,
            health: health.clone(),
            metrics,
            goal,
            on_progress,
        };
        let following = tokio::spawn(self.follower.run(shutdown.clone()));
        let (client, reader) = (self.client, deriver.reader.clone());
        // What derivation has heard will not do: it stands still while the journal or the builder is waited for.
        let follower = deriver.follower.clone();
        let silence = silence::watch(move || follower.head(), health.clone(), SILENCE_MAX);
        let deriving = tokio::spawn(async move {
            tokio::select! {
                // The follower ends by the same word, and whoever waits for its events then must not take that for a fault.
                biased;
                () = shutdown => Ok(()),
                derived = deriver.run() => derived.context("derive the chain from L1"),
                never = silence => match never {},
                error = watch_blob_schedule(client, reader, health) => Err(error),
            }
        });
        Running { following, deriving }
    }
}

/// How often L1's price of blobs is compared with ours.
const SCHEDULE_INTERVAL: Duration = Duration::from_secs(60);

/// How long to wait before it is compared again if they differ: another block, and a reorganization would be over.
const SCHEDULE_DOUBT_INTERVAL: Duration = Duration::from_secs(15);

/// How often in a row several endpoints have to refute our price before they are believed.
const REFUTATIONS_MIN: u32 = 3;

/// Ends when L1 prices blobs otherwise than this program: whatever we would build or derive then, others would not.
///
/// The newest block is looked at, since what comes of a fork is built long before it is final. As nothing that a hash
/// commits to tells the price, no endpoint is believed alone: then whoever looks at the node's health is told, no more.
async fn watch_blob_schedule(
    client: L1Client,
    reader: Arc<Reader>,
    health: Arc<Health>,
) -> anyhow::Error {
    let (mut refutations, mut complained) = (0, false);
    loop {
        let Ok(Some(header)) = client.header(At::Latest).await else {
            // Who follows L1 reports its silence.
            tokio::time::sleep(SCHEDULE_DOUBT_INTERVAL).await;
            continue;
        };
        let (ours, theirs) = match reader.check_blob_schedule(&header).await {
            ScheduleVerdict::Agrees => {
                refutations = 0;
                if std::mem::take(&mut complained) {
                    tracing::info!("L1 prices blobs as we do again");
                    health.clear_problem(Part::BlobPrices);
                }
                tokio::time::sleep(SCHEDULE_INTERVAL).await;
                continue;
            }
            ScheduleVerdict::Doubted { ours, theirs } => {
                refutations = 0;
                (ours, theirs)
            }
            ScheduleVerdict::Refuted { ours, theirs } => {
                refutations += 1;
                (ours, theirs)
            }
        };
        let number = header.number;
        if refutations == REFUTATIONS_MIN {
            return anyhow!(
                "L1 block {number} has a blob base fee of {theirs} wei, as several endpoints say, and by the schedule of this \
                 program {ours}: L1 has a fork that it does not know"
            );
        }
        let problem = format!(
            "L1 block {number} has a blob base fee of {ours} wei by the schedule of this program, and of {theirs} by an \
             endpoint: it is mistaken, or L1 has a fork that this program does not know"
        );
        if !std::mem::replace(&mut complained, true) {
            tracing::error!("{problem}");
        }
        health.set_problem(Part::BlobPrices, problem);
        tokio::time::sleep(SCHEDULE_DOUBT_INTERVAL).await;
    }
}

/// Ethereum, Sepolia, Holesky and Hoodi: their nodes do not serve blobs as anvil does.
const PUBLIC_L1S: [u64; 4] = [1, 11_155_111, 17_000, 560_048];

/// What derivation is connected with.
pub(crate) struct Links {
    pub(crate) chain: Arc<Chain>,
    pub(crate) orders: Orders,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) goal: Goal,
    /// Hears how far derivation has come.
    pub(crate) on_progress: Box<dyn Fn(Derived) + Send + Sync>,
}

/// Posting, if somebody signs.
pub(crate) struct Posting {
    batcher: Batcher,
    pub(crate) handle: Handle,
}

impl Posting {
    /// A batcher for our chain; nothing if no key is configured.
    pub(crate) fn new(
        config: &BatcherConfig,
        l1: &L1Config,
        side: &L1Side,
        chain: &Arc<Chain>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(key) = &config.key else { return Ok(None) };
        let faces = Faces {
            blocks: Arc::new(Journaled { chain: chain.clone(), rollup: side.rollup.clone() }),
            l1: Arc::new(L1Face(side.client.clone())),
            ledger: Arc::new(JournalLedger::new(chain.journal.clone())),
            signer: posting::signer(key)?,
        };
        let config = config.for_rollup(side.rollup.clone(), l1.poll);
        let (batcher, handle) = Batcher::new(config, faces).context("batcher")?;
        Ok(Some(Self { batcher, handle }))
    }

    /// Begins to post, until `shutdown`.
    pub(crate) fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<anyhow::Result<()>> {
        tokio::spawn(async move { self.batcher.run(shutdown).await.context("post to L1") })
    }

    /// Lets operators see why nothing is posted.
    pub(crate) fn watch(&self, health: Arc<Health>) {
        let mut figures = self.handle.figures();
        tokio::spawn(async move {
            while figures.changed().await.is_ok() {
                let (usurped, obstacle) = {
                    let figures = figures.borrow_and_update();
                    (figures.usurper.map(usurped), obstacle(&figures))
                };
                for (part, problem) in [(Part::BatcherKey, usurped), (Part::Posting, obstacle)] {
                    match problem {
                        Some(problem) => health.set_problem(part, problem),
                        None => health.clear_problem(part),
                    }
                }
            }
        });
    }

    /// Turns true while more waits to be posted than may.
    pub(crate) fn throttle(&self, health: Arc<Health>) -> watch::Receiver<bool> {
        let mut backlog = self.handle.backlog();
        let (throttle, throttled) = watch::channel(false);
        tokio::spawn(async move {
            while backlog.changed().await.is_ok() {
                let Backlog { blocks, bytes, is_over } = *backlog.borrow_and_update();
                if throttle.send_replace(is_over) == is_over {
                    continue;
                }
                if is_over {
                    tracing::error!(
                        blocks,
                        bytes,
                        "too much waits to be posted: new blocks stay empty"
                    );
                    let problem = format!("{blocks} blocks wait to be posted: new ones stay empty");
                    health.set_problem(Part::Backlog, problem);
                } else {
                    tracing::info!(blocks, bytes, "posting has caught up");
                    health.clear_problem(Part::Backlog);
                }
            }
        });
        throttled
    }
}

fn usurped(named: Address) -> String {
    format!("nothing is posted: L1 names {named} as the batcher, and our key is another one")
}

/// What keeps the batcher from posting, while it would.
fn obstacle(figures: &Figures) -> Option<String> {
    if figures.unfunded {
        return Some("nothing is posted: the batcher's account can't pay for it".into());
    }
    if let Some(trouble) = &figures.trouble {
        return Some(format!("nothing is posted: {trouble}"));
    }
    (figures.capped > 0).then(|| "posting waits: L1 asks for more than the configured caps".into())
}

/// The newest block that is known to be final.
async fn finalized(chain: &Chain, rollup: &RollupConfig) -> anyhow::Result<L2Ref> {
    let Some(finalized) = chain.journal.finalized() else { return Ok(Start::genesis(rollup).safe) };
    let block = chain.block(finalized.l2.number).await?.context("the final block is gone")?;
    Ok(l2_ref::of_ours(&block.block, rollup))
}

/// L1 blocks that our chain refers to, oldest first: the follower finds the newest of them that is still there, so that an
/// L1 which was reorganized while nobody looked is noticed.
async fn beginnings(chain: &Chain, rollup: &RollupConfig) -> anyhow::Result<Vec<BlockId>> {
    let (oldest, first) = match chain.journal.finalized() {
        Some(finalized) => (finalized.l2.number, finalized.l1),
        None => (rollup.genesis.l2.number, rollup.genesis.l1),
    };
    let head = chain.head().block.block.number();
    // One by one, then ever further back: whatever lies above the newest that is still there is taken back.
    let depths = (0..256).chain((8..32).map(|power| 1_u64 << power));
    let mut origins = Vec::new();
    for number in depths.map_while(|depth| head.checked_sub(depth)) {
        if number <= oldest {
            break;
        }
        let block = chain.block(number).await?.context("a block is gone")?;
        origins.push(l2_ref::of_ours(&block.block, rollup).origin);
    }
    origins.retain(|origin| origin.number > first.number);
    origins.push(first);
    origins.reverse();
    origins.dedup();
    Ok(origins)
}
