//! What the batcher knows and decides: an event and the time go in, actions come out. It never waits for anything.
//!
//! Every event only changes what is known; [`State::plan`] then starts whatever is due and not under way. So an event
//! that comes late, twice or not at all can delay work but not derail it.
//!
//! ```text
//! Read ─► Encode ─► Sign ─► Write ─► Send ─► Look (included?) ─► deep and safe: Write, settled
//!  ▲                  ▲                        │
//!  │                  └── offers too little ◄──┤
//!  └──────── lost, in vain or rolled back ◄────┘
//! ```
//!
//! Suggested reading order: [`assembly`] (blocks to channels), [`outbox`] (L1 transactions), this, [`events`]
//! (what is known), [`plan`] (what is done), then [`troubles`] and [`report`] (what is told).

mod assembly;
mod events;
mod outbox;
mod plan;
mod report;
mod troubles;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, TxHash};
use millrace_protocol::BlockId;
use tracing::{info, warn};

use crate::{
    channel::{ChannelError, Rates},
    config::{Config, KindPolicy},
    faces::{Account, Derived, FaceError, Inclusion, SealedBlock, SendError},
    fees::{Choice, Market},
    metrics::{Backlog, Figures, Spending},
    payload::Draft,
    record::{Change, Loaded, Record},
};

pub(crate) use self::assembly::{Done, Work};
use self::{
    assembly::Assembly,
    outbox::{Outbox, Patience, Restored, Trouble},
    troubles::Troubles,
};

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// Time passed.
    Tick,
    /// The journal's tip moved.
    Tip(BlockId),
    /// Derivation got further, or back.
    Derived(Derived),
    /// Somebody asked for something.
    Command(Command),
    /// Blocks of the generation were read.
    Read(u64, Result<Vec<Arc<SealedBlock>>, FaceError>),
    /// Which channels' last blocks are still those of the chain; asked for by the generation.
    Checked(u64, Result<Vec<bool>, FaceError>),
    /// Blocks were put into channels.
    Encoded(Result<Done, ChannelError>),
    /// Transactions were signed.
    Signed(Result<Vec<Record>, FaceError>),
    /// The oldest write was done.
    Written(Result<(), FaceError>),
    /// A transaction was offered to L1.
    Sent(TxHash, Result<(), SendError>),
    /// L1 was looked at; nothing when there was nothing new.
    Looked(Result<Option<Look>, FaceError>),
}

/// What shall be done. Of each kind at most one is under way at a time.
#[derive(Debug)]
pub(crate) enum Action {
    /// Read so many blocks from a number on.
    Read { generation: u64, first: u64, count: u64 },
    /// Compare the chain's blocks with these.
    Check { generation: u64, blocks: Vec<BlockId> },
    /// Put blocks into channels.
    Encode(Work),
    /// Sign transactions.
    Sign(Vec<Draft>),
    /// Change the ledger.
    Write(Vec<Change>),
    /// Offer a transaction to L1.
    Send { hash: TxHash, raw: Bytes },
    /// Look at L1 and for these transactions, unless this head is still the newest. Those that were sent and are nowhere
    /// have vanished.
    Look { hashes: Vec<TxHash>, sent: Vec<TxHash>, unless: Option<B256> },
}

/// What somebody may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Pause,
    Resume,
    Flush,
}

/// A look at L1.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) head: BlockId,
    pub(crate) account: Account,
    pub(crate) market: Market,
    pub(crate) located: HashMap<TxHash, Inclusion>,
    /// What was sent and is neither in a block nor in a pool.
    pub(crate) vanished: HashSet<TxHash>,
}

/// The journal holds blocks that can't be posted: nothing that the batcher could mend.
#[derive(Debug, thiserror::Error)]
#[error("encode blocks: {0}")]
pub struct BatchError(#[from] ChannelError);

#[derive(Debug)]
pub(crate) struct State {
    config: Config,
    /// The account that we sign for.
    account: Address,
    outbox: Outbox,
    /// What closes the records that another account signed. They stay open until we know where to begin, so that a
    /// successor would also wait for what L1 holds of them.
    foreign: Vec<Change>,
    assembly: Assembly,
    choice: Option<Choice>,
    /// Channels are named by this and a count: names must never come twice, not even after a crash.
    seed: B256,
    channels: u64,

    tip: BlockId,
    derived: Option<Derived>,
    seen: Option<Seen>,
    /// What the ledger remembers as settled.
    settled: Option<u64>,
    /// Blocks up to here need not be posted; nothing before we know where to begin.
    floor: Option<Floor>,
    /// The newest L1 block when we began to look.
    start_l1: Option<u64>,
    /// Whether derivation has got that far, so that it speaks of the batcher in force and not of an earlier one.
    caught_up: bool,

    writes: VecDeque<Write>,
    /// What the signer works at.
    signing: Option<Signing>,
    /// Whether a new channel is between its signature and its place in the outbox.
    pushing: bool,
    /// Whether blocks that were read may have been rolled back.
    suspect: bool,
    /// Everything up to this block shall be posted now.
    flush_to: Option<u64>,

    read: Slot,
    check: Slot,
    sign: Slot,
    write: Slot,
    look: Slot,

    troubles: Troubles,
    spending: Spending,
    block_bytes: u64,
    backlog: Backlog,
    figures: Figures,
}

const READ: &str = "read blocks";
const CHECK: &str = "check blocks";
const SIGN: &str = "sign";
const WRITE: &str = "write to the ledger";
const SEND: &str = "send";
const LOOK: &str = "look at L1";

/// The newest look at L1 without its details.
#[derive(Debug, Clone, Copy)]
struct Seen {
    head: BlockId,
    account: Account,
    market: Market,
    at: Duration,
}

/// The highest safe block that we believe in, and the L1 block by which it was safe.
#[derive(Debug, Clone, Copy)]
struct Floor {
    number: u64,
    l1_number: u64,
}

#[derive(Debug, Clone, Copy)]
enum Signing {
    Channel { generation: u64 },
    Attempt { nonce: u64 },
}

/// A change to the ledger and what follows from it.
#[derive(Debug)]
struct Write {
    changes: Vec<Change>,
    then: Then,
}

#[derive(Debug)]
enum Then {
    Nothing,
    Push { generation: u64, records: Vec<Record> },
    Attempt(Record),
}

/// Something that is done by others, one at a time, and again after a while if it failed.
#[derive(Debug, Default)]
struct Slot {
    busy: bool,
    not_before: Duration,
}

impl Slot {
    fn is_ready(&self, now: Duration) -> bool {
        !self.busy && now >= self.not_before
    }

    fn wait(&mut self, until: Duration) {
        self.busy = false;
        self.not_before = until;
    }
}

/// Prices older than this are not used to sign anything new, so that an L1 that is gone doesn't fill the ledger.
const MARKET_AGE_MAX: Duration = Duration::from_secs(60);

impl State {
    /// Continues with what the ledger holds. The seed must be different in each process.
    pub(crate) fn new(
        config: Config,
        account: Address,
        loaded: Loaded,
        tip: BlockId,
        seed: B256,
    ) -> Self {
        let Restored { outbox, stray, foreign } = Outbox::restore(loaded.open, account);
        let choice = match config.kind {
            KindPolicy::Only(_) => None,
            KindPolicy::Cheaper { start, hysteresis_percent } => {
                Some(Choice::new(start, hysteresis_percent))
            }
        };
        let mut state = Self {
            config,
            account,
            outbox,
            foreign,
            assembly: Assembly::new(0, Rates::default()),
            choice,
            seed,
            channels: 0,
            tip,
            derived: None,
            seen: None,
            settled: loaded.settled,
            floor: None,
            start_l1: None,
            caught_up: false,
            writes: VecDeque::new(),
            signing: None,
            pushing: false,
            suspect: false,
            flush_to: None,
            read: Slot::default(),
            check: Slot::default(),
            sign: Slot::default(),
            write: Slot::default(),
            look: Slot::default(),
            troubles: Troubles::default(),
            spending: Spending::default(),
            block_bytes: 0,
            backlog: Backlog::default(),
            figures: Figures::default(),
        };
        if !stray.is_empty() {
            warn!(records = stray.len(), "the ledger holds records that don't fit together");
            state.write(stray, Then::Nothing);
        }
        state
    }

    pub(crate) const fn figures(&self) -> &Figures {
        &self.figures
    }

    pub(crate) const fn backlog(&self) -> Backlog {
        self.backlog
    }

    /// The whole of the batcher: what happened and what time it is in, what to do out.
    pub(crate) fn handle(
        &mut self,
        now: Duration,
        event: Event,
    ) -> Result<Vec<Action>, BatchError> {
        match event {
            Event::Tick => {}
            Event::Tip(tip) => self.tip = tip,
            Event::Derived(derived) => self.derived(derived),
            Event::Command(Command::Pause) => self.figures.paused = true,
            Event::Command(Command::Resume) => self.figures.paused = false,
            Event::Command(Command::Flush) => self.flush_to = Some(self.tip.number),
            Event::Read(generation, result) => self.on_read(now, generation, result),
            Event::Checked(generation, result) => self.on_checked(now, generation, result),
            Event::Encoded(done) => self.on_encoded(done?),
            Event::Signed(result) => self.on_signed(now, result),
            Event::Written(result) => self.on_written(now, result),
            Event::Sent(hash, result) => self.on_sent(now, hash, &result),
            Event::Looked(result) => self.on_looked(now, result),
        }
        self.start();
        let actions = self.plan(now);
        if !self.outbox.awaits_sending() {
            // Included, though nobody said that it had arrived, or given up: nothing is waiting for L1 to take it.
            self.troubles.forget(SEND);
            self.figures.unfunded = false;
        }
        self.update_figures(now);
        Ok(actions)
    }

    /// Finds out where to begin, as soon as everybody has spoken.
    fn start(&mut self) {
        let (None, Some(derived), Some(start_l1)) = (self.floor, self.derived, self.start_l1)
        else {
            return;
        };
        // Without a memory of our own derivation is the only one who knows what is posted: it has to catch up first. So it
        // does after a change of keys: what the other account posted may have been included or not.
        let remembers = self.settled.is_some() || self.outbox.len() > 0;
        if (!remembers || !self.foreign.is_empty()) && derived.l1_number < start_l1 {
            return;
        }
        let number = derived.safe.max(self.settled.unwrap_or(0));
        self.floor = Some(Floor { number, l1_number: start_l1.max(derived.l1_number) });
        self.disown(derived.safe);
        self.restart();
        info!(next = self.assembly.next(), unsettled = self.outbox.len(), "posting begins");
        // The blocks may have been rolled back while we were away.
        self.suspect = self.outbox.len() > 0;
        self.derived(derived);
    }

    /// Closes what another account signed, and gives up what can't follow without it.
    fn disown(&mut self, safe: u64) {
        let foreign = std::mem::take(&mut self.foreign);
        if foreign.is_empty() {
            return;
        }
        let (records, ours) = (foreign.len(), self.account);
        warn!(records, %ours, "the ledger holds transactions of another account: what L1 has not of them is posted again");
        self.write(foreign, Then::Nothing);
        if self.outbox.blocks().is_some_and(|(first, _)| first > safe + 1) {
            self.abandon(0, Trouble::NotSafe);
        }
    }

    /// Goes on reading after the last block that is under way.
    fn restart(&mut self) {
        let floor = self.floor.map_or(0, |floor| floor.number);
        let under_way =
            self.outbox.blocks().map(|(_, last)| last).filter(|last| last.last >= floor);
        self.assembly.restart(
            under_way.map_or(floor, |last| last.last) + 1,
            under_way.map(|last| last.last_hash),
        );
    }

    /// Gives up channels, so that their blocks are posted again.
    fn abandon(&mut self, index: usize, trouble: Trouble) {
        let before = self.outbox.channels().len();
        let changes = self.outbox.abandon_from(index);
        let channels = before - self.outbox.channels().len();
        self.figures.abandoned_total += channels as u64;
        self.write(changes, Then::Nothing);
        self.restart();
        warn!(reason = %trouble, channels, next = self.assembly.next(), "channels are posted again");
    }

    fn write(&mut self, changes: Vec<Change>, then: Then) {
        if !changes.is_empty() {
            self.writes.push_back(Write { changes, then });
        }
    }

    /// A neighbour failed, and is asked again.
    /// Notes whether what was tried has worked.
    fn note<T>(&mut self, what: &'static str, result: &Result<T, FaceError>) {
        match result {
            Ok(_) => self.troubles.worked(what),
            Err(error) => self.failed(what, error),
        }
    }

    fn failed(&mut self, what: &'static str, error: &dyn std::error::Error) {
        self.figures.failures_total += 1;
        self.troubles.failed(what, error);
    }

    const fn patience(&self) -> Patience {
        Patience { bump_after: self.config.bump_after, retry: self.config.retry }
    }
}
