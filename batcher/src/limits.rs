//! Bounds that the formats and L1's networks set, and how they relate.

use millrace_protocol::{BLOB_DATA_MAX, Frame};

/// The most bytes that we put into the calldata of one transaction: L1 nodes refuse transactions above 128 KiB.
pub const CALLDATA_BYTES_MAX: usize = 120_000;
/// The most blobs in one transaction: what a block could hold under the first blob schedule, and what every L1 accepts.
pub const BLOBS_MAX: usize = 6;
/// The most bytes of encoded batches in one channel before compression.
///
/// A reader stops at 100,000,000 bytes of decompressed channel; half of that leaves room for what a span batch adds.
pub const CHANNEL_RAW_BYTES_MAX: usize = 50_000_000;
/// The version byte before the frames of a transaction or blob.
pub(crate) const VERSION_LEN: usize = 1;
/// Channel data in one calldata transaction, which carries one frame.
pub(crate) const CALLDATA_ROOM: usize = CALLDATA_BYTES_MAX - VERSION_LEN - Frame::OVERHEAD;
/// Channel data in one blob, which carries one frame.
pub(crate) const BLOB_ROOM: usize = BLOB_DATA_MAX - VERSION_LEN - Frame::OVERHEAD;
/// Blocks read ahead in one go.
pub(crate) const READ_BLOCKS_MAX: u64 = 64;
/// Closed channels that wait for their turn to be signed; at that point no more blocks are read.
pub(crate) const CLOSED_CHANNELS_MAX: usize = 2;
/// Blocks whose transactions sum up to less are encoded on the spot rather than on the blocking pool.
pub(crate) const ENCODE_INLINE_BYTES_MAX: usize = 32_768;
/// How many costs of included transactions the estimate of the spending rate remembers.
pub(crate) const COSTS_MAX: usize = 1_024;
/// Commands that wait for the loop; a sender of one more waits.
pub(crate) const COMMANDS_MAX: usize = 16;

const _: () = assert!(CALLDATA_BYTES_MAX < 128 * 1024);
const _: () = assert!(CALLDATA_ROOM <= Frame::DATA_MAX && BLOB_ROOM <= Frame::DATA_MAX);
const _: () = assert!(CHANNEL_RAW_BYTES_MAX / CALLDATA_ROOM < u16::MAX as usize);
