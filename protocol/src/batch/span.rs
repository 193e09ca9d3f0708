//! Span batches: consecutive blocks in columns.
//!
//! ```text
//! relative timestamp ‖ last L1 origin's number ‖ 20 bytes of the parent's hash ‖ 20 bytes of the last origin's hash
//! ‖ number of blocks ‖ origin bits ‖ transactions in each block
//! ‖ creation bits ‖ parity bits ‖ signatures ‖ recipients ‖ data ‖ nonces ‖ gas limits ‖ protection bits
//! ```
//!
//! Numbers are varints. What every block would repeat is left out: hashes and times follow from the first and the last.

use alloy_primitives::{B256, Bytes, FixedBytes};

use super::{
    bits::Bits,
    cursor::{put_varint, take_array, take_column, take_varint},
    span_tx::{TxData, TxParts, TxType},
};
use crate::rollup_config::RollupConfig;

/// The most blocks, and the most transactions, in one span; also the most bytes in the data of one transaction.
pub(super) const ELEMENTS_MAX: usize = 10_000_000;

/// Consecutive blocks, in columns, as they stand in a channel.
///
/// The columns add up, but what the data column says of a transaction is looked at only when the blocks are derived.
/// Nothing is copied: a span batch shares the bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanBatch {
    relative_timestamp: u64,
    last_l1_number: u64,
    parent_check: FixedBytes<20>,
    l1_check: FixedBytes<20>,
    block_count: usize,
    origin_bits: Bits,
    tx_counts: Bytes,
    txs: TxColumns,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct TxColumns {
    count: usize,
    creation_bits: Bits,
    parity_bits: Bits,
    signatures: Bytes,
    recipients: Bytes,
    data: Bytes,
    nonces: Bytes,
    gas_limits: Bytes,
    protection_bits: Bits,
}

/// A block of a span batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanElement {
    /// The block's timestamp.
    pub timestamp: u64,
    /// The number of its L1 origin. The hash is that of the canonical chain, if the last one's check holds.
    pub l1_number: u64,
    /// Its transactions in their EIP-2718 encoding, without the deposits.
    pub transactions: Vec<Bytes>,
}

/// Why bytes are not a span batch, or a span batch not blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpanBatchError {
    /// The bytes end before the columns do.
    #[error("it ends within a column")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("a number has more than 64 bits")]
    Varint,
    /// No block.
    #[error("it has no block")]
    Empty,
    /// More blocks or transactions than a span may have.
    #[error("it has more than {ELEMENTS_MAX} blocks or transactions")]
    TooMany,
    /// A list of bits is longer than it should be.
    #[error("a list of bits has more bits than elements")]
    Bits,
    /// A type of transaction that no batch may hold.
    #[error("a transaction has type {0}")]
    TransactionType(u8),
    /// The data column does not hold what a transaction of its type has.
    #[error("a transaction's data is malformed")]
    TransactionData,
    /// Timestamps or origins beyond what 64 bits hold.
    #[error("its blocks lie before or after all time")]
    Range,
}

impl SpanBatch {
    pub(super) const VERSION: u8 = 1;

    /// Reads what follows the version byte.
    pub(super) fn decode(content: &Bytes) -> Result<Self, SpanBatchError> {
        let rest = &mut &content[..];
        let relative_timestamp = take_varint(rest)?;
        let last_l1_number = take_varint(rest)?;
        let parent_check = take_array(rest)?.into();
        let l1_check = take_array(rest)?.into();

        let block_count = match take_varint(rest)? {
            0 => return Err(SpanBatchError::Empty),
            count => element_count(count)?,
        };
        let origin_bits = Bits::take(content, rest, block_count)?;
        let mut tx_count = 0;
        let tx_counts = take_column(content, rest, |rest| {
            for _ in 0..block_count {
                // Neither can overflow: both are bounded.
                tx_count += element_count(take_varint(rest)?)?;
                element_count(tx_count as u64)?;
            }
            Ok(())
        })?;
        let txs = TxColumns::decode(content, rest, tx_count)?;
        Ok(Self {
            relative_timestamp,
            last_l1_number,
            parent_check,
            l1_check,
            block_count,
            origin_bits,
            tx_counts,
            txs,
        })
    }

    /// The batch as it stands in a channel, version byte included.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![Self::VERSION];
        put_varint(&mut out, self.relative_timestamp);
        put_varint(&mut out, self.last_l1_number);
        out.extend(self.parent_check);
        out.extend(self.l1_check);
        put_varint(&mut out, self.block_count as u64);
        let columns: [&[u8]; 10] = [
            self.origin_bits.as_bytes(),
            &self.tx_counts,
            self.txs.creation_bits.as_bytes(),
            self.txs.parity_bits.as_bytes(),
            &self.txs.signatures,
            &self.txs.recipients,
            &self.txs.data,
            &self.txs.nonces,
            &self.txs.gas_limits,
            self.txs.protection_bits.as_bytes(),
        ];
        out.reserve_exact(columns.iter().map(|column| column.len()).sum());
        for column in columns {
            out.extend_from_slice(column);
        }
        out
    }

    /// How many blocks there are, at least one.
    pub const fn block_count(&self) -> usize {
        self.block_count
    }

    /// How many transactions there are in all blocks.
    pub const fn tx_count(&self) -> usize {
        self.txs.count
    }

    /// The timestamp of the first block.
    ///
    /// With [`Self::last_timestamp`] it tells hopeless batches before their blocks take memory. Beyond what 64 bits
    /// hold both stay at the largest number; [`Self::derive`] refuses such a batch.
    pub const fn first_timestamp(&self, config: &RollupConfig) -> u64 {
        config.genesis.l2_time.saturating_add(self.relative_timestamp)
    }

    /// The timestamp of the last block.
    pub const fn last_timestamp(&self, config: &RollupConfig) -> u64 {
        let span = config.block_time.saturating_mul(self.block_count as u64 - 1);
        self.first_timestamp(config).saturating_add(span)
    }

    /// The number of the last block's L1 origin.
    pub const fn last_l1_number(&self) -> u64 {
        self.last_l1_number
    }

    /// The number of the first block's L1 origin; nothing if it would be negative.
    pub fn first_l1_number(&self) -> Option<u64> {
        let advances = self.origin_bits.count_ones() - usize::from(self.advances_first());
        self.last_l1_number.checked_sub(advances as u64)
    }

    /// Whether the first block is also the first one of its epoch: its parent's origin is then the one before.
    pub fn advances_first(&self) -> bool {
        self.origin_bits.get(0)
    }

    /// Whether the first block claims the block of this hash as its parent.
    pub fn follows(&self, parent_hash: &B256) -> bool {
        parent_hash[..20] == self.parent_check[..]
    }

    /// Whether the last block claims the L1 block of this hash as its origin.
    pub fn ends_with_origin(&self, l1_hash: &B256) -> bool {
        l1_hash[..20] == self.l1_check[..]
    }

    /// All blocks, if all of them make sense.
    pub fn derive(&self, config: &RollupConfig) -> Result<Vec<SpanElement>, SpanBatchError> {
        self.elements(config)?.collect()
    }

    /// The blocks one by one, as they are asked for. The first error makes the whole batch invalid.
    pub fn elements(&self, config: &RollupConfig) -> Result<SpanElements<'_>, SpanBatchError> {
        let advances_first = u64::from(self.advances_first());
        let l1_number = self.first_l1_number().ok_or(SpanBatchError::Range)?;
        let timestamp = config.genesis.l2_time.checked_add(self.relative_timestamp);
        let last = (self.block_count as u64 - 1)
            .checked_mul(config.block_time)
            .and_then(|span| timestamp?.checked_add(span));
        let (Some(timestamp), Some(_)) = (timestamp, last) else {
            return Err(SpanBatchError::Range);
        };
        Ok(SpanElements {
            batch: self,
            chain_id: config.spec.chain_id(),
            block_time: config.block_time,
            block: 0,
            tx: 0,
            legacy_tx: 0,
            timestamp,
            // Wraps only where the first block's advance takes it back.
            l1_number: l1_number.wrapping_sub(advances_first),
            tx_counts: &self.tx_counts,
            signatures: &self.txs.signatures,
            recipients: &self.txs.recipients,
            data: &self.txs.data,
            nonces: &self.txs.nonces,
            gas_limits: &self.txs.gas_limits,
        })
    }
}

impl TxColumns {
    fn decode(content: &Bytes, rest: &mut &[u8], count: usize) -> Result<Self, SpanBatchError> {
        let creation_bits = Bits::take(content, rest, count)?;
        let parity_bits = Bits::take(content, rest, count)?;
        let fixed = |rest: &mut &[u8], len| {
            super::cursor::take(rest, len).map(|column| content.slice_ref(column))
        };
        let varints = |rest: &mut &[u8]| {
            take_column(content, rest, |rest| {
                (0..count).try_for_each(|_| take_varint(rest).map(drop))
            })
        };
        let signatures = fixed(rest, count * 64)?;
        let recipients = fixed(rest, (count - creation_bits.count_ones()) * 20)?;
        let mut legacy_count = 0;
        let data = take_column(content, rest, |rest| {
            for _ in 0..count {
                let (tx_type, _) = TxData::skip(rest)?;
                legacy_count += usize::from(tx_type == TxType::Legacy);
            }
            Ok(())
        })?;
        let nonces = varints(rest)?;
        let gas_limits = varints(rest)?;
        let protection_bits = Bits::take(content, rest, legacy_count)?;
        Ok(Self {
            count,
            creation_bits,
            parity_bits,
            signatures,
            recipients,
            data,
            nonces,
            gas_limits,
            protection_bits,
        })
    }
}

/// The blocks of a span batch, one by one.
#[derive(Debug, Clone)]
pub struct SpanElements<'a> {
    batch: &'a SpanBatch,
    chain_id: u64,
    block_time: u64,
    /// How many blocks, transactions and legacy transactions were given.
    block: usize,
    tx: usize,
    legacy_tx: usize,
    /// Of the next block; its origin is this one's or the one after.
    timestamp: u64,
    l1_number: u64,
    tx_counts: &'a [u8],
    signatures: &'a [u8],
    recipients: &'a [u8],
    data: &'a [u8],
    nonces: &'a [u8],
    gas_limits: &'a [u8],
}

impl SpanElements<'_> {
    fn block(&mut self) -> Result<SpanElement, SpanBatchError> {
        let advances = self.batch.origin_bits.get(self.block);
        let tx_count = take_varint(&mut self.tx_counts)?;
        let timestamp = self.timestamp;
        self.l1_number = self.l1_number.wrapping_add(advances.into());
        self.timestamp = timestamp.wrapping_add(self.block_time);
        let mut encoded = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..tx_count {
            self.transaction(&mut encoded)?;
            ends.push(encoded.len());
        }
        // The transactions of a block share one allocation.
        let encoded = Bytes::from(encoded);
        let mut start = 0;
        let slice = |end| encoded.slice(std::mem::replace(&mut start, end)..end);
        let transactions = ends.into_iter().map(slice).collect();
        Ok(SpanElement { timestamp, l1_number: self.l1_number, transactions })
    }

    /// Appends the next transaction.
    fn transaction(&mut self, out: &mut Vec<u8>) -> Result<(), SpanBatchError> {
        let columns = &self.batch.txs;
        let (tx_type, fields) = TxData::skip(&mut self.data)?;
        let data = TxData::parse(tx_type, fields).map_err(|_| SpanBatchError::TransactionData)?;
        let to = if columns.creation_bits.get(self.tx) {
            None
        } else {
            let (to, rest) =
                self.recipients.split_first_chunk().ok_or(SpanBatchError::Truncated)?;
            self.recipients = rest;
            Some(to)
        };
        // This type creates no contracts: it has no way to say so.
        if tx_type == TxType::Eip7702 && to.is_none() {
            return Err(SpanBatchError::TransactionData);
        }
        let mut protected = true;
        if tx_type == TxType::Legacy {
            protected = columns.protection_bits.get(self.legacy_tx);
            self.legacy_tx += 1;
        }
        let parts = TxParts {
            tx_type,
            nonce: take_varint(&mut self.nonces)?,
            gas_limit: take_varint(&mut self.gas_limits)?,
            to,
            y_parity: columns.parity_bits.get(self.tx),
            protected,
            r: take_scalar(&mut self.signatures)?,
            s: take_scalar(&mut self.signatures)?,
            data,
        };
        self.tx += 1;
        parts.encode(self.chain_id, out);
        Ok(())
    }
}

impl Iterator for SpanElements<'_> {
    type Item = Result<SpanElement, SpanBatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.block == self.batch.block_count {
            return None;
        }
        let element = self.block();
        // Nothing is certain after an error.
        self.block = if element.is_ok() { self.block + 1 } else { self.batch.block_count };
        Some(element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error ends it, so that there may be but one more.
        let left = self.batch.block_count - self.block;
        (left.min(1), Some(left))
    }
}

impl std::iter::FusedIterator for SpanElements<'_> {}

fn element_count(count: u64) -> Result<usize, SpanBatchError> {
    match usize::try_from(count) {
        Ok(count) if count <= ELEMENTS_MAX => Ok(count),
        _ => Err(SpanBatchError::TooMany),
    }
}

/// Half a signature, without leading zeros.
fn take_scalar<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], SpanBatchError> {
    let word = super::cursor::take(rest, 32)?;
    let zeros = word.iter().take_while(|&&byte| byte == 0).count();
    Ok(&word[zeros..])
}
