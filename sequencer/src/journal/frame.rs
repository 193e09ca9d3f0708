//! The frame around everything large in the journal: a version, and a compressed payload with a checksum.
//!
//! ```text
//! version (0x01) ‖ zstd(payload)
//! ```
//!
//! The checksum is zstd's own: a rotten page is found here and not by a client.

use std::io::{self, Read};

/// The only version of the payloads' encodings so far.
const VERSION: u8 = 1;

/// Measured on 1,000 transfers and on the receipts of 1,000 token transfers (`benches/journal.rs`): level 1 takes 1.5
/// times as long and level 3 2.5 times, for bytes that are fewer by at most 1.5 %. Signatures, hashes and amounts are
/// most of a block and don't compress; the rest does at any level.
const COMPRESSION_LEVEL: i32 = -1;

/// Windows at our level are half a megabyte; a frame that asks for much more isn't ours.
const WINDOW_LOG_MAX: u32 = 23;

/// What is wrong with a frame, or with what should become one.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Written by a newer program, or not by us.
    #[error("unknown version {0:?} of the encoding")]
    Version(Option<u8>),
    /// The compressed part is damaged.
    #[error("decompress: {0}")]
    Compression(#[source] io::Error),
    /// The payload is larger than any of ours.
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    /// Something follows the frame.
    #[error("trailing bytes")]
    Trailing,
}

pub(super) fn compress(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, FrameError> {
    if payload.len() > bytes_max {
        return Err(FrameError::TooLarge(bytes_max));
    }
    let mut stored = vec![0; 1 + zstd::zstd_safe::compress_bound(payload.len())];
    stored[0] = VERSION;
    let mut compressor =
        zstd::bulk::Compressor::new(COMPRESSION_LEVEL).map_err(FrameError::Compression)?;
    compressor.include_checksum(true).map_err(FrameError::Compression)?;
    let length = compressor
        .compress_to_buffer(payload, &mut stored[1..])
        .map_err(FrameError::Compression)?;
    stored.truncate(1 + length);
    stored.shrink_to_fit();
    Ok(stored)
}

/// Memory follows what is really there, never what a damaged length claims.
pub(super) fn decompress(stored: &[u8], bytes_max: usize) -> Result<Vec<u8>, FrameError> {
    let frame = match stored.split_first() {
        Some((&VERSION, frame)) => frame,
        other => return Err(FrameError::Version(other.map(|(version, _)| *version))),
    };
    let mut decoder =
        zstd::Decoder::with_buffer(frame).map_err(FrameError::Compression)?.single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(FrameError::Compression)?;
    let mut payload = Vec::new();
    decoder
        .by_ref()
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut payload)
        .map_err(FrameError::Compression)?;
    if payload.len() > bytes_max {
        return Err(FrameError::TooLarge(bytes_max));
    }
    if !decoder.finish().is_empty() {
        return Err(FrameError::Trailing);
    }
    Ok(payload)
}
