//! What events change in what is known.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, TxHash};
use tracing::{error, info, warn};

use super::{
    CHECK, Done, Floor, LOOK, Look, READ, SEND, SIGN, Seen, Signing, State, Then, WRITE, Write,
    outbox::{Sighting, Trouble},
};
use crate::{
    faces::{Derived, FaceError, SealedBlock, SendError},
    record::{Change, Fate, Record},
};

/// What events change.
impl State {
    pub(super) fn derived(&mut self, derived: Derived) {
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
    pub(super) const fn is_named(&self) -> bool {
        self.caught_up && self.figures.usurper.is_none()
    }

    pub(super) fn on_read(
        &mut self,
        now: Duration,
        generation: u64,
        result: Result<Vec<Arc<SealedBlock>>, FaceError>,
    ) {
        self.read.busy = false;
        self.note(READ, &result);
        match result {
            Err(_) => self.read.wait(now + self.config.retry),
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

    pub(super) fn on_checked(
        &mut self,
        now: Duration,
        generation: u64,
        result: Result<Vec<bool>, FaceError>,
    ) {
        self.check.busy = false;
        self.note(CHECK, &result);
        match result {
            Err(_) => self.check.wait(now + self.config.retry),
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

    pub(super) fn on_encoded(&mut self, done: Done) {
        for bytes in self.assembly.done(done) {
            self.figures.channels_total += 1;
            self.figures.channel_bytes_total += bytes as u64;
        }
    }

    pub(super) fn on_signed(&mut self, now: Duration, result: Result<Vec<Record>, FaceError>) {
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

    pub(super) fn on_written(&mut self, now: Duration, result: Result<(), FaceError>) {
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

    pub(super) fn on_sent(&mut self, now: Duration, hash: TxHash, result: &Result<(), SendError>) {
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

    pub(super) fn on_looked(&mut self, now: Duration, result: Result<Option<Look>, FaceError>) {
        self.look.wait(now + self.config.poll);
        self.note(LOOK, &result);
        let look = match result {
            Ok(Some(look)) => look,
            Ok(None) => {
                if let Some(seen) = &mut self.seen {
                    seen.at = now;
                }
                return;
            }
            Err(_) => return,
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

fn abandoned(records: &[Record]) -> Vec<Change> {
    let close = |record: &Record| Change::Close { hash: record.hash, fate: Fate::Abandoned };
    records.iter().map(close).collect()
}
