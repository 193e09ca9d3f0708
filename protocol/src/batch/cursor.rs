//! Reading columns one after the other.

use alloy_primitives::Bytes;

use super::span::SpanBatchError;

/// Splits so many bytes off the front.
pub(super) fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], SpanBatchError> {
    rest.split_off(..len).ok_or(SpanBatchError::Truncated)
}

/// Splits an array off the front.
pub(super) fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SpanBatchError> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or(SpanBatchError::Truncated)?;
    *rest = left;
    Ok(*taken)
}

/// Reads an unsigned Base128 varint, seven bits a byte, the lowest first. Longer forms than the shortest are allowed.
pub(super) fn take_varint(rest: &mut &[u8]) -> Result<u64, SpanBatchError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = take_array(rest)?;
        // Of the tenth byte only one bit has room.
        if shift == 63 && byte > 1 {
            return Err(SpanBatchError::Varint);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(SpanBatchError::Varint)
}

/// Appends the shortest form of a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a column whose end shows only by reading it, and gives it without copying.
pub(super) fn take_column(
    whole: &Bytes,
    rest: &mut &[u8],
    mut read: impl FnMut(&mut &[u8]) -> Result<(), SpanBatchError>,
) -> Result<Bytes, SpanBatchError> {
    let start = *rest;
    read(rest)?;
    Ok(whole.slice_ref(&start[..start.len() - rest.len()]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn varints_of_every_length() {
        let check = |bytes: &[u8], expected| assert_eq!(take_varint(&mut &bytes[..]), expected);
        check(&[0], Ok(0));
        check(&[0x7f], Ok(127));
        check(&[0x80, 1], Ok(128));
        check(&[0xac, 2], Ok(300));
        // Not the shortest form.
        check(&[0x80, 0x80, 0], Ok(0));
        check(&[0xff; 9], Err(SpanBatchError::Truncated));
        let longest = |last| [&[0xff; 9][..], &[last]].concat();
        check(&longest(1), Ok(u64::MAX));
        check(&longest(2), Err(SpanBatchError::Varint));
        check(&longest(0x81), Err(SpanBatchError::Varint));
        check(&[], Err(SpanBatchError::Truncated));
    }

    proptest! {
        #[test]
        fn varints_come_back(value: u64, shift in 0..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut rest = &out[..];
            prop_assert_eq!(take_varint(&mut rest), Ok(value));
            prop_assert!(rest.is_empty());
        }
    }
}
