//! Transactions, taken apart for the columns of span batches and put together again.
//!
//! Nothing is decoded further than it must be: what a column holds of a transaction is the RLP of some of its fields,
//! and both ways copy that RLP.
//!
//! | type | encoding of a transaction | what its data column holds |
//! |---|---|---|
//! | legacy | `[nonce, price, gas, to, value, data, v, r, s]` | `[value, price, data]` |
//! | 1 | `[chain, nonce, price, gas, to, value, data, access, y, r, s]` | `[value, price, data, access]` |
//! | 2 | `[chain, nonce, tip, fee, gas, to, value, data, access, y, r, s]` | `[value, tip, fee, data, access]` |
//! | 4 | as 2, with authorizations after the access list | likewise |

use alloy_rlp::{Encodable, Header};

use super::{
    cursor,
    span::{ELEMENTS_MAX, SpanBatchError},
};

/// The types of transactions that a batch may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TxType {
    Legacy,
    Eip2930,
    Eip1559,
    Eip7702,
}

/// A transaction in parts. The `&[u8]`s are RLP, save for the signature, which lacks leading zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct TxParts<'a> {
    pub(super) tx_type: TxType,
    pub(super) nonce: u64,
    pub(super) gas_limit: u64,
    pub(super) to: Option<&'a [u8; 20]>,
    pub(super) y_parity: bool,
    /// Of a legacy transaction: whether it is signed for this chain only.
    pub(super) protected: bool,
    pub(super) r: &'a [u8],
    pub(super) s: &'a [u8],
    pub(super) data: TxData<'a>,
}

/// What the data column holds of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct TxData<'a> {
    value: &'a [u8],
    /// One price, or tip and fee.
    prices: &'a [u8],
    /// Input and lists.
    tail: &'a [u8],
}

/// Malformed, or not to be put into a span batch of this chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl From<alloy_rlp::Error> for Malformed {
    fn from(_: alloy_rlp::Error) -> Self {
        Self
    }
}

impl TxType {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Eip2930),
            2 => Some(Self::Eip1559),
            4 => Some(Self::Eip7702),
            _ => None,
        }
    }

    const fn byte(self) -> Option<u8> {
        match self {
            Self::Legacy => None,
            Self::Eip2930 => Some(1),
            Self::Eip1559 => Some(2),
            Self::Eip7702 => Some(4),
        }
    }

    const fn prices(self) -> usize {
        match self {
            Self::Legacy | Self::Eip2930 => 1,
            Self::Eip1559 | Self::Eip7702 => 2,
        }
    }

    /// Input, access list, authorization list.
    const fn tail(self) -> usize {
        match self {
            Self::Legacy => 1,
            Self::Eip2930 | Self::Eip1559 => 2,
            Self::Eip7702 => 3,
        }
    }
}

impl<'a> TxParts<'a> {
    /// Takes a signed transaction apart.
    pub(super) fn parse(transaction: &'a [u8], chain_id: u64) -> Result<Self, Malformed> {
        let (&first, typed) = transaction.split_first().ok_or(Malformed)?;
        let (tx_type, mut list) = match first {
            0xc0.. => (TxType::Legacy, transaction),
            byte => (TxType::from_byte(byte).ok_or(Malformed)?, typed),
        };
        let mut fields = Header::decode_bytes(&mut list, true)?;
        let rest = &mut fields;
        if tx_type != TxType::Legacy && number(rest)? != chain_id {
            return Err(Malformed);
        }
        let nonce = number(rest)?;
        let prices = items(rest, tx_type.prices())?;
        let gas_limit = number(rest)?;
        let to = match Header::decode_bytes(rest, false)? {
            [] => None,
            to => Some(to.try_into().map_err(|_| Malformed)?),
        };
        let value = items(rest, 1)?;
        let tail = items(rest, tx_type.tail())?;
        let (y_parity, protected) = parity(tx_type, number(rest)?, chain_id)?;
        let (r, s) = (scalar(rest)?, scalar(rest)?);
        let creation_allowed = tx_type != TxType::Eip7702;
        if !fields.is_empty() || !list.is_empty() || (to.is_none() && !creation_allowed) {
            return Err(Malformed);
        }
        let data = TxData { value, prices, tail };
        Ok(Self { tx_type, nonce, gas_limit, to, y_parity, protected, r, s, data })
    }

    /// Appends the transaction as it was signed.
    pub(super) fn encode(&self, chain_id: u64, out: &mut Vec<u8>) {
        let v: u64 = match (self.tx_type, self.protected) {
            (TxType::Legacy, false) => 27,
            (TxType::Legacy, true) => chain_id.wrapping_mul(2).wrapping_add(35),
            _ => 0,
        };
        let v = v.wrapping_add(u64::from(self.y_parity));
        let to: &[u8] = self.to.map_or(&[], |to| to);
        let chain_id = (self.tx_type != TxType::Legacy).then_some(chain_id);
        let TxData { value, prices, tail } = self.data;
        let payload_length = chain_id.map_or(0, |chain_id| chain_id.length())
            + self.nonce.length()
            + prices.len()
            + self.gas_limit.length()
            + to.length()
            + value.len()
            + tail.len()
            + v.length()
            + self.r.length()
            + self.s.length();
        out.extend(self.tx_type.byte());
        Header { list: true, payload_length }.encode(out);
        if let Some(chain_id) = chain_id {
            chain_id.encode(out);
        }
        self.nonce.encode(out);
        out.extend_from_slice(prices);
        self.gas_limit.encode(out);
        to.encode(out);
        out.extend_from_slice(value);
        out.extend_from_slice(tail);
        v.encode(out);
        self.r.encode(out);
        self.s.encode(out);
    }
}

impl<'a> TxData<'a> {
    /// Appends what the column holds.
    pub(super) fn encode(&self, tx_type: TxType, out: &mut Vec<u8>) {
        let payload_length = self.value.len() + self.prices.len() + self.tail.len();
        out.extend(tx_type.byte());
        Header { list: true, payload_length }.encode(out);
        out.extend_from_slice(self.value);
        out.extend_from_slice(self.prices);
        out.extend_from_slice(self.tail);
    }

    /// Steps over what the column holds of one transaction, and says of what type it is and which RLP it has.
    ///
    /// The list's own fields are not looked at.
    pub(super) fn skip(rest: &mut &'a [u8]) -> Result<(TxType, &'a [u8]), SpanBatchError> {
        let first = *rest.first().ok_or(SpanBatchError::Truncated)?;
        let mut tx_type = TxType::Legacy;
        if first < 0x80 {
            tx_type = TxType::from_byte(first).ok_or(SpanBatchError::TransactionType(first))?;
            cursor::take(rest, 1)?;
        }
        let before = rest.len();
        let fields =
            Header::decode_bytes(rest, true).map_err(|_| SpanBatchError::TransactionData)?;
        // Other implementations read each by a stream that ends there.
        if before - rest.len() > ELEMENTS_MAX {
            return Err(SpanBatchError::TransactionData);
        }
        Ok((tx_type, fields))
    }

    /// Reads the fields of the list that [`Self::skip`] gave.
    ///
    /// They have to be what a transaction has in these places. Numbers may be of any size here: a transaction with one
    /// that is too large makes an invalid block rather than an invalid batch.
    pub(super) fn parse(tx_type: TxType, mut fields: &'a [u8]) -> Result<Self, Malformed> {
        let rest = &mut fields;
        let integers = |mut rest: &'a [u8]| {
            while !rest.is_empty() {
                integer(&mut rest)?;
            }
            Ok::<_, Malformed>(())
        };
        let value = items(rest, 1)?;
        let prices = items(rest, tx_type.prices())?;
        integers(value)?;
        integers(prices)?;
        let tail = *rest;
        Header::decode_bytes(rest, false)?;
        if tx_type != TxType::Legacy {
            access_list(Header::decode_bytes(rest, true)?)?;
        }
        if tx_type == TxType::Eip7702 {
            authorization_list(Header::decode_bytes(rest, true)?)?;
        }
        if fields.is_empty() { Ok(Self { value, prices, tail }) } else { Err(Malformed) }
    }
}

/// The RLP of the next so many items, of whatever kind.
fn items<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let start = *rest;
    for _ in 0..count {
        let header = Header::decode(rest)?;
        rest.split_off(..header.payload_length).ok_or(Malformed)?;
    }
    Ok(&start[..start.len() - rest.len()])
}

/// The bytes of a number, which has no leading zeros.
fn integer<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    match Header::decode_bytes(rest, false)? {
        [0, ..] => Err(Malformed),
        bytes => Ok(bytes),
    }
}

fn number(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let bytes = integer(rest)?;
    if bytes.len() > 8 {
        return Err(Malformed);
    }
    Ok(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// A number of 256 bits.
fn scalar<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let bytes = integer(rest)?;
    if bytes.len() > 32 { Err(Malformed) } else { Ok(bytes) }
}

fn string_of(rest: &mut &[u8], len: usize) -> Result<(), Malformed> {
    if Header::decode_bytes(rest, false)?.len() == len { Ok(()) } else { Err(Malformed) }
}

/// What `v` says: the parity, and whether the transaction is for one chain only.
fn parity(tx_type: TxType, v: u64, chain_id: u64) -> Result<(bool, bool), Malformed> {
    let protected_v = chain_id.wrapping_mul(2).wrapping_add(35);
    match (tx_type, v) {
        (TxType::Legacy, 27 | 28) => Ok((v == 28, false)),
        (TxType::Legacy, _) => match v.wrapping_sub(protected_v) {
            parity @ (0 | 1) => Ok((parity == 1, true)),
            _ => Err(Malformed),
        },
        (_, 0 | 1) => Ok((v == 1, true)),
        _ => Err(Malformed),
    }
}

fn access_list(mut list: &[u8]) -> Result<(), Malformed> {
    while !list.is_empty() {
        let mut entry = Header::decode_bytes(&mut list, true)?;
        string_of(&mut entry, 20)?;
        let mut keys = Header::decode_bytes(&mut entry, true)?;
        while !keys.is_empty() {
            string_of(&mut keys, 32)?;
        }
        if !entry.is_empty() {
            return Err(Malformed);
        }
    }
    Ok(())
}

fn authorization_list(mut list: &[u8]) -> Result<(), Malformed> {
    while !list.is_empty() {
        let mut entry = Header::decode_bytes(&mut list, true)?;
        scalar(&mut entry)?;
        string_of(&mut entry, 20)?;
        number(&mut entry)?;
        if integer(&mut entry)?.len() > 1 {
            return Err(Malformed);
        }
        scalar(&mut entry)?;
        scalar(&mut entry)?;
        if !entry.is_empty() {
            return Err(Malformed);
        }
    }
    Ok(())
}
