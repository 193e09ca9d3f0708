//! The follower's loop: look at L1, report what changed, wait, look again.

use std::mem::discriminant;

use millrace_protocol::{BlockId, L1Header};
use tokio::time::sleep;

use crate::{
    client::{Heads, L1Error},
    follower::{Event, Follower, chain::Chain},
    metrics::L1Metrics,
    reads::{At, HEADERS_MAX},
    verify::L1HeaderSealed,
};

/// Why a look ended early.
enum Stop {
    /// Nobody takes events any more.
    Closed,
    /// L1 gives no answer.
    L1(L1Error),
}

/// What a look found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Everything there is to report was reported.
    Done,
    /// L1 doesn't make sense now, mostly because it changed in between.
    Later,
}

struct Task {
    follower: Follower,
    /// The newest reported block that never goes; the first block to begin with, until L1 tells a newer one.
    floor: BlockId,
    /// The longest that L1 was seen to be while it agreed with what was reported.
    head_best: u64,
    /// Looks in a row at a contradicting chain that is shorter.
    shorter: u32,
    /// The contradiction that was reported last, while it lasts.
    contradiction: Option<Event>,
    /// The head for which everything is reported.
    settled: Option<Heads>,
    /// Failed looks in a row.
    failures: u32,
    /// Why L1 is lost, as it was reported last; nothing while it isn't.
    lost: Option<L1Error>,
}

pub(super) async fn run(follower: Follower) {
    let floor = follower.config.start.first().copied().unwrap_or_default();
    let mut task = Task {
        follower,
        floor,
        head_best: 0,
        shorter: 0,
        contradiction: None,
        settled: None,
        failures: 0,
        lost: None,
    };
    loop {
        let pause = match task.look().await {
            Ok(_) => task.follower.config.poll_interval,
            Err(Stop::Closed) => return,
            Err(Stop::L1(error)) => match task.lost(error).await {
                Ok(()) => task.follower.client.pause(task.failures),
                Err(_) => return,
            },
        };
        sleep(pause).await;
    }
}

impl From<L1Error> for Stop {
    fn from(error: L1Error) -> Self {
        Self::L1(error)
    }
}

impl Task {
    async fn look(&mut self) -> Result<Look, Stop> {
        let heads = self.follower.client.heads().await?;
        if self.settled.as_ref() == Some(&heads) {
            self.found().await?;
            return Ok(Look::Done);
        }
        let begun = self.follower.shared.read().chain.is_some();
        if !begun && !self.begin(&heads).await? {
            self.found().await?;
            return Ok(Look::Later);
        }
        let look = self.extend(&heads).await?;
        self.settled = (look == Look::Done).then_some(heads);
        Ok(look)
    }

    /// Finds the block to begin with. Says whether it is found.
    async fn begin(&mut self, heads: &Heads) -> Result<bool, Stop> {
        let Some(&last) = self.follower.config.start.last() else {
            let at = heads.latest.number.saturating_sub(self.follower.config.confirmations);
            let Some(header) = self.follower.client.header(At::Number(at)).await? else {
                return Ok(false);
            };
            let id = id(&header);
            self.floor = id;
            self.set_chain(id);
            return Ok(true);
        };
        let mut theirs = None;
        for start in self.follower.config.start.clone().into_iter().rev() {
            // A block above the head is not contradicted: L1 may be behind. Whether to go back is seen further below.
            if start.number > heads.latest.number {
                continue;
            }
            let Some(header) = self.follower.client.header(At::Number(start.number)).await? else {
                continue;
            };
            if header.hash() != start.hash {
                theirs = Some(header.hash());
                continue;
            }
            if start == last || theirs.is_some() {
                self.set_chain(start);
                if start != last {
                    self.report_reorg(start, last).await?;
                }
                return Ok(true);
            }
            return Ok(false);
        }
        if theirs.is_some() {
            let ours = self.floor;
            self.report_contradiction(heads, Event::Contradiction { ours, theirs }).await?;
        }
        Ok(false)
    }

    /// Reports what L1 has beyond what was reported, or instead of it.
    async fn extend(&mut self, heads: &Heads) -> Result<Look, Stop> {
        let target = heads.latest.number.saturating_sub(self.follower.config.confirmations);
        loop {
            let tip = self.tip();
            // The newest reported block is read again with those that follow it: it shows whether they follow it.
            let first = tip.number.min(heads.latest.number);
            let last = target.clamp(first, first + HEADERS_MAX - 1);
            let Some(ours) = self.id_at(first) else {
                // L1's head is below everything that is remembered: it is far behind.
                return Ok(Look::Later);
            };
            let headers = self.follower.client.headers(first..=last).await?;
            // An L1 that tells its head and nothing else isn't found yet.
            self.found().await?;
            let Some(headers) = headers else { return Ok(Look::Later) };
            let Some((theirs, next)) = headers.split_first() else { return Ok(Look::Later) };
            if theirs.hash() != ours.hash {
                if self.reorganize(heads, first).await? == Look::Later {
                    return Ok(Look::Later);
                }
                continue;
            }
            if self.contradiction.take().is_some() {
                self.emit(Event::Agreement).await?;
            }
            self.shorter = 0;
            self.note_head(heads).await?;
            if first < tip.number {
                return Ok(Look::Done);
            }
            for header in next {
                let Some(header) = self.l1_header(header) else { return Ok(Look::Later) };
                if !self.push(header) {
                    // The answer is from both sides of a reorganization.
                    return Ok(Look::Later);
                }
                self.emit(Event::Block(header)).await?;
            }
            self.note_marks(heads).await?;
            if self.tip().number >= target {
                return Ok(Look::Done);
            }
        }
    }

    /// L1 has another block at `contradicted`: goes back to the newest block that both have.
    async fn reorganize(&mut self, heads: &Heads, contradicted: u64) -> Result<Look, Stop> {
        if heads.latest.number < self.head_best {
            self.shorter += 1;
            if self.shorter < self.follower.config.shorter_looks {
                return Ok(Look::Later);
            }
        }
        let tip = self.tip();
        let base = self.base();
        let lowest = base.number.max(self.floor.number);
        let mut high = contradicted;
        while high > lowest {
            let low = high.saturating_sub(HEADERS_MAX).max(lowest);
            let Some(theirs) = self.follower.client.headers(low..=high - 1).await? else {
                return Ok(Look::Later);
            };
            let both = theirs.iter().map(id).rev().find(|&id| self.id_at(id.number) == Some(id));
            if let Some(to) = both {
                self.report_reorg(to, tip).await?;
                return Ok(Look::Done);
            }
            high = low;
        }
        // Deeper than what is remembered: what is final is what both must have.
        let floor = self.floor;
        if floor.number > heads.latest.number {
            return Ok(Look::Later);
        }
        match self.follower.client.header(At::Number(floor.number)).await? {
            Some(header) if header.hash() == floor.hash => {
                if floor.number >= base.number {
                    // It was just seen to be another one: L1 changed in between.
                    return Ok(Look::Later);
                }
                self.report_reorg(floor, tip).await?;
                Ok(Look::Done)
            }
            theirs => {
                let theirs = theirs.map(|header| header.hash());
                let event = Event::Contradiction { ours: floor, theirs };
                self.report_contradiction(heads, event).await?;
                Ok(Look::Later)
            }
        }
    }

    /// L1 agrees with what was reported, so its head and its length mean something.
    async fn note_head(&mut self, heads: &Heads) -> Result<(), Stop> {
        let head = id(&heads.latest);
        self.head_best = self.head_best.max(head.number);
        let known = self.follower.shared.read().head;
        if known == Some(head) || known.is_some_and(|known| known.number > head.number) {
            return Ok(());
        }
        self.follower.shared.write().head = Some(head);
        self.metrics().follower_head.set(head.number);
        self.emit(Event::Head(head)).await
    }

    async fn note_marks(&mut self, heads: &Heads) -> Result<(), Stop> {
        let is_newer = |known: Option<BlockId>, mark: BlockId| {
            known.is_none_or(|known| mark.number > known.number)
        };
        let (safe, finalized) = {
            let view = self.follower.shared.read();
            (view.safe, view.finalized)
        };
        if let Some(mark) = heads.safe.and_then(|mark| self.reported(mark))
            && is_newer(safe, mark)
        {
            self.follower.shared.write().safe = Some(mark);
            self.metrics().follower_safe.set(mark.number);
            self.emit(Event::Safe(mark)).await?;
        }
        if let Some(mark) = heads.finalized.and_then(|mark| self.reported(mark))
            && is_newer(finalized, mark)
        {
            self.follower.shared.write().finalized = Some(mark);
            if mark.number > self.floor.number {
                self.floor = mark;
            }
            self.metrics().follower_finalized.set(mark.number);
            self.emit(Event::Finalized(mark)).await?;
        }
        Ok(())
    }

    /// The newest reported block that a mark covers. Nothing, if the mark is on another chain.
    fn reported(&self, mark: BlockId) -> Option<BlockId> {
        let tip = self.tip();
        if mark.number >= tip.number {
            return (mark.number > tip.number || mark == tip).then_some(tip);
        }
        match self.id_at(mark.number) {
            Some(ours) => (ours == mark).then_some(mark),
            // Below what is remembered. L1 agrees with what is above.
            None => Some(mark),
        }
    }

    async fn report_reorg(&mut self, to: BlockId, from: BlockId) -> Result<(), Stop> {
        self.shorter = 0;
        self.head_best = 0;
        {
            let mut view = self.follower.shared.write();
            if let Some(chain) = &mut view.chain {
                chain.rewind(to);
            }
            view.head = None;
            view.safe = view.safe.filter(|safe| safe.number <= to.number);
        }
        let metrics = self.metrics();
        metrics.reorgs.inc();
        metrics.reorged_blocks.add(from.number.saturating_sub(to.number));
        metrics.follower_tip.set(to.number);
        tracing::warn!(from = from.number, to = to.number, "L1 reorganized");
        self.emit(Event::Reorg { to, from }).await
    }

    /// Reports a contradiction, once while it lasts, and turns to another endpoint if there is one.
    async fn report_contradiction(&mut self, heads: &Heads, event: Event) -> Result<(), Stop> {
        self.follower.client.distrust(heads.endpoint);
        if self.contradiction.as_ref() == Some(&event) {
            return Ok(());
        }
        let endpoint = self.follower.client.endpoint_name(heads.endpoint);
        tracing::error!(endpoint, ?event, "L1 contradicts what was final");
        self.contradiction = Some(event.clone());
        self.emit(event).await
    }

    async fn lost(&mut self, error: L1Error) -> Result<(), Stop> {
        self.failures = self.failures.saturating_add(1);
        if self.lost.as_ref().is_some_and(|lost| is_alike(lost, &error)) {
            return Ok(());
        }
        tracing::error!(%error, "L1 is lost");
        self.metrics().lost.set(1);
        self.lost = Some(error.clone());
        self.emit(Event::Lost { error }).await
    }

    async fn found(&mut self) -> Result<(), Stop> {
        if self.failures == 0 {
            return Ok(());
        }
        tracing::info!(failures = self.failures, "L1 is found again");
        self.failures = 0;
        self.lost = None;
        self.metrics().lost.set(0);
        self.emit(Event::Found).await
    }

    async fn emit(&self, event: Event) -> Result<(), Stop> {
        self.follower.events.send(event).await.map_err(|_| Stop::Closed)
    }

    /// What reaches L2 of a header. Nothing for one without base fee, which no L1 of a rollup has.
    fn l1_header(&self, header: &L1HeaderSealed) -> Option<L1Header> {
        let converted = self.follower.schedule.l1_header(header);
        if converted.is_none() {
            tracing::error!(number = header.number, "an L1 block has no base fee");
        }
        converted
    }

    fn push(&self, header: L1Header) -> bool {
        let mut view = self.follower.shared.write();
        let pushed = view.chain.as_mut().is_some_and(|chain| chain.push(header));
        if pushed {
            self.metrics().follower_tip.set(header.number);
        }
        pushed
    }

    fn set_chain(&self, base: BlockId) {
        let chain = Chain::new(base, self.follower.config.headers_max);
        self.follower.shared.write().chain = Some(chain);
        self.metrics().follower_tip.set(base.number);
    }

    fn tip(&self) -> BlockId {
        self.follower.shared.read().chain.as_ref().map(Chain::tip).unwrap_or_default()
    }

    fn base(&self) -> BlockId {
        self.follower.shared.read().chain.as_ref().map(Chain::base).unwrap_or_default()
    }

    fn id_at(&self, number: u64) -> Option<BlockId> {
        self.follower.shared.read().chain.as_ref()?.id_at(number)
    }

    fn metrics(&self) -> &L1Metrics {
        self.follower.client.metrics()
    }
}

fn id(header: &L1HeaderSealed) -> BlockId {
    BlockId { number: header.number, hash: header.hash() }
}

/// Whether two failures are of the same kind at the same endpoint: their words differ in what nobody acts upon.
fn is_alike(one: &L1Error, other: &L1Error) -> bool {
    match (one, other) {
        (
            L1Error::Unavailable { endpoint: at, reason },
            L1Error::Unavailable { endpoint: there, reason: another },
        ) => at == there && discriminant(reason) == discriminant(another),
        (L1Error::Refused(one), L1Error::Refused(other)) => one.code == other.code,
        _ => false,
    }
}
