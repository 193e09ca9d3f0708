//! The endpoints in their order, and the books that are kept on each: who is admitted, who is set aside, how it went.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::U64;
use millrace_protocol::BlockId;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use serde_json::{json, value::RawValue};
use tokio::time::Instant;

use crate::{
    backoff,
    client::{
        Heads, Scope,
        health::{self, Health, Standing},
    },
    config::ClientConfig,
    endpoint::{Endpoint, EndpointError},
    json_rpc::{self, Call, RpcError},
    metrics::L1Metrics,
    verify::{self, Expected, L1HeaderSealed},
};

/// What all clones of a client share.
pub(super) struct Shared {
    pub(super) config: ClientConfig,
    pub(super) seats: Vec<Seat>,
    pub(super) healths: Mutex<Vec<Health>>,
    pub(super) rng: Mutex<StdRng>,
    pub(super) heads_compared: Mutex<Option<Instant>>,
    pub(super) metrics: Arc<L1Metrics>,
}

pub(super) struct Seat {
    pub(super) endpoint: Endpoint,
    pub(super) admission: Admission,
}

/// An endpoint shows itself once for all questions that wait for it: a hundred of them don't make it do so a hundred
/// times, nor does the last of them wait for a hundred timeouts when it hangs.
#[derive(Default)]
pub(super) struct Admission {
    /// How often it has failed to show itself. Relaxed: whoever reads it after the lock has seen what happened before.
    failures: AtomicU64,
    /// Held while it shows itself. Why it failed to do so last.
    last: tokio::sync::Mutex<Option<EndpointError>>,
}

/// Answers longer than this are parsed and hashed on a thread that may block: it takes milliseconds.
const INLINE_BYTES_MAX: usize = 64 << 10;

impl Shared {
    pub(super) fn order(&self, scope: Scope) -> health::Order {
        let stale_blocks_max = match scope {
            Scope::Chain => None,
            Scope::Head => Some(self.config.stale_blocks_max),
        };
        let order = health::order(&self.healths.lock(), Instant::now(), stale_blocks_max);
        for &i in &order.stale {
            self.metrics.endpoints[i].stale.inc();
        }
        order
    }

    pub(super) async fn put<T, R>(
        &self,
        i: usize,
        calls: &[Call],
        read: R,
    ) -> Result<Option<Vec<T>>, EndpointError>
    where
        T: Send + 'static,
        R: Fn(&RawValue) -> Result<T, String> + Clone + Send + 'static,
    {
        let result = async {
            self.admit(i).await?;
            let answers = self.exchange(i, calls).await?;
            let mut results = Vec::with_capacity(answers.len());
            for answer in answers {
                let answer = answer?;
                if json_rpc::is_null(&answer) {
                    return Ok(None);
                }
                results.push(read_checked(answer, read.clone()).await?);
            }
            Ok(Some(results))
        };
        let result = result.await;
        self.judge(i, result.as_ref().err());
        result
    }

    /// One request, timed and counted.
    async fn exchange(
        &self,
        i: usize,
        calls: &[Call],
    ) -> Result<Vec<Result<Box<RawValue>, RpcError>>, EndpointError> {
        let metrics = &self.metrics.endpoints[i];
        let begun = Instant::now();
        let answers = self.seats[i].endpoint.call_all(calls).await;
        metrics.requests.inc();
        metrics.request_us.add(begun.elapsed().as_micros() as u64);
        answers
    }

    /// The endpoint's heads. A tag that it doesn't know yet is nothing rather than a fault.
    pub(super) async fn heads_of(&self, i: usize) -> Result<Heads, EndpointError> {
        let calls = ["latest", "safe", "finalized"]
            .map(|tag| Call::new("eth_getBlockByNumber", json!([tag, false])));
        let result = async {
            self.admit(i).await?;
            let mut answers = self.exchange(i, &calls).await?.into_iter();
            let mut next = || match answers.next() {
                Some(Ok(raw)) if json_rpc::is_null(&raw) => Ok(None),
                Some(Ok(raw)) => {
                    verify::header(&raw, Expected::Any).map(Some).map_err(EndpointError::Untrue)
                }
                // Nodes answer with an error where there is no safe or finalized block yet.
                Some(Err(error)) if error.is_busy() => Err(EndpointError::Rpc(error)),
                Some(Err(_)) | None => Ok(None),
            };
            let latest = next()?.ok_or(EndpointError::Missing("the latest block"))?;
            let id =
                |header: L1HeaderSealed| BlockId { number: header.number, hash: header.hash() };
            Ok(Heads { latest, safe: next()?.map(id), finalized: next()?.map(id), endpoint: i })
        };
        let result = result.await;
        self.judge(i, result.as_ref().err());
        if let Ok(heads) = &result {
            self.healths.lock()[i].head_is(heads.latest.number);
            self.metrics.endpoints[i].head.set(heads.latest.number);
        }
        result
    }

    /// Has the endpoint show that it serves our chain, if it hasn't since it last failed.
    async fn admit(&self, i: usize) -> Result<(), EndpointError> {
        let usable = || self.healths.lock()[i].standing == Standing::Usable;
        if usable() {
            return Ok(());
        }
        let admission = &self.seats[i].admission;
        let failures = admission.failures.load(Ordering::Relaxed);
        let mut last = admission.last.lock().await;
        if usable() {
            return Ok(());
        }
        // While we waited it has failed somebody else.
        if failures != admission.failures.load(Ordering::Relaxed)
            && let Some(error) = &*last
        {
            return Err(error.clone());
        }
        let shown = self.show(i).await;
        match &shown {
            Ok(()) => *last = None,
            Err(error) => {
                *last = Some(error.clone());
                admission.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        shown
    }

    /// Asks an endpoint which chain it serves.
    async fn show(&self, i: usize) -> Result<(), EndpointError> {
        let mut calls = vec![Call::new("eth_chainId", json!([]))];
        if let Some(genesis) = self.config.genesis {
            let number = U64::from(genesis.number);
            calls.push(Call::new("eth_getBlockByNumber", json!([number, false])));
        }
        let mut answers = self.exchange(i, &calls).await?.into_iter();
        let mut next = || -> Result<Box<RawValue>, EndpointError> {
            Ok(answers.next().ok_or(EndpointError::Envelope("fewer answers than calls"))??)
        };
        let chain_id: U64 = serde_json::from_str(next()?.get())
            .map_err(|error| EndpointError::Untrue(format!("a chain id: {error}")))?;
        if chain_id.to::<u64>() != self.config.chain_id {
            return Err(EndpointError::OtherChain(format!(
                "its id is {chain_id}, not {}",
                self.config.chain_id
            )));
        }
        if let Some(genesis) = self.config.genesis {
            let raw = next()?;
            if json_rpc::is_null(&raw) {
                // It may be syncing from scratch, or serve another chain that is still short.
                return Err(EndpointError::OtherChain(format!("no block {}", genesis.number)));
            }
            let header = verify::header(&raw, Expected::Number(genesis.number))
                .map_err(EndpointError::Untrue)?;
            if header.hash() != genesis.hash {
                return Err(EndpointError::OtherChain(format!(
                    "its block {} is {}, not {}",
                    genesis.number,
                    header.hash(),
                    genesis.hash
                )));
            }
        }
        self.healths.lock()[i].admitted();
        self.metrics.endpoints[i].usable.set(1);
        tracing::info!(endpoint = self.seats[i].endpoint.name(), "L1 endpoint is in use");
        Ok(())
    }

    /// Keeps the books after a question: sets the endpoint aside if the fault is its own.
    fn judge(&self, i: usize, error: Option<&EndpointError>) {
        let metrics = &self.metrics.endpoints[i];
        let Some(error) = error else {
            return self.healths.lock()[i].answered();
        };
        match error {
            EndpointError::Rpc(_) => metrics.refusals.inc(),
            EndpointError::Untrue(_) | EndpointError::OtherChain(_) => metrics.untrue.inc(),
            EndpointError::Missing(_) => {}
            _ => metrics.failures.inc(),
        }
        let mut healths = self.healths.lock();
        // One that refuses to say which chain it serves can't be used, whatever its reasons.
        let unproven = healths[i].standing != Standing::Usable;
        if !error.is_fault() && !unproven {
            return;
        }
        // Several questions that were under way together may fail together; that is one fault.
        if matches!(healths[i].standing, Standing::Aside { until } if until > Instant::now()) {
            return;
        }
        let failures = healths[i].failed();
        drop(healths);
        let pause = backoff::pause(&mut self.rng.lock(), self.config.aside, failures);
        self.set_aside(i, pause);
        let name = &metrics.name;
        // An endpoint of another chain is a wrong configuration; anything else happens in a good one, too.
        if matches!(error, EndpointError::OtherChain(_)) {
            tracing::error!(endpoint = name, %error, ?pause, "L1 endpoint serves another chain");
        } else {
            tracing::warn!(endpoint = name, %error, ?pause, failures, "L1 endpoint is set aside");
        }
    }

    pub(super) fn set_aside(&self, i: usize, pause: Duration) {
        self.healths.lock()[i].set_aside(Instant::now(), pause);
        self.metrics.endpoints[i].set_aside.inc();
        self.metrics.endpoints[i].usable.set(0);
    }
}

/// Parses and checks a result, on a thread that may block if it is long.
async fn read_checked<T, R>(raw: Box<RawValue>, read: R) -> Result<T, EndpointError>
where
    T: Send + 'static,
    R: Fn(&RawValue) -> Result<T, String> + Send + 'static,
{
    if raw.get().len() <= INLINE_BYTES_MAX {
        return read(&raw).map_err(EndpointError::Untrue);
    }
    match tokio::task::spawn_blocking(move || read(&raw)).await {
        Ok(result) => result.map_err(EndpointError::Untrue),
        // The runtime is shutting down, or a reader panicked, which it never may.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(EndpointError::Unreachable("shutting down".to_owned())),
    }
}
