//! Reading flat out what a prepared chain holds: one method after the other, over connections with one request under way
//! on each.
//!
//! Every request is written ahead, and every different one is answered once, and the answer looked at, before the clock
//! starts: an endpoint that answers fast that it knows nothing would look good.

use std::{
    fmt,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, U256};
use memchr::memmem;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    answers::{Errors, accepted},
    config::{Config, Endpoint, Method, ReadsConfig},
    http::{Connection, render},
    latency::{Latencies, Percentiles},
    process, program,
    report::Report,
    rpc::{Rpc, RpcError, request},
    run::{Progress, RunError, prepare, send},
    setup,
};

/// What a run of reads found.
#[derive(Debug)]
pub struct ReadsReport(Vec<Reads>);

/// What was found of one method. Printed, it is a summary that ends in a line `RESULT name=… key=value …`.
#[derive(Debug)]
pub struct Reads {
    labels: String,
    /// Which method was called.
    pub method: Method,
    /// Calls that were answered with what was asked for.
    pub answered: u64,
    elapsed: Duration,
    percentiles: Option<Percentiles>,
    errors: Errors,
    server_cpu: Option<Duration>,
    own_cpu: Option<Duration>,
}

/// Prepares the chain and reads until the time of each method is over, or `interrupt` is cancelled. Expects a runtime of
/// one thread.
pub async fn reads(
    config: ReadsConfig,
    interrupt: CancellationToken,
    hear: impl Fn(Progress<'_>) + Send + Sync + 'static,
) -> Result<ReadsReport, RunError> {
    let ReadsConfig { preparation, methods, duration } = config;
    let (config, hear) = (Arc::new(preparation), Arc::new(hear));
    let (ready, load) = prepare(&config, &interrupt, &*hear).await?;
    let hashes = load.hashes.clone();
    let run = send(&config, load, interrupt.child_token(), &hear).await?;
    let first = run.first_block;
    let report = Report::new(&config, run);
    if !report.is_clean() {
        return Err(RunError::Reads(format!("the preparation failed\n{report}")));
    }
    let mut rpc = Rpc::new(config.endpoint.clone());
    let last = setup::height(&mut rpc).await.map_err(RunError::Height)?;
    let subjects = Subjects {
        token: ready.targets.tokens[0],
        senders: ready.senders.iter().map(|sender| sender.key.address).collect(),
        hashes,
        blocks: first..last + 1,
    };
    let mut found = Vec::with_capacity(methods.len());
    for method in methods {
        let params = subjects.params(method);
        hear(Progress::Step(&format!("reading by {method}")));
        check(&mut rpc, method, &params).await?;
        let render = |params| {
            let body = request(0, method.name(), params).to_string();
            render(&config.endpoint, body.as_bytes())
        };
        let requests: Arc<[Vec<u8>]> = params.iter().map(render).collect();
        found.push(read(&config, method, requests, duration, &interrupt).await);
        if interrupt.is_cancelled() {
            break;
        }
    }
    Ok(ReadsReport(found))
}

/// What there is to read about.
struct Subjects {
    token: Address,
    senders: Vec<Address>,
    hashes: Vec<B256>,
    blocks: Range<u64>,
}

impl Subjects {
    /// The parameters of every different call.
    fn params(&self, method: Method) -> Vec<Value> {
        let Self { token, senders, hashes, blocks } = self;
        let senders = senders.iter();
        match method {
            Method::Call => senders
                .map(|holder| json!([{ "to": token, "data": program::balance_of(*holder) }, "latest"]))
                .collect(),
            Method::Balance => senders.map(|holder| json!([holder, "latest"])).collect(),
            Method::Logs => {
                let [from, to] =
                    [blocks.start, blocks.end - 1].map(|number| format!("{number:#x}"));
                senders
                    .map(|sender| {
                        let topics = json!([program::transfer_topic(), sender.into_word()]);
                        json!([{ "fromBlock": from, "toBlock": to, "address": token, "topics": topics }])
                    })
                    .collect()
            }
            Method::Receipt => hashes.iter().map(|hash| json!([hash])).collect(),
        }
    }
}

/// Makes every call once and sees whether the answer holds anything.
async fn check(rpc: &mut Rpc, method: Method, params: &[Value]) -> Result<(), RunError> {
    let wrong = |error: RpcError| RunError::Reads(error.to_string());
    for some in params.chunks(50) {
        let answers: Vec<Value> = rpc.calls(method.name(), some).await.map_err(wrong)?;
        for (params, answer) in some.iter().zip(answers) {
            let quantity = || answer.as_str().and_then(|text| text.parse::<U256>().ok());
            let good = match method {
                Method::Call | Method::Balance => {
                    quantity().is_some_and(|amount| !amount.is_zero())
                }
                Method::Logs => answer.as_array().is_some_and(|logs| !logs.is_empty()),
                Method::Receipt => answer["status"] == "0x1",
            };
            if !good {
                return Err(RunError::Reads(format!("{method} of {params} answers {answer}")));
            }
        }
    }
    Ok(())
}

/// Makes calls until the time is over.
async fn read(
    config: &Config,
    method: Method,
    requests: Arc<[Vec<u8>]>,
    duration: Duration,
    interrupt: &CancellationToken,
) -> Reads {
    let Config { name, connections, senders, seed, server_pid, .. } = config;
    let own_before = process::own_cpu();
    let server_before = server_pid.and_then(process::cpu);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for lane in 0..*connections {
        // Each begins elsewhere, so that they do not all ask the same.
        let next = lane * requests.len() / connections;
        let lane = Lane {
            endpoint: config.endpoint.clone(),
            requests: requests.clone(),
            next,
            until: start + duration,
        };
        let interrupt = interrupt.clone();
        tasks.spawn(async move { lane.run(interrupt).await });
    }
    let mut latencies = Latencies::default();
    let mut errors = Errors::default();
    while let Some(lane) = tasks.join_next().await {
        let (some, wrong) = lane.expect("a lane does not panic");
        latencies.append(some);
        errors.merge(&wrong);
    }
    let elapsed = start.elapsed();
    let server_cpu = server_pid.and_then(process::cpu);
    let spent = |before: Option<Duration>, after: Option<Duration>| {
        before.zip(after).map(|(before, after)| after.saturating_sub(before))
    };
    Reads {
        labels: format!(
            "name={name} method={method} connections={connections} senders={senders} seed={seed}"
        ),
        method,
        answered: latencies.len() as u64,
        elapsed,
        percentiles: latencies.percentiles(),
        errors,
        server_cpu: spent(server_before, server_cpu),
        own_cpu: spent(own_before, process::own_cpu()),
    }
}

/// One connection.
struct Lane {
    endpoint: Endpoint,
    requests: Arc<[Vec<u8>]>,
    next: usize,
    until: Instant,
}

impl Lane {
    /// How many times in a row a connection may fail before it is given up.
    const FAILURES_MAX: u32 = 3;

    async fn run(mut self, interrupt: CancellationToken) -> (Latencies, Errors) {
        let mut latencies = Latencies::default();
        let mut errors = Errors::default();
        let mut connection = None;
        let mut failures = 0;
        while failures < Self::FAILURES_MAX {
            let sent = Instant::now();
            if sent >= self.until {
                break;
            }
            let good = tokio::select! {
                biased;
                good = self.exchange(&mut connection, &mut errors) => good,
                () = interrupt.cancelled() => break,
            };
            match good {
                Ok(true) => {
                    let nanos = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    latencies.record(nanos);
                    failures = 0;
                }
                Ok(false) => failures = 0,
                Err(error) => {
                    connection = None;
                    errors.add("io", error, 1);
                    failures += 1;
                }
            }
        }
        (latencies, errors)
    }

    /// Whether the next call was answered with something.
    async fn exchange(
        &mut self,
        connection: &mut Option<Connection>,
        errors: &mut Errors,
    ) -> Result<bool, crate::http::HttpError> {
        let open = match connection.take().filter(Connection::is_open) {
            Some(open) => open,
            None => Connection::open(&self.endpoint).await?,
        };
        let open = connection.insert(open);
        let request = &self.requests[self.next];
        self.next = (self.next + 1) % self.requests.len();
        let answer = open.exchange(request).await?;
        if memmem::find(answer, b"\"result\":null").is_some() {
            errors.add("nothing", "the result is null", 1);
            return Ok(false);
        }
        Ok(accepted(answer, 1, errors) == 1)
    }
}

impl ReadsReport {
    /// Whether every call was answered with what was asked for.
    pub fn is_clean(&self) -> bool {
        self.0.iter().all(|reads| reads.errors.total() == 0 && reads.answered > 0)
    }
}

impl fmt::Display for ReadsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, reads) in self.0.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            write!(f, "{reads}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { labels, method, answered, elapsed, errors, .. } = self;
        let rate = *answered as f64 / elapsed.as_secs_f64();
        writeln!(f, "{method}: {answered} in {:.2} s, {rate:.0}/s", elapsed.as_secs_f64())?;
        if let Some(percentiles) = &self.percentiles {
            writeln!(f, "  {percentiles}")?;
        }
        for (code, message, count) in errors.iter() {
            writeln!(f, "  {count} × error {code}: {message}")?;
        }
        write!(
            f,
            "RESULT {labels} reads={answered} errors={} reads_per_s={rate:.0}",
            errors.total()
        )?;
        if let Some(Percentiles { p50, p99, p999, max }) = self.percentiles {
            write!(f, " p50_ms={p50:.3} p99_ms={p99:.3} p999_ms={p999:.3} max_ms={max:.3}")?;
        }
        for (whose, cpu) in [("server", self.server_cpu), ("driver", self.own_cpu)] {
            if let Some(cpu) = cpu.filter(|_| *answered > 0) {
                let each = cpu.as_secs_f64() * 1e6 / *answered as f64;
                write!(f, " {whose}_cpu_us_per_read={each:.1}")?;
            }
        }
        Ok(())
    }
}
