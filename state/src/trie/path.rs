//! Where a node sits in a trie: the first nibbles of the keys beneath it.

use std::fmt;

use alloy_primitives::B256;

/// Nibbles in a key.
pub(super) const NIBBLES: usize = 64;

/// The path from a trie's root to one of its nodes: up to 64 nibbles.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NibblePath {
    /// The nibbles, two a byte, high first; zero past the end.
    packed: B256,
    len: u8,
}

impl NibblePath {
    /// The path of a trie's root.
    pub const ROOT: Self = Self { packed: B256::ZERO, len: 0 };

    /// The first `len` nibbles of `key`.
    ///
    /// # Panics
    ///
    /// When `len` is more than 64.
    pub fn prefix(key: &B256, len: usize) -> Self {
        assert!(len <= NIBBLES, "a key has 64 nibbles, not {len}");
        let mut packed = B256::ZERO;
        packed[..len / 2].copy_from_slice(&key[..len / 2]);
        if len % 2 == 1 {
            packed[len / 2] = key[len / 2] & 0xf0;
        }
        Self { packed, len: len as u8 }
    }

    /// How many nibbles.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether this is the root's path.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A key of the store, to append to the trie's: the packed nibbles, then one byte that is 0 after an even count
    /// and 1 after an odd one. Distinct for distinct paths, and neighbours in a trie are neighbours in key order.
    pub fn to_key(self) -> Vec<u8> {
        let bytes = self.len().div_ceil(2);
        let mut key = Vec::with_capacity(bytes + 1);
        key.extend_from_slice(&self.packed[..bytes]);
        key.push(self.len % 2);
        key
    }

    /// Reads back what [`to_key`](Self::to_key) wrote; `None` for anything else.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (odd, bytes) = key.split_last()?;
        let len = match odd {
            0 => bytes.len() * 2,
            1 => (bytes.len() * 2).checked_sub(1)?,
            _ => return None,
        };
        let mut packed = B256::ZERO;
        packed.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let path = Self { packed, len: u8::try_from(len).ok()? };
        (Self::prefix(&packed, len) == path).then_some(path)
    }

    /// A key that starts with this path.
    pub(super) const fn as_key(&self) -> &B256 {
        &self.packed
    }
}

impl Ord for NibblePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.packed, self.len).cmp(&(other.packed, other.len))
    }
}

impl PartialOrd for NibblePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for NibblePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        (0..self.len()).try_for_each(|at| write!(f, "{:x}", nibble(&self.packed, at)))
    }
}

/// The nibble of `key` at depth `at`.
#[inline]
pub(super) fn nibble(key: &B256, at: usize) -> usize {
    let byte = key[at / 2];
    usize::from(if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

/// How many leading nibbles two keys share.
#[inline]
pub(super) fn common_nibbles(a: &B256, b: &B256) -> usize {
    for at in 0..32 {
        let differ = a[at] ^ b[at];
        if differ != 0 {
            return at * 2 + usize::from(differ < 16);
        }
    }
    NIBBLES
}

/// `key` with the nibble at depth `at` replaced.
pub(super) fn with_nibble(mut key: B256, at: usize, value: usize) -> B256 {
    let byte = &mut key[at / 2];
    *byte = if at.is_multiple_of(2) {
        (*byte & 15) | (value as u8) << 4
    } else {
        (*byte & 0xf0) | value as u8
    };
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_keys_are_distinct_and_read_back() {
        let key = B256::repeat_byte(0xab);
        let mut seen = std::collections::BTreeSet::new();
        for base in [key, B256::ZERO] {
            for len in 0..=NIBBLES {
                let path = NibblePath::prefix(&base, len);
                assert_eq!(NibblePath::from_key(&path.to_key()), Some(path));
                seen.insert(path.to_key());
            }
        }
        assert_eq!(seen.len(), 2 * NIBBLES + 1, "the two roots are one path");
        for bad in [&[][..], &[1], &[2], &[0xab, 1], &[0; 34], &[0xa0, 7]] {
            assert_eq!(NibblePath::from_key(bad), None, "{bad:02x?}");
        }
    }

    #[test]
    fn nibbles_are_counted_from_the_high_half() {
        let a = B256::repeat_byte(0x12);
        assert_eq!((nibble(&a, 0), nibble(&a, 1), nibble(&a, 63)), (1, 2, 2));
        assert_eq!(common_nibbles(&a, &a), NIBBLES);
        assert_eq!(common_nibbles(&a, &with_nibble(a, 7, 3)), 7);
        assert_eq!(common_nibbles(&a, &with_nibble(a, 8, 3)), 8);
        assert_eq!(format!("{:?}", NibblePath::prefix(&a, 3)), "/121");
    }
}
