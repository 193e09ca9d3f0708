//! Decompression in steps: nothing is decompressed before somebody asks for it, so that no input, however small, can
//! make more of itself than its reader has room for.

use std::fmt;

use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, enc::StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};

/// What a stream has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It goes on.
    Open,
    /// It ended as it should. What follows in the channel counts for nothing.
    Clean,
    /// It is corrupt, or its input ran out.
    Broken,
}

/// A compressed stream, and how far it is read.
pub(super) struct Decompressor {
    algo: Algo,
    consumed: usize,
    end: End,
}

enum Algo {
    Zlib(Box<Decompress>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
}

impl Decompressor {
    pub(super) fn zlib() -> Self {
        Self::new(Algo::Zlib(Box::new(Decompress::new(true))))
    }

    pub(super) fn brotli() -> Self {
        let alloc = StandardAlloc::default;
        // Strict: without the extension by which a stream could ask for a window of a gigabyte.
        Self::new(Algo::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc()))))
    }

    fn new(algo: Algo) -> Self {
        Self { algo, consumed: 0, end: End::Open }
    }

    pub(super) fn end(&self) -> End {
        self.end
    }

    /// Decompresses until `out` is full or the stream ends, and says how much of `out` was filled.
    ///
    /// `input` is the whole stream, the same in each call. What came out before a stream turned out to be broken
    /// counts.
    pub(super) fn fill(&mut self, input: &[u8], out: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < out.len() && self.end == End::Open {
            let (consumed, produced, end) =
                self.algo.step(&input[self.consumed..], &mut out[filled..]);
            self.consumed += consumed;
            filled += produced;
            // A step that neither eats nor gives lacks input, and there will be no more.
            let stuck = consumed == 0 && produced == 0 && end == End::Open;
            self.end = if stuck { End::Broken } else { end };
        }
        filled
    }
}

impl Algo {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> (usize, usize, End) {
        match self {
            Self::Zlib(inflate) => {
                let before = (inflate.total_in(), inflate.total_out());
                let end = match inflate.decompress(input, out, FlushDecompress::None) {
                    Ok(Status::Ok | Status::BufError) => End::Open,
                    Ok(Status::StreamEnd) => End::Clean,
                    Err(_) => End::Broken,
                };
                let consumed = inflate.total_in() - before.0;
                let produced = inflate.total_out() - before.1;
                (consumed as usize, produced as usize, end)
            }
            Self::Brotli(state) => {
                let (mut in_left, mut out_left) = (input.len(), out.len());
                let (mut consumed, mut produced, mut total) = (0, 0, 0);
                let result = BrotliDecompressStream(
                    &mut in_left,
                    &mut consumed,
                    input,
                    &mut out_left,
                    &mut produced,
                    out,
                    &mut total,
                    state,
                );
                let end = match result {
                    BrotliResult::NeedsMoreOutput | BrotliResult::NeedsMoreInput => End::Open,
                    BrotliResult::ResultSuccess => End::Clean,
                    BrotliResult::ResultFailure => End::Broken,
                };
                (consumed, produced, end)
            }
        }
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algo = match self.algo {
            Algo::Zlib(_) => "zlib",
            Algo::Brotli(_) => "brotli",
        };
        f.debug_struct("Decompressor")
            .field("algo", &algo)
            .field("consumed", &self.consumed)
            .field("end", &self.end)
            .finish()
    }
}
