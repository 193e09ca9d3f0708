//! From frames to signed L1 transactions, and from a signed one to its better-paid successor.

use alloy_consensus::{
    EthereumTxEnvelope, SignableTransaction, Signed, Transaction, TxEip1559, TxEip4844,
    TxEip4844WithSidecar, transaction::SignerRecoverable,
};
use alloy_eips::{
    eip2718::{Decodable2718, Encodable2718},
    eip4844::{Blob, BlobTransactionSidecar, c_kzg},
};
use alloy_primitives::{Address, Bytes, Signature, TxHash, TxKind};
use millrace_protocol::{ChannelId, RollupConfig, encode_blob};

use crate::{
    faces::UnsignedTx,
    fees::{BLOB_TX_GAS, TxFees, calldata_gas},
    record::{BlockRange, FrameRange, Kind, Record},
};

/// An L1 transaction to be made: everything but its signature.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) nonce: u64,
    pub(crate) attempt: u32,
    pub(crate) channel: ChannelId,
    pub(crate) blocks: BlockRange,
    pub(crate) frames: FrameRange,
    pub(crate) kind: Kind,
    pub(crate) fees: TxFees,
    pub(crate) payload: Payload,
}

/// What a transaction carries.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    /// Encoded frames, for calldata or for one blob each.
    Frames(Vec<Bytes>),
    /// The same as this signed transaction.
    Again(Bytes),
}

/// A payload in the form in which L1 takes it.
#[derive(Debug)]
pub(crate) enum Cargo {
    Calldata(Bytes),
    Blobs(Box<BlobTransactionSidecar>),
}

/// Why a transaction can't be made. None of these happens to bytes of our own making.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PayloadError {
    /// More than a blob holds, or than one transaction may carry.
    #[error("{0} bytes do not fit into one transaction or blob")]
    TooLong(usize),
    /// The ledger's bytes are not a transaction of ours.
    #[error("a recorded transaction does not decode: {0}")]
    Recorded(String),
    /// The commitment to a blob could not be computed.
    #[error("commit to blob: {0}")]
    Kzg(String),
}

type Pooled = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecar>>;

/// Whose a recorded transaction is.
pub(crate) fn signer_of(raw: &[u8]) -> Result<Address, PayloadError> {
    let recorded = |error: &dyn std::error::Error| PayloadError::Recorded(error.to_string());
    let decoded = Pooled::decode_2718_exact(raw).map_err(|error| recorded(&error))?;
    decoded.recover_signer().map_err(|error| recorded(&error))
}

impl Payload {
    /// Brings it into L1's form. Takes some forty milliseconds a blob, for the commitment and its proof.
    pub(crate) fn load(&self, kind: Kind) -> Result<Cargo, PayloadError> {
        match (self, kind) {
            (Self::Frames(frames), Kind::Calldata) => match &frames[..] {
                [input] => Ok(Cargo::Calldata(input.clone())),
                _ => Err(PayloadError::TooLong(frames.iter().map(|frame| frame.len()).sum())),
            },
            (Self::Frames(frames), Kind::Blobs) => {
                // In place, as a blob is too large to be passed along on the stack.
                let mut blobs = Vec::new();
                blobs.resize(frames.len(), Blob::ZERO);
                for (blob, frame) in blobs.iter_mut().zip(frames) {
                    let encoded = encode_blob(frame).ok_or(PayloadError::TooLong(frame.len()))?;
                    blob.copy_from_slice(&encoded[..]);
                }
                // Precomputed tables would speed up cell proofs alone, which come with a later fork.
                let sidecar = BlobTransactionSidecar::try_from_blobs_with_settings(
                    blobs,
                    c_kzg::ethereum_kzg_settings(0),
                );
                let sidecar = sidecar.map_err(|error| PayloadError::Kzg(error.to_string()))?;
                Ok(Cargo::Blobs(Box::new(sidecar)))
            }
            (Self::Again(raw), _) => {
                let decoded = Pooled::decode_2718_exact(raw)
                    .map_err(|error| PayloadError::Recorded(error.to_string()))?;
                Ok(match decoded {
                    Pooled::Eip4844(signed) => {
                        Cargo::Blobs(Box::new(signed.into_parts().0.into_sidecar()))
                    }
                    other => Cargo::Calldata(other.input().clone()),
                })
            }
        }
    }
}

impl Draft {
    /// The transaction to sign.
    pub(crate) fn unsigned(&self, cargo: &Cargo, rollup: &RollupConfig) -> UnsignedTx {
        let (chain_id, nonce, to) = (rollup.l1_chain_id, self.nonce, rollup.batch_inbox);
        let (max_fee_per_gas, max_priority_fee_per_gas) = (self.fees.fee_cap, self.fees.tip);
        match cargo {
            Cargo::Calldata(input) => UnsignedTx::Calldata(TxEip1559 {
                chain_id,
                nonce,
                gas_limit: calldata_gas(input),
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: TxKind::Call(to),
                input: input.clone(),
                ..TxEip1559::default()
            }),
            Cargo::Blobs(sidecar) => UnsignedTx::Blobs(TxEip4844 {
                chain_id,
                nonce,
                gas_limit: BLOB_TX_GAS,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                blob_versioned_hashes: sidecar.versioned_hashes().collect(),
                max_fee_per_blob_gas: self.fees.blob_fee_cap,
                ..TxEip4844::default()
            }),
        }
    }

    /// The record of the signed transaction.
    pub(crate) fn sealed(self, unsigned: UnsignedTx, cargo: Cargo, by: Signature) -> Record {
        let (hash, raw) = seal(unsigned, cargo, by);
        Record {
            hash,
            nonce: self.nonce,
            attempt: self.attempt,
            channel: self.channel,
            blocks: self.blocks,
            frames: self.frames,
            kind: self.kind,
            fees: self.fees,
            raw,
        }
    }
}

fn seal(unsigned: UnsignedTx, cargo: Cargo, by: Signature) -> (TxHash, Bytes) {
    match (unsigned, cargo) {
        (UnsignedTx::Blobs(transaction), Cargo::Blobs(sidecar)) => {
            let signed = transaction.into_signed(by);
            let hash = *signed.hash();
            let (transaction, signature, _) = signed.into_parts();
            let whole = TxEip4844WithSidecar { tx: transaction, sidecar: *sidecar };
            let pooled = Pooled::Eip4844(Signed::new_unchecked(whole, signature, hash));
            (hash, pooled.encoded_2718().into())
        }
        (UnsignedTx::Calldata(transaction), _) => {
            let signed = transaction.into_signed(by);
            (*signed.hash(), Pooled::Eip1559(signed).encoded_2718().into())
        }
        (UnsignedTx::Blobs(_), Cargo::Calldata(_)) => {
            unreachable!("a draft is made from its own cargo")
        }
    }
}
