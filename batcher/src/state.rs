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
//! Suggested reading order: [`assembly`] (blocks to channels), [`outbox`] (L1 transactions), then this.

mod assembly;
mod outbox;
mod troubles;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, TxHash, U256, keccak256};
use millrace_protocol::{BlockId, ChannelId};
use tracing::{error, info, warn};

use crate::{
    channel::{ChannelError, ChannelSettings, Rates, cut},
    config::{Config, KindPolicy},
    faces::{Account, Derived, FaceError, Inclusion, SealedBlock, SendError},
    fees::{Choice, Market},
    limits::READ_BLOCKS_MAX,
    metrics::{Backlog, Figures, Spending, runway},
    payload::{Draft, Payload},
    record::{Change, Fate, Kind, Loaded, Record},
};

pub(crate) use self::assembly::{Done, Work};
use self::{
    assembly::{Assembly, CloseReason},
    outbox::{Outbox, Patience, Restored, Sighting, Trouble},
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
    fn failed(&mut self, what: &'static str, error: &dyn std::error::Error) {
        self.figures.failures_total += 1;
        self.troubles.failed(what, error);
    }

    const fn patience(&self) -> Patience {
        Patience { bump_after: self.config.bump_after, retry: self.config.retry }
    }
}

/// What events change.
impl State {
    fn derived(&mut self, derived: Derived) {
        self.derived = Some(derived);
        // What held in old blocks, from which derivation may begin, is no news.
        if self.start_l1.is_some_and(|start| derived.l1_number >= start) {
            self.note_batcher(derived.batcher);
            self.caught_up = true;
        }
        if self.floor.is_none() {
            return;
        }
        self.place_floor();
        if self.assembly.next() <= derived.safe {
            self.restart();
        }
        self.settle();
    }

    /// Moves the floor to what is safe by derivation's last word: up at once, and down once there is no doubt.
    fn place_floor(&mut self) {
        let (Some(floor), Some(derived)) = (self.floor, self.derived) else { return };
        let moved = Some(Floor { number: derived.safe, l1_number: derived.l1_number });
        if derived.safe >= floor.number {
            self.floor = moved;
        } else if derived.l1_number >= floor.l1_number + self.config.doubt
            && self.is_abreast(derived)
        {
            // What was safe is not any more: L1 was reorganised too deeply for transactions that we still hold.
            self.floor = moved;
            let first = self.outbox.blocks().map(|(first, _)| first);
            match first {
                Some(first) if first > derived.safe + 1 => self.abandon(0, Trouble::NotSafe),
                Some(_) => {}
                None => self.restart(),
            }
        }
    }

    /// Whether derivation has come as far as L1 does by our own newest look.
    ///
    /// While it catches up, as after a start on an L1 that was behind, less is safe by its word than by L1's.
    fn is_abreast(&self, derived: Derived) -> bool {
        let head = self.seen.map_or(0, |seen| seen.head.number);
        (derived.l1_number..=derived.l1_number + self.config.doubt).contains(&head)
    }

    /// What we would post while L1 names somebody else counts for nothing, and costs the same. Their key may be about to
    /// be ours, or ours about to be theirs, so posting waits.
    fn note_batcher(&mut self, named: Address) {
        let usurper = (named != self.account).then_some(named);
        if usurper == self.figures.usurper {
            return;
        }
        let ours = self.account;
        match usurper {
            Some(named) => {
                error!(%named, %ours, "L1 names another batcher than the one that we sign for: nothing is posted");
            }
            None => info!(%ours, "L1 names our batcher again: posting goes on"),
        }
        self.figures.usurper = usurper;
    }

    /// Whether L1 is known to name us. After a start it isn't before derivation has caught up.
    const fn is_named(&self) -> bool {
        self.caught_up && self.figures.usurper.is_none()
    }

    fn on_read(
        &mut self,
        now: Duration,
        generation: u64,
        result: Result<Vec<Arc<SealedBlock>>, FaceError>,
    ) {
        self.read.busy = false;
        if result.is_ok() {
            self.troubles.worked(READ);
        }
        match result {
            Err(error) => {
                self.read.wait(now + self.config.retry);
                self.failed(READ, &error);
            }
            Ok(_) if generation != self.assembly.generation() => {}
            // The tip went back in the meantime; its own event follows.
            Ok(blocks) if blocks.is_empty() => self.read.wait(now + self.config.retry),
            Ok(blocks) => {
                for block in &blocks {
                    // Sixteen blocks' memory: enough to be smooth, quick enough to follow a change of load.
                    let bytes = block.transaction_bytes() as u64;
                    self.block_bytes = (self.block_bytes * 15 + bytes) / 16;
                }
                self.suspect |= !self.assembly.take(blocks, now);
            }
        }
    }

    fn on_checked(&mut self, now: Duration, generation: u64, result: Result<Vec<bool>, FaceError>) {
        self.check.busy = false;
        if result.is_ok() {
            self.troubles.worked(CHECK);
        }
        match result {
            Err(error) => {
                self.check.wait(now + self.config.retry);
                self.failed(CHECK, &error);
            }
            Ok(_) if generation != self.assembly.generation() => {}
            Ok(canonical) => {
                self.suspect = false;
                match self.outbox.unwound(&canonical) {
                    Some(index) => self.abandon(index, Trouble::Unwound),
                    // Nothing that is under way: at most what was read since. The journal may not be done yet.
                    None => {
                        self.restart();
                        self.read.wait(now + self.config.retry);
                    }
                }
            }
        }
    }

    fn on_encoded(&mut self, done: Done) {
        for bytes in self.assembly.done(done) {
            self.figures.channels_total += 1;
            self.figures.channel_bytes_total += bytes as u64;
        }
    }

    fn on_signed(&mut self, now: Duration, result: Result<Vec<Record>, FaceError>) {
        self.sign.busy = false;
        if result.is_ok() {
            self.troubles.worked(SIGN);
        }
        let Some(signing) = self.signing.take() else { return };
        match (result, signing) {
            (Err(error), signing) => {
                self.sign.wait(now + self.config.retry);
                self.failed(SIGN, &error);
                match signing {
                    Signing::Channel { .. } => self.pushing = false,
                    Signing::Attempt { nonce } => self.outbox.drop_attempt(nonce),
                }
            }
            (Ok(records), Signing::Channel { generation }) => {
                if generation != self.assembly.generation() {
                    self.pushing = false;
                    return;
                }
                let changes = records.iter().cloned().map(Change::Insert).collect();
                self.write(changes, Then::Push { generation, records });
            }
            (Ok(records), Signing::Attempt { .. }) => {
                for record in records {
                    self.write(vec![Change::Insert(record.clone())], Then::Attempt(record));
                }
            }
        }
    }

    fn on_written(&mut self, now: Duration, result: Result<(), FaceError>) {
        self.write.busy = false;
        if let Err(error) = result {
            // Perhaps it was done all the same: to do it twice does no harm.
            self.write.wait(now + self.config.retry);
            self.failed(WRITE, &error);
            return;
        }
        self.troubles.worked(WRITE);
        let Some(Write { then, .. }) = self.writes.pop_front() else { return };
        match then {
            Then::Nothing => {}
            Then::Push { generation, records } => {
                self.pushing = false;
                self.figures.transactions_total += records.len() as u64;
                if generation == self.assembly.generation() {
                    self.assembly.pop();
                    self.outbox.push(records);
                } else {
                    // Rolled back or lost while it was written down. Nobody has seen it.
                    self.write(abandoned(&records), Then::Nothing);
                }
            }
            Then::Attempt(record) => {
                self.figures.transactions_total += 1;
                match self.outbox.add_attempt(record) {
                    None => self.figures.bumps_total += 1,
                    Some(record) => self.write(abandoned(&[record]), Then::Nothing),
                }
            }
        }
    }

    fn on_sent(&mut self, now: Duration, hash: TxHash, result: &Result<(), SendError>) {
        let unfunded = *result == Err(SendError::InsufficientFunds);
        if unfunded && !self.figures.unfunded {
            warn!("the batcher's account can't pay for its transactions; posting waits for money");
        }
        match result {
            Ok(()) | Err(SendError::AlreadyKnown) => self.figures.unfunded = false,
            Err(SendError::InsufficientFunds) => self.figures.unfunded = true,
            Err(error @ (SendError::Rejected(_) | SendError::Unavailable(_))) => {
                self.failed(SEND, error);
            }
            Err(_) => {}
        }
        if !matches!(result, Err(SendError::Rejected(_) | SendError::Unavailable(_))) {
            self.troubles.worked(SEND);
        }
        if let Some(index) = self.outbox.sent(hash, result, now, self.patience()) {
            self.abandon(index, Trouble::KindReserved);
        }
    }

    fn on_looked(&mut self, now: Duration, result: Result<Option<Look>, FaceError>) {
        self.look.wait(now + self.config.poll);
        if result.is_ok() {
            self.troubles.worked(LOOK);
        }
        let look = match result {
            Ok(Some(look)) => look,
            Ok(None) => {
                if let Some(seen) = &mut self.seen {
                    seen.at = now;
                }
                return;
            }
            Err(error) => return self.failed(LOOK, &error),
        };
        let Look { head, account, market, located, vanished } = look;
        self.seen = Some(Seen { head, account, market, at: now });
        self.start_l1.get_or_insert(head.number);
        let sighting =
            Sighting { head, nonce: account.nonce, located: &located, vanished: &vanished };
        for cost in self.outbox.observe(sighting) {
            self.figures.included_total += 1;
            self.spending.add(now, cost);
        }
        let (doubt, timeout) = (self.config.doubt, self.config.rollup.channel_timeout);
        if self.floor.is_some()
            && let Some((index, trouble)) = self.outbox.trouble(head.number, doubt, timeout)
        {
            self.abandon(index, trouble);
        }
        if let (Some(_), Some(derived)) = (self.floor, self.derived)
            && let Some(index) = self.outbox.read_in_vain(head.number, derived, doubt)
        {
            self.abandon(index, Trouble::NotSafe);
        }
        self.place_floor();
        self.settle();
    }

    fn settle(&mut self) {
        let (Some(seen), Some(derived)) = (self.seen, self.derived) else { return };
        let (head, confirmations) = (seen.head.number, self.config.confirmations);
        let changes = self.outbox.settle(head, confirmations, derived.safe);
        self.write(changes, Then::Nothing);
    }
}

/// What is done about it.
impl State {
    /// Starts whatever is due and not under way.
    fn plan(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        actions.extend(self.plan_write(now));
        actions.extend(self.plan_look(now));
        if let Some(floor) = self.floor {
            // A tip below the floor contradicts nothing of ours.
            self.suspect |=
                self.assembly.next() > floor.number + 1 && self.assembly.contradicts(self.tip);
            actions.extend(self.plan_check(now));
            actions.extend(self.plan_read(now));
            actions.extend(self.plan_encode(now));
            actions.extend(self.plan_sign(now));
            actions.extend(self.plan_send(now));
        }
        actions
    }

    fn plan_write(&mut self, now: Duration) -> Option<Action> {
        let write = self.writes.front().filter(|_| self.write.is_ready(now))?;
        self.write.busy = true;
        Some(Action::Write(write.changes.clone()))
    }

    fn plan_look(&mut self, now: Duration) -> Option<Action> {
        if !self.look.is_ready(now) {
            return None;
        }
        self.look.busy = true;
        // While something is on its way a second look at the same head may show more: not all nodes are equally quick.
        let unless = self.seen.filter(|_| !self.outbox.awaits_inclusion());
        Some(Action::Look {
            hashes: self.outbox.hashes(),
            sent: self.outbox.sent_hashes(),
            unless: unless.map(|seen| seen.head.hash),
        })
    }

    fn plan_check(&mut self, now: Duration) -> Option<Action> {
        if !self.suspect || !self.check.is_ready(now) {
            return None;
        }
        self.check.busy = true;
        let id = |blocks: crate::record::BlockRange| BlockId {
            number: blocks.last,
            hash: blocks.last_hash,
        };
        let blocks = self.outbox.channels().into_iter().map(id).collect();
        Some(Action::Check { generation: self.assembly.generation(), blocks })
    }

    fn plan_read(&mut self, now: Duration) -> Option<Action> {
        let first = self.assembly.next();
        let wanted = !self.figures.paused
            && !self.suspect
            && self.tip.number >= first
            && self.assembly.wants_blocks()
            && self.outbox.len() < self.config.unsettled_max;
        if !wanted || !self.read.is_ready(now) {
            return None;
        }
        self.read.busy = true;
        let count = READ_BLOCKS_MAX.min(self.tip.number - first + 1);
        Some(Action::Read { generation: self.assembly.generation(), first, count })
    }

    fn plan_encode(&mut self, now: Duration) -> Option<Action> {
        let seen = self.seen?;
        let all_read = self.flush_to.is_some_and(|to| self.assembly.next() > to);
        if all_read && self.assembly.is_empty() {
            self.flush_to = None;
        }
        let close = self.close_reason(now, seen.head.number);
        let settings = ChannelSettings {
            rollup: self.config.rollup.clone(),
            format: self.config.format,
            compression: self.config.compression,
            bytes_max: self.config.channel_bytes(self.current_kind()),
        };
        let work = self.assembly.work(settings, seen.head.number, close)?;
        if close.is_some() {
            self.flush_to = None;
        }
        Some(Action::Encode(work))
    }

    fn close_reason(&self, now: Duration, l1_head: u64) -> Option<CloseReason> {
        let open = self.assembly.open().filter(|_| !self.figures.paused)?;
        let window_end = open.first_epoch + self.config.rollup.seq_window_size;
        if self.flush_to.is_some_and(|to| self.assembly.next() > to) {
            Some(CloseReason::Flushed)
        } else if l1_head >= open.since_l1 + self.config.channel_duration_max {
            Some(CloseReason::Duration)
        } else if l1_head + self.config.window_margin >= window_end {
            Some(CloseReason::Window)
        } else if open.builder.transaction_bytes() > 0
            && now >= self.assembly.last_transaction() + self.config.idle
        {
            Some(CloseReason::Idle)
        } else {
            None
        }
    }

    fn current_kind(&self) -> Kind {
        match (&self.choice, self.config.kind) {
            (Some(choice), _) => choice.current(),
            (None, KindPolicy::Only(kind) | KindPolicy::Cheaper { start: kind, .. }) => kind,
        }
    }

    fn plan_sign(&mut self, now: Duration) -> Option<Action> {
        let seen = self.seen.filter(|seen| now <= seen.at + MARKET_AGE_MAX + self.config.poll)?;
        if !self.sign.is_ready(now) || !self.is_named() {
            return None;
        }
        let (caps, patience) = (self.config.caps, self.patience());
        if let Some(draft) = self.outbox.next_bump(now, &seen.market, &caps, patience) {
            self.signing = Some(Signing::Attempt { nonce: draft.nonce });
            self.sign.busy = true;
            return Some(Action::Sign(vec![draft]));
        }
        if self.assembly.front().is_none() {
            // What could not be signed is not wanted any more.
            self.troubles.forget(SIGN);
        }
        if self.pushing || self.suspect || self.figures.paused {
            return None;
        }
        let drafts = self.draft_channel(&seen)?;
        self.signing = Some(Signing::Channel { generation: self.assembly.generation() });
        self.sign.busy = true;
        self.pushing = true;
        Some(Action::Sign(drafts))
    }

    /// The transactions of the oldest closed channel, if there is one, and room for them.
    fn draft_channel(&mut self, seen: &Seen) -> Option<Vec<Draft>> {
        let channel = self.assembly.front()?;
        let nonce = self.outbox.next_nonce(seen.account.nonce);
        let preferred = match &mut self.choice {
            Some(choice) => choice.decide(channel.data.len(), &seen.market),
            None => self.current_kind(),
        };
        let kind = self.outbox.forced_kind(nonce).unwrap_or(preferred);
        let id = self.next_channel_id();
        let (room, each) = (self.config.frame_room(kind), self.config.transaction_frames(kind));
        let channel = self.assembly.front()?;
        let shares = cut(&channel.data, id, room, each);
        let unsettled = self.outbox.len();
        if unsettled > 0 && unsettled + shares.len() > self.config.unsettled_max {
            return None;
        }
        let draft = |(nonce, share): (u64, crate::channel::Share)| Draft {
            nonce,
            attempt: 0,
            channel: id,
            blocks: channel.blocks,
            frames: share.frames,
            kind,
            fees: self.outbox.first_offer(nonce, kind, &seen.market, &self.config.caps),
            payload: Payload::Frames(share.encoded),
        };
        Some((nonce..).zip(shares).map(draft).collect())
    }

    fn plan_send(&mut self, now: Duration) -> Option<Action> {
        if !self.is_named() {
            return None;
        }
        let offer = self.outbox.next_send(now, self.config.in_flight_max)?;
        Some(Action::Send { hash: offer.hash, raw: offer.raw })
    }

    fn next_channel_id(&mut self) -> ChannelId {
        self.channels += 1;
        let name = keccak256([&self.seed[..], &self.channels.to_be_bytes()].concat());
        let mut id = ChannelId::default();
        id.0.copy_from_slice(&name[..16]);
        id
    }

    fn update_figures(&mut self, now: Duration) {
        let floor = self.floor.map_or(0, |floor| floor.number);
        let posted = self.outbox.posted().unwrap_or(0).max(floor);
        if self.floor.is_some() {
            let unread = (self.tip.number + 1).saturating_sub(self.assembly.next());
            self.backlog.update(
                self.tip.number.saturating_sub(posted),
                self.outbox.pending_bytes() + self.assembly.bytes() + unread * self.block_bytes,
                self.config.backlog_blocks_max,
                self.config.backlog_bytes_max,
            );
        }
        let kind = self.current_kind();
        let figures = &mut self.figures;
        figures.trouble = self.troubles.gravest();
        figures.kind = Some(kind);
        figures.posted = posted;
        figures.next_block = self.assembly.next();
        figures.in_flight = self.outbox.in_flight();
        figures.unsettled = self.outbox.len();
        let capped = self.outbox.capped();
        if capped > 0 && figures.capped == 0 {
            warn!("transactions would have to offer more than the configured caps; they wait");
        }
        figures.capped = capped;
        if let Some(seen) = self.seen {
            figures.l1_head = seen.head.number;
            figures.balance = seen.account.balance;
            figures.cost_per_hour = self.spending.per_hour(now);
            figures.runway =
                figures.cost_per_hour.and_then(|cost| runway(seen.account.balance, cost));
            let low = seen.account.balance < self.config.balance_min
                || figures.runway.is_some_and(|runway| runway < self.config.runway_min);
            if low && !figures.balance_low {
                let balance: U256 = seen.account.balance;
                warn!(%balance, runway = ?figures.runway, "the batcher's account runs low");
            }
            figures.balance_low = low;
        }
    }
}

fn abandoned(records: &[Record]) -> Vec<Change> {
    let close = |record: &Record| Change::Close { hash: record.hash, fate: Fate::Abandoned };
    records.iter().map(close).collect()
}
