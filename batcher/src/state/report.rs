//! What the batcher tells about itself.

use std::time::Duration;

use alloy_primitives::U256;
use tracing::warn;

use super::State;
use crate::metrics::runway;

/// What others may know.
impl State {
    pub(super) fn update_figures(&mut self, now: Duration) {
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
