//! What the batcher counts about itself. The spine exports it.

use std::{collections::VecDeque, time::Duration};

use alloy_primitives::{Address, U256};

use crate::{limits::COSTS_MAX, record::Kind};

/// Counters and gauges of the batcher, at one moment. Totals count from the process's start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Channels closed.
    pub channels_total: u64,
    /// Compressed bytes in closed channels.
    pub channel_bytes_total: u64,
    /// Channels given up and posted again: each is worth a look.
    pub abandoned_total: u64,
    /// L1 transactions written down, better-paid attempts included.
    pub transactions_total: u64,
    /// L1 transactions seen to be included.
    pub included_total: u64,
    /// Better-paid attempts.
    pub bumps_total: u64,
    /// Calls to neighbours that failed and are tried again.
    pub failures_total: u64,
    /// The last block on L1 without a gap before it.
    pub posted: u64,
    /// The next block to be read.
    pub next_block: u64,
    /// The newest L1 block seen.
    pub l1_head: u64,
    /// Transactions sent and not included.
    pub in_flight: usize,
    /// Transactions that are not settled.
    pub unsettled: usize,
    /// Transactions that would offer more, but for the caps.
    pub capped: usize,
    /// Whether L1 refused a transaction because the account could not pay for it.
    pub unfunded: bool,
    /// The batcher that L1 names, if it is not the one that we sign for: nothing is posted as long as that is so.
    pub usurper: Option<Address>,
    /// What failed several times in a row, and why.
    pub trouble: Option<String>,
    /// Whether no new channels are posted because somebody said so.
    pub paused: bool,
    /// How channels travel at present.
    pub kind: Option<Kind>,
    /// The account's balance, in wei.
    pub balance: U256,
    /// What an hour costs at the present rate, in wei; nothing as long as that is unknown.
    pub cost_per_hour: Option<U256>,
    /// For how long the balance lasts at that rate.
    pub runway: Option<Duration>,
    /// Whether balance or runway is below its limit.
    pub balance_low: bool,
}

/// How far posting is behind. The sequencer reads this and slows down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Journaled blocks that are not on L1.
    pub blocks: u64,
    /// About how many bytes of transactions they have.
    pub bytes: u64,
    /// Whether that is more than the configured limit: the sequencer should make empty blocks or none, until it isn't.
    /// It stays so until a quarter of the limit is free again.
    pub is_over: bool,
}

impl Backlog {
    pub(crate) const fn update(
        &mut self,
        blocks: u64,
        bytes: u64,
        blocks_max: u64,
        bytes_max: u64,
    ) {
        let (mut blocks_limit, mut bytes_limit) = (blocks_max, bytes_max);
        if self.is_over {
            blocks_limit = blocks_max / 4 * 3;
            bytes_limit = bytes_max / 4 * 3;
        }
        *self = Self { blocks, bytes, is_over: blocks > blocks_limit || bytes > bytes_limit };
    }
}

/// The rate at which money is spent: over the last day, or since the start.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    costs: VecDeque<(Duration, U256)>,
}

const SPENDING_WINDOW: Duration = Duration::from_hours(24);
/// Before that a rate would say little.
const SPENDING_SPAN_MIN: Duration = Duration::from_mins(1);

impl Spending {
    pub(crate) fn add(&mut self, now: Duration, cost: U256) {
        if self.costs.len() == COSTS_MAX {
            self.costs.pop_front();
        }
        self.costs.push_back((now, cost));
    }

    pub(crate) fn per_hour(&mut self, now: Duration) -> Option<U256> {
        while self.costs.front().is_some_and(|(then, _)| *then + SPENDING_WINDOW < now) {
            self.costs.pop_front();
        }
        let (start, _) = self.costs.front()?;
        let span = now.saturating_sub(*start);
        if span < SPENDING_SPAN_MIN {
            return None;
        }
        let sum = self.costs.iter().fold(U256::ZERO, |sum, (_, cost)| sum.saturating_add(*cost));
        Some(sum.saturating_mul(U256::from(3_600)) / U256::from(span.as_secs()))
    }
}

/// For how long a balance lasts.
pub(crate) fn runway(balance: U256, cost_per_hour: U256) -> Option<Duration> {
    let hour = cost_per_hour.max(U256::from(1));
    let seconds = balance.saturating_mul(U256::from(3_600)) / hour;
    // Beyond a century nobody cares.
    u64::try_from(seconds).ok().filter(|seconds| *seconds < 3_155_760_000).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_has_hysteresis() {
        let mut backlog = Backlog::default();
        backlog.update(100, 0, 100, 10);
        assert!(!backlog.is_over);
        backlog.update(101, 0, 100, 10);
        assert!(backlog.is_over);
        backlog.update(76, 0, 100, 10);
        assert!(backlog.is_over);
        backlog.update(75, 0, 100, 10);
        assert!(!backlog.is_over);
        backlog.update(0, 11, 100, 10);
        assert!(backlog.is_over);
    }

    #[test]
    fn the_runway_is_balance_by_rate() {
        let mut spending = Spending::default();
        assert_eq!(spending.per_hour(Duration::ZERO), None);
        spending.add(Duration::ZERO, U256::from(50));
        spending.add(Duration::from_mins(20), U256::from(50));
        let rate = spending.per_hour(Duration::from_mins(30)).unwrap();
        assert_eq!(rate, U256::from(200));
        assert_eq!(runway(U256::from(400), rate), Some(Duration::from_hours(2)));
        assert_eq!(runway(U256::MAX, rate), None);
        // What is older than a day no longer counts.
        assert_eq!(spending.per_hour(Duration::from_hours(25)), None);
    }
}
