//! Bytes in blobs: four field elements carry 127 bytes, because the two upper bits of each must stay clear.
//!
//! Each element holds 31 bytes whole; the three further bytes of a round (`x`, `y`, `z`) lie in the six bits that are
//! left at the top of each:
//!
//! ```text
//! | x5…x0     | 31 bytes | x7 x6 y3…y0 | 31 bytes | z5…z0 | 31 bytes | z7 z6 y7…y4 | 31 bytes |
//! ```
//!
//! The first four bytes of all are a version and the length of the rest.

use alloy_primitives::Bytes;

/// How many bytes a blob has.
pub const BLOB_LEN: usize = 131_072;
/// How many bytes of ours fit into a blob.
pub const BLOB_DATA_MAX: usize = ROUNDS * ROUND_DATA - HEADER;

const ROUNDS: usize = 1_024;
/// Bytes that a round carries, and that it takes.
const ROUND_DATA: usize = 127;
const ROUND: usize = 128;
const ELEMENT: usize = 32;
/// Version and length.
const HEADER: usize = 4;
const VERSION: u8 = 0;

const _: () = assert!(BLOB_LEN == ROUNDS * ROUND && BLOB_DATA_MAX == 130_044);

/// Why a blob holds no data. It counts for nothing then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Another encoding than ours.
    #[error("the blob has version {0} instead of {VERSION}")]
    Version(u8),
    /// More data than can be there.
    #[error("the blob announces {0} bytes, more than fit")]
    Length(usize),
    /// One of the two upper bits of an element that carries data is set.
    #[error("field element {0} has a bit set above its 254 bits")]
    Element(usize),
    /// What follows the data is not zero.
    #[error("the blob goes on after its data")]
    Trailing,
}

/// Writes data into a blob; nothing if it does not fit.
pub fn encode_blob(data: &[u8]) -> Option<Box<[u8; BLOB_LEN]>> {
    if data.len() > BLOB_DATA_MAX {
        return None;
    }
    let mut blob: Box<[u8; BLOB_LEN]> = vec![0; BLOB_LEN].into_boxed_slice().try_into().ok()?;
    let [_, length @ ..] = (data.len() as u32).to_be_bytes();
    // The first round lacks the header's room.
    let (first, rest) = data.split_at(data.len().min(ROUND_DATA - HEADER));
    let mut round = [0; ROUND_DATA];
    round[0] = VERSION;
    round[1..HEADER].copy_from_slice(&length);
    round[HEADER..HEADER + first.len()].copy_from_slice(first);
    let (rounds, _) = blob.as_chunks_mut::<ROUND>();
    let (head, tail) = rounds.split_first_mut()?;
    encode_round(&round, head);

    let (whole, last) = rest.as_chunks::<ROUND_DATA>();
    for (data, out) in whole.iter().zip(tail.iter_mut()) {
        encode_round(data, out);
    }
    if !last.is_empty() {
        let mut round = [0; ROUND_DATA];
        round[..last.len()].copy_from_slice(last);
        encode_round(&round, &mut tail[whole.len()]);
    }
    Some(blob)
}

/// Reads the data of a blob.
///
/// Elements past the data must be zero, which makes data and blob one to one, save for the top bits of the very first
/// element: they go unread, as they do in every other implementation. (Only one of the two can be set in a blob that
/// L1 accepts.)
pub fn decode_blob(blob: &[u8; BLOB_LEN]) -> Result<Bytes, BlobError> {
    let [_, version, length @ ..] = blob.first_chunk::<5>().ok_or(BlobError::Trailing)?;
    if *version != VERSION {
        return Err(BlobError::Version(*version));
    }
    let len = length.iter().fold(0, |len, &byte| len << 8 | usize::from(byte));
    if len > BLOB_DATA_MAX {
        return Err(BlobError::Length(len));
    }
    let used = (HEADER + len).div_ceil(ROUND_DATA);
    let (rounds, _) = blob.as_chunks::<ROUND>();
    let (with_data, without) = rounds.split_at(used);
    let mut out = vec![0; used * ROUND_DATA];
    let (outs, _) = out.as_chunks_mut::<ROUND_DATA>();
    for (index, (round, out)) in with_data.iter().zip(outs).enumerate() {
        for element in usize::from(index == 0)..4 {
            if round[element * ELEMENT] & 0b1100_0000 != 0 {
                return Err(BlobError::Element(index * 4 + element));
            }
        }
        decode_round(round, out);
    }
    let padding = &out[HEADER + len..];
    if padding.iter().chain(without.as_flattened()).any(|&byte| byte != 0) {
        return Err(BlobError::Trailing);
    }
    Ok(Bytes::from(out).slice(HEADER..HEADER + len))
}

fn encode_round(data: &[u8; ROUND_DATA], out: &mut [u8; ROUND]) {
    let (x, y, z) = (data[31], data[63], data[95]);
    let tops = [
        x & 0b0011_1111,
        (y & 0b0000_1111) | ((x & 0b1100_0000) >> 2),
        z & 0b0011_1111,
        ((z & 0b1100_0000) >> 2) | ((y & 0b1111_0000) >> 4),
    ];
    for (element, top) in tops.into_iter().enumerate() {
        let at = element * ELEMENT;
        out[at] = top;
        out[at + 1..at + ELEMENT].copy_from_slice(&data[at..at + ELEMENT - 1]);
    }
}

fn decode_round(round: &[u8; ROUND], out: &mut [u8; ROUND_DATA]) {
    for element in 0..4 {
        let at = element * ELEMENT;
        out[at..at + ELEMENT - 1].copy_from_slice(&round[at + 1..at + ELEMENT]);
    }
    let [a, b, c, d] = [round[0], round[32], round[64], round[96]];
    out[31] = (a & 0b0011_1111) | ((b & 0b0011_0000) << 2);
    out[63] = (b & 0b0000_1111) | ((d & 0b0000_1111) << 4);
    out[95] = (c & 0b0011_1111) | ((d & 0b0011_0000) << 2);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blob_of(data: &[u8]) -> Box<[u8; BLOB_LEN]> {
        encode_blob(data).unwrap()
    }

    #[test]
    fn the_layout_is_the_specifications() {
        let data: Vec<u8> = (0..=255).cycle().take(123).collect();
        let blob = blob_of(&data);
        // x = data[27], y = data[59], z = data[91]: the header takes four bytes of the round.
        let (x, y, z) = (27, 59, 91);
        assert_eq!(blob[..5], [x & 0x3f, 0, 0, 0, 123]);
        assert_eq!(blob[5..32], data[..27]);
        assert_eq!(blob[32], (y & 0x0f) | ((x & 0xc0) >> 2));
        assert_eq!(blob[33..64], data[28..59]);
        assert_eq!(blob[64], z & 0x3f);
        assert_eq!(blob[65..96], data[60..91]);
        assert_eq!(blob[96], ((z & 0xc0) >> 2) | ((y & 0xf0) >> 4));
        assert_eq!(blob[97..128], data[92..123]);
        assert!(blob[128..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn every_length_near_a_border_comes_back() {
        for len in
            [0, 1, 26, 27, 28, 122, 123, 124, 249, 250, 251, BLOB_DATA_MAX - 1, BLOB_DATA_MAX]
        {
            let data = vec![0xff; len];
            let blob = blob_of(&data);
            assert_eq!(decode_blob(&blob).unwrap(), data, "{len}");
            assert!(blob.chunks(32).all(|element| element[0] <= 0x3f), "{len}");
        }
        assert_eq!(encode_blob(&vec![0; BLOB_DATA_MAX + 1]), None);
    }

    #[test]
    fn refuses_other_blobs() {
        let check = |at: usize, byte: u8, error| {
            let mut blob = blob_of(&[1; 300]);
            blob[at] = byte;
            assert_eq!(decode_blob(&blob), Err(error), "{at}");
        };
        check(1, 1, BlobError::Version(1));
        check(2, 0xff, BlobError::Length(0xff_01_2c));
        check(32, 0x40, BlobError::Element(1));
        check(128, 0x80, BlobError::Element(4));
        // Shorter than what is there.
        check(4, 0x2b, BlobError::Trailing);
        // In the last round, and past it.
        check(383, 1, BlobError::Trailing);
        check(384, 0x40, BlobError::Trailing);
        check(BLOB_LEN - 1, 1, BlobError::Trailing);
        let mut longest = blob_of(&[]);
        longest[2..5].copy_from_slice(&[1, 0xfb, 0xfd]);
        assert_eq!(decode_blob(&longest), Err(BlobError::Length(BLOB_DATA_MAX + 1)));
    }

    #[test]
    fn the_first_elements_top_bits_go_unread() {
        let mut blob = blob_of(&[1; 300]);
        blob[0] |= 0x40;
        assert_eq!(decode_blob(&blob).unwrap(), vec![1; 300]);
    }

    proptest! {
        #[test]
        fn data_comes_back(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert_eq!(decode_blob(&blob_of(&data)).unwrap(), data);
        }
    }
}
