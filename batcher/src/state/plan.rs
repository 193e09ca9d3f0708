//! What is done about what is known: whatever is due and not under way.

use std::time::Duration;

use alloy_primitives::keccak256;
use millrace_protocol::{BlockId, ChannelId};

use super::{Action, MARKET_AGE_MAX, SIGN, Seen, Signing, State, assembly::CloseReason};
use crate::{
    channel::{ChannelSettings, cut},
    config::KindPolicy,
    limits::READ_BLOCKS_MAX,
    payload::{Draft, Payload},
    record::Kind,
};

/// What is done about it.
impl State {
    /// Starts whatever is due and not under way.
    pub(super) fn plan(&mut self, now: Duration) -> Vec<Action> {
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

    pub(super) fn current_kind(&self) -> Kind {
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
}
