//! Builds span batches, block by block.

use std::ops::Range;

use alloy_primitives::B256;

use super::{
    bits::BitsBuilder,
    cursor::put_varint,
    span::{ELEMENTS_MAX, SpanBatch},
    span_tx::{TxParts, TxType},
};
use crate::{l1_block::BlockId, rollup_config::RollupConfig};

/// What a span batch says of a block besides its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanBlock {
    /// The block's timestamp.
    pub timestamp: u64,
    /// Its L1 origin.
    pub l1_origin: BlockId,
    /// How many blocks of the same origin came before it.
    pub sequence_number: u64,
}

/// Why a block does not go into a span batch. The batch is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpanBuildError {
    /// The block does not follow the one before by the block time, or comes before genesis.
    #[error("a block with timestamp {0} does not follow in the span batch")]
    Timestamp(u64),
    /// The block's origin is neither that of the block before nor the next one, or its sequence number says otherwise.
    #[error("a block with L1 origin {0} does not follow in the span batch")]
    Origin(u64),
    /// A transaction that has no place in a span batch of this chain: a deposit, of an unknown type, malformed, or
    /// signed for another chain.
    #[error("transaction {0} of the block has no place in a span batch")]
    Transaction(usize),
    /// The batch has as many transactions or blocks as it may.
    #[error("the span batch is full")]
    Full,
}

/// A span batch in its encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanBytes {
    /// The batch, version byte included.
    pub bytes: Vec<u8>,
    /// Where in it the signatures lie, which no compressor makes smaller.
    pub signatures: Range<usize>,
}

impl AsRef<[u8]> for SpanBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A span batch that grows by blocks, each of whose transactions is read once and copied once.
#[derive(Debug, Clone)]
pub struct SpanBuilder {
    chain_id: u64,
    block_time: u64,
    genesis_time: u64,
    parent_hash: B256,
    /// First and last block.
    ends: Option<(SpanBlock, SpanBlock)>,
    block_count: usize,
    tx_count: usize,
    origin_bits: BitsBuilder,
    tx_counts: Vec<u8>,
    creation_bits: BitsBuilder,
    parity_bits: BitsBuilder,
    signatures: Vec<u8>,
    recipients: Vec<u8>,
    data: Vec<u8>,
    nonces: Vec<u8>,
    gas_limits: Vec<u8>,
    protection_bits: BitsBuilder,
}

impl SpanBuilder {
    /// An empty batch whose first block will be the child of this one.
    pub fn new(config: &RollupConfig, parent_hash: B256) -> Self {
        Self {
            chain_id: config.spec.chain_id(),
            block_time: config.block_time,
            genesis_time: config.genesis.l2_time,
            parent_hash,
            ends: None,
            block_count: 0,
            tx_count: 0,
            origin_bits: BitsBuilder::default(),
            tx_counts: Vec::new(),
            creation_bits: BitsBuilder::default(),
            parity_bits: BitsBuilder::default(),
            signatures: Vec::new(),
            recipients: Vec::new(),
            data: Vec::new(),
            nonces: Vec::new(),
            gas_limits: Vec::new(),
            protection_bits: BitsBuilder::default(),
        }
    }

    /// Appends a block with its transactions in their EIP-2718 encoding, without the deposits.
    pub fn push<T: AsRef<[u8]>>(
        &mut self,
        block: SpanBlock,
        transactions: &[T],
    ) -> Result<(), SpanBuildError> {
        let advances = self.check(block)?;
        if self.block_count == ELEMENTS_MAX || transactions.len() > ELEMENTS_MAX - self.tx_count {
            return Err(SpanBuildError::Full);
        }
        let parts: Vec<_> = transactions
            .iter()
            .enumerate()
            .map(|(index, transaction)| {
                TxParts::parse(transaction.as_ref(), self.chain_id)
                    .map_err(|_| SpanBuildError::Transaction(index))
            })
            .collect::<Result<_, _>>()?;

        let first = self.ends.map_or(block, |(first, _)| first);
        self.ends = Some((first, block));
        self.block_count += 1;
        self.tx_count += parts.len();
        self.origin_bits.push(advances);
        put_varint(&mut self.tx_counts, parts.len() as u64);
        self.signatures.reserve(parts.len() * 64);
        self.recipients.reserve(parts.len() * 20);
        for parts in &parts {
            self.push_transaction(parts);
        }
        Ok(())
    }

    /// Whether the block follows; if so, whether its origin is another one than its parent's.
    fn check(&self, block: SpanBlock) -> Result<bool, SpanBuildError> {
        let opens_epoch = block.sequence_number == 0;
        let Some((_, last)) = self.ends else {
            let in_time = block.timestamp >= self.genesis_time;
            return in_time
                .then_some(opens_epoch)
                .ok_or(SpanBuildError::Timestamp(block.timestamp));
        };
        if last.timestamp.checked_add(self.block_time) != Some(block.timestamp) {
            return Err(SpanBuildError::Timestamp(block.timestamp));
        }
        let follows = if opens_epoch {
            last.l1_origin.number.checked_add(1) == Some(block.l1_origin.number)
        } else {
            last.l1_origin == block.l1_origin
        };
        follows.then_some(opens_epoch).ok_or(SpanBuildError::Origin(block.l1_origin.number))
    }

    fn push_transaction(&mut self, parts: &TxParts<'_>) {
        self.creation_bits.push(parts.to.is_none());
        self.parity_bits.push(parts.y_parity);
        for scalar in [parts.r, parts.s] {
            let padded = self.signatures.len() + 32 - scalar.len();
            self.signatures.resize(padded, 0);
            self.signatures.extend_from_slice(scalar);
        }
        if let Some(to) = parts.to {
            self.recipients.extend_from_slice(to);
        }
        parts.data.encode(parts.tx_type, &mut self.data);
        put_varint(&mut self.nonces, parts.nonce);
        put_varint(&mut self.gas_limits, parts.gas_limit);
        if parts.tx_type == TxType::Legacy {
            self.protection_bits.push(parts.protected);
        }
    }

    /// How many blocks there are.
    pub const fn block_count(&self) -> usize {
        self.block_count
    }

    /// How many transactions there are.
    pub const fn tx_count(&self) -> usize {
        self.tx_count
    }

    /// About how many bytes the batch takes before compression: never fewer than [`Self::encode`] gives.
    pub fn encoded_len_max(&self) -> usize {
        const PREFIX_MAX: usize = 1 + 3 * 10 + 2 * 20;
        let bits =
            [&self.origin_bits, &self.creation_bits, &self.parity_bits, &self.protection_bits];
        PREFIX_MAX
            + bits.iter().map(|bits| bits.encoded_len()).sum::<usize>()
            + self.columns().iter().map(|column| column.len()).sum::<usize>()
    }

    fn columns(&self) -> [&[u8]; 6] {
        [
            &self.tx_counts,
            &self.signatures,
            &self.recipients,
            &self.data,
            &self.nonces,
            &self.gas_limits,
        ]
    }

    /// The batch as it stands in a channel; nothing as long as there is no block.
    ///
    /// It can be had at any time, and the builder goes on.
    pub fn encode(&self) -> Option<Vec<u8>> {
        self.encode_parts().map(|span| span.bytes)
    }

    /// The same, with what a compressor should know of it.
    pub fn encode_parts(&self) -> Option<SpanBytes> {
        let (first, last) = self.ends?;
        let mut out = Vec::with_capacity(self.encoded_len_max());
        out.push(SpanBatch::VERSION);
        put_varint(&mut out, first.timestamp - self.genesis_time);
        put_varint(&mut out, last.l1_origin.number);
        out.extend_from_slice(&self.parent_hash[..20]);
        out.extend_from_slice(&last.l1_origin.hash[..20]);
        put_varint(&mut out, self.block_count as u64);
        self.origin_bits.encode(&mut out);
        let [tx_counts, columns @ ..] = self.columns();
        out.extend_from_slice(tx_counts);
        self.creation_bits.encode(&mut out);
        self.parity_bits.encode(&mut out);
        let signatures = out.len()..out.len() + self.signatures.len();
        for column in columns {
            out.extend_from_slice(column);
        }
        self.protection_bits.encode(&mut out);
        Some(SpanBytes { bytes: out, signatures })
    }
}
