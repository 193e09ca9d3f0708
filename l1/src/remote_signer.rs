//! Keys that live elsewhere: `eth_signTransaction` over JSON-RPC, as op-signer, web3signer and others serve it.
//!
//! What comes back is checked: it must be the transaction that was asked for, signed by the account that was asked for.
//! A signer that signs something else, such as a transaction with another fee, is broken or hostile.

use std::time::Duration;

use alloy_consensus::{
    TxEip4844Variant, TxEnvelope, TypedTransaction, transaction::SignerRecoverable,
};
use alloy_eips::Decodable2718;
use alloy_primitives::{Address, Bytes, Signature};
use alloy_rpc_types_eth::TransactionRequest;
use rand::{SeedableRng, rngs::StdRng};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use crate::{
    backoff,
    config::{ConfigError, EndpointConfig},
    endpoint::{Endpoint, EndpointError},
    json_rpc::{Call, RpcError},
};

/// A signer behind an endpoint.
#[derive(Debug)]
pub struct RemoteSigner {
    endpoint: Endpoint,
    address: Address,
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The signer refuses.
    #[error("the signer refuses: {0}")]
    Refused(RpcError),
    /// The signer can't be reached or doesn't make sense; it may later.
    #[error("the signer gives no answer: {0}")]
    Unavailable(EndpointError),
    /// What came back isn't a transaction.
    #[error("the signer answers with no transaction: {0}")]
    NoTransaction(String),
    /// It signed another transaction than the one asked for. Nothing of it may be used.
    #[error("the signer signed another transaction")]
    OtherTransaction,
    /// Somebody else's signature.
    #[error("the signer signed as {0}")]
    OtherSigner(Address),
}

/// To sign is to compute: what fails by connection is tried again shortly, and then left to the caller.
const ATTEMPTS: u32 = 3;
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

impl RemoteSigner {
    /// Prepares to have `address` sign by a signer; nothing is sent yet.
    pub fn new(config: &EndpointConfig, address: Address) -> Result<Self, ConfigError> {
        Ok(Self { endpoint: Endpoint::new(config)?, address })
    }

    /// The account that signs.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Has a transaction signed. Blobs aren't sent along: only their hashes are signed.
    pub async fn sign(&self, transaction: &TypedTransaction) -> Result<Signature, SignError> {
        let call = Call::new("eth_signTransaction", json!([self.request(transaction)]));
        // Jitter is of no use towards a signer of our own; the pauses only have to grow.
        let mut rng = StdRng::seed_from_u64(0);
        let mut attempt = 1;
        let answer = loop {
            match self.endpoint.call(&call).await {
                Ok(answer) => break answer,
                Err(EndpointError::Rpc(error)) => return Err(SignError::Refused(error)),
                Err(error) if attempt == ATTEMPTS => return Err(SignError::Unavailable(error)),
                Err(_) => {
                    tokio::time::sleep(backoff::pause(&mut rng, PAUSES, attempt)).await;
                    attempt += 1;
                }
            }
        };
        check(&answer, transaction, self.address)
    }

    fn request(&self, transaction: &TypedTransaction) -> TransactionRequest {
        let without_blobs = match transaction.clone() {
            TypedTransaction::Eip4844(TxEip4844Variant::TxEip4844WithSidecar(transaction)) => {
                TypedTransaction::Eip4844(TxEip4844Variant::TxEip4844(transaction.tx))
            }
            other => other,
        };
        TransactionRequest { from: Some(self.address), ..without_blobs.into() }
    }
}

/// Checks what came back, and takes the signature from it.
fn check(
    answer: &RawValue,
    asked: &TypedTransaction,
    address: Address,
) -> Result<Signature, SignError> {
    let no_transaction = |error: &dyn ToString| SignError::NoTransaction(error.to_string());
    let answer: Answer =
        serde_json::from_str(answer.get()).map_err(|error| no_transaction(&error))?;
    let raw = match answer {
        Answer::Raw(raw) | Answer::Object { raw } => raw,
    };
    let signed = TxEnvelope::decode_2718_exact(&raw).map_err(|error| no_transaction(&error))?;
    // The hash that is signed covers everything that the transaction says, its type and chain included.
    if signed.signature_hash() != signature_hash(asked) {
        return Err(SignError::OtherTransaction);
    }
    let signer = signed.recover_signer().map_err(|error| no_transaction(&error))?;
    if signer != address {
        return Err(SignError::OtherSigner(signer));
    }
    Ok(*signed.signature())
}

fn signature_hash(transaction: &TypedTransaction) -> alloy_primitives::B256 {
    use alloy_consensus::SignableTransaction;
    transaction.signature_hash()
}

/// Most signers answer with the bytes, geth with an object that has them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Raw(Bytes),
    Object { raw: Bytes },
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{SignableTransaction, TxEip1559};
    use alloy_eips::Encodable2718;
    use alloy_network::TxSignerSync;
    use alloy_primitives::U256;
    use alloy_signer_local::PrivateKeySigner;
    use serde_json::{Value, value::to_raw_value};

    use super::*;

    fn signed_by(key: &PrivateKeySigner, nonce: u64) -> (TypedTransaction, Bytes) {
        let mut transaction = TxEip1559 { chain_id: 1, nonce, ..Default::default() };
        let signature = key.sign_transaction_sync(&mut transaction).unwrap();
        let raw = transaction.clone().into_signed(signature).encoded_2718();
        (transaction.into(), raw.into())
    }

    fn answer(
        value: Value,
        asked: &TypedTransaction,
        address: Address,
    ) -> Result<Signature, SignError> {
        check(&to_raw_value(&value).unwrap(), asked, address)
    }

    fn key(n: u64) -> PrivateKeySigner {
        PrivateKeySigner::from_bytes(&U256::from(n).into()).unwrap()
    }

    #[test]
    fn takes_the_signature_of_what_was_asked() {
        let (asked, raw) = signed_by(&key(1), 5);
        let address = key(1).address();
        let signature = answer(json!(raw), &asked, address).unwrap();
        assert_eq!(answer(json!({ "raw": raw, "tx": {} }), &asked, address), Ok(signature));
        let hash = signature_hash(&asked);
        assert_eq!(signature.recover_address_from_prehash(&hash).unwrap(), address);
    }

    #[test]
    fn refuses_anything_else() {
        let (asked, raw) = signed_by(&key(1), 5);
        let address = key(1).address();
        let (_, other) = signed_by(&key(1), 6);
        assert_eq!(answer(json!(other), &asked, address), Err(SignError::OtherTransaction));
        let (_, stranger) = signed_by(&key(2), 5);
        assert_eq!(
            answer(json!(stranger), &asked, address),
            Err(SignError::OtherSigner(key(2).address()))
        );
        for nonsense in [json!(null), json!("0x"), json!("0x02c0"), json!({}), json!(&raw[1..])] {
            let answer = answer(nonsense, &asked, address);
            assert!(matches!(answer, Err(SignError::NoTransaction(_))), "{answer:?}");
        }
    }
}
