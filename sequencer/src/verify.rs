//! Deriving a chain from L1 alone, and holding it against what somebody serves.

use std::{io::Write, sync::Arc};

use alloy_primitives::B256;
use anyhow::{Context, bail};
use futures::FutureExt;
use millrace_l1::{At, Call, Endpoint, EndpointConfig};
use serde::Deserialize;
use tokio::sync::watch;

use crate::{
    config::Config,
    deriver::Goal,
    foundation::{Foundation, Home},
    l1_side::L1Side,
    metrics::Metrics,
    recovery::Promises,
    rollup::Rollup,
    writer::{Assignment, Writer},
};

/// Derives a rollup's chain from L1 as it is now, prints each block, and compares it with what a node serves, if one is
/// named. Whether all agree.
pub async fn verify(
    config: Config,
    rollup: Rollup,
    against: Option<String>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    if config.l1.urls.is_empty() {
        bail!("l1.url: there is no verifying without L1");
    }
    let home = Home::open(&config)?;
    let never = std::future::pending();
    let laid = Foundation::lay(&home, &config, &rollup.genesis, Promises::Leave, never).await?;
    let Some(Foundation { chain, executor }) = laid else { return Ok(false) };
    let side =
        L1Side::new(&config.l1, rollup.config.clone(), &chain).await.context("prepare L1")?;
    let last = side.client.header(At::Latest).await.context("ask L1 for its head")?;
    let last = last.context("L1 has no head")?.number;

    let assignment = Assignment {
        origin: None,
        block_time_s: rollup.config.block_time,
        gas_limit: rollup.config.genesis.system_config.gas_limit,
        throttle: watch::channel(false).1,
        health: Arc::default(),
        metrics: Arc::new(Metrics::new(executor.clone())),
    };
    let writer = Writer::start(&chain, &executor, &config, assignment);
    let links = writer.links(Goal::Until(last), Box::new(drop));
    let heads = side.heads.clone();
    let (stop_following, mut stopped) = watch::channel(false);
    let until_stopped =
        async move { stopped.wait_for(|stopped| *stopped).await.map_or((), drop) }.boxed().shared();
    let running = side.run(links, until_stopped);
    let derived = running.deriving.await.context("join derivation")?;
    stop_following.send_replace(true);
    running.following.await.ok();
    writer.stop();
    writer.building.await.context("join the builder")?.context("make blocks")?;
    derived?;

    let served = against.map(|url| Served::new(&url)).transpose()?;
    let genesis = chain.genesis().number;
    // In a directory that a sequencer used there may be blocks above it that L1 says nothing about.
    let head = heads.get().safe.id.number;
    for number in genesis..=head {
        let header = chain.header(number).await?.context("a derived block is gone")?;
        let derived = header.hash();
        match &served {
            None => writeln!(out, "{number} {derived}")?,
            Some(served) => match served.hash(number).await? {
                Some(hash) if hash == derived => writeln!(out, "{number} {derived} ok")?,
                hash => {
                    let hash = hash.map_or_else(|| "nothing".to_owned(), |hash| hash.to_string());
                    writeln!(out, "{number} {derived} differs: {hash} is served")?;
                    return Ok(false);
                }
            },
        }
    }
    writeln!(out, "{} blocks derived from L1 up to block {last}", head - genesis)?;
    Ok(true)
}

/// A node that serves the chain.
struct Served(Endpoint);

#[derive(Deserialize)]
struct ServedBlock {
    hash: B256,
}

impl Served {
    fn new(url: &str) -> anyhow::Result<Self> {
        Ok(Self(Endpoint::new(&EndpointConfig::new("against", url)).context("against")?))
    }

    async fn hash(&self, number: u64) -> anyhow::Result<Option<B256>> {
        let params = serde_json::json!([format!("{number:#x}"), false]);
        let answer = self.0.call(&Call::new("eth_getBlockByNumber", params)).await?;
        let block: Option<ServedBlock> = serde_json::from_str(answer.get())?;
        Ok(block.map(|block| block.hash))
    }
}
