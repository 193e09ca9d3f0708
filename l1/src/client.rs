//! Several endpoints as one L1: admission, fail-over, retries, stale heads.
//!
//! A question goes to the first endpoint in the order of the configuration that may be asked. A fault (no answer, an
//! answer that is none, an untrue one) sets the endpoint aside for a while that doubles with every fault in a row, and
//! the next endpoint is asked. After a round over all of them comes a pause with jitter, and another round, up to a
//! bound; then the caller learns that L1 can't be reached, and decides. Staying with the first good endpoint rather
//! than taking turns keeps the view of the head steady.

mod health;
mod seats;

use std::{fmt, sync::Arc, time::Duration};

use alloy_primitives::U64;
use futures::{StreamExt, stream::FuturesUnordered};
use millrace_protocol::BlockId;
use parking_lot::Mutex;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json, value::RawValue};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    backoff,
    client::{
        health::Health,
        seats::{Admission, Seat, Shared},
    },
    config::{ClientConfig, ConfigError},
    endpoint::{Endpoint, EndpointError},
    json_rpc::{Call, RpcError},
    metrics::L1Metrics,
    verify::L1HeaderSealed,
};

/// L1, by whichever endpoint answers truly. Clones share everything.
#[derive(Clone)]
pub struct L1Client {
    shared: Arc<Shared>,
}

/// Why a question to L1 has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum L1Error {
    /// No endpoint gave a usable answer within the bounds of patience. Later one may.
    #[error("L1 can't be reached: {endpoint}: {reason}")]
    Unavailable {
        /// The endpoint that was asked last.
        endpoint: String,
        /// What became of it.
        reason: EndpointError,
    },
    /// Nodes understood the question and refuse it: asking again is no use.
    #[error("L1 refuses: {0}")]
    Refused(RpcError),
}

/// The heads of L1 at one moment, by one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    /// The newest block.
    pub latest: L1HeaderSealed,
    /// The newest block that is unlikely to go; nothing before the chain's first justified epoch.
    pub safe: Option<BlockId>,
    /// The newest block that never goes; nothing before the chain's first finalized epoch.
    pub finalized: Option<BlockId>,
    /// Which endpoint says so, by its place in the configuration.
    pub endpoint: usize,
}

/// What a question depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The chain as such: any endpoint that has it may answer.
    Chain,
    /// The head, or something near it: endpoints that are behind may not.
    Head,
}

/// What `null` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Null {
    /// An answer like any other.
    Answer,
    /// This endpoint doesn't have it; another one might.
    AskOthers,
    /// It must exist, so it is asked for again, within the bounds of patience.
    Retry,
}

impl L1Client {
    /// Prepares to talk to L1; nothing is sent yet. Endpoints are admitted when they are first asked.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let seats = config.endpoints.iter().map(|config| {
            Ok(Seat { endpoint: Endpoint::new(config)?, admission: Admission::default() })
        });
        let seats = seats.collect::<Result<Vec<_>, ConfigError>>()?;
        let metrics = L1Metrics::new(config.endpoints.iter().map(|config| config.name.as_str()));
        let shared = Shared {
            healths: Mutex::new(seats.iter().map(|_| Health::new()).collect()),
            rng: Mutex::new(StdRng::seed_from_u64(config.seed)),
            heads_compared: Mutex::new(None),
            metrics: Arc::new(metrics),
            seats,
            config,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What has been counted so far.
    pub fn metrics(&self) -> &Arc<L1Metrics> {
        &self.shared.metrics
    }

    /// The chain id that every endpoint has to have.
    pub fn chain_id(&self) -> u64 {
        self.shared.config.chain_id
    }

    /// The heads of L1. All endpoints are asked, and the first one in order that isn't behind is believed.
    pub async fn heads(&self) -> Result<Heads, L1Error> {
        let shared = &self.shared;
        let mut last = None;
        for round in 0..shared.config.rounds_max {
            self.pause_before(round).await;
            let mut heads = self.ask_heads(&mut last).await;
            for &i in &shared.order(Scope::Head).ask {
                if let Some(heads) = heads.get_mut(i).and_then(Option::take) {
                    return Ok(heads);
                }
            }
        }
        Err(self.unanswered(last))
    }

    /// Asks one question until it is answered, refused, or given up. `read` checks and parses a result.
    pub(crate) async fn ask<T, R>(
        &self,
        scope: Scope,
        null: Null,
        call: Call,
        read: R,
    ) -> Result<Option<T>, L1Error>
    where
        T: Send + 'static,
        R: Fn(&RawValue) -> Result<T, String> + Clone + Send + 'static,
    {
        let answers = self.ask_all(scope, null, vec![call], read).await?;
        Ok(answers.and_then(|mut answers| answers.pop()))
    }

    /// Asks several questions of the same kind at one endpoint. `None` if any of the answers is `null`, in the end.
    pub(crate) async fn ask_all<T, R>(
        &self,
        scope: Scope,
        null: Null,
        calls: Vec<Call>,
        read: R,
    ) -> Result<Option<Vec<T>>, L1Error>
    where
        T: Send + 'static,
        R: Fn(&RawValue) -> Result<T, String> + Clone + Send + 'static,
    {
        if scope == Scope::Head {
            self.compare_heads().await;
        }
        let shared = &self.shared;
        let mut last = None;
        for round in 0..shared.config.rounds_max {
            self.pause_before(round).await;
            let (mut nulls, mut refusals, mut faults) = (0, 0, 0);
            for i in shared.order(scope).ask {
                match shared.put(i, &calls, read.clone()).await {
                    Ok(Some(answers)) => return Ok(Some(answers)),
                    Ok(None) if null == Null::Answer => return Ok(None),
                    Ok(None) => {
                        nulls += 1;
                        last = Some((i, EndpointError::Missing(calls[0].method)));
                    }
                    Err(error) => {
                        match &error {
                            EndpointError::Rpc(refusal) if !error.is_fault() => {
                                if refusal.is_revert() {
                                    return Err(L1Error::Refused(refusal.clone()));
                                }
                                refusals += 1;
                            }
                            _ => faults += 1,
                        }
                        last = Some((i, error));
                    }
                }
            }
            // With an endpoint that couldn't be asked, neither `null` nor a refusal is the last word.
            if faults == 0 && nulls > 0 && null == Null::AskOthers {
                return Ok(None);
            }
            if faults == 0
                && nulls == 0
                && refusals > 0
                && let Some((_, EndpointError::Rpc(refusal))) = &last
            {
                return Err(L1Error::Refused(refusal.clone()));
            }
        }
        match last {
            Some((_, EndpointError::Missing(_))) => Ok(None),
            last => Err(self.unanswered(last)),
        }
    }

    /// Refreshes what is known of the endpoints' heads, where there are several and it is too old.
    async fn compare_heads(&self) {
        let shared = &self.shared;
        if shared.seats.len() < 2 {
            return;
        }
        {
            let now = Instant::now();
            let mut compared = shared.heads_compared.lock();
            if compared.is_some_and(|at| now.duration_since(at) < shared.config.heads_age_max) {
                return;
            }
            // Whoever asks meanwhile goes by what is known.
            *compared = Some(now);
        }
        self.ask_heads(&mut None).await;
    }

    /// Asks every endpoint for its heads at once. The slow ones are waited for only a little longer than the first.
    async fn ask_heads(&self, last: &mut Option<(usize, EndpointError)>) -> Vec<Option<Heads>> {
        let shared = &self.shared;
        let mut asked: FuturesUnordered<_> = shared
            .order(Scope::Chain)
            .ask
            .into_iter()
            .map(|i| async move { (i, shared.heads_of(i).await) })
            .collect();
        let mut heads: Vec<Option<Heads>> = shared.seats.iter().map(|_| None).collect();
        let mut deadline: Option<Instant> = None;
        loop {
            let next = match deadline {
                None => asked.next().await,
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    timeout(left, asked.next()).await.unwrap_or(None)
                }
            };
            match next {
                None => break,
                Some((i, Ok(found))) => {
                    heads[i] = Some(found);
                    deadline.get_or_insert(Instant::now() + shared.config.heads_grace);
                }
                Some((i, Err(error))) => *last = Some((i, error)),
            }
        }
        *shared.heads_compared.lock() = Some(Instant::now());
        heads
    }

    /// The endpoints to ask, by number, in order.
    pub(crate) fn order(&self, scope: Scope) -> Vec<usize> {
        self.shared.order(scope).ask
    }

    /// Puts questions to one endpoint, and keeps the books on how that went.
    pub(crate) async fn put<T, R>(
        &self,
        i: usize,
        calls: &[Call],
        read: R,
    ) -> Result<Option<Vec<T>>, EndpointError>
    where
        T: Send + 'static,
        R: Fn(&RawValue) -> Result<T, String> + Clone + Send + 'static,
    {
        self.shared.put(i, calls, read).await
    }

    pub(crate) fn rounds_max(&self) -> u32 {
        self.shared.config.rounds_max
    }

    pub(crate) async fn pause_before(&self, round: u32) {
        if round > 0 {
            self.shared.metrics.retries.inc();
            sleep(self.pause(round)).await;
        }
    }

    /// The pause after so many failures in a row.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        backoff::pause(&mut self.shared.rng.lock(), self.shared.config.backoff, failures)
    }

    /// Sets an endpoint aside for as long as ever, because what it says of the chain contradicts what is final. It may
    /// well be admitted again, as its chain id and genesis are right, so the others get their chance meanwhile.
    pub(crate) fn distrust(&self, i: usize) {
        self.shared.set_aside(i, self.shared.config.aside.1);
    }

    /// How logs call an endpoint.
    pub(crate) fn endpoint_name(&self, i: usize) -> &str {
        self.shared.seats[i].endpoint.name()
    }

    /// The error for a value that can't be `null` and yet is, everywhere.
    pub(crate) fn null(&self, method: &'static str) -> L1Error {
        self.unanswered(Some((0, EndpointError::Missing(method))))
    }

    pub(crate) fn unanswered(&self, last: Option<(usize, EndpointError)>) -> L1Error {
        self.shared.metrics.unanswered.inc();
        let (i, reason) = last.unwrap_or((0, EndpointError::Timeout));
        let endpoint = self.shared.seats[i].endpoint.name().to_owned();
        L1Error::Unavailable { endpoint, reason }
    }
}

/// A reader of plain values.
pub(crate) fn plain<T: serde::de::DeserializeOwned>(raw: &RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|error| error.to_string())
}

/// A number as JSON-RPC writes it.
pub(crate) fn quantity(number: u64) -> Value {
    json!(U64::from(number))
}

impl fmt::Debug for L1Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L1Client").field("config", &self.shared.config).finish_non_exhaustive()
    }
}
