//! Frames: the pieces of channels that fit into L1 transactions, and the batcher's transactions that carry them.

use std::fmt;

use alloy_primitives::{Bytes, hex};

/// Names a channel. Its sender draws it at random: two channels of one name would get into each other's way.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub [u8; 16]);

/// A piece of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which channel it belongs to.
    pub channel: ChannelId,
    /// Its place among the channel's frames, from zero.
    pub number: u16,
    /// The piece itself.
    pub data: Bytes,
    /// Whether the channel ends with it.
    pub is_last: bool,
}

/// Why bytes on L1 are no frames. The whole transaction (or blob) counts for nothing then, whatever else is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Nothing at all, or a version byte and no frame.
    #[error("the batcher transaction holds no frame")]
    Empty,
    /// Another encoding than ours.
    #[error("the batcher transaction has version {0} instead of {VERSION}")]
    Version(u8),
    /// The bytes end within a frame.
    #[error("the batcher transaction ends within a frame")]
    Truncated,
    /// A frame announces more data than a frame may carry.
    #[error("a frame announces {0} bytes of data, more than {max}", max = Frame::DATA_MAX)]
    TooLong(u32),
    /// The last byte of a frame is neither of the two that mean something.
    #[error("a frame ends with {0} instead of 0 or 1")]
    IsLast(u8),
}

const VERSION: u8 = 0;

impl Frame {
    /// What a frame takes besides its data.
    pub const OVERHEAD: usize = 23;
    /// The most data that a frame may carry.
    pub const DATA_MAX: usize = 1_000_000;

    /// How many bytes the frame takes.
    pub fn encoded_len(&self) -> usize {
        Self::OVERHEAD + self.data.len()
    }

    /// Appends the frame.
    ///
    /// # Panics
    ///
    /// If there is more data than [`Self::DATA_MAX`]: nobody would accept the frame, and the channel would be lost.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.data.len() <= Self::DATA_MAX, "a frame of {} bytes", self.data.len());
        out.extend(self.channel.0);
        out.extend(self.number.to_be_bytes());
        out.extend((self.data.len() as u32).to_be_bytes());
        out.extend_from_slice(&self.data);
        out.push(self.is_last.into());
    }

    /// Reads the frame at the beginning of `rest` and steps over it. The data is shared with `whole`, not copied.
    fn decode(whole: &Bytes, rest: &mut &[u8]) -> Result<Self, FrameError> {
        fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], FrameError> {
            let (taken, left) = rest.split_first_chunk::<N>().ok_or(FrameError::Truncated)?;
            *rest = left;
            Ok(*taken)
        }
        let channel = ChannelId(take(rest)?);
        let number = u16::from_be_bytes(take(rest)?);
        let data_len = u32::from_be_bytes(take(rest)?);
        if data_len as usize > Self::DATA_MAX {
            return Err(FrameError::TooLong(data_len));
        }
        let (data, left) = rest.split_at_checked(data_len as usize).ok_or(FrameError::Truncated)?;
        *rest = left;
        let is_last = match take(rest)? {
            [0] => false,
            [1] => true,
            [other] => return Err(FrameError::IsLast(other)),
        };
        Ok(Self { channel, number, data: whole.slice_ref(data), is_last })
    }
}

/// What the batcher sends to the inbox, as calldata or within a blob: a version byte and frames.
pub fn encode_frames(frames: &[Frame]) -> Vec<u8> {
    let len = 1 + frames.iter().map(Frame::encoded_len).sum::<usize>();
    let mut out = Vec::with_capacity(len);
    out.push(VERSION);
    for frame in frames {
        frame.encode(&mut out);
    }
    out
}

/// Reads what [`encode_frames`] writes. One bad frame rejects all of them.
pub fn decode_frames(data: &Bytes) -> Result<Vec<Frame>, FrameError> {
    let (&version, mut rest) = data.split_first().ok_or(FrameError::Empty)?;
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    if rest.is_empty() {
        return Err(FrameError::Empty);
    }
    let mut frames = Vec::new();
    while !rest.is_empty() {
        frames.push(Frame::decode(data, &mut rest)?);
    }
    Ok(frames)
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({self})")
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::bytes;
    use proptest::prelude::*;

    use super::*;

    /// One frame, byte by byte.
    const ONE: Bytes =
        bytes!("00" "000102030405060708090a0b0c0d0e0f" "0203" "00000004" "deadbeef" "01");

    fn one() -> Frame {
        Frame {
            channel: ChannelId(core::array::from_fn(|i| i as u8)),
            number: 0x0203,
            data: bytes!("deadbeef"),
            is_last: true,
        }
    }

    #[test]
    fn writes_and_reads_one_frame() {
        assert_eq!(encode_frames(&[one()]), ONE);
        assert_eq!(decode_frames(&ONE), Ok(vec![one()]));
        assert_eq!(one().encoded_len(), Frame::OVERHEAD + 4);
        assert_eq!(one().channel.to_string(), "000102030405060708090a0b0c0d0e0f");
    }

    #[test]
    fn refuses_malformed_transactions() {
        let check = |data: &[u8], error| {
            assert_eq!(decode_frames(&Bytes::copy_from_slice(data)), Err(error));
        };
        check(&[], FrameError::Empty);
        check(&[0], FrameError::Empty);
        check(&[&[1], &ONE[1..]].concat(), FrameError::Version(1));
        for len in 2..ONE.len() {
            check(&ONE[..len], FrameError::Truncated);
        }
        // A second frame that is bad takes the first one with it.
        check(&[&ONE[..], &[0]].concat(), FrameError::Truncated);
        let mut wrong = ONE.to_vec();
        *wrong.last_mut().unwrap() = 2;
        check(&wrong, FrameError::IsLast(2));
    }

    #[test]
    fn data_has_a_limit() {
        let longest = Frame { data: vec![7; Frame::DATA_MAX].into(), ..one() };
        let encoded = encode_frames(std::slice::from_ref(&longest));
        assert_eq!(decode_frames(&encoded.clone().into()), Ok(vec![longest]));
        let mut longer = encoded;
        longer[19..23].copy_from_slice(&1_000_001u32.to_be_bytes());
        longer.push(0);
        assert_eq!(decode_frames(&longer.into()), Err(FrameError::TooLong(1_000_001)));
    }

    fn frame() -> impl Strategy<Value = Frame> {
        (any::<[u8; 16]>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..200), any::<bool>())
            .prop_map(|(channel, number, data, is_last)| Frame {
                channel: ChannelId(channel),
                number,
                data: data.into(),
                is_last,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(frames in prop::collection::vec(frame(), 1..5)) {
            prop_assert_eq!(decode_frames(&encode_frames(&frames).into()), Ok(frames));
        }

        #[test]
        fn what_is_read_is_written(data in prop::collection::vec(any::<u8>(), 0..100)) {
            let data = [vec![0], data].concat();
            if let Ok(frames) = decode_frames(&data.clone().into()) {
                prop_assert_eq!(encode_frames(&frames), data);
            }
        }
    }
}
