//! The loop: waits for events, hands them to the state, and does what that asks for.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::Future,
    panic::resume_unwind,
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, TxHash};
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use millrace_protocol::{BlockId, RollupConfig};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tracing::warn;

use crate::{
    config::{Config, ConfigError},
    faces::{FaceError, L1, Ledger, Place, SealedBlocks, Signer},
    handle::Handle,
    limits::{COMMANDS_MAX, ENCODE_INLINE_BYTES_MAX},
    metrics::{Backlog, Figures},
    payload::{Draft, Payload},
    record::{Kind, Loaded, Record},
    state::{Action, BatchError, Command, Event, Look, State, Work},
};

/// The batcher's neighbours.
#[derive(Clone)]
pub struct Faces {
    /// Where blocks come from.
    pub blocks: Arc<dyn SealedBlocks>,
    /// Where they go.
    pub l1: Arc<dyn L1>,
    /// Where transactions are written down.
    pub ledger: Arc<dyn Ledger>,
    /// Who signs them.
    pub signer: Arc<dyn Signer>,
}

/// Posts sealed blocks to L1.
#[derive(Debug)]
pub struct Batcher {
    config: Config,
    faces: Faces,
    commands: mpsc::Receiver<Command>,
    derived: watch::Receiver<Option<crate::faces::Derived>>,
    backlog: watch::Sender<Backlog>,
    figures: watch::Sender<Figures>,
}

/// How often the state looks at the clock.
const TICK: Duration = Duration::from_millis(200);
/// Look-ups at L1 under way at a time.
const LOOKUPS_MAX: usize = 16;
/// How long the end waits for a ledger that is being written to. It may be cut off at any moment, but need not be.
const WRITE_GRACE: Duration = Duration::from_secs(2);

impl Batcher {
    /// A batcher that is not running yet, and its handle.
    pub fn new(config: Config, faces: Faces) -> Result<(Self, Handle), ConfigError> {
        config.validate()?;
        let (commands_in, commands) = mpsc::channel(COMMANDS_MAX);
        let (derived_in, derived) = watch::channel(None);
        let (backlog, backlog_out) = watch::channel(Backlog::default());
        let (figures, figures_out) = watch::channel(Figures::default());
        let handle = Handle {
            commands: commands_in,
            derived: Arc::new(derived_in),
            backlog: backlog_out,
            figures: figures_out,
        };
        Ok((Self { config, faces, commands, derived, backlog, figures }, handle))
    }

    /// Runs until `shutdown` resolves; then a write to the ledger is finished, if it takes no longer than two seconds, and
    /// nothing else: nobody has to wait for an L1 that does not answer.
    ///
    /// It may be killed at any moment all the same: the ledger has everything that a successor needs.
    pub async fn run(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), BatchError> {
        let mut shutdown = std::pin::pin!(shutdown.fuse());
        let start = Instant::now();
        let loaded = tokio::select! {
            () = &mut shutdown => return Ok(()),
            loaded = load(&*self.faces.ledger, self.config.retry) => loaded,
        };
        let mut tip = self.faces.blocks.tip();
        let first_tip = *tip.borrow_and_update();
        let rollup = self.config.rollup.clone();
        let account = self.faces.signer.address();
        let mut state = State::new(self.config, account, loaded, first_tip, B256::random());
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut under_way: FuturesUnordered<BoxFuture<'static, Event>> = FuturesUnordered::new();
        let mut writing: FuturesUnordered<BoxFuture<'static, Event>> = FuturesUnordered::new();
        loop {
            let event = tokio::select! {
                () = &mut shutdown => break,
                Some(event) = writing.next() => event,
                Some(event) = under_way.next() => event,
                Some(command) = self.commands.recv() => Event::Command(command),
                Ok(()) = tip.changed() => Event::Tip(*tip.borrow_and_update()),
                Ok(()) = self.derived.changed() => match *self.derived.borrow_and_update() {
                    Some(derived) => Event::Derived(derived),
                    None => Event::Tick,
                },
                _ = ticks.tick() => Event::Tick,
            };
            for action in state.handle(start.elapsed(), event)? {
                let work =
                    if matches!(action, Action::Write(_)) { &mut writing } else { &mut under_way };
                work.push(perform(self.faces.clone(), rollup.clone(), action).boxed());
            }
            publish(&self.backlog, state.backlog());
            publish(&self.figures, state.figures().clone());
        }
        let written = async { while writing.next().await.is_some() {} };
        if timeout(WRITE_GRACE, written).await.is_err() {
            warn!("the ledger is still being written to: the next start finds out what it holds");
        }
        Ok(())
    }
}

fn publish<T: PartialEq>(to: &watch::Sender<T>, value: T) {
    to.send_if_modified(|current| {
        let changed = *current != value;
        *current = value;
        changed
    });
}

async fn load(ledger: &dyn Ledger, retry: Duration) -> Loaded {
    loop {
        match ledger.load().await {
            Ok(loaded) => return loaded,
            Err(error) => warn!(%error, "load the ledger failed; it is tried again"),
        }
        sleep(retry).await;
    }
}

async fn perform(faces: Faces, rollup: Arc<RollupConfig>, action: Action) -> Event {
    match action {
        Action::Read { generation, first, count } => {
            Event::Read(generation, faces.blocks.blocks(first, count).await)
        }
        Action::Check { generation, blocks } => {
            Event::Checked(generation, check(&*faces.blocks, &blocks).await)
        }
        Action::Encode(work) => encode(work).await,
        Action::Sign(drafts) => Event::Signed(sign(&*faces.signer, &rollup, drafts).await),
        Action::Write(changes) => Event::Written(faces.ledger.apply(changes).await),
        Action::Send { hash, raw } => Event::Sent(hash, faces.l1.send(raw).await),
        Action::Look { hashes, sent, unless } => {
            Event::Looked(look(&*faces.l1, faces.signer.address(), hashes, sent, unless).await)
        }
    }
}

async fn encode(work: Work) -> Event {
    if work.bytes() <= ENCODE_INLINE_BYTES_MAX {
        return Event::Encoded(work.run());
    }
    Event::Encoded(blocking(move || work.run()).await)
}

/// Runs what takes long beside the async threads. A panic goes on as if it had happened here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

async fn check(blocks: &dyn SealedBlocks, expected: &[BlockId]) -> Result<Vec<bool>, FaceError> {
    let mut canonical = Vec::with_capacity(expected.len());
    for block in expected {
        canonical.push(blocks.hash(block.number).await? == Some(block.hash));
    }
    Ok(canonical)
}

async fn sign(
    signer: &dyn Signer,
    rollup: &RollupConfig,
    drafts: Vec<Draft>,
) -> Result<Vec<Record>, FaceError> {
    let mut records = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let (payload, kind) = (draft.payload.clone(), draft.kind);
        let cargo = match (&payload, kind) {
            (Payload::Frames(_), Kind::Blobs) => blocking(move || payload.load(kind)).await,
            _ => payload.load(kind),
        };
        let cargo = cargo.map_err(|error| FaceError(error.to_string()))?;
        let unsigned = draft.unsigned(&cargo, rollup);
        let signature = signer.sign(unsigned.clone()).await?;
        records.push(draft.sealed(unsigned, cargo, signature));
    }
    Ok(records)
}

/// The nonce is asked for before the transactions: one that it counts can then be found.
async fn look(
    l1: &dyn L1,
    account: Address,
    hashes: Vec<TxHash>,
    sent: Vec<TxHash>,
    unless: Option<B256>,
) -> Result<Option<Look>, FaceError> {
    let head = l1.head().await?;
    if unless == Some(head.hash) {
        return Ok(None);
    }
    let account = l1.account(account).await?;
    let market = l1.market().await?;
    let lookup = |hash| async move { Ok((hash, l1.find(hash).await?)) };
    let places: HashMap<_, _> = stream::iter(hashes.into_iter().map(lookup))
        .buffer_unordered(LOOKUPS_MAX)
        .try_collect()
        .await?;
    let located = places.iter().filter_map(|(hash, place)| match place {
        Place::Block(inclusion) => Some((*hash, *inclusion)),
        Place::Pool | Place::Nowhere => None,
    });
    let located = located.collect();
    let vanished = |hash: &TxHash| places.get(hash) == Some(&Place::Nowhere);
    let vanished: HashSet<_> = sent.into_iter().filter(vanished).collect();
    Ok(Some(Look { head, account, market, located, vanished }))
}

impl fmt::Debug for Faces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faces").field("signer", &self.signer.address()).finish_non_exhaustive()
    }
}
