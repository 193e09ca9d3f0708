//! Lists of bits: one big-endian number in as few bytes as hold all of them, whose lowest bit is the first of the list.

use alloy_primitives::Bytes;

use super::{cursor, span::SpanBatchError};

/// A list of bits, in its encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits {
    bytes: Bytes,
    len: usize,
}

impl Bits {
    /// Reads a list of so many bits. Those that fill up the first byte must be zero.
    pub(super) fn take(
        whole: &Bytes,
        rest: &mut &[u8],
        len: usize,
    ) -> Result<Self, SpanBatchError> {
        let bytes = cursor::take(rest, len.div_ceil(8))?;
        if let (Some(first), used @ 1..) = (bytes.first(), len % 8)
            && first >> used != 0
        {
            return Err(SpanBatchError::Bits);
        }
        Ok(Self { bytes: whole.slice_ref(bytes), len })
    }

    /// The bit at this place of the list.
    ///
    /// # Panics
    ///
    /// If the list is shorter.
    pub(super) fn get(&self, index: usize) -> bool {
        assert!(index < self.len, "bit {index} of {}", self.len);
        self.bytes[self.bytes.len() - 1 - index / 8] >> (index % 8) & 1 == 1
    }

    /// How many bits are set.
    pub(super) fn count_ones(&self) -> usize {
        self.bytes.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A list of bits that grows. The bytes lie the other way round, so that appending moves nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct BitsBuilder {
    reversed: Vec<u8>,
    len: usize,
}

impl BitsBuilder {
    pub(super) fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(8) {
            self.reversed.push(0);
        }
        if let Some(last) = self.reversed.last_mut() {
            *last |= u8::from(bit) << (self.len % 8);
        }
        self.len += 1;
    }

    pub(super) fn encoded_len(&self) -> usize {
        self.reversed.len()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.reversed.iter().rev());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(bits: &[bool]) -> Bytes {
        let mut builder = BitsBuilder::default();
        bits.iter().for_each(|&bit| builder.push(bit));
        let mut out = Vec::new();
        builder.encode(&mut out);
        assert_eq!(out.len(), builder.encoded_len());
        out.into()
    }

    #[test]
    fn the_first_bit_is_the_lowest_of_the_last_byte() {
        assert!(encode(&[]).is_empty());
        assert_eq!(encode(&[true])[..], [1]);
        assert_eq!(encode(&[false, true, true])[..], [0b110]);
        let mut nine = [false; 9];
        nine[8] = true;
        assert_eq!(encode(&nine)[..], [1, 0]);
        nine[0] = true;
        assert_eq!(encode(&nine)[..], [1, 1]);
    }

    #[test]
    fn refuses_other_bytes() {
        let take = |bytes: &[u8], len| {
            let whole = Bytes::copy_from_slice(bytes);
            Bits::take(&whole, &mut &whole[..], len).map(|bits| bits.count_ones())
        };
        assert_eq!(take(&[], 0), Ok(0));
        assert_eq!(take(&[0xff], 0), Ok(0));
        assert_eq!(take(&[0xff], 8), Ok(8));
        assert_eq!(take(&[0xff], 7), Err(SpanBatchError::Bits));
        assert_eq!(take(&[1, 0xff], 9), Ok(9));
        assert_eq!(take(&[2, 0xff], 9), Err(SpanBatchError::Bits));
        assert_eq!(take(&[1], 9), Err(SpanBatchError::Truncated));
    }

    proptest! {
        #[test]
        fn lists_come_back(bits in prop::collection::vec(any::<bool>(), 0..70)) {
            let whole = encode(&bits);
            let mut rest = &whole[..];
            let read = Bits::take(&whole, &mut rest, bits.len()).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!((0..bits.len()).map(|i| read.get(i)).collect::<Vec<_>>(), bits);
            prop_assert_eq!(read.as_bytes(), &whole[..]);
        }
    }
}
