//! Blobs, each held against the commitment that its versioned hash names.

use std::collections::BTreeSet;

use alloy_eips::eip4844::{BYTES_PER_BLOB, c_kzg, kzg_to_versioned_hash};
use alloy_primitives::{B256, Bytes};
use serde_json::{json, value::RawValue};

use crate::{
    beacon::{Beacon, BeaconConfig},
    client::{L1Client, L1Error, Null, Scope},
    config::ConfigError,
    json_rpc::Call,
};

/// A blob's bytes; they match the hash by which they were asked for.
pub(crate) type VerifiedBlob = Box<[u8; BYTES_PER_BLOB]>;

/// Where blobs come from: beacon nodes, in order of preference. Without any, they are asked of the L1 endpoints
/// themselves, which only anvil can answer.
#[derive(Debug)]
pub struct BlobSource {
    beacons: Vec<Beacon>,
}

/// Why there are no blobs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// No source has this blob (now). Beacon nodes keep blobs for some weeks; after that, an archive is needed.
    #[error("no source has blob {hash}: {reason}")]
    Missing {
        /// The blob's versioned hash.
        hash: B256,
        /// What the last source said.
        reason: String,
    },
    /// L1 can't be asked.
    #[error(transparent)]
    L1(#[from] L1Error),
}

impl BlobSource {
    /// Prepares to ask beacon nodes, or, without any, the L1 endpoints (development chains).
    pub fn new(beacons: &[BeaconConfig]) -> Result<Self, ConfigError> {
        let beacons = beacons.iter().map(Beacon::new).collect::<Result<_, _>>()?;
        Ok(Self { beacons })
    }

    /// The blobs with these hashes, in this order, of the L1 block with this timestamp.
    pub(crate) async fn fetch(
        &self,
        client: &L1Client,
        timestamp: u64,
        hashes: &[B256],
    ) -> Result<Vec<VerifiedBlob>, BlobError> {
        if hashes.is_empty() {
            return Ok(Vec::new());
        }
        if self.beacons.is_empty() {
            return fetch_from_endpoints(client, hashes).await;
        }
        self.fetch_from_beacons(client, timestamp, hashes).await
    }

    async fn fetch_from_beacons(
        &self,
        client: &L1Client,
        timestamp: u64,
        hashes: &[B256],
    ) -> Result<Vec<VerifiedBlob>, BlobError> {
        let mut found: Vec<Option<VerifiedBlob>> = hashes.iter().map(|_| None).collect();
        let mut reason = String::new();
        for round in 0..client.rounds_max() {
            client.pause_before(round).await;
            for beacon in &self.beacons {
                // Nodes refuse to be asked for the same blob twice.
                let missing: BTreeSet<B256> = missing(hashes, &found).collect();
                match beacon.blobs(timestamp, &missing).await {
                    Ok(blobs) => place(client, hashes, &mut found, blobs).await,
                    Err(error) => {
                        tracing::warn!(beacon = beacon.name(), %error, "fetch blobs");
                        reason = format!("{}: {error}", beacon.name());
                        continue;
                    }
                }
                if found.iter().all(Option::is_some) {
                    return Ok(found.into_iter().flatten().collect());
                }
                reason = format!("{} doesn't have it", beacon.name());
            }
        }
        let hash = missing(hashes, &found).next().unwrap_or_default();
        Err(BlobError::Missing { hash, reason })
    }
}

fn missing<'a>(
    hashes: &'a [B256],
    found: &'a [Option<VerifiedBlob>],
) -> impl Iterator<Item = B256> + 'a {
    hashes.iter().zip(found).filter(|(_, blob)| blob.is_none()).map(|(&hash, _)| hash)
}

/// Puts every blob where its own hash says, whatever order they came in. One that nobody asked for is left out.
async fn place(
    client: &L1Client,
    hashes: &[B256],
    found: &mut [Option<VerifiedBlob>],
    blobs: Vec<Bytes>,
) {
    for bytes in blobs {
        match identify(bytes).await {
            Some((hash, blob)) if hashes.contains(&hash) => {
                client.metrics().blobs.inc();
                // One transaction may carry the same blob twice.
                for (slot, _) in found.iter_mut().zip(hashes).filter(|&(_, &wanted)| wanted == hash)
                {
                    slot.get_or_insert_with(|| blob.clone());
                }
            }
            _ => client.metrics().blobs_untrue.inc(),
        }
    }
}

/// Anvil's way: blobs by their hashes, from the node that made the block.
async fn fetch_from_endpoints(
    client: &L1Client,
    hashes: &[B256],
) -> Result<Vec<VerifiedBlob>, BlobError> {
    let mut blobs = Vec::with_capacity(hashes.len());
    for &hash in hashes {
        let metrics = client.metrics().clone();
        let read = move |raw: &RawValue| {
            let bytes: Bytes =
                serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
            let blob = to_blob(&bytes).ok_or("a blob of another length")?;
            if versioned_hash(&blob) != Some(hash) {
                metrics.blobs_untrue.inc();
                return Err(format!("another blob than {hash}"));
            }
            metrics.blobs.inc();
            Ok(blob)
        };
        let call = Call::new("anvil_getBlobByHash", json!([hash]));
        match client.ask(Scope::Chain, Null::Retry, call, read).await {
            Ok(Some(blob)) => blobs.push(blob),
            Ok(None) => {
                let reason = "the L1 endpoints don't have it".to_owned();
                return Err(BlobError::Missing { hash, reason });
            }
            Err(L1Error::Refused(error)) if error.is_unknown_method() => {
                let reason = "no beacon node is configured".to_owned();
                return Err(BlobError::Missing { hash, reason });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(blobs)
}

/// A blob with its own hash; nothing if these bytes are no blob. Committing takes milliseconds of computation.
async fn identify(bytes: Bytes) -> Option<(B256, VerifiedBlob)> {
    let identified = tokio::task::spawn_blocking(move || {
        let blob = to_blob(&bytes)?;
        Some((versioned_hash(&blob)?, blob))
    });
    identified.await.ok().flatten()
}

fn to_blob(bytes: &[u8]) -> Option<VerifiedBlob> {
    bytes.to_vec().into_boxed_slice().try_into().ok()
}

/// The versioned hash of a blob's commitment; nothing if one of its field elements isn't one.
fn versioned_hash(blob: &[u8; BYTES_PER_BLOB]) -> Option<B256> {
    // Committing needs none of the tables that computing cell proofs is sped up by, so none are computed.
    let settings = c_kzg::ethereum_kzg_settings(0);
    let commitment = settings.blob_to_kzg_commitment(&c_kzg::Blob::new(*blob)).ok()?;
    Some(kzg_to_versioned_hash(commitment.as_slice()))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::b256;

    use super::*;

    #[test]
    fn a_blob_names_its_own_hash() {
        // The commitment to nothing is the point at infinity, 0xc0 and 47 zeros.
        let zeros = vec![0; BYTES_PER_BLOB];
        let hash = b256!("010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014");
        assert_eq!(versioned_hash(&to_blob(&zeros).unwrap()), Some(hash));
        let mut other = zeros;
        other[31] = 1;
        assert_ne!(versioned_hash(&to_blob(&other).unwrap()), Some(hash));
        // A field element above the modulus.
        other[0] = 0xff;
        assert_eq!(versioned_hash(&to_blob(&other).unwrap()), None);
        assert!(to_blob(&other[1..]).is_none());
    }
}
