//! Walking blocks: which transactions were included, and when the block that holds them could be seen. It has a thread of
//! its own, so that a block of megabytes holds up no request.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use alloy_primitives::{B256, map::B256HashMap};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    interval::{Interval, Intervals},
    latency::Latencies,
    process,
    rpc::{Block, Receipt, Rpc, RpcError, malformed, parse, quantity, result},
    slots::Slots,
};

const METHOD: &str = "eth_getBlockByNumber";
/// How many times in a row a block may not be read.
const FAILURES_MAX: u32 = 5;
/// How many receipts are looked at, after the run, for whether transactions did what they should.
const SAMPLE: usize = 200;

/// What was found in blocks.
#[derive(Debug, Default)]
pub(crate) struct Included {
    pub(crate) count: u64,
    /// From when a transaction was due (or, flat out, sent) until its block was seen.
    pub(crate) latencies: Latencies,
    /// From the first block after the start to the last one that holds something of ours.
    pub(crate) blocks: Blocks,
    /// When the last of ours was seen, in nanoseconds from the start.
    pub(crate) last_included: u64,
    /// The server's CPU time at that moment.
    pub(crate) server_cpu: Option<Duration>,
    /// Transactions of the sample that were reverted, and the size of the sample.
    pub(crate) reverted: (usize, usize),
    /// Why there may be blocks that were not looked at.
    pub(crate) problem: Option<RpcError>,
    sample: Vec<B256>,
}

/// Blocks and what was in them.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Blocks {
    pub(crate) count: u64,
    /// Those without a transaction of ours.
    pub(crate) empty: u64,
    pub(crate) gas: u64,
    /// The most of ours in one block.
    pub(crate) largest: u64,
    /// Those that did not follow the one before: the chain was reorganized.
    pub(crate) reorgs: u64,
    /// Whether they came in time.
    pub(crate) slots: Slots,
}

/// Looks for transactions in blocks.
pub(crate) struct Watcher<F> {
    pub(crate) rpc: Rpc,
    /// The first block that is looked at.
    pub(crate) next: u64,
    pub(crate) clock: Arc<Clock>,
    pub(crate) numbers: B256HashMap<u32>,
    pub(crate) poll: Duration,
    pub(crate) drain: Duration,
    pub(crate) server_pid: Option<u32>,
    /// Look at the blocks that there are, and end.
    pub(crate) stop: CancellationToken,
    /// What is said now and then, and who hears it.
    pub(crate) intervals: Option<(Intervals, F)>,
}

impl<F: Fn(&Interval)> Watcher<F> {
    pub(crate) async fn run(mut self) -> Included {
        let mut included = Included::default();
        let mut blocks = Blocks::default();
        let mut parent = None;
        let mut failures = 0;
        let mut deadline = None;
        loop {
            self.say(&blocks);
            // Asked first: what was expected when the last block was looked for counts.
            let finished = self.clock.finished_sending();
            let complete = finished && self.clock.waiting() == 0;
            match self.block(&mut included, &mut blocks, &mut parent).await {
                Ok(true) => {
                    failures = 0;
                    self.next += 1;
                    continue;
                }
                Ok(false) => failures = 0,
                Err(error) => {
                    failures += 1;
                    if failures == FAILURES_MAX {
                        included.problem = Some(error);
                        break;
                    }
                }
            }
            let now = Instant::now();
            let late = finished && now >= *deadline.get_or_insert(now + self.drain);
            if complete || late || self.stop.is_cancelled() {
                break;
            }
            sleep(self.poll).await;
        }
        self.sample(&mut included).await;
        included
    }

    /// Reports the interval that is over, if one is.
    fn say(&mut self, blocks: &Blocks) {
        let Some((intervals, hear)) = &mut self.intervals else { return };
        // What comes after the last transaction was sent is the rest of the last one, and slower.
        if self.clock.finished_sending() {
            return;
        }
        if let Some(interval) = intervals.end(self.clock.now(), self.clock.waiting(), &blocks.slots)
        {
            hear(&interval);
        }
    }

    /// Looks at the next block, if there is one.
    async fn block(
        &mut self,
        included: &mut Included,
        blocks: &mut Blocks,
        parent: &mut Option<B256>,
    ) -> Result<bool, RpcError> {
        let Self { rpc, next, clock, numbers, intervals, .. } = self;
        let mut intervals = intervals.as_mut().map(|(intervals, _)| intervals);
        let params = json!([format!("{next:#x}"), false]);
        let body = json!({ "jsonrpc": "2.0", "id": 0, "method": METHOD, "params": params });
        let read = |answer: &[u8]| {
            let seen = clock.now();
            let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let seen_unix_ms = since_epoch.map_or(0, |since| since.as_millis() as i64);
            let block: Option<Block<'_>> = result(METHOD, parse(METHOD, answer)?)?;
            let Some(block) = block else { return Ok(false) };
            if quantity(block.number) != Some(*next) {
                return Err(malformed(METHOD, "it is another block"));
            }
            let mut ours = 0;
            for text in &block.transactions {
                let hash: B256 = text.parse().map_err(|error| malformed(METHOD, error))?;
                // Removed, so that a block that is seen twice counts once.
                let since = numbers.remove(&hash).and_then(|number| clock.since(number as usize));
                let Some(since) = since else { continue };
                let latency = seen.saturating_sub(since);
                included.latencies.record(latency);
                if let Some(intervals) = &mut intervals {
                    intervals.include(latency);
                }
                // Spread over the run: each power of two thins the sample out.
                if included
                    .count
                    .is_multiple_of((included.count / SAMPLE as u64 + 1).next_power_of_two())
                {
                    included.sample.push(hash);
                }
                included.count += 1;
                ours += 1;
            }
            clock.include(ours);
            blocks.count += 1;
            blocks.empty += u64::from(ours == 0);
            blocks.gas += quantity(block.gas_used).unwrap_or(0);
            blocks.largest = blocks.largest.max(ours);
            blocks.reorgs += u64::from(parent.is_some_and(|parent| parent != block.parent_hash));
            *parent = Some(block.hash);
            if let Some(timestamp) = quantity(block.timestamp) {
                blocks.slots.see(timestamp, seen_unix_ms);
            }
            if let Some(intervals) = intervals {
                intervals.block(seen);
            }
            if ours > 0 {
                included.blocks = *blocks;
                included.last_included = seen;
            }
            Ok(true)
        };
        let found = rpc.post(body.to_string().as_bytes(), read).await??;
        if found && included.last_included > 0 && included.blocks.count == blocks.count {
            included.server_cpu = self.server_pid.and_then(process::cpu);
        }
        Ok(found)
    }

    async fn sample(&mut self, included: &mut Included) {
        let step = included.sample.len().div_ceil(SAMPLE).max(1);
        let hashes: Vec<_> =
            included.sample.iter().step_by(step).map(|hash| json!([hash])).collect();
        for some in hashes.chunks(50) {
            let receipts =
                self.rpc.calls::<Option<Receipt>>("eth_getTransactionReceipt", some).await;
            match receipts {
                Ok(receipts) => {
                    let reverted = |receipt: &Receipt| receipt.status.is_zero();
                    included.reverted.1 += receipts.iter().flatten().count();
                    included.reverted.0 +=
                        receipts.iter().flatten().filter(|one| reverted(one)).count();
                }
                Err(error) => included.problem = Some(error),
            }
        }
    }
}
