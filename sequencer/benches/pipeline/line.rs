//! One measurement.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use millrace_sequencer::{Config, Settings, workbench::Workbench};
use millrace_types::Transaction;

use crate::{
    args::Args,
    figures::{Figures, Reading},
    workload::{GAS_LIMIT, Workload},
};

/// The feeder offers so many at a time, and keeps that many of them in the pool.
const OFFERED: usize = 2_000;
const POOLED: usize = 100_000;

/// Feeds a new chain for as long as it takes.
pub(crate) fn measure(args: &Args, workload: Workload, accounts: usize) -> Figures {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::defaults();
    settings.data_dir = Some(directory.path().join("data"));
    settings.gas_limit = Some(GAS_LIMIT);
    settings.pool_transactions_max = Some(4 * POOLED);
    settings.threads = args.threads.or(settings.threads);
    settings.trie_cache_mib = args.trie_cache_mib.or(settings.trie_cache_mib);
    let config = Config::from_settings(&settings).unwrap();

    let genesis = workload.genesis(accounts);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let before = Reading::memory();
    let bench = runtime.block_on(Workbench::start(&config, &genesis)).unwrap();
    drop(genesis);
    let opened = Reading::memory();
    let seconds = (args.warm_up + args.seconds) as usize;
    let transactions = workload.transactions(accounts, seconds * args.rate_max, args.seed);

    let mut feed = transactions.chunks(OFFERED);
    feed_for(&bench, &mut feed, Duration::from_secs(args.warm_up));
    let began = Reading::take(&bench.metrics());
    feed_for(&bench, &mut feed, Duration::from_secs(args.seconds));
    let ended = Reading::take(&bench.metrics());
    assert!(feed.len() > 0, "it ran out of transactions: give it a higher --rate-max");
    runtime.block_on(bench.stop()).unwrap();
    Figures::new(&began, &ended, opened.saturating_sub(before) / accounts as u64)
}

fn feed_for<'a>(
    bench: &Workbench,
    feed: &mut impl Iterator<Item = &'a [Arc<Transaction>]>,
    time: Duration,
) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if bench.pooled() >= POOLED {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let Some(offered) = feed.next() else { return };
        let taken = bench.offer(offered.to_vec());
        assert_eq!(taken, offered.len(), "the pool takes what is valid");
    }
}
