//! Accounts, and the transactions that they sign.

use std::fmt;

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Signature, keccak256};
use secp256k1::{Message, SECP256K1, SecretKey};

/// A private key with its account.
#[derive(Clone)]
pub(crate) struct Key {
    secret: SecretKey,
    /// The account.
    pub(crate) address: Address,
}

/// A signed transaction.
pub(crate) struct Signed {
    /// By which blocks name it.
    pub(crate) hash: B256,
    /// As it is sent.
    pub(crate) raw: Vec<u8>,
}

impl Key {
    /// `None` when the bytes are no private key.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let secret = SecretKey::from_slice(bytes).ok()?;
        let public = secret.public_key(SECP256K1).serialize_uncompressed();
        Some(Self { secret, address: Address::from_raw_public_key(&public[1..]) })
    }

    /// The `index`-th sender of a run. The same seed gives the same accounts.
    pub(crate) fn sender(seed: u64, index: usize) -> Self {
        let mut digest = keccak256(format!("millrace-load/{seed}/{index}"));
        loop {
            // All but one digest in 2^128 are keys.
            match Self::from_bytes(&digest[..]) {
                Some(key) => return key,
                None => digest = keccak256(digest),
            }
        }
    }

    /// libsecp256k1 signs in a third of the time that portable code takes, which matters for a million transactions.
    pub(crate) fn sign(&self, transaction: TxEip1559) -> Signed {
        let digest = Message::from_digest(transaction.signature_hash().0);
        let (id, bytes) =
            SECP256K1.sign_ecdsa_recoverable(&digest, &self.secret).serialize_compact();
        let odd = i32::from(id) & 1 == 1;
        let signed = transaction.into_signed(Signature::from_bytes_and_parity(&bytes, odd));
        Signed { hash: *signed.hash(), raw: signed.encoded_2718() }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.address).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{TxEnvelope, transaction::SignerRecoverable};
    use alloy_eips::Decodable2718;

    use super::*;

    #[test]
    fn a_signature_recovers_to_its_account() {
        for index in 0..20 {
            let key = Key::sender(7, index);
            let signed = key.sign(TxEip1559 { nonce: index as u64, ..Default::default() });
            let envelope = TxEnvelope::decode_2718_exact(&signed.raw).unwrap();
            assert_eq!(*envelope.tx_hash(), signed.hash);
            assert_eq!(envelope.recover_signer().unwrap(), key.address);
        }
    }

    #[test]
    fn no_key_is_printed() {
        let key = Key::sender(1, 1);
        assert_eq!(format!("{key:?}"), format!("Key({:?})", key.address));
        assert!(Key::from_bytes(&[0; 32]).is_none() && Key::from_bytes(&[1; 31]).is_none());
    }
}
