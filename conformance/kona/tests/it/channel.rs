//! Batches to what is posted on L1.

use alloy_eips::eip4844::Blob;
use alloy_primitives::Bytes;
use alloy_rlp::Encodable;
use kona_protocol::{Batch, Frame, SingleBatch};

use crate::{
    anvil::{Anvil, BATCHER},
    rollup::INBOX,
};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Compression {
    Zlib,
    Brotli,
}

pub(crate) fn channel(batches: &[SingleBatch], compression: Compression) -> Vec<u8> {
    channel_of(batches.iter().cloned().map(Batch::Single), compression)
}

pub(crate) fn channel_of(
    batches: impl IntoIterator<Item = Batch>,
    compression: Compression,
) -> Vec<u8> {
    let mut plain = Vec::new();
    for batch in batches {
        let mut bytes = Vec::new();
        batch.encode(&mut bytes).unwrap();
        bytes.as_slice().encode(&mut plain);
    }
    match compression {
        Compression::Zlib => miniz_oxide::deflate::compress_to_vec_zlib(&plain, 6),
        Compression::Brotli => {
            let mut compressed = vec![1];
            let params = Default::default();
            brotli::BrotliCompress(&mut plain.as_slice(), &mut compressed, &params).unwrap();
            compressed
        }
    }
}

/// A channel in frames of so many bytes, each with the version byte before it.
pub(crate) fn frames(id: u8, channel: &[u8], bytes: usize) -> Vec<Vec<u8>> {
    let last = channel.len().div_ceil(bytes) - 1;
    let frame = |(number, data): (usize, &[u8])| {
        let frame = Frame::new([id; 16], number as u16, data.to_vec(), number == last);
        [vec![0], frame.encode()].concat()
    };
    channel.chunks(bytes).enumerate().map(frame).collect()
}

/// A transaction for each.
pub(crate) fn post_calldata(anvil: &Anvil, frames: &[Vec<u8>]) {
    for frame in frames {
        anvil.send(BATCHER, INBOX, Bytes::copy_from_slice(frame));
    }
}

/// A blob for each, all of them in one transaction.
pub(crate) fn post_blobs(anvil: &Anvil, frames: &[Vec<u8>]) {
    let blobs: Vec<Blob> = frames.iter().map(|frame| blob(frame)).collect();
    anvil.send_blobs(INBOX, &blobs);
}

/// 31 bytes lie in each field element, and three more, six bits at a time, in the first bytes of four of them.
fn blob(data: &[u8]) -> Blob {
    let mut room = vec![0; 1024 * 127];
    room[1..4].copy_from_slice(&(data.len() as u32).to_be_bytes()[1..]);
    room[4..4 + data.len()].copy_from_slice(data);
    let mut blob = Blob::ZERO;
    for (round, elements) in room.chunks(127).zip(blob.chunks_mut(128)) {
        let [x, y, z] = [round[31], round[63], round[95]];
        let first_bytes =
            [x & 0x3f, (y & 0x0f) | (x & 0xc0) >> 2, z & 0x3f, (z & 0xc0) >> 2 | y >> 4];
        for (index, first_byte) in first_bytes.into_iter().enumerate() {
            elements[index * 32] = first_byte;
            elements[index * 32 + 1..][..31].copy_from_slice(&round[index * 32..][..31]);
        }
    }
    blob
}
