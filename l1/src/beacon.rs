//! The standard beacon API, as far as blobs need it.

use std::collections::BTreeSet;

use alloy_eips::eip4844::kzg_to_versioned_hash;
use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

use crate::{
    config::{ConfigError, EndpointConfig},
    endpoint::EndpointError,
    http::Http,
    json_rpc,
};

/// A beacon node.
#[derive(Debug, Clone)]
pub struct BeaconConfig {
    /// Where it is, and what limits hold.
    pub endpoint: EndpointConfig,
    /// How long a slot is, where the node doesn't tell.
    pub slot_seconds: Option<u64>,
}

/// One beacon node. Nothing that it says is believed: blobs are held against their hashes by whoever asks.
#[derive(Debug)]
pub(crate) struct Beacon {
    http: Http,
    slot_seconds: Option<u64>,
    clock: OnceCell<Clock>,
}

/// When slots are.
#[derive(Debug, Clone, Copy)]
struct Clock {
    genesis_time: u64,
    slot_seconds: u64,
}

/// A slot has a few dozen blobs at most; this only bounds what a confused node can make us do.
const BLOBS_MAX: usize = 4096;

impl Beacon {
    pub(crate) fn new(config: &BeaconConfig) -> Result<Self, ConfigError> {
        if config.slot_seconds == Some(0) {
            return Err(ConfigError::Zero { what: "the length of a slot" });
        }
        Ok(Self {
            http: Http::new(&config.endpoint)?,
            slot_seconds: config.slot_seconds,
            clock: OnceCell::new(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.http.name()
    }

    /// The blobs of the block at this time that have these hashes, unverified, in any order, perhaps not all of them.
    ///
    /// First the newer way is tried, which serves whole blobs also where nodes keep only columns of them; then the
    /// older one, for nodes that don't know it yet.
    pub(crate) async fn blobs(
        &self,
        timestamp: u64,
        hashes: &BTreeSet<B256>,
    ) -> Result<Vec<Bytes>, EndpointError> {
        let clock = *self.clock.get_or_try_init(|| self.clock()).await?;
        let slot = timestamp
            .checked_sub(clock.genesis_time)
            .map(|since| since / clock.slot_seconds)
            .ok_or_else(|| EndpointError::OtherChain("it begins after the block".to_owned()))?;
        let query: Vec<String> =
            hashes.iter().map(|hash| format!("versioned_hashes={hash}")).collect();
        let path = format!("eth/v1/beacon/blobs/{slot}");
        match self.get::<Vec<Bytes>>(&path, Some(&query.join("&"))).await {
            Ok(mut blobs) => {
                blobs.truncate(BLOBS_MAX);
                Ok(blobs)
            }
            Err(newer) if is_unknown_path(&newer) => {
                let path = format!("eth/v1/beacon/blob_sidecars/{slot}");
                let sidecars = self.get::<Vec<Sidecar>>(&path, None).await.map_err(|older| {
                    // Where neither is there, the node's word on the newer one says more.
                    if is_unknown_path(&older) { newer } else { older }
                })?;
                // The commitment that comes along only saves looking at the slot's other blobs.
                let is_wanted = |sidecar: &Sidecar| {
                    hashes.contains(&kzg_to_versioned_hash(&sidecar.kzg_commitment))
                };
                let wanted = sidecars.into_iter().filter(is_wanted).take(BLOBS_MAX);
                Ok(wanted.map(|sidecar| sidecar.blob).collect())
            }
            Err(error) => Err(error),
        }
    }

    async fn clock(&self) -> Result<Clock, EndpointError> {
        let genesis: Genesis = self.get("eth/v1/beacon/genesis", None).await?;
        let number = |text: &str| {
            text.parse::<u64>().map_err(|_| EndpointError::Untrue(format!("{text:?} as a number")))
        };
        let slot_seconds = match self.slot_seconds {
            Some(seconds) => seconds,
            None => {
                let spec: Spec = self.get("eth/v1/config/spec", None).await?;
                number(&spec.seconds_per_slot)?
            }
        };
        if slot_seconds == 0 {
            return Err(EndpointError::Untrue("slots of no length".to_owned()));
        }
        Ok(Clock { genesis_time: number(&genesis.genesis_time)?, slot_seconds })
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Option<&str>,
    ) -> Result<T, EndpointError> {
        let (status, body) = self.http.get(path, query).await?;
        if !status.is_success() {
            return Err(EndpointError::Status {
                status: status.as_u16(),
                body: json_rpc::excerpt(&body),
            });
        }
        let data: Data<T> = serde_json::from_slice(&body)
            .map_err(|_| EndpointError::NotJsonRpc(json_rpc::excerpt(&body)))?;
        Ok(data.data)
    }
}

/// Nodes that don't know a path say so in several ways; "not found" may also mean the slot, which the older way then
/// confirms.
fn is_unknown_path(error: &EndpointError) -> bool {
    matches!(error, EndpointError::Status { status: 400 | 404 | 405 | 410 | 501, .. })
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Genesis {
    genesis_time: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Spec {
    seconds_per_slot: String,
}

#[derive(Deserialize)]
struct Sidecar {
    blob: Bytes,
    kzg_commitment: Bytes,
}
