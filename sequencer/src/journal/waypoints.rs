//! The encoding of a block's waypoints: the only place that knows it.
//!
//! ```text
//! waypoints  frame([transactions in the stretch, diff]…)
//! diff       number of accounts, account…, number of codes, code…
//! account    place (, address)?, flags, (nonce, balance, (code hash)?)?, (number of slots, [slot, value]…)?
//! ```
//!
//! Numbers and codes are RLP strings, addresses and code hashes bare bytes. What changes hardly compresses, so it is
//! written without leading zeros, and what follows from elsewhere is left out: a code's hash, and the address of who is
//! the sender (place `2 * index + 1`) or the recipient (`2 * index + 2`) of one of the block's transactions. Only the
//! address of anybody else (place 0) is written. Their order is as it comes.
//!
//! They are hints, so what cannot be read is no failure: [`super::Journal::waypoints`] goes on without.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256, map::AddressMap};
use alloy_rlp::{Decodable, Encodable};
use millrace_types::{
    Account, AccountDiff, DiffBuilder, ExecutedBlock, SlotDiff, StateDiff, Transaction, Waypoint,
};

use super::frame::{FrameError, compress, decompress};

/// A block of less gas executes in less time than waypoints take to write and read.
pub(super) const BLOCK_GAS_MIN: u64 = 1_000_000;

/// Enough for twice as many cores as the largest sequencers have to themselves; each stretch repeats the hot accounts.
const STRETCHES_MAX: usize = 16;

/// The most that waypoints may hold before compression. A block of a billion gas that does nothing but change slots that
/// exist names 200,000, in some 9 MB.
const DECOMPRESSED_BYTES_MAX: usize = 32 << 20;

/// A place and flags.
const ACCOUNT_BYTES_MIN: usize = 2;
/// A place, flags, a nonce and a balance of which there is a little more than anybody has.
const ACCOUNT_BYTES_USUAL: usize = 20;
/// A slot and its value.
const SLOT_BYTES_MIN: usize = 2;

/// An account's flags.
mod flag {
    pub(super) const EXISTS: u8 = 1 << 0;
    pub(super) const WIPED: u8 = 1 << 1;
    pub(super) const HAS_CODE: u8 = 1 << 2;
    pub(super) const HAS_STORAGE: u8 = 1 << 3;
    pub(super) const ALL: u8 = EXISTS | WIPED | HAS_CODE | HAS_STORAGE;
}

/// Why bytes are not a block's waypoints.
#[derive(Debug, thiserror::Error)]
pub enum WaypointsError {
    /// They are not in a frame of ours.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The inside is not of the right shape.
    #[error("decode: {0}")]
    Malformed(#[from] alloy_rlp::Error),
    /// There are more than we write.
    #[error("more than {STRETCHES_MAX} stretches")]
    TooMany,
    /// They belong to another block, or to part of one.
    #[error("the stretches do not end with the block")]
    OtherLength,
}

/// Who can be told by a place among a block's senders and recipients.
fn places(transactions: &[Arc<Transaction>]) -> AddressMap<usize> {
    let room = 2 * transactions.len();
    let mut places = AddressMap::with_capacity_and_hasher(room, Default::default());
    for (index, transaction) in transactions.iter().enumerate() {
        places.entry(transaction.sender()).or_insert(2 * index + 1);
        if let Some(recipient) = transaction.to() {
            places.entry(recipient).or_insert(2 * index + 2);
        }
    }
    places
}

/// Who is at a place that isn't 0.
fn at(place: usize, transactions: &[Arc<Transaction>]) -> Option<Address> {
    let place = place.checked_sub(1)?;
    let transaction = transactions.get(place / 2)?;
    if place.is_multiple_of(2) { Some(transaction.sender()) } else { transaction.to() }
}

/// Encodes a block's waypoints, coalesced; nothing if it has none or they would not pay.
pub fn encode(executed: &ExecutedBlock) -> Option<Vec<u8>> {
    let receipts = &executed.receipts;
    let gas = receipts.last()?.cumulative_gas_used;
    if gas < BLOCK_GAS_MIN || executed.waypoints.last()?.transactions != receipts.len() {
        return None;
    }
    let stretches = Waypoint::coalesce(&executed.waypoints, receipts, STRETCHES_MAX);
    // The only stretch of a block leaves nothing to do at the same time.
    if stretches.len() < 2 {
        return None;
    }
    let accounts: usize = stretches.iter().map(|stretch| stretch.diff.accounts().len()).sum();
    let places = places(&executed.block.transactions);
    let mut payload = Vec::with_capacity(accounts * ACCOUNT_BYTES_USUAL);
    let mut start = 0;
    for stretch in &stretches {
        // Backwards would be the executor's mistake; then there is no order to remember.
        stretch.transactions.checked_sub(start)?.encode(&mut payload);
        start = stretch.transactions;
        encode_diff(&stretch.diff, &places, &mut payload);
    }
    compress(&payload, DECOMPRESSED_BYTES_MAX)
        .inspect_err(|error| tracing::warn!(block = executed.block.number(), %error, "waypoints are not kept"))
        .ok()
}

/// Decodes what [`encode`] made of a block of these transactions.
pub fn decode(
    stored: &[u8],
    transactions: &[Arc<Transaction>],
) -> Result<Vec<Waypoint>, WaypointsError> {
    let payload = decompress(stored, DECOMPRESSED_BYTES_MAX)?;
    let mut rest = payload.as_slice();
    let mut waypoints = Vec::new();
    let mut end = 0_usize;
    while !rest.is_empty() {
        if waypoints.len() == STRETCHES_MAX {
            return Err(WaypointsError::TooMany);
        }
        let length = usize::decode(&mut rest)?;
        end = end.checked_add(length).ok_or(WaypointsError::OtherLength)?;
        let diff = Arc::new(decode_diff(&mut rest, transactions)?);
        waypoints.push(Waypoint { transactions: end, diff });
    }
    if end == transactions.len() { Ok(waypoints) } else { Err(WaypointsError::OtherLength) }
}

fn encode_diff(diff: &StateDiff, places: &AddressMap<usize>, out: &mut Vec<u8>) {
    diff.accounts().len().encode(out);
    for (account, slots) in diff.accounts() {
        match places.get(&account.address) {
            Some(place) => place.encode(out),
            None => {
                0_usize.encode(out);
                out.extend_from_slice(account.address.as_slice());
            }
        }
        encode_account(account, slots, out);
    }
    diff.codes().len().encode(out);
    for code in diff.codes().values() {
        code.encode(out);
    }
}

/// Room is made for no more than the bytes can hold, whatever number they begin with.
fn decode_diff(
    rest: &mut &[u8],
    transactions: &[Arc<Transaction>],
) -> Result<StateDiff, alloy_rlp::Error> {
    let count = usize::decode(rest)?;
    let room = count.min(rest.len() / ACCOUNT_BYTES_MIN);
    let mut diff = DiffBuilder::default();
    diff.reserve(room, 0);
    for _ in 0..count {
        let address = match usize::decode(rest)? {
            0 => Address::from(bare(rest)?),
            place => at(place, transactions)
                .ok_or(alloy_rlp::Error::Custom("nobody is at an account's place"))?,
        };
        decode_account(address, rest, &mut diff)?;
    }
    for _ in 0..usize::decode(rest)? {
        let code = Bytes::decode(rest)?;
        diff.deploy(keccak256(&code), code);
    }
    Ok(diff.build())
}

fn encode_account(diff: &AccountDiff, slots: &[SlotDiff], out: &mut Vec<u8>) {
    let code_hash = diff.account.and_then(|account| account.bytecode_hash);
    let flags = [
        (diff.account.is_some(), flag::EXISTS),
        (diff.wiped, flag::WIPED),
        (code_hash.is_some(), flag::HAS_CODE),
        (!slots.is_empty(), flag::HAS_STORAGE),
    ];
    out.push(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
    if let Some(account) = diff.account {
        account.nonce.encode(out);
        account.balance.encode(out);
    }
    if let Some(hash) = code_hash {
        out.extend_from_slice(hash.as_slice());
    }
    if !slots.is_empty() {
        slots.len().encode(out);
        for (slot, value) in slots {
            slot.encode(out);
            value.encode(out);
        }
    }
}

fn decode_account(
    address: Address,
    rest: &mut &[u8],
    diff: &mut DiffBuilder,
) -> Result<(), alloy_rlp::Error> {
    let [flags] = bare(rest)?;
    let has = |flag| flags & flag != 0;
    if flags & !flag::ALL != 0 || has(flag::HAS_CODE) && !has(flag::EXISTS) {
        return Err(alloy_rlp::Error::Custom("unknown flags of an account"));
    }
    let mut account = None;
    if has(flag::EXISTS) {
        let (nonce, balance) = (u64::decode(rest)?, U256::decode(rest)?);
        let code_hash = if has(flag::HAS_CODE) { Some(B256::from(bare(rest)?)) } else { None };
        account = Some(Account { nonce, balance, bytecode_hash: code_hash });
    }
    diff.change(AccountDiff { address, account, wiped: has(flag::WIPED) }, []);
    if has(flag::HAS_STORAGE) {
        let count = usize::decode(rest)?;
        diff.reserve(0, count.min(rest.len() / SLOT_BYTES_MIN));
        for _ in 0..count {
            let slot = U256::decode(rest)?;
            diff.set_slot(address, slot, U256::decode(rest)?);
        }
    }
    Ok(())
}

/// Bytes that are not wrapped in anything.
fn bare<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], alloy_rlp::Error> {
    let (bytes, after) = rest.split_first_chunk().ok_or(alloy_rlp::Error::InputTooShort)?;
    *rest = after;
    Ok(*bytes)
}
