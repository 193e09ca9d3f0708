//! Batches of one block.

use alloy_primitives::{B256, Bytes};
use alloy_rlp::{BufMut, Decodable, Encodable, Error, Header};

use super::span::ELEMENTS_MAX;
use crate::l1_block::BlockId;

/// A batch of one block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SingularBatch {
    /// The hash of the block before.
    pub parent_hash: B256,
    /// The block's L1 origin.
    pub epoch: BlockId,
    /// The block's timestamp.
    pub timestamp: u64,
    /// Its transactions in their EIP-2718 encoding, without the deposits.
    ///
    /// Decoding keeps 10,000,001 at most. No block has room for so many, so that what is left is just as invalid, and
    /// a batch of nothing but one-byte transactions can't take gigabytes.
    pub transactions: Vec<Bytes>,
}

impl SingularBatch {
    pub(super) const VERSION: u8 = 0;

    /// The batch as it stands in a channel, version byte included.
    pub fn encode(&self) -> Vec<u8> {
        let transactions = Header { list: true, payload_length: rlp_len(&self.transactions) };
        let fields_len = self.parent_hash.length()
            + self.epoch.number.length()
            + self.epoch.hash.length()
            + self.timestamp.length()
            + transactions.length_with_payload();
        let fields = Header { list: true, payload_length: fields_len };
        let mut out = Vec::with_capacity(1 + fields.length_with_payload());
        out.put_u8(Self::VERSION);
        fields.encode(&mut out);
        self.parent_hash.encode(&mut out);
        self.epoch.number.encode(&mut out);
        self.epoch.hash.encode(&mut out);
        self.timestamp.encode(&mut out);
        transactions.encode(&mut out);
        for transaction in &self.transactions {
            transaction.encode(&mut out);
        }
        out
    }

    /// Reads what follows the version byte. Transactions are shared with `content`, not copied.
    pub(super) fn decode(content: &Bytes) -> Result<Self, Error> {
        let mut fields = Header::decode_bytes(&mut &content[..], true)?;
        let parent_hash = B256::decode(&mut fields)?;
        let number = u64::decode(&mut fields)?;
        let hash = B256::decode(&mut fields)?;
        let timestamp = u64::decode(&mut fields)?;
        let mut rest = Header::decode_bytes(&mut fields, true)?;
        if !fields.is_empty() {
            return Err(Error::UnexpectedLength);
        }
        let mut transactions = Vec::new();
        while !rest.is_empty() {
            let transaction = Header::decode_bytes(&mut rest, false)?;
            if transactions.len() <= ELEMENTS_MAX {
                transactions.push(content.slice_ref(transaction));
            }
        }
        Ok(Self { parent_hash, epoch: BlockId { number, hash }, timestamp, transactions })
    }
}

fn rlp_len(transactions: &[Bytes]) -> usize {
    transactions.iter().map(Encodable::length).sum()
}
