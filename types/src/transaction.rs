//! A transaction as the whole pipeline carries it: decoded, hashed, recovered and measured once, and never again.

use std::sync::OnceLock;

use alloy_consensus::{
    Sealed, Signed, TransactionEnvelope, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
    Typed2718, crypto::secp256k1::recover_signer, transaction::SignableTransaction,
};
use alloy_eips::eip2718::{Decodable2718, Eip2718Error, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, TxHash, keccak256};
use op_alloy_consensus::TxDeposit;

/// Every kind of transaction that a block can hold.
///
/// Blob transactions exist on plain Ethereum chains only and deposits on OP chains only; which kinds a chain admits is
/// its specification's affair, not the type's.
#[derive(Debug, Clone, TransactionEnvelope)]
#[envelope(tx_type_name = TxType, serde_cfg(any()), arbitrary_cfg(any()))]
pub enum TxEnvelope {
    /// A legacy transaction, with or without replay protection.
    #[envelope(ty = 0)]
    Legacy(Signed<TxLegacy>),
    /// With an access list.
    #[envelope(ty = 1)]
    Eip2930(Signed<TxEip2930>),
    /// With a priority fee.
    #[envelope(ty = 2)]
    Eip1559(Signed<TxEip1559>),
    /// Carrying blobs.
    #[envelope(ty = 3)]
    Eip4844(Signed<TxEip4844>),
    /// Delegating accounts to code.
    #[envelope(ty = 4)]
    Eip7702(Signed<TxEip7702>),
    /// Derived from L1: it has a sender but no signature.
    #[envelope(ty = 0x7e)]
    Deposit(Sealed<TxDeposit>),
}

impl TxEnvelope {
    /// The deposit inside, if it is one.
    pub const fn as_deposit(&self) -> Option<&TxDeposit> {
        match self {
            Self::Deposit(deposit) => Some(deposit.inner()),
            _ => None,
        }
    }

    /// Whether it comes from L1 rather than from a signer.
    pub const fn is_deposit(&self) -> bool {
        matches!(self, Self::Deposit(_))
    }

    /// The sender: recovered from the signature, or named by the deposit.
    ///
    /// Costs about 33 µs for a signed transaction. Signatures with a high `s` are refused (EIP-2).
    fn recover(&self) -> Result<Address, TransactionError> {
        fn signer<T: SignableTransaction<alloy_primitives::Signature>>(
            signed: &Signed<T>,
        ) -> Result<Address, TransactionError> {
            recover_signer(signed.signature(), signed.signature_hash())
                .map_err(|_| TransactionError::Signature)
        }
        match self {
            Self::Legacy(tx) => signer(tx),
            Self::Eip2930(tx) => signer(tx),
            Self::Eip1559(tx) => signer(tx),
            Self::Eip4844(tx) => signer(tx),
            Self::Eip7702(tx) => signer(tx),
            Self::Deposit(tx) => Ok(tx.from),
        }
    }
}

/// A transaction with everything that is expensive to find out about it: its hash, its sender, its encoding, and how well
/// that compresses.
///
/// It is made once, where bytes enter the process, and shared as `Arc<Transaction>` from there to the journal.
#[derive(Debug, Clone)]
pub struct Transaction {
    envelope: TxEnvelope,
    hash: TxHash,
    sender: Address,
    encoded: Bytes,
    /// Known once somebody asked: what is executed again in a recovery, or on a chain without L1, need not be measured.
    compressed_len: OnceLock<u32>,
}

/// Why bytes are not a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Not the RLP of any transaction.
    #[error("{0}")]
    Malformed(alloy_rlp::Error),
    /// A type byte that nobody knows.
    #[error("transaction type not supported")]
    UnknownType(u8),
    /// The signature recovers to nobody, or is malleable.
    #[error("invalid transaction v, r, s values")]
    Signature,
}

impl Transaction {
    /// Decodes the EIP-2718 encoding of a transaction and recovers its sender.
    pub fn decode(encoded: Bytes) -> Result<Self, TransactionError> {
        let envelope = decode_envelope(&encoded)?;
        let sender = envelope.recover()?;
        Ok(Self::new(envelope, keccak256(&encoded), sender, encoded))
    }

    /// Decodes a transaction whose sender was recovered before, as our own journal does.
    pub fn decode_with_sender(encoded: Bytes, sender: Address) -> Result<Self, TransactionError> {
        let envelope = decode_envelope(&encoded)?;
        Ok(Self::new(envelope, keccak256(&encoded), sender, encoded))
    }

    /// Wraps a deposit, which needs no signature.
    pub fn deposit(deposit: TxDeposit) -> Self {
        let encoded: Bytes = deposit.encoded_2718().into();
        let (hash, sender) = (keccak256(&encoded), deposit.from);
        let envelope = TxEnvelope::Deposit(Sealed::new_unchecked(deposit, hash));
        Self::new(envelope, hash, sender, encoded)
    }

    const fn new(envelope: TxEnvelope, hash: TxHash, sender: Address, encoded: Bytes) -> Self {
        Self { envelope, hash, sender, encoded, compressed_len: OnceLock::new() }
    }

    /// The decoded fields.
    pub const fn envelope(&self) -> &TxEnvelope {
        &self.envelope
    }

    /// The hash that clients know it by.
    pub const fn hash(&self) -> TxHash {
        self.hash
    }

    /// Who sent it.
    pub const fn sender(&self) -> Address {
        self.sender
    }

    /// Its EIP-2718 encoding, exactly as it arrived.
    pub const fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    /// How long its encoding is when compressed as the rules of data fees say, which `measure` finds out the first time.
    /// It has to be the same measure always.
    pub fn compressed_len(&self, measure: impl FnOnce(&[u8]) -> u32) -> u32 {
        *self.compressed_len.get_or_init(|| measure(&self.encoded))
    }

    /// Its type byte.
    pub fn tx_type(&self) -> TxType {
        self.envelope.tx_type()
    }

    /// The deposit inside, if it is one.
    pub const fn as_deposit(&self) -> Option<&TxDeposit> {
        self.envelope.as_deposit()
    }

    /// The hash that the sender signed; nothing for a deposit.
    pub fn signature_hash(&self) -> Option<B256> {
        match &self.envelope {
            TxEnvelope::Legacy(tx) => Some(tx.signature_hash()),
            TxEnvelope::Eip2930(tx) => Some(tx.signature_hash()),
            TxEnvelope::Eip1559(tx) => Some(tx.signature_hash()),
            TxEnvelope::Eip4844(tx) => Some(tx.signature_hash()),
            TxEnvelope::Eip7702(tx) => Some(tx.signature_hash()),
            TxEnvelope::Deposit(_) => None,
        }
    }
}

/// Fields such as nonce, gas limit and fees read straight through to the envelope.
impl std::ops::Deref for Transaction {
    type Target = TxEnvelope;

    fn deref(&self) -> &TxEnvelope {
        &self.envelope
    }
}

impl PartialEq for Transaction {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Transaction {}

fn decode_envelope(encoded: &Bytes) -> Result<TxEnvelope, TransactionError> {
    // A legacy transaction is an RLP list, whose first byte is at least 0xc0; anything below 0x80 is a type byte.
    if let Some(&ty) = encoded.first()
        && ty < 0x80
        && TxType::try_from(ty).is_err()
    {
        return Err(TransactionError::UnknownType(ty));
    }
    let envelope = TxEnvelope::decode_2718_exact(encoded).map_err(|error| match error {
        Eip2718Error::RlpError(error) => TransactionError::Malformed(error),
        _ => TransactionError::Malformed(alloy_rlp::Error::Custom("not a transaction")),
    })?;
    // The decoder also tries an untyped list as each typed transaction, and a deposit's fields pass: without this
    // check anybody could write a deposit that does not show its type.
    let typed = encoded.first().is_some_and(|&ty| ty < 0x80);
    if typed == envelope.is_legacy() {
        return Err(TransactionError::Malformed(alloy_rlp::Error::Custom(
            "a typed transaction without its type",
        )));
    }
    Ok(envelope)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{TxKind, U256, address, hex};

    use super::*;

    /// The EIP-155 example transaction, whose signer is public knowledge.
    const EIP155: [u8; 110] = hex!(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    );

    #[test]
    fn decodes_and_recovers_the_eip155_example() {
        let tx = Transaction::decode(EIP155.into()).unwrap();
        assert_eq!(tx.sender(), address!("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"));
        assert_eq!(tx.encoded_2718(), EIP155);
        assert_eq!(tx.tx_type(), TxType::Legacy);
    }

    #[test]
    fn is_measured_once() {
        let tx = Transaction::decode(EIP155.into()).unwrap();
        let measure = |encoded: &[u8]| u32::try_from(encoded.len()).unwrap() - 1;
        assert_eq!(tx.compressed_len(measure), 109);
        assert_eq!(tx.compressed_len(|_| unreachable!("it is known")), 109);
        assert_eq!(tx.clone().compressed_len(|_| unreachable!("a copy knows it, too")), 109);
    }

    #[test]
    fn a_deposit_keeps_its_sender_and_encoding() {
        let deposit = TxDeposit {
            from: address!("9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"),
            to: TxKind::Create,
            value: U256::from(3),
            ..Default::default()
        };
        let tx = Transaction::deposit(deposit.clone());
        let decoded = Transaction::decode(tx.encoded().clone()).unwrap();
        assert_eq!(decoded.as_deposit(), Some(&deposit));
        assert_eq!((decoded.hash(), decoded.sender()), (tx.hash(), deposit.from));
    }

    #[test]
    fn refuses_a_deposit_without_its_type() {
        let deposit = TxDeposit { mint: 1, gas_limit: 21_000, ..TxDeposit::default() };
        let encoded = Transaction::deposit(deposit).encoded().clone();
        assert!(Transaction::decode(encoded.clone()).is_ok());
        assert!(matches!(
            Transaction::decode(encoded.slice(1..)),
            Err(TransactionError::Malformed(_))
        ));
    }

    #[test]
    fn refuses_what_is_not_one_whole_transaction() {
        let mut trailing = EIP155.to_vec();
        trailing.push(0);
        let mut broken_signature = EIP155.to_vec();
        broken_signature[45..77].fill(0xff);
        for bytes in [&[][..], &[0xc0], &[0x05, 0xc0], &EIP155[..100], &trailing, &broken_signature]
        {
            assert!(Transaction::decode(bytes.to_vec().into()).is_err(), "{}", hex::encode(bytes));
        }
        assert_eq!(Transaction::decode(hex!("05c0").into()), Err(TransactionError::UnknownType(5)));
    }
}
