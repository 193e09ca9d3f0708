//! The encodings of nodes that Ethereum hashes, written into a buffer of exactly their length.
//!
//! Every node knows the whole key beneath it and is told its depth, so that moving up or down in a trie changes its
//! encoding and nothing else.

use alloy_primitives::{B256, keccak256};

use super::{
    path::{NIBBLES, nibble},
    value::ValueRef,
};

/// The longest encoding of a node: a branch with sixteen hashes.
const NODE_BYTES_MAX: usize = 532;

/// How a parent refers to a node: by hash, or, when its encoding is shorter than a hash, by the encoding itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reference {
    /// The hash, or an encoding that begins with its own length.
    pub(super) bytes: B256,
    pub(super) inline: bool,
}

impl Reference {
    pub(super) const fn hash(bytes: B256) -> Self {
        Self { bytes, inline: false }
    }

    /// The reference to a node by its encoding.
    pub(super) fn of(encoding: &[u8]) -> Self {
        if encoding.len() < 32 { Self::inline(encoding) } else { Self::hash(keccak256(encoding)) }
    }

    /// The reference to a node with this short encoding.
    pub(super) fn inline(encoding: &[u8]) -> Self {
        let mut bytes = B256::ZERO;
        bytes[..encoding.len()].copy_from_slice(encoding);
        Self { bytes, inline: true }
    }

    /// What a parent's encoding holds.
    pub(super) fn rlp_len(&self) -> usize {
        if self.inline { inline_len(&self.bytes) } else { 33 }
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        if self.inline {
            out.put(&self.bytes[..inline_len(&self.bytes)]);
        } else {
            out.byte(0xa0);
            out.put(self.bytes.as_slice());
        }
    }
}

/// The length of the encoding, shorter than a hash, that these bytes begin with.
#[inline]
pub(super) fn inline_len(bytes: &B256) -> usize {
    usize::from(bytes[0].wrapping_sub(0xc0)) + 1
}

/// A cursor over a buffer whose length was computed beforehand.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    #[inline]
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    #[inline]
    pub(super) fn byte(&mut self, byte: u8) {
        self.out[self.at] = byte;
        self.at += 1;
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..][..bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// The next `len` bytes, to write.
    #[inline]
    fn take(&mut self, len: usize) -> &mut [u8] {
        let from = self.at;
        self.at += len;
        &mut self.out[from..self.at]
    }

    #[inline]
    pub(super) fn list_header(&mut self, payload: usize) {
        match payload {
            0..56 => self.byte(0xc0 + payload as u8),
            56..256 => self.put(&[0xf8, payload as u8]),
            _ => self.put(&[0xf9, (payload >> 8) as u8, payload as u8]),
        }
    }
}

/// The length of a list with this much in it.
#[inline]
pub(super) const fn list_len(payload: usize) -> usize {
    match payload {
        0..56 => 1 + payload,
        56..256 => 2 + payload,
        _ => 3 + payload,
    }
}

/// The length of a string of `len` bytes, the first of which is `first`.
#[inline]
const fn string_len(len: usize, first: u8) -> usize {
    match len {
        1 if first < 0x80 => 1,
        0..56 => 1 + len,
        _ => 2 + len,
    }
}

/// The length of a path of so many nibbles, hex-prefixed, as a string.
#[inline]
const fn path_len(nibbles: usize) -> usize {
    // The first byte is a flag below 0x40.
    string_len(1 + nibbles / 2, 0)
}

/// Writes the nibbles of `key` from `start` to `end`, hex-prefixed, as a string.
#[inline]
fn write_path(out: &mut Writer<'_>, key: &B256, start: usize, end: usize, leaf: bool) {
    let nibbles = end - start;
    if nibbles > 1 {
        out.byte(0x80 + 1 + (nibbles / 2) as u8);
    }
    let flag = if leaf { 0x20 } else { 0x00 };
    let odd = nibbles % 2;
    out.byte(if odd == 1 { flag + 0x10 + nibble(key, start) as u8 } else { flag });
    let start = start + odd;
    if start.is_multiple_of(2) && end.is_multiple_of(2) {
        out.put(&key[start / 2..end / 2]);
    } else {
        for at in (start..end).step_by(2) {
            out.byte((nibble(key, at) << 4 | nibble(key, at + 1)) as u8);
        }
    }
}

/// A leaf, by its whole key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf<'a> {
    pub(super) key: &'a B256,
    pub(super) value: ValueRef<'a>,
}

impl Leaf<'_> {
    fn payload_len(&self, depth: usize) -> usize {
        let value = self.value.rlp_len();
        let first = if value == 1 { self.value.payload[0] } else { 0 };
        path_len(NIBBLES - depth) + string_len(value, first)
    }

    /// The length of the encoding, for a leaf whose path begins at `depth`.
    #[inline]
    pub(super) fn len(&self, depth: usize) -> usize {
        list_len(self.payload_len(depth))
    }

    #[inline]
    pub(super) fn write(&self, depth: usize, out: &mut [u8]) {
        let mut out = Writer::new(out);
        out.list_header(self.payload_len(depth));
        write_path(&mut out, self.key, depth, NIBBLES, true);
        let value = self.value.rlp_len();
        match value {
            1 if self.value.payload[0] < 0x80 => {}
            0..56 => out.byte(0x80 + value as u8),
            _ => out.put(&[0xb8, value as u8]),
        }
        self.value.write_rlp(out.take(value));
    }
}

/// An extension, by a key that begins with its child's path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extension<'a> {
    pub(super) key: &'a B256,
    /// The depth of the child.
    pub(super) end: usize,
    pub(super) child: Reference,
}

impl Extension<'_> {
    fn payload_len(&self, depth: usize) -> usize {
        path_len(self.end - depth) + self.child.rlp_len()
    }

    /// The length of the encoding, for an extension that begins at `depth`.
    pub(super) fn len(&self, depth: usize) -> usize {
        list_len(self.payload_len(depth))
    }

    pub(super) fn write(&self, depth: usize, out: &mut [u8]) {
        let mut out = Writer::new(out);
        out.list_header(self.payload_len(depth));
        write_path(&mut out, self.key, depth, self.end, false);
        self.child.write(&mut out);
    }
}

/// A branch, by references to its children. Branches have no value: all keys are equally long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Branch<'a> {
    pub(super) mask: u16,
    /// Which children are inlined.
    pub(super) inline: u16,
    /// The references to the children that there are, in order.
    pub(super) references: &'a [[u8; 32]],
}

impl Branch<'_> {
    fn payload_len(&self) -> usize {
        let children = self.references.len();
        let hashes = 17 + children * 32;
        if self.inline == 0 {
            return hashes;
        }
        let shorter = self.inlined().map(|(_, len)| 33 - len).sum::<usize>();
        hashes - shorter
    }

    /// The inlined children, by rank, with their lengths.
    fn inlined(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let nibbles = (0..16).filter(|nibble| self.mask & 1 << nibble != 0);
        nibbles
            .zip(self.references)
            .enumerate()
            .filter(|(_, (nibble, _))| self.inline & 1 << nibble != 0)
            .map(|(rank, (_, bytes))| (rank, inline_len(bytes.into())))
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        list_len(self.payload_len())
    }

    #[inline]
    pub(super) fn write(&self, out: &mut [u8]) {
        if self.inline == 0 {
            return self.write_hashes(out);
        }
        let mut out = Writer::new(out);
        out.list_header(self.payload_len());
        let mut references = self.references.iter();
        for nibble in 0..16 {
            if self.mask & 1 << nibble == 0 {
                out.byte(0x80);
                continue;
            }
            let bytes = references.next().expect("a reference for each bit of the mask");
            if self.inline & 1 << nibble != 0 {
                out.put(&bytes[..inline_len(bytes.into())]);
            } else {
                let slot = out.take(33);
                slot[0] = 0xa0;
                slot[1..].copy_from_slice(bytes);
            }
        }
        out.byte(0x80);
    }

    /// The same when no child is inlined, without a branch that depends on the mask, which is as good as random: every
    /// nibble writes a whole hash, and the next one begins where this one's own encoding ends.
    #[inline]
    fn write_hashes(&self, out: &mut [u8]) {
        let mut buffer = [0; NODE_BYTES_MAX + 33];
        let payload = self.payload_len();
        Writer::new(&mut buffer).list_header(payload);
        let mut at = list_len(payload) - payload;
        let (mut rank, last) = (0, self.references.len() - 1);
        for nibble in 0..16 {
            let present = usize::from(self.mask >> nibble & 1);
            let slot: &mut [u8; 33] = buffer[at..].first_chunk_mut().expect("room for a hash");
            slot[1..].copy_from_slice(&self.references[rank.min(last)]);
            slot[0] = 0x80 + 0x20 * present as u8;
            rank += present;
            at += 1 + 32 * present;
        }
        buffer[at] = 0x80;
        out.copy_from_slice(&buffer[..=at]);
    }
}
