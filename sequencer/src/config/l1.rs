//! How the node reaches L1, and which rollup it belongs to there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Span, settings::redact_url};

/// What was said about L1. In the file, a table named `l1`.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L1Settings {
    /// JSON-RPC addresses of L1 nodes, separated by commas, the preferred one first.
    #[arg(
        id = "l1_url",
        long = "l1-url",
        env = "MILLRACE_L1_URL",
        value_name = "URLS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub url: Option<Vec<String>>,
    /// Addresses of beacon nodes, for blobs. Without any, L1 has to be anvil, which serves blobs itself.
    #[arg(
        id = "l1_beacon_url",
        long = "l1-beacon-url",
        env = "MILLRACE_L1_BEACON_URL",
        value_name = "URLS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub beacon_url: Option<Vec<String>>,
    /// How many L1 blocks lie above the origin of a new block, so that L1's reorganizations rarely reach it [default: 4].
    #[arg(
        id = "l1_confirmations",
        long = "l1-confirmations",
        env = "MILLRACE_L1_CONFIRMATIONS",
        value_name = "N"
    )]
    pub confirmations: Option<u64>,
    /// How often L1 is asked for its head [default: 2s].
    #[arg(id = "l1_poll", long = "l1-poll", env = "MILLRACE_L1_POLL", value_name = "SPAN")]
    pub poll: Option<Span>,
}

/// How the node reaches L1.
#[derive(Debug, Clone)]
pub struct L1Config {
    /// JSON-RPC addresses. A node of a rollup needs one.
    pub urls: Vec<String>,
    /// Beacon nodes.
    pub beacon_urls: Vec<String>,
    /// How many L1 blocks lie above the origin of a new block.
    pub confirmations: u64,
    /// How often L1 is asked for its head.
    pub poll: Duration,
}

impl Default for L1Config {
    /// No addresses, and the defaults of everything else.
    fn default() -> Self {
        let (urls, beacon_urls) = (Vec::new(), Vec::new());
        Self { urls, beacon_urls, confirmations: CONFIRMATIONS, poll: POLL }
    }
}

const CONFIRMATIONS: u64 = 4;
const POLL: Duration = Duration::from_secs(2);

impl L1Settings {
    pub(super) fn defaults() -> Self {
        Self {
            url: None,
            beacon_url: None,
            confirmations: Some(CONFIRMATIONS),
            poll: Some(Span(POLL)),
        }
    }

    pub(super) fn or(self, others: Self) -> Self {
        Self {
            url: self.url.or(others.url),
            beacon_url: self.beacon_url.or(others.beacon_url),
            confirmations: self.confirmations.or(others.confirmations),
            poll: self.poll.or(others.poll),
        }
    }

    pub(super) fn redacted(mut self) -> Self {
        for urls in [&mut self.url, &mut self.beacon_url].into_iter().flatten() {
            urls.iter_mut().for_each(|url| *url = redact_url(url));
        }
        self
    }
}

impl super::Check<'_> {
    /// How to reach L1.
    pub(super) fn l1(&mut self) -> L1Config {
        let confirmations = self.required("l1.confirmations", |s| s.l1.confirmations);
        let poll = self.required("l1.poll", |s| s.l1.poll).0;
        self.that(!poll.is_zero(), "l1.poll", || "must not be zero".into());
        let urls = self.settings.l1.url.clone().unwrap_or_default();
        let beacon_urls = self.settings.l1.beacon_url.clone().unwrap_or_default();
        for (key, urls) in [("l1.url", &urls), ("l1.beacon_url", &beacon_urls)] {
            let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
            self.that(urls.iter().all(is_url), key, || {
                "an address begins with http:// or https://".into()
            });
        }
        L1Config { urls, beacon_urls, confirmations, poll }
    }
}
