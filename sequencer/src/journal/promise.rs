//! The open block, as far as anybody was promised it.
//!
//! A block is sealed once a slot, and whoever sent a transaction wants to know sooner. So what the open block has executed
//! is journaled group by group ([`Journal::promise`](super::Journal::promise)) and may be shown from then on: it is a promise
//! that the block will hold these transactions, in this order. A process that ends before the block is sealed leaves the
//! promise in the journal, and its successor makes the block of it before it makes any other.
//!
//! There is a promise of at most one block, the one after the newest. Appending a block removes it in the same transaction,
//! and refuses a block that would break it; so does removing blocks. Only L1 can decide that the block is not to be: then the
//! promise is [withdrawn](super::Journal::withdraw_promise) first.
//!
//! ```text
//! head          frame(parent hash, timestamp, sequence number, gas limit, EIP-1559 parameters, randomness, beacon root,
//!               [encoded deposit]…)
//! transactions  frame([sender, encoded transaction]…), like a block's body
//! ```
//!
//! The base fee, and all else that a header has, follows from these and the parent.

mod keeping;

use std::sync::Arc;

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{Decodable, Encodable};
use millrace_protocol::{Eip1559Params, Prescribed};
use millrace_types::{Block, Transaction};

pub(super) use self::keeping::PromiseRow;
use super::{
    frame::{compress, decompress},
    row::{DECOMPRESSED_BYTES_MAX, RowError},
};

/// What is fixed about the open block before anybody's transaction is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromisedHead {
    /// The block's number.
    pub number: u64,
    /// The hash of the block before it.
    pub parent_hash: B256,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// What its origin decides, deposits included.
    pub prescribed: Prescribed,
}

/// What of the open block was promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promised {
    /// What the block begins with.
    pub head: PromisedHead,
    /// Its transactions after the deposits, in order.
    pub transactions: Vec<Arc<Transaction>>,
}

/// How far the open block is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PromiseMark {
    /// The block's number.
    number: u64,
    /// How many transactions there are, deposits not counted.
    pub(super) transactions: u64,
    /// The hash of the last of them; the parent's if there is none.
    last: B256,
}

impl PromiseMark {
    /// What of a group is not promised yet, if the group begins where the promise ends, or before and says the same.
    fn rest<'a>(
        mark: Option<&Self>,
        number: u64,
        first_index: u64,
        group: &'a [Arc<Transaction>],
    ) -> Option<&'a [Arc<Transaction>]> {
        let Some(mark) = mark else { return (first_index == 0).then_some(group) };
        let known = mark.transactions.checked_sub(first_index)?;
        let (known, rest) = group.split_at_checked(usize::try_from(known).ok()?)?;
        let agrees = known.last().is_none_or(|transaction| transaction.hash() == mark.last);
        (mark.number == number && agrees).then_some(rest)
    }

    /// Whether a block is not what was promised of it.
    pub(super) fn is_broken_by(&self, block: &Block) -> bool {
        let Some(last) = self.transactions.checked_sub(1) else { return false };
        let mut signed = block.transactions.iter().filter(|tx| !tx.is_deposit());
        let kept = usize::try_from(last).ok().and_then(|last| signed.nth(last));
        self.number == block.number() && kept.is_none_or(|kept| kept.hash() != self.last)
    }
}

/// Encodes what a promise begins with; the number has a column of its own.
pub fn encode_head(head: &PromisedHead) -> Result<Vec<u8>, RowError> {
    let PromisedHead { number: _, parent_hash, timestamp, prescribed } = head;
    let Prescribed {
        sequence_number,
        deposits,
        gas_limit,
        eip1559,
        prev_randao,
        parent_beacon_block_root,
    } = prescribed;
    let mut payload = Vec::new();
    parent_hash.encode(&mut payload);
    timestamp.encode(&mut payload);
    sequence_number.encode(&mut payload);
    gas_limit.encode(&mut payload);
    eip1559.to_extra_data().encode(&mut payload);
    prev_randao.encode(&mut payload);
    parent_beacon_block_root.encode(&mut payload);
    for deposit in deposits {
        Bytes::from(deposit.encoded_2718()).encode(&mut payload);
    }
    Ok(compress(&payload, DECOMPRESSED_BYTES_MAX)?)
}

/// Decodes what [`encode_head`] made for the block of this number.
pub fn decode_head(stored: &[u8], number: u64) -> Result<PromisedHead, RowError> {
    let payload = decompress(stored, DECOMPRESSED_BYTES_MAX)?;
    let mut rest = payload.as_slice();
    let parent_hash = B256::decode(&mut rest)?;
    let timestamp = u64::decode(&mut rest)?;
    let sequence_number = u64::decode(&mut rest)?;
    let gas_limit = u64::decode(&mut rest)?;
    let eip1559 = Eip1559Params::from_extra_data(&<[u8; 9]>::decode(&mut rest)?)?;
    let prev_randao = B256::decode(&mut rest)?;
    let parent_beacon_block_root = B256::decode(&mut rest)?;
    let mut deposits = Vec::new();
    while !rest.is_empty() {
        let index = deposits.len();
        let deposit = Transaction::decode(Bytes::decode(&mut rest)?)
            .map_err(|source| RowError::Transaction { index, source })?;
        deposits.push(deposit.as_deposit().ok_or(RowError::NoDeposit { index })?.clone());
    }
    let prescribed = Prescribed {
        sequence_number,
        deposits,
        gas_limit,
        eip1559,
        prev_randao,
        parent_beacon_block_root,
    };
    Ok(PromisedHead { number, parent_hash, timestamp, prescribed })
}
