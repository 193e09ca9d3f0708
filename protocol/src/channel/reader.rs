//! Reads the batches of a channel, one at a time.

use alloy_primitives::Bytes;

use super::{
    BROTLI,
    decompress::{Decompressor, End},
    raw_len_max,
};
use crate::chain_spec::{OpFork, Rules};

/// Why a channel ends before its time. The batches that came before count; nothing comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// Without a single byte.
    #[error("the channel is empty")]
    Empty,
    /// The first byte announces no compression that the rules allow.
    #[error("the channel begins with {0}, which announces no known compression")]
    Algorithm(u8),
    /// The compressed stream is corrupt or cut off, or goes on past the limit.
    #[error("the channel is corrupt, cut off or too long")]
    Stream,
    /// The decompressed bytes are no sequence of RLP strings.
    #[error("the channel holds something other than RLP strings")]
    Rlp,
}

/// The batches of a channel in their encoding, decompressed as they are asked for.
///
/// After an error it gives nothing more.
#[derive(Debug)]
pub struct BatchReader<C> {
    channel: C,
    /// Where the compressed stream begins in the channel.
    start: usize,
    state: Result<Decompressor, Option<ChannelError>>,
    /// How many decompressed bytes may still come.
    left: usize,
}

/// How much a batch may take before any of it is there. It grows as its bytes come: a length costs nothing to write.
const CHUNK: usize = 64 * 1024;

/// The batches of a complete channel, which is what its frames hold, joined.
///
/// The rules are those of the L1 block that completed the channel.
pub fn read_batches<C: AsRef<[u8]>>(channel: C, rules: Rules) -> BatchReader<C> {
    let (start, state) = match channel.as_ref().first() {
        None => (0, Err(Some(ChannelError::Empty))),
        Some(byte) if matches!(byte & 0x0f, 8 | 15) => (0, Ok(Decompressor::zlib())),
        Some(&BROTLI) if rules.is_active(OpFork::Fjord) => (1, Ok(Decompressor::brotli())),
        Some(&byte) => (0, Err(Some(ChannelError::Algorithm(byte)))),
    };
    BatchReader { channel, start, state, left: raw_len_max(rules) }
}

impl<C: AsRef<[u8]>> BatchReader<C> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), ChannelError> {
        let Ok(stream) = &mut self.state else { return Err(ChannelError::Stream) };
        if out.len() > self.left {
            return Err(ChannelError::Stream);
        }
        self.left -= out.len();
        let filled = stream.fill(&self.channel.as_ref()[self.start..], out);
        if filled == out.len() { Ok(()) } else { Err(ChannelError::Stream) }
    }

    /// The next byte, or nothing where the channel may end.
    fn first_byte(&mut self) -> Result<Option<u8>, ChannelError> {
        let mut byte = [0];
        match self.fill(&mut byte) {
            Ok(()) => Ok(Some(byte[0])),
            Err(_) if self.state.as_ref().is_ok_and(|stream| stream.end() == End::Clean) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn next_batch(&mut self) -> Result<Option<Bytes>, ChannelError> {
        let Some(first) = self.first_byte()? else { return Ok(None) };
        let len = match first {
            0..0x80 => return Ok(Some(Bytes::copy_from_slice(&[first]))),
            0x80..0xb8 => usize::from(first - 0x80),
            0xb8..0xc0 => {
                let mut bytes = [0; 8];
                let bytes = &mut bytes[..usize::from(first - 0xb7)];
                self.fill(bytes)?;
                // Only the shortest form of a length is RLP.
                if bytes[0] == 0 {
                    return Err(ChannelError::Rlp);
                }
                let len = bytes.iter().fold(0, |len, &byte| len << 8 | u64::from(byte));
                if len < 56 {
                    return Err(ChannelError::Rlp);
                }
                usize::try_from(len).map_err(|_| ChannelError::Stream)?
            }
            0xc0.. => return Err(ChannelError::Rlp),
        };
        if len > self.left {
            return Err(ChannelError::Stream);
        }
        let mut batch = Vec::new();
        while batch.len() < len {
            // Doubles, so that each byte is moved but a few times.
            let at = batch.len();
            batch.resize(len.min(at + at.max(CHUNK)), 0);
            self.fill(&mut batch[at..])?;
        }
        if matches!(batch[..], [0..0x80]) {
            return Err(ChannelError::Rlp);
        }
        Ok(Some(batch.into()))
    }
}

impl<C: AsRef<[u8]>> Iterator for BatchReader<C> {
    type Item = Result<Bytes, ChannelError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.state {
            Ok(_) => self.next_batch().transpose(),
            Err(error) => error.take().map(Err),
        };
        if !matches!(next, Some(Ok(_))) {
            // Also frees the window.
            self.state = Err(None);
        }
        next
    }
}

impl<C: AsRef<[u8]>> std::iter::FusedIterator for BatchReader<C> {}
