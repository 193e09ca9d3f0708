//! What a leaf holds, as small as it goes: most accounts have neither code nor storage, and two thirds of such an
//! account's RLP are two well-known hashes.

use alloy_primitives::{B256, KECCAK256_EMPTY, U256};
use alloy_rlp::Encodable;
use alloy_trie::EMPTY_ROOT_HASH;

/// The longest value of a leaf, in RLP. An account takes at most 110 bytes, a slot 33.
pub(super) const VALUE_BYTES_MAX: usize = 120;

/// The RLP of the two hashes that end a plain account.
const PLAIN_TAIL_BYTES: usize = 66;

/// How a leaf's payload becomes its value's RLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The payload is the RLP.
    Whole = 0,
    /// The payload is the RLP of nonce and balance; the list's header before and the hashes after are implied.
    PlainAccount = 1,
}

impl Form {
    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Whole),
            1 => Some(Self::PlainAccount),
            _ => None,
        }
    }
}

/// A leaf's value where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueRef<'a> {
    pub(super) form: Form,
    pub(super) payload: &'a [u8],
}

impl ValueRef<'_> {
    /// The length of the value's RLP.
    #[inline]
    pub(super) const fn rlp_len(&self) -> usize {
        match self.form {
            Form::Whole => self.payload.len(),
            Form::PlainAccount => 2 + self.payload.len() + PLAIN_TAIL_BYTES,
        }
    }

    /// Writes the value's RLP: exactly as long as `out`.
    #[inline]
    pub(super) fn write_rlp(&self, out: &mut [u8]) {
        match self.form {
            Form::Whole => out.copy_from_slice(self.payload),
            Form::PlainAccount => {
                let len = self.payload.len();
                out[0] = 0xf8;
                out[1] = (len + PLAIN_TAIL_BYTES) as u8;
                out[2..2 + len].copy_from_slice(self.payload);
                let (root, code) = out[2 + len..].split_at_mut(33);
                root[0] = 0xa0;
                root[1..].copy_from_slice(EMPTY_ROOT_HASH.as_slice());
                code[0] = 0xa0;
                code[1..].copy_from_slice(KECCAK256_EMPTY.as_slice());
            }
        }
    }

    /// The value's RLP.
    pub(super) fn to_rlp(self) -> Vec<u8> {
        let mut rlp = vec![0; self.rlp_len()];
        self.write_rlp(&mut rlp);
        rlp
    }

    /// The storage root of a value that is an account.
    pub(super) fn storage_root(&self) -> B256 {
        match self.form {
            Form::Whole => B256::from_slice(&self.payload[self.payload.len() - 65..][..32]),
            Form::PlainAccount => EMPTY_ROOT_HASH,
        }
    }
}

/// A value on its way into a leaf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    form: Form,
    len: u8,
    bytes: [u8; VALUE_BYTES_MAX],
}

impl Value {
    /// A value by its RLP.
    ///
    /// # Panics
    ///
    /// When it is longer than [`VALUE_BYTES_MAX`]: nothing in the state is.
    pub(super) fn whole(rlp: &[u8]) -> Self {
        Self::new(Form::Whole, |bytes| {
            bytes[..rlp.len()].copy_from_slice(rlp);
            rlp.len()
        })
    }

    /// The value of a storage slot that is not zero.
    pub(super) fn slot(value: &U256) -> Self {
        Self::new(Form::Whole, |mut bytes| {
            value.encode(&mut bytes);
            value.length()
        })
    }

    /// An account.
    pub(super) fn account(
        nonce: u64,
        balance: &U256,
        storage_root: &B256,
        code_hash: &B256,
    ) -> Self {
        let len = nonce.length() + balance.length();
        if *storage_root == EMPTY_ROOT_HASH && *code_hash == KECCAK256_EMPTY {
            return Self::new(Form::PlainAccount, |mut bytes| {
                nonce.encode(&mut bytes);
                balance.encode(&mut bytes);
                len
            });
        }
        Self::new(Form::Whole, |bytes| {
            bytes[..2].copy_from_slice(&[0xf8, (len + PLAIN_TAIL_BYTES) as u8]);
            let mut rest = &mut bytes[2..];
            nonce.encode(&mut rest);
            balance.encode(&mut rest);
            storage_root.encode(&mut rest);
            code_hash.encode(&mut rest);
            2 + len + PLAIN_TAIL_BYTES
        })
    }

    /// An account that differs from `old` in its storage root only.
    pub(super) fn with_storage_root(old: ValueRef<'_>, storage_root: &B256) -> Self {
        let rlp = old.to_rlp();
        let tail = rlp.len() - PLAIN_TAIL_BYTES;
        let code_hash = &rlp[tail + 34..];
        if *storage_root == EMPTY_ROOT_HASH && code_hash == KECCAK256_EMPTY.as_slice() {
            return Self::new(Form::PlainAccount, |bytes| {
                bytes[..tail - 2].copy_from_slice(&rlp[2..tail]);
                tail - 2
            });
        }
        let mut value = Self::whole(&rlp);
        value.bytes[tail + 1..][..32].copy_from_slice(storage_root.as_slice());
        value
    }

    fn new(form: Form, write: impl FnOnce(&mut [u8]) -> usize) -> Self {
        let mut value = Self { form, len: 0, bytes: [0; VALUE_BYTES_MAX] };
        value.len = write(&mut value.bytes) as u8;
        value
    }

    #[inline]
    pub(super) fn as_ref(&self) -> ValueRef<'_> {
        ValueRef { form: self.form, payload: &self.bytes[..usize::from(self.len)] }
    }
}

#[cfg(test)]
mod tests {
    use alloy_trie::TrieAccount;

    use super::*;

    #[test]
    fn accounts_encode_as_ethereum_has_them() {
        let other = B256::repeat_byte(7);
        for nonce in [0, 1, 127, 128, u64::MAX] {
            for balance in [U256::ZERO, U256::from(1), U256::from(1_000_000_007), U256::MAX] {
                for code_hash in [KECCAK256_EMPTY, other] {
                    let mut values = vec![];
                    for storage_root in [EMPTY_ROOT_HASH, other] {
                        let account = TrieAccount { nonce, balance, storage_root, code_hash };
                        let value = Value::account(nonce, &balance, &storage_root, &code_hash);
                        assert_eq!(value.as_ref().to_rlp(), alloy_rlp::encode(account));
                        assert_eq!(value.as_ref().storage_root(), storage_root);
                        values.push((storage_root, value));
                    }
                    for (_, from) in &values {
                        for (root, to) in &values {
                            let changed = Value::with_storage_root(from.as_ref(), root);
                            assert_eq!(changed.as_ref(), to.as_ref());
                        }
                    }
                }
            }
        }
        assert_eq!(Value::slot(&U256::from(5)).as_ref().to_rlp(), [5]);
        assert_eq!(Value::slot(&U256::MAX).as_ref().rlp_len(), 33);
    }
}
