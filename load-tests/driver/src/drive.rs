//! Sending: one task a connection, all on one thread, and a thread that keeps the time when there is a rate.

use std::{sync::Arc, thread, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    answers::{Errors, accepted},
    clock::Clock,
    config::{Endpoint, Pace},
    http::Connection,
    latency::Latencies,
    workload::Request,
};

/// How many times in a row a connection may fail before its lane is given up.
const FAILURES_MAX: u32 = 3;
/// Requests are released on time within this: a thread that woke up for each would cost the server too much CPU.
const TICK: Duration = Duration::from_micros(200);

/// What became of the requests.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) submitted: u64,
    pub(crate) accepted: u64,
    /// From when a request was due (or, flat out, sent) until its answer was there, for each transaction accepted.
    pub(crate) latencies: Latencies,
    /// How late the latest request left, in nanoseconds: what the connections could not keep up with.
    pub(crate) behind: u64,
    /// When the last request left, and when the last answer came, in nanoseconds from the start.
    pub(crate) last_submitted: u64,
    pub(crate) last_accepted: u64,
    pub(crate) errors: Errors,
}

impl Sent {
    fn merge(&mut self, other: Self) {
        self.submitted += other.submitted;
        self.accepted += other.accepted;
        self.latencies.append(other.latencies);
        self.behind = self.behind.max(other.behind);
        self.last_submitted = self.last_submitted.max(other.last_submitted);
        self.last_accepted = self.last_accepted.max(other.last_accepted);
        self.errors.merge(&other.errors);
    }
}

/// When to end.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// Send nothing more, but wait for the answers to what was sent.
    pub(crate) enough: CancellationToken,
    /// Wait for nothing. This cancels `enough`, too.
    pub(crate) interrupt: CancellationToken,
}

/// Sends until everything is sent or one of the ends has come.
pub(crate) async fn drive(
    endpoint: &Endpoint,
    pace: Pace,
    lanes: Vec<Vec<Request>>,
    clock: &Arc<Clock>,
    ends: &Ends,
) -> Sent {
    let mut tasks = JoinSet::new();
    // Ends the pacer when there is nobody left whom it could tell the time.
    let over = ends.enough.child_token();
    let gates: Vec<Arc<Semaphore>> = lanes.iter().map(|_| Arc::new(Semaphore::new(0))).collect();
    let pacer = matches!(pace, Pace::Rate(_)).then(|| {
        let dues = lanes
            .iter()
            .enumerate()
            .flat_map(|(lane, requests)| requests.iter().map(move |request| (request.due, lane)));
        let mut dues: Vec<(u64, usize)> = dues.collect();
        dues.sort_unstable();
        let (gates, clock, over) = (gates.clone(), clock.clone(), over.clone());
        thread::spawn(move || release(&dues, &gates, &clock, &over))
    });
    for (requests, gate) in lanes.into_iter().zip(gates) {
        let lane = Lane {
            endpoint: endpoint.clone(),
            pace,
            gate,
            clock: clock.clone(),
            ends: ends.clone(),
            connection: None,
            sent: Sent::default(),
        };
        tasks.spawn(lane.run(requests));
    }
    let mut sent = Sent::default();
    while let Some(lane) = tasks.join_next().await {
        sent.merge(lane.expect("a lane does not panic"));
    }
    over.cancel();
    if let Some(pacer) = pacer {
        pacer.join().expect("the pacer does not panic");
    }
    sent
}

/// Opens each request's gate when it is due. The runtime's own timers are a millisecond coarse, which is a fifth of what
/// a preconfirmation takes.
fn release(
    dues: &[(u64, usize)],
    gates: &[Arc<Semaphore>],
    clock: &Clock,
    over: &CancellationToken,
) {
    let mut dues = dues.iter().peekable();
    while let Some((due, _)) = dues.peek()
        && !over.is_cancelled()
    {
        let now = clock.now();
        if *due > now {
            // Wakes up now and then to look at `over`.
            thread::sleep(Duration::from_nanos(due - now).clamp(TICK, 100 * TICK));
            continue;
        }
        while let Some((_, lane)) = dues.next_if(|(due, _)| *due <= now) {
            gates[*lane].add_permits(1);
        }
    }
}

/// One connection and the requests of its senders.
struct Lane {
    endpoint: Endpoint,
    pace: Pace,
    gate: Arc<Semaphore>,
    clock: Arc<Clock>,
    ends: Ends,
    connection: Option<Connection>,
    sent: Sent,
}

impl Lane {
    async fn run(mut self, requests: Vec<Request>) -> Sent {
        let Ends { enough, interrupt } = self.ends.clone();
        let mut failures = 0;
        for request in requests {
            tokio::select! {
                biased;
                () = enough.cancelled() => break,
                () = self.turn() => {}
            }
            let count = request.count as u64;
            let sent = self.clock.now();
            let since = match self.pace {
                Pace::Rate(_) => request.due,
                Pace::FlatOut { .. } => sent,
            };
            self.sent.behind = self.sent.behind.max(sent.saturating_sub(since));
            self.sent.submitted += count;
            self.sent.last_submitted = sent;
            self.clock.send(request.first..request.first + request.count, since);
            let error = tokio::select! {
                biased;
                result = self.exchange(&request, since) => result.err(),
                () = interrupt.cancelled() => {
                    // What was sent may still be included: it stays expected.
                    self.sent.errors.add("unanswered", "interrupted before the answer came", count);
                    break;
                }
            };
            let Some(error) = error else {
                failures = 0;
                continue;
            };
            self.connection = None;
            self.clock.refuse(count);
            self.sent.errors.add("io", error, count);
            failures += 1;
            if failures == FAILURES_MAX {
                break;
            }
        }
        self.sent
    }

    /// Waits until the next request may be sent.
    async fn turn(&self) {
        match self.pace {
            Pace::Rate(_) => {
                if let Ok(permit) = self.gate.acquire().await {
                    permit.forget();
                }
            }
            Pace::FlatOut { in_flight } => {
                while self.clock.waiting() >= in_flight {
                    sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }

    async fn exchange(
        &mut self,
        request: &Request,
        since: u64,
    ) -> Result<(), crate::http::HttpError> {
        let connection = match self.connection.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => Connection::open(&self.endpoint).await?,
        };
        let connection = self.connection.insert(connection);
        let answer = connection.exchange(&request.bytes).await?;
        let now = self.clock.now();
        let count = request.count as u64;
        let accepted = accepted(answer, count, &mut self.sent.errors);
        self.clock.refuse(count - accepted);
        self.sent.accepted += accepted;
        if accepted > 0 {
            self.sent.last_accepted = now;
        }
        (0..accepted).for_each(|_| self.sent.latencies.record(now.saturating_sub(since)));
        Ok(())
    }
}
