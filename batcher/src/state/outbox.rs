//! The L1 transactions between the ledger and their settlement, in the order of their nonces.
//!
//! ```text
//!            send              taken              located
//!  Queued ─────────► Sending ─────────► Sent ───────────────► Included ──► settled
//!    ▲  ▲               │                │                       │
//!    │  └── try again ──┘                │ │ too long            │ reorganised away
//!    └───── in no pool, in no block ◄────┘ │                     │
//!    └────────── a better-paid attempt ◄───┘                     │
//!    └───────────────────────────────────────────────────────────┘
//! ```
//!
//! A channel that can't be finished any more, or was finished in vain, is abandoned together with everything after it:
//! later batches make no sense without the earlier ones. Its blocks then travel in new channels, under the same
//! nonces as far as those are still free, so that at most one of the two can be included at each nonce.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, TxHash, U256};
use millrace_protocol::{BlockId, ChannelId};

use crate::{
    faces::{Derived, Inclusion, SendError},
    fees::{FeeCaps, Market, Rival, TxFees},
    payload::{Draft, Payload, signer_of},
    record::{BlockRange, Change, Fate, Kind, Record},
};

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    entries: VecDeque<Entry>,
    /// What abandoned transactions offer that may still lie in pools, by nonce: their successors must offer more.
    outbid: BTreeMap<u64, (Kind, TxFees)>,
    /// Since which L1 block a nonce below ours is neither used nor ours to fill.
    gap_since: Option<u64>,
    /// Since which L1 block derivation seems to have read a channel in vain.
    vain_since: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    /// The attempts, oldest first; never empty. Only the newest keeps its raw bytes.
    records: Vec<Record>,
    stage: Stage,
    /// Whether it may lie in somebody's pool.
    offered: bool,
    /// Whether the pool asked for more than we offered.
    rebid: bool,
    /// Whether a better-paid attempt is being signed or written down.
    bumping: bool,
    /// Whether it would offer more, but for the caps.
    capped: bool,
    /// When the newest attempt was first taken: it is not to wait longer because the same bytes had to be sent again.
    taken_at: Option<Duration>,
    /// L1's head when it was last seen to have vanished.
    vanished_under: Option<B256>,
    /// Since which L1 block its nonce is used without any of its attempts being found.
    missing_since: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued { not_before: Duration },
    Sending,
    Sent,
    Included(Inclusion),
}

/// Why a channel has to be posted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("another transaction used the nonce")]
    NonceTaken,
    #[error("a nonce below ours stays unused")]
    NonceGap,
    #[error("its frames were not included within the channel timeout")]
    TimedOut,
    #[error("its blocks did not become safe")]
    NotSafe,
    #[error("its blocks were rolled back")]
    Unwound,
    #[error("the pool holds a transaction of the other kind")]
    KindReserved,
}

/// What the ledger held, as far as it concerns the account that we sign for.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) outbox: Outbox,
    /// Records that don't fit together, to be closed.
    pub(crate) stray: Vec<Change>,
    /// Records that another account signed, to be closed.
    pub(crate) foreign: Vec<Change>,
}

/// Waits that depend on the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) bump_after: Duration,
    pub(crate) retry: Duration,
}

/// What L1 said, as far as it concerns the outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sighting<'a> {
    pub(crate) head: BlockId,
    pub(crate) nonce: u64,
    pub(crate) located: &'a HashMap<TxHash, Inclusion>,
    /// Sent, and in neither a block nor a pool.
    pub(crate) vanished: &'a HashSet<TxHash>,
}

impl Outbox {
    /// Continues with what the ledger holds of this account. Everything else is to be closed: its blocks go again.
    ///
    /// What another account signed has nonces of its own, and counts for nothing once L1 names us: to send it would be
    /// to wait for ever behind it.
    pub(crate) fn restore(open: Vec<Record>, account: Address) -> Restored {
        let mut outbox = Self::default();
        let (mut stray, mut foreign) = (Vec::new(), Vec::new());
        for record in open {
            let signer = signer_of(&record.raw);
            if signer.as_ref().is_ok_and(|signer| *signer != account) {
                foreign.push(record);
                continue;
            }
            // What doesn't decode could never offer more.
            if !stray.is_empty() || signer.is_err() {
                stray.push(record);
                continue;
            }
            match outbox.entries.back_mut() {
                Some(last) if last.nonce() == record.nonce && last.channel() == record.channel => {
                    last.add(record);
                }
                Some(last) if !last.precedes(&record) => stray.push(record),
                None if record.frames.first != 0 => stray.push(record),
                _ => outbox.entries.push_back(Entry::new(record, true)),
            }
        }
        let mut stray = closed(&stray, Fate::Abandoned);
        // A channel is written down as a whole: an incomplete one at the end was damaged.
        if let Some(last) = outbox.entries.back()
            && !last.newest().frames.is_last
        {
            stray.extend(outbox.abandon_from(outbox.entries.len() - 1));
        }
        Restored { outbox, stray, foreign: closed(&foreign, Fate::Abandoned) }
    }

    /// Takes a whole channel's transactions, which the ledger has.
    pub(crate) fn push(&mut self, records: Vec<Record>) {
        self.entries.extend(records.into_iter().map(|record| Entry::new(record, false)));
    }

    /// Takes a better-paid attempt, which the ledger has. Gives it back if nobody is interested any more.
    pub(crate) fn add_attempt(&mut self, record: Record) -> Option<Record> {
        let found = self
            .entries
            .iter_mut()
            .find(|entry| entry.nonce() == record.nonce && entry.channel() == record.channel);
        let Some(entry) = found else { return Some(record) };
        entry.add(record);
        entry.bumping = false;
        entry.rebid = false;
        entry.taken_at = None;
        if !matches!(entry.stage, Stage::Included(_)) {
            entry.stage = Stage::Queued { not_before: Duration::ZERO };
        }
        None
    }

    /// An attempt could not be signed: it may be asked for again.
    pub(crate) fn drop_attempt(&mut self, nonce: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.nonce() == nonce) {
            entry.bumping = false;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The hashes to look for on L1. What was never offered can't be there.
    pub(crate) fn hashes(&self) -> Vec<TxHash> {
        let offered = self.entries.iter().filter(|entry| entry.offered);
        let records = offered.flat_map(|entry| &entry.records);
        records.map(|record| record.hash).collect()
    }

    /// Those that should lie in a pool, if they are not included.
    pub(crate) fn sent_hashes(&self) -> Vec<TxHash> {
        let sent = self.entries.iter().filter(|entry| entry.stage == Stage::Sent);
        sent.map(|entry| entry.newest().hash).collect()
    }

    /// Whether anything is being sent or will be.
    pub(crate) fn awaits_sending(&self) -> bool {
        let waits = |entry: &Entry| matches!(entry.stage, Stage::Queued { .. } | Stage::Sending);
        self.entries.iter().any(waits)
    }

    /// Whether anything may be included by the next look.
    pub(crate) fn awaits_inclusion(&self) -> bool {
        self.entries.iter().any(|entry| !matches!(entry.stage, Stage::Included(_)))
    }

    /// The blocks of all channels, first and last.
    pub(crate) fn blocks(&self) -> Option<(u64, BlockRange)> {
        let first = self.entries.front()?.newest().blocks.first;
        Some((first, self.entries.back()?.newest().blocks))
    }

    /// Each channel's blocks, in order.
    pub(crate) fn channels(&self) -> Vec<BlockRange> {
        let starts = self.entries.iter().filter(|entry| entry.newest().frames.first == 0);
        starts.map(|entry| entry.newest().blocks).collect()
    }

    /// The last block of the channels that are included without a break from the first one on.
    pub(crate) fn posted(&self) -> Option<u64> {
        let included = |entry: &&Entry| matches!(entry.stage, Stage::Included(_));
        let posted = self.entries.iter().take_while(included);
        posted.filter(|entry| entry.newest().frames.is_last).last().map(|e| e.newest().blocks.last)
    }

    /// Bytes of block transactions in channels that are not wholly included.
    pub(crate) fn pending_bytes(&self) -> u64 {
        let posted = self.posted().unwrap_or(0);
        let pending = self.channels().into_iter().filter(|blocks| blocks.last > posted);
        pending.map(|blocks| blocks.transaction_bytes).sum()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_in_flight()).count()
    }

    /// How many transactions would offer more, but for the caps.
    pub(crate) fn capped(&self) -> usize {
        self.entries.iter().filter(|entry| entry.capped).count()
    }

    /// The nonce after our last one.
    pub(crate) fn next_nonce(&self, chain_nonce: u64) -> u64 {
        self.entries.back().map_or(chain_nonce, |entry| entry.nonce() + 1)
    }

    /// The kind that the transaction with this nonce must have: pools don't replace one kind by the other, nor take
    /// both kinds from one account at a time.
    pub(crate) fn forced_kind(&self, nonce: u64) -> Option<Kind> {
        self.outbid.range(nonce..).next().map(|(_, (kind, _))| *kind)
    }

    /// What the first attempt at a nonce should offer.
    pub(crate) fn first_offer(
        &self,
        nonce: u64,
        kind: Kind,
        market: &Market,
        caps: &FeeCaps,
    ) -> TxFees {
        let offer = market.offer(caps);
        let predecessor = self.outbid.get(&nonce).filter(|(theirs, _)| *theirs == kind);
        let bumped =
            predecessor.and_then(|(_, fees)| fees.bumped(kind, Rival::Ourselves, market, caps));
        bumped.unwrap_or(offer)
    }

    /// The next transaction to send, if there is one: strictly in order, a bounded number at a time.
    pub(crate) fn next_send(&mut self, now: Duration, in_flight_max: usize) -> Option<Offer> {
        let mut in_flight = 0;
        let mut kind = None;
        for entry in &mut self.entries {
            match entry.stage {
                Stage::Included(_) => {}
                Stage::Sending => return None,
                Stage::Sent => {
                    in_flight += 1;
                    kind = Some(entry.newest().kind);
                }
                Stage::Queued { not_before } => {
                    let mixed = kind.is_some_and(|kind| kind != entry.newest().kind);
                    let wait = entry.rebid || entry.bumping || not_before > now || mixed;
                    if wait || in_flight >= in_flight_max {
                        return None;
                    }
                    entry.stage = Stage::Sending;
                    entry.offered = true;
                    let record = entry.newest();
                    return Some(Offer { hash: record.hash, raw: record.raw.clone() });
                }
            }
        }
        None
    }

    /// What became of an offer. Gives the transaction whose channel has to be given up, if there is one.
    pub(crate) fn sent(
        &mut self,
        hash: TxHash,
        result: &Result<(), SendError>,
        now: Duration,
        patience: Patience,
    ) -> Option<usize> {
        let ours = |entry: &Entry| {
            entry.stage == Stage::Sending && entry.records.iter().any(|record| record.hash == hash)
        };
        // It may have been seen on L1, or abandoned, before the node's answer arrived.
        let index = self.entries.iter().position(ours)?;
        let entry = &mut self.entries[index];
        entry.stage = match result {
            // If the nonce is used, L1 will tell by whom.
            Ok(()) | Err(SendError::AlreadyKnown | SendError::NonceTooLow) => {
                entry.taken_at.get_or_insert(now);
                Stage::Sent
            }
            Err(SendError::ReplacementUnderpriced | SendError::Underpriced) => {
                entry.rebid = true;
                Stage::Queued { not_before: now }
            }
            Err(SendError::KindReserved) => {
                // What lies in the pool can only be replaced by its own kind. If it is ours, in the order of nonces,
                // it is only a matter of time; else our channel has to change its kind.
                entry.stage = Stage::Queued { not_before: now + patience.retry };
                if self.entries.iter().any(Entry::is_in_flight) {
                    return None;
                }
                let record = self.entries[index].newest();
                self.outbid.insert(record.nonce, (record.kind.other(), record.fees));
                return Some(index);
            }
            Err(
                SendError::InsufficientFunds | SendError::Rejected(_) | SendError::Unavailable(_),
            ) => Stage::Queued { not_before: now + patience.retry },
        };
        None
    }

    /// The next transaction that has to offer more, if there is one.
    ///
    /// Only the first one that is not included can be waiting for its own tip; the others wait for it, unless they
    /// could not be included at today's base fees.
    pub(crate) fn next_bump(
        &mut self,
        now: Duration,
        market: &Market,
        caps: &FeeCaps,
        patience: Patience,
    ) -> Option<Draft> {
        let waiting = self.entries.iter_mut().filter(|e| !matches!(e.stage, Stage::Included(_)));
        for (place, entry) in waiting.enumerate() {
            if entry.bumping || entry.stage == Stage::Sending || entry.missing_since.is_some() {
                continue;
            }
            let record = entry.newest();
            let overdue = entry.stage == Stage::Sent
                && entry.taken_at.is_some_and(|at| now >= at + patience.bump_after);
            let stuck = overdue && (place == 0 || !record.fees.covers(market, record.kind));
            if !entry.rebid && !stuck {
                continue;
            }
            let rival = if entry.rebid { Rival::Unknown } else { Rival::Ourselves };
            if let Some(fees) = record.fees.bumped(record.kind, rival, market, caps) {
                let draft = Draft {
                    nonce: record.nonce,
                    attempt: record.attempt + 1,
                    channel: record.channel,
                    blocks: record.blocks,
                    frames: record.frames,
                    kind: record.kind,
                    fees,
                    payload: Payload::Again(record.raw.clone()),
                };
                entry.bumping = true;
                entry.capped = false;
                return Some(draft);
            }
            // At the cap the same bytes are offered again from time to time: pools forget, and prices fall.
            let wait = if entry.rebid { patience.bump_after } else { Duration::ZERO };
            entry.stage = Stage::Queued { not_before: now + wait };
            entry.taken_at = None;
            entry.rebid = false;
            entry.capped = true;
        }
        None
    }

    /// Takes in what L1 shows. Answers with the costs of what was included since the last look.
    pub(crate) fn observe(&mut self, seen: Sighting<'_>) -> Vec<U256> {
        let (mut costs, head) = (Vec::new(), seen.head.number);
        for entry in &mut self.entries {
            let inclusion = entry.records.iter().find_map(|record| seen.located.get(&record.hash));
            match (entry.stage, inclusion) {
                (was, Some(inclusion)) => {
                    if !matches!(was, Stage::Included(_)) {
                        costs.push(inclusion.cost);
                    }
                    entry.stage = Stage::Included(*inclusion);
                    entry.capped = false;
                    entry.missing_since = None;
                }
                // The same bytes again: L1's chain lost them, or the node that we asked hasn't got so far.
                (Stage::Included(_), None) => {
                    entry.stage = Stage::Queued { not_before: Duration::ZERO };
                    entry.taken_at = None;
                }
                // Also the same bytes again: it was included and lost between two looks, or the pool forgot it. Some nodes
                // show nobody what is in their pools, so that once for each head has to do.
                (Stage::Sent, None)
                    if entry.nonce() >= seen.nonce
                        && seen.vanished.contains(&entry.newest().hash)
                        && entry.vanished_under != Some(seen.head.hash) =>
                {
                    entry.stage = Stage::Queued { not_before: Duration::ZERO };
                    entry.vanished_under = Some(seen.head.hash);
                }
                _ => {}
            }
            let missing = inclusion.is_none() && entry.nonce() < seen.nonce;
            entry.missing_since =
                missing.then(|| entry.missing_since.map_or(head, |since| since.min(head)));
        }
        let first = self.entries.iter().find(|entry| !matches!(entry.stage, Stage::Included(_)));
        let gap = first.is_some_and(|entry| entry.nonce() > seen.nonce);
        self.gap_since = gap.then(|| self.gap_since.map_or(head, |since| since.min(head)));
        self.outbid.retain(|nonce, _| *nonce >= seen.nonce);
        costs
    }

    /// Finds the first channel that L1 shows to be lost, if there is one.
    pub(crate) fn trouble(
        &self,
        head: u64,
        doubt: u64,
        channel_timeout: u64,
    ) -> Option<(usize, Trouble)> {
        let believed = |since: Option<u64>| since.is_some_and(|since| head >= since + doubt);
        let mut opened = None;
        for (index, entry) in self.entries.iter().enumerate() {
            if believed(entry.missing_since) {
                return Some((index, Trouble::NonceTaken));
            }
            let included = match entry.stage {
                Stage::Included(inclusion) => Some(inclusion.block.number),
                _ if believed(self.gap_since) => return Some((index, Trouble::NonceGap)),
                _ => None,
            };
            if entry.newest().frames.first == 0 {
                opened = included;
            }
            // The next block could be the last one in time; an entry that isn't in the head can be in none before it.
            let earliest = included.unwrap_or(head + 1);
            if opened.is_some_and(|opened| earliest > opened + channel_timeout) {
                return Some((index, Trouble::TimedOut));
            }
        }
        None
    }

    /// Finds the first channel that derivation has read in vain, if there is one.
    ///
    /// Derivation may speak of a fork of L1 that we don't see, or no longer: so it must keep saying so for a while.
    pub(crate) fn read_in_vain(
        &mut self,
        head: u64,
        derived: Derived,
        doubt: u64,
    ) -> Option<usize> {
        let read = self.entries.iter().enumerate().take_while(|(_, entry)| {
            matches!(entry.stage, Stage::Included(at) if at.block.number + doubt <= derived.l1_number)
        });
        let mut ends = read.filter(|(_, entry)| entry.newest().frames.is_last);
        let vain = ends.find(|(_, entry)| entry.newest().blocks.last > derived.safe);
        let (index, _) = vain.or_else(|| {
            self.vain_since = None;
            None
        })?;
        let since = self.vain_since.map_or(head, |since| since.min(head));
        self.vain_since = Some(since);
        (head >= since + doubt).then_some(index)
    }

    /// The first channel from which on blocks are not those of the chain, if there is one: `canonical` says for each
    /// channel whether its last block is.
    pub(crate) fn unwound(&self, canonical: &[bool]) -> Option<usize> {
        let wrong = canonical.iter().position(|canonical| !canonical)?;
        let mut starts =
            (0..self.entries.len()).filter(|index| self.entries[*index].newest().frames.first == 0);
        starts.nth(wrong)
    }

    /// Gives up the channel of this transaction and all after it.
    pub(crate) fn abandon_from(&mut self, index: usize) -> Vec<Change> {
        let channel = self.entries[index].channel();
        let start = self.entries.iter().position(|e| e.channel() == channel).unwrap_or(index);
        let mut changes = Vec::new();
        for entry in self.entries.drain(start..) {
            if entry.offered && !matches!(entry.stage, Stage::Included(_)) {
                let record = entry.newest();
                // What is said of the nonce already is what the pool told us.
                self.outbid.entry(record.nonce).or_insert((record.kind, record.fees));
            }
            changes.extend(closed(&entry.records, Fate::Abandoned));
        }
        self.gap_since = None;
        self.vain_since = None;
        changes
    }

    /// Lets go of the channels that are safe and deep in L1's chain.
    pub(crate) fn settle(&mut self, head: u64, confirmations: u64, safe: u64) -> Vec<Change> {
        let deep = |entry: &Entry| matches!(entry.stage, Stage::Included(at) if at.block.number + confirmations <= head + 1);
        let done = self.entries.iter().take_while(|e| deep(e) && e.newest().blocks.last <= safe);
        let ends = done.enumerate().filter(|(_, entry)| entry.newest().frames.is_last);
        let Some((end, _)) = ends.last() else { return Vec::new() };
        let settled = self.entries.drain(..=end).flat_map(|entry| entry.records);
        closed(&settled.collect::<Vec<_>>(), Fate::Settled)
    }
}

/// Bytes to offer to L1.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) hash: TxHash,
    pub(crate) raw: Bytes,
}

impl Entry {
    fn new(record: Record, offered: bool) -> Self {
        Self {
            records: vec![record],
            stage: Stage::Queued { not_before: Duration::ZERO },
            offered,
            rebid: false,
            bumping: false,
            capped: false,
            taken_at: None,
            vanished_under: None,
            missing_since: None,
        }
    }

    fn newest(&self) -> &Record {
        self.records.last().expect("an entry has an attempt")
    }

    fn nonce(&self) -> u64 {
        self.newest().nonce
    }

    fn channel(&self) -> ChannelId {
        self.newest().channel
    }

    const fn is_in_flight(&self) -> bool {
        matches!(self.stage, Stage::Sent | Stage::Sending)
    }

    fn add(&mut self, record: Record) {
        for old in &mut self.records {
            old.raw = Bytes::new();
        }
        self.records.push(record);
    }

    /// Whether the record can follow in order: the next frames, or the first ones of the next channel.
    fn precedes(&self, record: &Record) -> bool {
        let last = self.newest();
        let continues = if last.frames.is_last {
            // Blocks in between may have become safe without us.
            record.frames.first == 0 && record.blocks.first > last.blocks.last
        } else {
            record.channel == last.channel
                && record.frames.first == last.frames.first + last.frames.count
        };
        continues && record.nonce == last.nonce + 1
    }
}

fn closed(records: &[Record], fate: Fate) -> Vec<Change> {
    records.iter().map(|record| Change::Close { hash: record.hash, fate }).collect()
}
