//! What the batcher counts about itself: read when somebody scrapes.

use millrace_batcher::{Backlog, Figures, Kind};
use prometheus::{
    Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tokio::sync::watch;

use super::figures::{counter, gauge};

/// Shows a batcher's figures.
pub(super) struct BatcherFigures {
    figures: watch::Receiver<Figures>,
    backlog: watch::Receiver<Backlog>,
    /// What they are called, as registration asks for it before any of them is read.
    descriptions: Vec<Desc>,
}

impl BatcherFigures {
    pub(super) fn new(
        figures: watch::Receiver<Figures>,
        backlog: watch::Receiver<Backlog>,
    ) -> Self {
        let figures = Self { figures, backlog, descriptions: Vec::new() };
        let all = figures.all();
        let descriptions = all.iter().flat_map(|metric| metric.desc()).cloned().collect();
        Self { descriptions, ..figures }
    }

    fn all(&self) -> Vec<Box<dyn Collector>> {
        // Every figure is named, so that one that is added cannot be forgotten here.
        let Figures {
            channels_total,
            channel_bytes_total,
            abandoned_total,
            transactions_total,
            included_total,
            bumps_total,
            failures_total,
            posted,
            next_block,
            l1_head,
            in_flight,
            unsettled,
            capped,
            unfunded,
            usurper,
            trouble,
            paused,
            kind,
            balance,
            cost_per_hour,
            runway,
            balance_low,
        } = self.figures.borrow().clone();
        let Backlog { blocks, bytes, is_over } = *self.backlog.borrow();
        const WEI: f64 = 1e18;
        let mut all = vec![
            total("channels_total", "Channels closed.", channels_total),
            total(
                "channel_bytes_total",
                "Compressed bytes in closed channels.",
                channel_bytes_total,
            ),
            total(
                "channels_abandoned_total",
                "Channels given up and posted again.",
                abandoned_total,
            ),
            total(
                "transactions_total",
                "L1 transactions written down, better-paid attempts included.",
                transactions_total,
            ),
            total("transactions_included_total", "L1 transactions seen included.", included_total),
            total("fee_bumps_total", "Better-paid attempts.", bumps_total),
            total("failures_total", "Calls that failed and are tried again.", failures_total),
            now("posted_number", "The last block on L1 without a gap before it.", posted as f64),
            now("next_number", "The next block to be read for posting.", next_block as f64),
            now("l1_head_number", "The newest L1 block that the batcher has seen.", l1_head as f64),
            now("in_flight", "Transactions sent and not included.", in_flight as f64),
            now("unsettled", "Transactions that are not settled.", unsettled as f64),
            now("capped", "Transactions that would offer more, but for the caps.", capped as f64),
            now(
                "unfunded",
                "1 while L1 refuses a transaction because the account cannot pay, else 0.",
                f64::from(unfunded),
            ),
            now(
                "unauthorized",
                "1 while L1 names another batcher than ours, so that nothing is posted, else 0.",
                f64::from(usurper.is_some()),
            ),
            now(
                "trouble",
                "1 while something that posting needs fails again and again, else 0.",
                f64::from(trouble.is_some()),
            ),
            now("paused", "1 while posting is paused, else 0.", f64::from(paused)),
            now("balance_ether", "The account's balance.", f64::from(balance) / WEI),
            now("balance_low", "1 while balance or runway is low, else 0.", f64::from(balance_low)),
            now("backlog_blocks", "Journaled blocks that are not on L1.", blocks as f64),
            now("backlog_bytes", "Bytes of their transactions, about.", bytes as f64),
            now(
                "backlog_over",
                "1 while the backlog is above its limit, else 0.",
                f64::from(is_over),
            ),
        ];
        if let Some(cost) = cost_per_hour {
            let help = "What an hour costs at the present rate.";
            all.push(now("cost_ether_per_hour", help, f64::from(cost) / WEI));
        }
        if let Some(runway) = runway {
            let help = "For how long the balance lasts at the present rate.";
            all.push(now("runway_seconds", help, runway.as_secs_f64()));
        }
        if let Some(kind) = kind {
            let help = "1 for the way in which channels travel at present, else 0.";
            for (label, is) in [("blobs", Kind::Blobs), ("calldata", Kind::Calldata)] {
                let opts =
                    Opts::new("millrace_batcher_carrier", help).const_label("carrier", label);
                all.push(Box::new(gauge(opts, f64::from(kind == is))));
            }
        }
        all
    }
}

impl Collector for BatcherFigures {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.all().iter().flat_map(|metric| metric.collect()).collect()
    }
}

fn total(name: &str, help: &str, value: u64) -> Box<dyn Collector> {
    Box::new(counter(Opts::new(format!("millrace_batcher_{name}"), help), value as f64))
}

fn now(name: &str, help: &str, value: f64) -> Box<dyn Collector> {
    Box::new(gauge(Opts::new(format!("millrace_batcher_{name}"), help), value))
}
