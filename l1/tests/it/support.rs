//! What the tests share: a real anvil, a proxy that lies, and transactions.

pub(crate) mod anvil;
pub(crate) mod faulty;

use std::time::Duration;

use millrace_l1::{ClientConfig, EndpointConfig, L1Client};
use millrace_protocol::BlockId;

pub(crate) const CHAIN_ID: u64 = 31_337;

/// Patience that suits a test: everything is near and either answers or doesn't.
pub(crate) fn config(urls: &[&str], genesis: Option<BlockId>) -> ClientConfig {
    let endpoints = urls.iter().enumerate().map(|(i, url)| EndpointConfig {
        request_timeout: Duration::from_secs(60),
        ..EndpointConfig::new(format!("l1-{i}"), *url)
    });
    ClientConfig {
        backoff: (Duration::from_millis(10), Duration::from_millis(50)),
        aside: (Duration::from_millis(50), Duration::from_millis(400)),
        heads_age_max: Duration::ZERO,
        ..ClientConfig::new(endpoints.collect(), CHAIN_ID, genesis)
    }
}

pub(crate) fn client(urls: &[&str]) -> L1Client {
    L1Client::new(config(urls, None)).unwrap()
}

/// Waits for a condition; fails the test rather than hanging it.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
