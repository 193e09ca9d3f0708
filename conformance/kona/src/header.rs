//! Headers as nodes serve them: believed only when their fields have the hash that they are served under.

use alloy_consensus::Header;
use alloy_primitives::B256;
use serde::Deserialize;

/// A header beside its hash.
#[derive(Debug, Deserialize)]
pub(crate) struct ServedHeader {
    hash: B256,
    #[serde(flatten)]
    header: Header,
}

/// A header says something else than its hash.
#[derive(Debug, thiserror::Error)]
#[error("the header that is served as {served} has the hash {computed}")]
pub(crate) struct HeaderHashError {
    served: B256,
    computed: B256,
}

impl ServedHeader {
    /// The header, and the hash that it really has.
    pub(crate) fn verify(self) -> Result<(B256, Header), HeaderHashError> {
        let computed = self.header.hash_slow();
        match self.hash == computed {
            true => Ok((computed, self.header)),
            false => Err(HeaderHashError { served: self.hash, computed }),
        }
    }
}
