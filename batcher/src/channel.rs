//! From blocks to channels: what is posted as one compressed stream.
//!
//! How long a channel is shows only when it is compressed, and to compress it anew for every block would cost far more
//! than everything else here. So its length is estimated from how well the one before compressed, transactions and what
//! else blocks need apart, as quiet blocks say nothing about busy ones. A channel that seems full is compressed; if it
//! turns out not to be, it goes on with the better estimate. Most are compressed once.

use std::sync::Arc;

use alloy_primitives::Bytes;
use millrace_protocol::{
    Batch, ChannelFull, ChannelId, ChannelWriter, CompressionAlgo, Frame, RollupConfig,
    SingularBatch, SpanBlock, SpanBuildError, SpanBuilder, encode_frames,
};

use crate::{
    config::BatchFormat,
    faces::SealedBlock,
    limits::CHANNEL_RAW_BYTES_MAX,
    record::{BlockRange, FrameRange},
};

/// How channels are made.
#[derive(Debug, Clone)]
pub struct ChannelSettings {
    /// The rollup.
    pub rollup: Arc<RollupConfig>,
    /// How blocks are written.
    pub format: BatchFormat,
    /// How channels are compressed.
    pub compression: CompressionAlgo,
    /// The compressed size that a channel shall not exceed, if one block alone doesn't.
    pub bytes_max: usize,
}

/// Blocks can't be put into a channel. It means that the journal holds what no chain may hold.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// A transaction that has no place in a batch.
    #[error("block {number}: {error}")]
    Block {
        /// The block.
        number: u64,
        /// What is wrong with it.
        error: SpanBuildError,
    },
    /// More bytes in a block than a reader would decompress.
    #[error("a block has more bytes than a channel may have")]
    TooLong(#[from] ChannelFull),
}

/// A channel that grows.
#[derive(Debug)]
pub struct ChannelBuilder {
    settings: ChannelSettings,
    batches: Batches,
    blocks: Option<BlockRange>,
    raw: Raw,
    rates: Rates,
}

/// Bytes before compression.
#[derive(Debug, Clone, Copy, Default)]
struct Raw {
    transactions: usize,
    overhead: usize,
}

/// How well channels compress: compressed bytes for a thousand raw ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    transactions: usize,
    overhead: usize,
}

impl Default for Rates {
    /// As long as nothing is known: not at all.
    fn default() -> Self {
        Self { transactions: 1_000, overhead: 1_000 }
    }
}

impl Rates {
    fn expect(&self, raw: Raw) -> usize {
        let expected = raw.transactions * self.transactions + raw.overhead * self.overhead;
        expected.div_ceil(1_000)
    }

    /// Learns from a channel's length. It is laid to the larger part: the smaller one could not explain it.
    fn learn(mut self, raw: Raw, len: usize) -> Self {
        let (rate, of, rest) = if raw.transactions > raw.overhead {
            (&mut self.transactions, raw.transactions, raw.overhead * self.overhead)
        } else {
            (&mut self.overhead, raw.overhead, raw.transactions * self.transactions)
        };
        *rate = (len * 1_000).saturating_sub(rest).div_ceil(of.max(1)).max(1);
        self
    }
}

#[derive(Debug)]
enum Batches {
    Singular(Vec<Vec<u8>>),
    /// Nothing before the first block, whose parent it names.
    Span(Option<Box<SpanBuilder>>),
}

/// A channel with nothing to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedChannel {
    /// The compressed stream.
    pub data: Bytes,
    /// What it holds.
    pub blocks: BlockRange,
    /// How well it compressed: what the next channel may expect.
    pub rates: Rates,
}

/// Whether a block still found room.
#[derive(Debug)]
pub enum Pushed {
    /// It did.
    Taken,
    /// It did not: the channel is closed without it, and an empty one stands in its place.
    Closed(ClosedChannel),
}

impl ChannelBuilder {
    /// An empty channel, to be compressed about as well as the one before was.
    pub fn new(settings: ChannelSettings, rates: Rates) -> Self {
        let batches = Batches::new(&settings);
        Self { settings, batches, blocks: None, raw: Raw::default(), rates }
    }

    /// Whether it holds no block.
    pub const fn is_empty(&self) -> bool {
        self.blocks.is_none()
    }

    /// Bytes of the transactions in it.
    pub fn transaction_bytes(&self) -> u64 {
        self.blocks.map_or(0, |blocks| blocks.transaction_bytes)
    }

    /// Appends the next block, if there is room.
    pub fn push(&mut self, block: &SealedBlock) -> Result<Pushed, ChannelError> {
        if self.blocks.is_some() && !self.has_room(block) {
            let channel = self.compress()?;
            self.rates = channel.rates;
            // Now that the compressed length is known there may turn out to be room.
            if !self.has_room(block) {
                *self = Self::new(self.settings.clone(), self.rates);
                return Ok(Pushed::Closed(channel));
            }
        }
        let added = self.batches.push(&self.settings.rollup, block);
        let added =
            added.map_err(|error| ChannelError::Block { number: block.id.number, error })?;
        self.raw = self.raw.plus(added, block);
        let transaction_bytes = self.transaction_bytes() + block.transaction_bytes() as u64;
        self.blocks = Some(BlockRange {
            first: self.blocks.map_or(block.id.number, |blocks| blocks.first),
            last: block.id.number,
            last_hash: block.id.hash,
            transaction_bytes,
        });
        Ok(Pushed::Taken)
    }

    /// The channel as it is; nothing if it holds no block.
    pub fn finish(self) -> Result<Option<ClosedChannel>, ChannelError> {
        if self.is_empty() { Ok(None) } else { self.compress().map(Some) }
    }

    fn has_room(&self, block: &SealedBlock) -> bool {
        let raw = self.raw.plus(self.batches.expected_len(block), block);
        raw.transactions + raw.overhead <= CHANNEL_RAW_BYTES_MAX
            && self.rates.expect(raw) <= self.settings.bytes_max
    }

    fn compress(&self) -> Result<ClosedChannel, ChannelError> {
        let mut writer = ChannelWriter::new(self.settings.compression);
        match &self.batches {
            Batches::Singular(batches) => {
                batches.iter().try_for_each(|batch| writer.push(batch))?;
            }
            Batches::Span(span) => {
                let batch = span.as_ref().and_then(|span| span.encode());
                batch.iter().try_for_each(|batch| writer.push(batch))?;
            }
        }
        let data = Bytes::from(writer.finish());
        let rates = self.rates.learn(self.raw, data.len());
        let blocks = self.blocks.expect("only channels with blocks are compressed");
        Ok(ClosedChannel { data, blocks, rates })
    }
}

impl Raw {
    /// With so many bytes of this block added.
    fn plus(self, added: usize, block: &SealedBlock) -> Self {
        let transactions = added.min(block.transaction_bytes());
        Self {
            transactions: self.transactions + transactions,
            overhead: self.overhead + added - transactions,
        }
    }
}

impl Batches {
    fn new(settings: &ChannelSettings) -> Self {
        match settings.format {
            BatchFormat::Singular => Self::Singular(Vec::new()),
            BatchFormat::Span => Self::Span(None),
        }
    }

    /// Appends a block, and says by how many bytes that made them longer.
    fn push(
        &mut self,
        rollup: &RollupConfig,
        block: &SealedBlock,
    ) -> Result<usize, SpanBuildError> {
        match self {
            Self::Singular(batches) => {
                let batch = Batch::Singular(SingularBatch {
                    parent_hash: block.parent_hash,
                    epoch: block.epoch,
                    timestamp: block.timestamp,
                    transactions: block.transactions.clone(),
                });
                let encoded = batch.encode();
                let len = encoded.len();
                batches.push(encoded);
                Ok(len)
            }
            Self::Span(span) => {
                let span = span
                    .get_or_insert_with(|| Box::new(SpanBuilder::new(rollup, block.parent_hash)));
                let before = span.encoded_len_max();
                let facts = SpanBlock {
                    timestamp: block.timestamp,
                    l1_origin: block.epoch,
                    sequence_number: block.sequence_number,
                };
                span.push(facts, &block.transactions)?;
                Ok(span.encoded_len_max() - before)
            }
        }
    }

    /// At most so many bytes the block will add.
    fn expected_len(&self, block: &SealedBlock) -> usize {
        /// Hashes, numbers and list headers of a singular batch.
        const SINGULAR: usize = 90;
        /// Bits and counts of a block in a span batch.
        const SPAN: usize = 4;
        match self {
            Self::Singular(_) => {
                SINGULAR + block.transaction_bytes() + 4 * block.transactions.len()
            }
            Self::Span(_) => SPAN + block.transaction_bytes(),
        }
    }
}

/// One L1 transaction's share of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) frames: FrameRange,
    /// The frames in their encoding, one for each blob or for the calldata.
    pub(crate) encoded: Vec<Bytes>,
}

/// Cuts a channel into frames of at most `room` bytes of data, and deals `each` of them to a transaction.
pub(crate) fn cut(data: &Bytes, channel: ChannelId, room: usize, each: usize) -> Vec<Share> {
    let count = data.len().div_ceil(room);
    let frame = |number: usize| Frame {
        channel,
        number: u16::try_from(number).expect("limits bound the frames of a channel"),
        data: data.slice(number * room..data.len().min((number + 1) * room)),
        is_last: number + 1 == count,
    };
    let frames: Vec<Frame> = (0..count).map(frame).collect();
    let share = |frames: &[Frame]| Share {
        frames: FrameRange {
            first: frames[0].number,
            count: frames.len() as u16,
            is_last: frames[frames.len() - 1].is_last,
        },
        encoded: frames
            .iter()
            .map(|frame| encode_frames(std::slice::from_ref(frame)).into())
            .collect(),
    };
    frames.chunks(each).map(share).collect()
}

#[cfg(test)]
mod tests;
