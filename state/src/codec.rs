//! How keys and values look in the store. Integers are big-endian, so that keys sort by number.

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{Address, B256, BlockNumber, U256};
use millrace_types::{Account, AccountDiff, DiffBuilder, StateDiff};

use crate::{
    store::StoreError,
    trie::{NibblePath, TrieId},
};

/// An account or a slot: what flat state and history are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FlatKey {
    Account(Address),
    Slot(Address, U256),
}

impl FlatKey {
    /// The key in the table of accounts or of storage.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Account(address) => address.to_vec(),
            Self::Slot(address, slot) => [&address[..], &slot.to_be_bytes::<32>()].concat(),
        }
    }

    /// The key in the table of history of what was there before `block` changed it.
    pub(crate) fn history(&self, block: BlockNumber) -> Vec<u8> {
        let kind: &[u8] = match self {
            Self::Account(_) => b"a",
            Self::Slot(..) => b"s",
        };
        [kind, &self.encode(), &block.to_be_bytes()].concat()
    }
}

pub(crate) fn node_key(trie: TrieId, path: &NibblePath) -> Vec<u8> {
    let mut key = node_prefix(trie);
    key.extend_from_slice(&path.to_key());
    key
}

/// What the keys of all records of a trie start with.
pub(crate) fn node_prefix(trie: TrieId) -> Vec<u8> {
    match trie {
        TrieId::Account => vec![b'a'],
        TrieId::Storage(hashed) => [b"s", &hashed[..]].concat(),
    }
}

/// One form for what means the same: an account without code has no code hash.
pub(crate) fn canonical(mut account: Account) -> Account {
    account.bytecode_hash = account.bytecode_hash.filter(|hash| *hash != KECCAK_EMPTY);
    account
}

const HAS_CODE: u8 = 0x80;

/// Length of the nonce, length of the balance with a flag for code, nonce, balance, code hash.
pub(crate) fn encode_account(account: &Account) -> Vec<u8> {
    let nonce = trimmed(&account.nonce.to_be_bytes()).to_vec();
    let balance = encode_value(&account.balance);
    let code = account.bytecode_hash;
    let mut out = Vec::with_capacity(2 + nonce.len() + balance.len() + 32);
    out.push(nonce.len() as u8);
    out.push(balance.len() as u8 | if code.is_some() { HAS_CODE } else { 0 });
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&balance);
    out.extend_from_slice(code.as_ref().map_or(&[], |hash| &hash[..]));
    out
}

pub(crate) fn decode_account(bytes: &[u8]) -> Result<Account, StoreError> {
    let mut reader = Reader(bytes);
    let account = reader.account()?;
    reader.end()?;
    Ok(account)
}

/// Without leading zeros; zero is empty.
pub(crate) fn encode_value(value: &U256) -> Vec<u8> {
    trimmed(&value.to_be_bytes::<32>()).to_vec()
}

pub(crate) fn decode_value(bytes: &[u8]) -> Result<U256, StoreError> {
    U256::try_from_be_slice(bytes).ok_or(StoreError::corrupt("a storage value is too long"))
}

/// What undoes a block, with the state root that it leads back to. Codes are never undone.
pub(crate) fn encode_undo(parent_root: &B256, undo: &StateDiff) -> Vec<u8> {
    let mut out = parent_root.to_vec();
    for (diff, slots) in undo.accounts() {
        out.extend_from_slice(&diff.address[..]);
        let account = diff.account.as_ref().map(encode_account).unwrap_or_default();
        out.push(account.len() as u8);
        out.extend_from_slice(&account);
        out.extend_from_slice(&(slots.len() as u32).to_be_bytes());
        for (slot, value) in slots {
            for word in [slot, value] {
                let word = encode_value(word);
                out.push(word.len() as u8);
                out.extend_from_slice(&word);
            }
        }
    }
    out
}

pub(crate) fn decode_undo(bytes: &[u8]) -> Result<(B256, StateDiff), StoreError> {
    let mut reader = Reader(bytes);
    let parent_root = B256::from_slice(reader.take(32)?);
    let mut undo = DiffBuilder::default();
    while !reader.0.is_empty() {
        let address = Address::from_slice(reader.take(20)?);
        let account = reader.short()?;
        let account = if account.is_empty() { None } else { Some(decode_account(account)?) };
        undo.change(AccountDiff { address, account, wiped: false }, []);
        let slots = reader.take(4)?;
        for _ in 0..u32::from_be_bytes(slots.try_into().map_err(|_| TRUNCATED)?) {
            let slot = decode_value(reader.short()?)?;
            undo.set_slot(address, slot, decode_value(reader.short()?)?);
        }
    }
    Ok((parent_root, undo.build()))
}

/// The block that is durable, its state root, and the oldest block that can still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CheckpointRecord {
    pub(crate) number: BlockNumber,
    pub(crate) root: B256,
    pub(crate) oldest: BlockNumber,
}

impl CheckpointRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        [&self.number.to_be_bytes()[..], &self.root[..], &self.oldest.to_be_bytes()].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader(bytes);
        let number = reader.number()?;
        let root = B256::from_slice(reader.take(32)?);
        let oldest = reader.number()?;
        reader.end()?;
        Ok(Self { number, root, oldest })
    }
}

const TRUNCATED: StoreError = StoreError::corrupt("a record is too short");

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, StoreError> {
        Ok(self.take(1)?[0])
    }

    /// Bytes after a byte of their length.
    fn short(&mut self) -> Result<&'a [u8], StoreError> {
        let len = self.byte()?;
        self.take(usize::from(len))
    }

    fn number(&mut self) -> Result<BlockNumber, StoreError> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().map_err(|_| TRUNCATED)?))
    }

    fn account(&mut self) -> Result<Account, StoreError> {
        let (nonce_len, balance_len) = (self.byte()?, self.byte()?);
        let nonce = decode_value(self.take(usize::from(nonce_len))?)?;
        let nonce =
            nonce.try_into().map_err(|_| StoreError::corrupt("an account's nonce is too long"))?;
        let balance = decode_value(self.take(usize::from(balance_len & !HAS_CODE))?)?;
        let bytecode_hash = match balance_len & HAS_CODE {
            0 => None,
            _ => Some(B256::from_slice(self.take(32)?)),
        };
        Ok(Account { nonce, balance, bytecode_hash })
    }

    fn end(&self) -> Result<(), StoreError> {
        if self.0.is_empty() { Ok(()) } else { Err(StoreError::corrupt("a record is too long")) }
    }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accounts() -> impl Strategy<Value = Account> {
        let balance = (any::<[u8; 32]>(), 0u32..256).prop_map(|(b, s)| U256::from_be_bytes(b) >> s);
        let nonce = (any::<u64>(), 0u32..64).prop_map(|(nonce, shift)| nonce >> shift);
        (nonce, balance, any::<Option<[u8; 32]>>()).prop_map(|(nonce, balance, code)| Account {
            nonce,
            balance,
            bytecode_hash: code.map(B256::from),
        })
    }

    proptest! {
        #[test]
        fn accounts_read_back(account in accounts()) {
            let bytes = encode_account(&account);
            prop_assert_eq!(decode_account(&bytes).unwrap(), account);
            for len in 0..bytes.len() {
                prop_assert!(decode_account(&bytes[..len]).is_err());
            }
            prop_assert!(decode_account(&[&bytes[..], &[0]].concat()).is_err());
        }

        #[test]
        fn undo_reads_back(
            parent in any::<[u8; 32]>(),
            changes in prop::collection::vec(
                (any::<[u8; 20]>(), prop::option::of(accounts()), any::<Vec<(u64, [u8; 32])>>()), 0..4,
            ),
        ) {
            let change = |(address, account, slots): (_, _, Vec<_>)| {
                let slots = slots.into_iter().map(|(k, v)| (U256::from::<u64>(k), U256::from_be_bytes::<32>(v)));
                (AccountDiff { address: Address::new(address), account, wiped: false }, slots)
            };
            let undo = changes.into_iter().map(change).collect();
            let bytes = encode_undo(&parent.into(), &undo);
            prop_assert_eq!(decode_undo(&bytes).unwrap(), (parent.into(), undo));
        }

        #[test]
        fn any_bytes_are_an_error_or_a_record(bytes: Vec<u8>) {
            let _ = decode_account(&bytes);
            let _ = decode_undo(&bytes);
            let _ = CheckpointRecord::decode(&bytes);
            let _ = decode_value(&bytes);
        }
    }

    #[test]
    fn history_keys_sort_by_block_within_a_key() {
        let key = FlatKey::Slot(Address::repeat_byte(7), U256::from(9));
        assert!(key.history(255) < key.history(256));
        let neighbour = FlatKey::Slot(Address::repeat_byte(7), U256::from(10));
        assert!(key.history(u64::MAX) < neighbour.history(0));
    }
}
