//! A brotli stream in which some stretches are stored rather than compressed.
//!
//! Signatures, half of most spans, have nothing to compress. An encoder that is shown them looks for matches all the
//! same, and they spoil its statistics: without them it needs an eighth less CPU time at level 5 and half at level 7 and
//! above (100,000 transfers), and comes to slightly fewer bytes. Brotli has blocks that are stored as they
//! are, so the stream is put together: the encoder's blocks, then a stored one, then those of a fresh encoder, each
//! beginning at a whole byte. The fresh encoder refers to nothing that came before it.

use std::io::Write;

use brotli::{CompressorWriter, enc::BrotliEncoderParams};

/// Sixteen megabytes, the largest window of the format.
const WINDOW_BITS: i32 = 24;
const OUTPUT_BUFFER: usize = 64 * 1024;
/// The most bytes of a stored block, whose length has 24 bits.
const STORED_MAX: usize = 1 << 24;
/// A last block without content.
const END: u8 = 0b11;
/// The encoders of lower levels end their stream whether one asks for it or not, so those streams are one piece. They
/// are also the fastest on noise.
const LEVEL_MIN: u8 = 2;

/// The stream, while it is written.
pub(super) struct BrotliStream {
    level: u8,
    state: State,
}

enum State {
    Compressing(Box<CompressorWriter<Vec<u8>>>),
    /// After a stored block.
    Stored(Vec<u8>),
}

impl BrotliStream {
    /// Appends a stream to these bytes.
    pub(super) fn new(out: Vec<u8>, level: u8) -> Self {
        Self { level, state: State::Compressing(encoder(out, level, true)) }
    }

    pub(super) fn out(&self) -> &[u8] {
        match &self.state {
            State::Compressing(encoder) => encoder.get_ref(),
            State::Stored(out) => out,
        }
    }

    pub(super) fn compress(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let State::Stored(out) = &mut self.state {
            let encoder = encoder(std::mem::take(out), self.level, false);
            self.state = State::Compressing(encoder);
        }
        if let State::Compressing(encoder) = &mut self.state {
            encoder.write_all(bytes).expect(super::INFALLIBLE);
        }
    }

    pub(super) fn store(&mut self, bytes: &[u8]) {
        if self.level < LEVEL_MIN {
            return self.compress(bytes);
        }
        let mut out = self.take_out();
        for block in bytes.chunks(STORED_MAX) {
            out.extend(stored_header(block.len()));
            out.extend_from_slice(block);
        }
        self.state = State::Stored(out);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let mut out = self.take_out();
        if self.level >= LEVEL_MIN {
            out.push(END);
        }
        out
    }

    /// What there is, up to a whole byte.
    fn take_out(&mut self) -> Vec<u8> {
        match std::mem::replace(&mut self.state, State::Stored(Vec::new())) {
            State::Compressing(encoder) => encoder.into_inner(),
            State::Stored(out) => out,
        }
    }
}

/// An encoder whose blocks end at a whole byte and are followed by no last one.
fn encoder(out: Vec<u8>, level: u8, first: bool) -> Box<CompressorWriter<Vec<u8>>> {
    let in_pieces = level >= LEVEL_MIN;
    let params = BrotliEncoderParams {
        quality: i32::from(level),
        lgwin: WINDOW_BITS,
        bare_stream: in_pieces,
        byte_align: in_pieces,
        appendable: in_pieces,
        // Without the stream's header, and without references to what came before: distances, and the dictionary,
        // whose words are distances too.
        catable: !first,
        use_dictionary: first,
        ..BrotliEncoderParams::default()
    };
    Box::new(CompressorWriter::with_params(out, OUTPUT_BUFFER, &params))
}

/// From the lowest bit on: not the last block, how many half-bytes the length has, the length less one, stored.
fn stored_header(len: usize) -> impl Iterator<Item = u8> {
    let half_bytes = match len - 1 {
        0..0x1_0000 => 4,
        0x1_0000..0x10_0000 => 5,
        _ => 6,
    };
    let length_bits = 4 * half_bytes;
    let header = ((half_bytes - 4) << 1) | ((len as u64 - 1) << 3) | (1 << (3 + length_bits));
    header.to_le_bytes().into_iter().take((4 + length_bits as usize).div_ceil(8))
}
