//! The permutation in vector registers: one 64-bit word of every message to a register.

use std::arch::x86_64::*;

use alloy_primitives::B256;

use super::{BLOCK_BYTES, Lane};

/// Rounds of Keccak-f\[1600\].
const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// 64-bit words that a block holds.
const BLOCK_WORDS: usize = BLOCK_BYTES / 8;

/// The 24 rounds, over any registers: `$a` is the state, 25 of them, and the macros are the four operations that the
/// instruction sets differ in. Theta is folded into rho and pi: every word is read once, corrected, rotated and moved.
macro_rules! permute {
    ($a:ident, $xor3:ident, $rotate:ident, $chi:ident, $constant:ident) => {
        for constant in ROUND_CONSTANTS {
            let c0 = $xor3!($xor3!($a[0], $a[5], $a[10]), $a[15], $a[20]);
            let c1 = $xor3!($xor3!($a[1], $a[6], $a[11]), $a[16], $a[21]);
            let c2 = $xor3!($xor3!($a[2], $a[7], $a[12]), $a[17], $a[22]);
            let c3 = $xor3!($xor3!($a[3], $a[8], $a[13]), $a[18], $a[23]);
            let c4 = $xor3!($xor3!($a[4], $a[9], $a[14]), $a[19], $a[24]);
            let (r0, r1, r2) = ($rotate!(c0, 1), $rotate!(c1, 1), $rotate!(c2, 1));
            let (r3, r4) = ($rotate!(c3, 1), $rotate!(c4, 1));
            // Words of column x are corrected by c[x - 1] and the rotated c[x + 1].
            macro_rules! word {
                ($at:literal, $left:ident, $right:ident, $by:literal) => {
                    $rotate!($xor3!($a[$at], $left, $right), $by)
                };
            }
            let b0 = $xor3!($a[0], c4, r1);
            let (b1, b2) = (word!(6, c0, r2, 44), word!(12, c1, r3, 43));
            let (b3, b4) = (word!(18, c2, r4, 21), word!(24, c3, r0, 14));
            let (b5, b6) = (word!(3, c2, r4, 28), word!(9, c3, r0, 20));
            let (b7, b8, b9) = (word!(10, c4, r1, 3), word!(16, c0, r2, 45), word!(22, c1, r3, 61));
            let (b10, b11) = (word!(1, c0, r2, 1), word!(7, c1, r3, 6));
            let (b12, b13) = (word!(13, c2, r4, 25), word!(19, c3, r0, 8));
            let (b14, b15) = (word!(20, c4, r1, 18), word!(4, c3, r0, 27));
            let (b16, b17) = (word!(5, c4, r1, 36), word!(11, c0, r2, 10));
            let (b18, b19) = (word!(17, c1, r3, 15), word!(23, c2, r4, 56));
            let (b20, b21) = (word!(2, c1, r3, 62), word!(8, c2, r4, 55));
            let (b22, b23, b24) =
                (word!(14, c3, r0, 39), word!(15, c4, r1, 41), word!(21, c0, r2, 2));
            $a = [
                $constant!($chi!(b0, b1, b2), constant),
                $chi!(b1, b2, b3),
                $chi!(b2, b3, b4),
                $chi!(b3, b4, b0),
                $chi!(b4, b0, b1),
                $chi!(b5, b6, b7),
                $chi!(b6, b7, b8),
                $chi!(b7, b8, b9),
                $chi!(b8, b9, b5),
                $chi!(b9, b5, b6),
                $chi!(b10, b11, b12),
                $chi!(b11, b12, b13),
                $chi!(b12, b13, b14),
                $chi!(b13, b14, b10),
                $chi!(b14, b10, b11),
                $chi!(b15, b16, b17),
                $chi!(b16, b17, b18),
                $chi!(b17, b18, b19),
                $chi!(b18, b19, b15),
                $chi!(b19, b15, b16),
                $chi!(b20, b21, b22),
                $chi!(b21, b22, b23),
                $chi!(b22, b23, b24),
                $chi!(b23, b24, b20),
                $chi!(b24, b20, b21),
            ];
        }
    };
}

/// Proof that the processor has AVX-512: only [`detect`](Self::detect) makes one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }

    /// The hashes of eight padded messages of `blocks` blocks each.
    pub(super) fn hash(self, lanes: &[Lane; 8], blocks: usize) -> [B256; 8] {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: `self` exists only where `detect` found avx512f.
        unsafe {
            hash_avx512(lanes, blocks)
        }
    }
}

#[target_feature(enable = "avx512f")]
fn hash_avx512(lanes: &[Lane; 8], blocks: usize) -> [B256; 8] {
    macro_rules! xor3 {
        ($a:expr, $b:expr, $c:expr) => {
            _mm512_ternarylogic_epi64::<0x96>($a, $b, $c)
        };
    }
    macro_rules! rotate {
        ($a:expr, $by:literal) => {
            _mm512_rol_epi64::<$by>($a)
        };
    }
    macro_rules! chi {
        ($a:expr, $b:expr, $c:expr) => {
            _mm512_ternarylogic_epi64::<0xd2>($a, $b, $c)
        };
    }
    macro_rules! constant {
        ($a:expr, $constant:ident) => {
            _mm512_xor_si512($a, _mm512_set1_epi64($constant as i64))
        };
    }
    // No closures handed to others here: they could not be inlined into a function without these instructions.
    let mut state = [_mm512_setzero_si512(); 25];
    for block in 0..blocks {
        let at = block * BLOCK_BYTES;
        for half in 0..2 {
            let mut rows = [_mm512_setzero_si512(); 8];
            for (row, lane) in rows.iter_mut().zip(lanes) {
                *row = load_512(lane, at + half * 64);
            }
            for (word, input) in transpose_8x8(rows).into_iter().enumerate() {
                state[half * 8 + word] = _mm512_xor_si512(state[half * 8 + word], input);
            }
        }
        let last: [i64; 8] = std::array::from_fn(|lane| word_of(&lanes[lane], at + 128));
        let [a, b, c, d, e, f, g, h] = last;
        state[16] = _mm512_xor_si512(state[16], _mm512_setr_epi64(a, b, c, d, e, f, g, h));
        permute!(state, xor3, rotate, chi, constant);
    }
    let zero = _mm512_setzero_si512();
    let digests = transpose_8x8([state[0], state[1], state[2], state[3], zero, zero, zero, zero]);
    let mut hashes = [B256::ZERO; 8];
    for (hash, digest) in hashes.iter_mut().zip(digests) {
        #[expect(unsafe_code, reason = "an unaligned store has no safe form")]
        // SAFETY: `hash` is 32 writable bytes, and the store asks for no alignment.
        unsafe {
            _mm256_storeu_si256(hash.as_mut_ptr().cast(), _mm512_castsi512_si256(digest));
        }
    }
    hashes
}

/// Eight words of a message from byte `at`.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_512(lane: &Lane, at: usize) -> __m512i {
    let bytes: &[u8; 64] = lane[at..].first_chunk().expect("a block is 136 bytes");
    #[expect(unsafe_code, reason = "an unaligned load has no safe form")]
    // SAFETY: `bytes` is 64 readable bytes, and the load asks for no alignment.
    unsafe {
        _mm512_loadu_si512(bytes.as_ptr().cast())
    }
}

/// Eight registers of eight words each: word `i` of register `j` becomes word `j` of register `i`.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose_8x8(rows: [__m512i; 8]) -> [__m512i; 8] {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    // Pairs of words, then pairs of 128-bit quarters, then of halves.
    let (a0, a1) = (_mm512_unpacklo_epi64(r0, r1), _mm512_unpackhi_epi64(r0, r1));
    let (a2, a3) = (_mm512_unpacklo_epi64(r2, r3), _mm512_unpackhi_epi64(r2, r3));
    let (a4, a5) = (_mm512_unpacklo_epi64(r4, r5), _mm512_unpackhi_epi64(r4, r5));
    let (a6, a7) = (_mm512_unpacklo_epi64(r6, r7), _mm512_unpackhi_epi64(r6, r7));
    let low = |a, b| _mm512_shuffle_i64x2::<0x88>(a, b);
    let high = |a, b| _mm512_shuffle_i64x2::<0xdd>(a, b);
    let (b0, b1, b2, b3) = (low(a0, a2), low(a1, a3), high(a0, a2), high(a1, a3));
    let (b4, b5, b6, b7) = (low(a4, a6), low(a5, a7), high(a4, a6), high(a5, a7));
    [
        low(b0, b4),
        low(b1, b5),
        low(b2, b6),
        low(b3, b7),
        high(b0, b4),
        high(b1, b5),
        high(b2, b6),
        high(b3, b7),
    ]
}

/// Proof that the processor has AVX2: only [`detect`](Self::detect) makes one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// The hashes of four padded messages of `blocks` blocks each.
    pub(super) fn hash(self, lanes: &[Lane; 4], blocks: usize) -> [B256; 4] {
        #[expect(unsafe_code, reason = "instructions that not every processor has")]
        // SAFETY: `self` exists only where `detect` found avx2.
        unsafe {
            hash_avx2(lanes, blocks)
        }
    }
}

#[target_feature(enable = "avx2")]
fn hash_avx2(lanes: &[Lane; 4], blocks: usize) -> [B256; 4] {
    macro_rules! xor3 {
        ($a:expr, $b:expr, $c:expr) => {
            _mm256_xor_si256(_mm256_xor_si256($a, $b), $c)
        };
    }
    macro_rules! rotate {
        ($a:expr, $by:literal) => {{
            let word = $a;
            _mm256_or_si256(_mm256_slli_epi64::<$by>(word), _mm256_srli_epi64::<{ 64 - $by }>(word))
        }};
    }
    macro_rules! chi {
        ($a:expr, $b:expr, $c:expr) => {
            _mm256_xor_si256($a, _mm256_andnot_si256($b, $c))
        };
    }
    macro_rules! constant {
        ($a:expr, $constant:ident) => {
            _mm256_xor_si256($a, _mm256_set1_epi64x($constant as i64))
        };
    }
    let mut state = [_mm256_setzero_si256(); 25];
    for block in 0..blocks {
        for (word, state) in state.iter_mut().enumerate().take(BLOCK_WORDS) {
            let at = block * BLOCK_BYTES + word * 8;
            let [a, b, c, d]: [i64; 4] = std::array::from_fn(|lane| word_of(&lanes[lane], at));
            *state = _mm256_xor_si256(*state, _mm256_setr_epi64x(a, b, c, d));
        }
        permute!(state, xor3, rotate, chi, constant);
    }
    let mut hashes = [B256::ZERO; 4];
    for (word, state) in state.iter().enumerate().take(4) {
        let words = [
            _mm256_extract_epi64::<0>(*state),
            _mm256_extract_epi64::<1>(*state),
            _mm256_extract_epi64::<2>(*state),
            _mm256_extract_epi64::<3>(*state),
        ];
        for (hash, value) in hashes.iter_mut().zip(words) {
            hash[word * 8..][..8].copy_from_slice(&value.to_le_bytes());
        }
    }
    hashes
}

/// The word of a message at byte `at`.
#[inline(always)]
fn word_of(lane: &Lane, at: usize) -> i64 {
    i64::from_le_bytes(*lane[at..].first_chunk().expect("a block is whole words"))
}
