//! Channels: batches, each as an RLP string, one after the other, compressed as one stream.

mod brotli_stream;
mod decompress;
mod reader;

use std::{fmt, io::Write, ops::Range};

use alloy_rlp::Header;
use flate2::{Compression, write::ZlibEncoder};

use self::brotli_stream::BrotliStream;
pub use self::reader::{BatchReader, ChannelError, read_batches};
use crate::chain_spec::{OpFork, Rules};

/// How a channel is compressed. A higher level is smaller and slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompressionAlgo {
    /// What every OP chain understands.
    Zlib {
        /// 0 to 9; more counts as 9.
        level: u8,
    },
    /// What chains understand since Fjord.
    Brotli {
        /// 0 to 11; more counts as 11.
        level: u8,
    },
}

/// A channel holds no further batch: decompressed, it would be longer than anybody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the channel would decompress to more than {} bytes", ChannelWriter::RAW_LEN_MAX)]
pub struct ChannelFull;

/// The first byte of a channel that goes on in brotli. In zlib's the lower half of that byte is 8 (or 15, reserved).
const BROTLI: u8 = 1;
const FJORD_RAW_LEN_MAX: usize = 100_000_000;
const BEDROCK_RAW_LEN_MAX: usize = 10_000_000;
/// From how many bytes on it is worth interrupting a compressor for what can't be compressed.
const NOISE_MIN: usize = 16 * 1024;

/// How many bytes of a decompressed channel count under these rules; the rest is as if it were not there.
fn raw_len_max(rules: Rules) -> usize {
    if rules.is_active(OpFork::Fjord) { FJORD_RAW_LEN_MAX } else { BEDROCK_RAW_LEN_MAX }
}

/// Writes a channel batch by batch, compressing on the way.
pub struct ChannelWriter {
    stream: Stream,
    raw_len: usize,
}

enum Stream {
    Zlib(ZlibEncoder<Vec<u8>>),
    Brotli(BrotliStream),
}

impl ChannelWriter {
    /// The most bytes that may go in.
    pub const RAW_LEN_MAX: usize = FJORD_RAW_LEN_MAX;

    /// An empty channel.
    pub fn new(algo: CompressionAlgo) -> Self {
        let stream = match algo {
            CompressionAlgo::Zlib { level } => {
                let level = Compression::new(u32::from(level.min(9)));
                Stream::Zlib(ZlibEncoder::new(Vec::new(), level))
            }
            CompressionAlgo::Brotli { level } => {
                Stream::Brotli(BrotliStream::new(vec![BROTLI], level.min(11)))
            }
        };
        Self { stream, raw_len: 0 }
    }

    /// Appends a batch in its encoding.
    pub fn push(&mut self, batch: &[u8]) -> Result<(), ChannelFull> {
        self.push_with_noise(batch, 0..0)
    }

    /// Appends a batch of which some part can't be made smaller, like [the signatures of a span](crate::SpanBytes).
    ///
    /// What comes out may be other bytes than without that knowledge, fewer ones as a rule and always sooner, but the
    /// channel says the same.
    ///
    /// # Panics
    ///
    /// If the range does not lie within the batch.
    pub fn push_with_noise(
        &mut self,
        batch: &[u8],
        noise: Range<usize>,
    ) -> Result<(), ChannelFull> {
        let mut header = Vec::with_capacity(9);
        if !matches!(batch, [0..0x80]) {
            Header { list: false, payload_length: batch.len() }.encode(&mut header);
        }
        let raw_len = self.raw_len + header.len() + batch.len();
        if raw_len > Self::RAW_LEN_MAX {
            return Err(ChannelFull);
        }
        self.raw_len = raw_len;
        self.write(&header);
        if noise.len() < NOISE_MIN {
            self.write(batch);
        } else {
            self.write(&batch[..noise.start]);
            self.write_noise(&batch[noise.clone()]);
            self.write(&batch[noise.end..]);
        }
        Ok(())
    }

    /// How many bytes went in.
    pub const fn raw_len(&self) -> usize {
        self.raw_len
    }

    /// How many bytes have come out so far: the channel will be longer, by what the compressor still holds.
    pub fn flushed_len(&self) -> usize {
        match &self.stream {
            Stream::Zlib(writer) => writer.get_ref().len(),
            Stream::Brotli(stream) => stream.out().len(),
        }
    }

    /// The whole channel.
    pub fn finish(self) -> Vec<u8> {
        match self.stream {
            Stream::Zlib(writer) => writer.finish().expect(INFALLIBLE),
            Stream::Brotli(stream) => stream.finish(),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        match &mut self.stream {
            Stream::Zlib(writer) => writer.write_all(bytes).expect(INFALLIBLE),
            Stream::Brotli(stream) => stream.compress(bytes),
        }
    }

    fn write_noise(&mut self, bytes: &[u8]) {
        match &mut self.stream {
            // It tells what it can't compress by itself, at no cost worth speaking of.
            Stream::Zlib(writer) => writer.write_all(bytes).expect(INFALLIBLE),
            Stream::Brotli(stream) => stream.store(bytes),
        }
    }
}

const INFALLIBLE: &str = "a vector takes every byte";

impl fmt::Debug for ChannelWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelWriter").field("raw_len", &self.raw_len).finish_non_exhaustive()
    }
}

/// A channel of these batches.
pub fn compress<B: AsRef<[u8]>>(
    batches: impl IntoIterator<Item = B>,
    algo: CompressionAlgo,
) -> Result<Vec<u8>, ChannelFull> {
    let mut writer = ChannelWriter::new(algo);
    for batch in batches {
        writer.push(batch.as_ref())?;
    }
    Ok(writer.finish())
}

#[cfg(test)]
mod tests;
