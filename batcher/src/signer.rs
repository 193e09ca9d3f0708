//! A key of our own.

use alloy_primitives::{Address, Signature};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use futures::future::{BoxFuture, FutureExt, ready};

use crate::faces::{FaceError, Signer, UnsignedTx};

/// Signs with a key in memory. Where the key came from (a file, a keystore) is the configuration's affair.
#[derive(Debug, Clone)]
pub struct LocalSigner(PrivateKeySigner);

impl LocalSigner {
    /// Signs with this key.
    pub const fn new(key: PrivateKeySigner) -> Self {
        Self(key)
    }
}

impl Signer for LocalSigner {
    fn address(&self) -> Address {
        self.0.address()
    }

    fn sign(&self, transaction: UnsignedTx) -> BoxFuture<'_, Result<Signature, FaceError>> {
        let signature = self.0.sign_hash_sync(&transaction.signature_hash());
        ready(signature.map_err(|error| FaceError(error.to_string()))).boxed()
    }
}
