//! The length of FastLZ's (level 1) output, without producing the output.
//!
//! Since Fjord a transaction's data fee follows from this number, so it is consensus: the search below finds exactly
//! the matches that the reference compressor finds, including its quirks. It runs once for each transaction, at
//! admission.

use std::cell::RefCell;

const HASH_BITS: u32 = 13;
/// Matches further back than this cannot be encoded.
const DISTANCE_MAX: u32 = 0x1fff;
/// The longest run of literals that one instruction can hold.
const LITERALS_MAX: u32 = 32;
/// One instruction extends a match by at most this many bytes.
const MATCH_STEP: u32 = 262;
/// The search stops this far before the end…
const SEARCH_TAIL: u32 = 13;
/// …and matches are compared up to this far before the end.
const COMPARE_TAIL: u32 = 4;

/// How many bytes FastLZ (level 1) compresses `input` to.
///
/// # Panics
///
/// If `input` is longer than 2 GiB. Transactions are bounded far below that wherever they enter.
pub fn compressed_len(input: &[u8]) -> u32 {
    thread_local! {
        /// Zeroing 32 KiB would cost more than compressing a transfer, so each thread keeps its table for ever.
        static LAST_SEEN: RefCell<LastSeen> = RefCell::new(LastSeen::new());
    }
    let len = u32::try_from(input.len()).ok().filter(|len| *len <= i32::MAX as u32);
    let len = len.expect("transactions are bounded far below 2 GiB");
    LAST_SEEN.with_borrow_mut(|last_seen| {
        last_seen.begin(len);
        search(input, len, last_seen)
    })
}

/// Greedy search, from left to right.
fn search(input: &[u8], len: u32, last_seen: &mut LastSeen) -> u32 {
    let search_end = len.saturating_sub(SEARCH_TAIL);
    let mut size = 0;
    // Everything before `anchor` is accounted for.
    let mut anchor = 0;
    let mut at = 2;
    while at < search_end {
        let here = at;
        let word = three_bytes(input, here);
        let candidate = last_seen.replace(word, here);
        at += 1;
        if here - candidate > DISTANCE_MAX || three_bytes(input, candidate) != word {
            continue;
        }
        // The reference gives up a match in the very last place.
        if at == search_end {
            break;
        }
        size += literals_len(here - anchor);
        let length = match_length(input, candidate + 3, here + 3, len - COMPARE_TAIL);
        size += match_len(length);
        // The match covers two bytes more than its encoded length; both are places to find later.
        at = here + length;
        for _ in 0..2 {
            last_seen.replace(three_bytes(input, at), at);
            at += 1;
        }
        anchor = at;
    }
    size + literals_len(len - anchor)
}

/// The encoded length of a match: how many bytes agree, *counting the first that does not* unless the end comes first.
fn match_length(input: &[u8], earlier: u32, later: u32, end: u32) -> u32 {
    let later = &input[later as usize..end as usize];
    let earlier = &input[earlier as usize..];
    let equal = earlier.iter().zip(later).take_while(|(a, b)| a == b).count();
    (equal + 1).min(later.len()) as u32
}

/// The size of the instructions that carry so many literal bytes.
const fn literals_len(count: u32) -> u32 {
    count + count.div_ceil(LITERALS_MAX)
}

/// The size of the instructions that carry a match of this encoded length.
const fn match_len(length: u32) -> u32 {
    let steps = (length - 1) / MATCH_STEP;
    let rest = (length - 1) % MATCH_STEP;
    3 * steps + if rest >= 6 { 3 } else { 2 }
}

/// Three bytes as a little-endian number. Reads four, which every caller's place leaves room for.
fn three_bytes(input: &[u8], at: u32) -> u32 {
    let at = at as usize;
    let bytes = &input[at..at + 4];
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & 0x00ff_ffff
}

/// Where each hash of three bytes was last seen.
///
/// Places are stored relative to `start`, which moves past everything that earlier inputs left behind: stale entries
/// read as zero, the value that the reference's fresh table starts from.
struct LastSeen {
    places: Box<[u32; 1 << HASH_BITS]>,
    start: u32,
    next_start: u32,
}

impl LastSeen {
    fn new() -> Self {
        Self { places: Box::new([0; 1 << HASH_BITS]), start: 1, next_start: 1 }
    }

    /// Forgets everything, in constant time but for once in billions of bytes.
    fn begin(&mut self, len: u32) {
        self.start = self.next_start;
        self.next_start = match self.start.checked_add(len) {
            Some(next) => next,
            None => {
                self.places.fill(0);
                self.start = 1;
                1 + len
            }
        };
    }

    /// Remembers `place` and returns the one before it with the same hash, or zero.
    fn replace(&mut self, word: u32, place: u32) -> u32 {
        let hash = word.wrapping_mul(2_654_435_769) >> (32 - HASH_BITS);
        let slot = &mut self.places[hash as usize];
        let seen = std::mem::replace(slot, self.start + place);
        seen.saturating_sub(self.start)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;
    use proptest::prelude::*;

    use super::*;

    /// Vectors that every implementation of Fjord publishes.
    #[test]
    fn published_vectors() {
        assert_eq!(compressed_len(&[]), 0);
        assert_eq!(compressed_len(&[0; 1000]), 21);
        assert_eq!(compressed_len(&[1; 1000]), 21);
        assert_eq!(compressed_len(&[42; 1000]), 21);
        assert_eq!(compressed_len(&hex!("facade")), 4);
        assert_eq!(
            compressed_len(&hex!("dd80808094095e7baea6a6c7c4c2dfeb977efac326af552d878080808080")),
            31
        );
        // OP Mainnet, 0x8eb9dd4eb6d33f4dc25fb015919e4b1e9f7542f9b0322bf6622e268cd116b594.
        let contract_call = hex!(
            "02f901550a758302df1483be21b88304743f94f80e51afb613d764fa61751affd3313c190a86bb870151bd62fd12adb8"
            "e41ef24f3f000000000000000000000000000000000000000000000000000000000000006e000000000000000000000000"
            "af88d065e77c8cc2239327c5edb3a432268e5831000000000000000000000000000000000000000000000000000000000003c1e5"
            "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            "000000000000000000000000000000a000000000000000000000000000000000000000000000000000000000000000"
            "148c89ed219d02f1a5be012c689b4f5b731827bebe000000000000000000000000c001a033fd89cb37c31b2cba46b6466e040c61fc9b2a36"
            "75a7f5f493ebd5ad77c497f8a07cdf65680e238392693019b4092f610222e71b7cec06449cb922b93b6a12744e"
        );
        assert_eq!(compressed_len(&contract_call), 202);
    }

    /// What one input leaves in the table must not be found by the next, even where the table starts over.
    #[test]
    fn inputs_do_not_see_each_other() {
        let text = b"the quick brown fox jumps over the lazy dog and runs away from the angry one";
        let mut last_seen = LastSeen::new();
        let mut measure = |input: &[u8]| {
            last_seen.begin(input.len() as u32);
            search(input, input.len() as u32, &mut last_seen)
        };
        let alone = measure(text);
        assert!(
            alone < literals_len(text.len() as u32),
            "something has to match for this test to mean anything"
        );
        assert_eq!(measure(text), alone);
        last_seen.next_start = u32::MAX - 10;
        last_seen.begin(text.len() as u32);
        assert_eq!(last_seen.start, 1);
        assert_eq!(search(text, text.len() as u32, &mut last_seen), alone);
    }

    #[test]
    fn matches_reach_exactly_so_far() {
        let word: Vec<u8> = (1..=30).collect();
        let len = |distance: usize| {
            // Zeros are one long match: they leave the word's places in the table.
            let zeros = vec![0; distance - word.len()];
            let input =
                [&[99, 98], &word[..], &zeros, &word, &[97; 2], &(100..120).collect::<Vec<u8>>()]
                    .concat();
            assert_eq!(compressed_len(&input), compress(&input).len() as u32);
            compressed_len(&input)
        };
        assert!(len(8_191) + 20 < len(8_192), "{} {}", len(8_191), len(8_192));
    }

    proptest! {
        #[test]
        fn equals_the_length_of_a_real_compression(input in compressible()) {
            let compressed = compress(&input);
            prop_assert_eq!(decompress(&compressed), input.clone(), "the oracle itself must be right");
            prop_assert_eq!(compressed_len(&input), compressed.len() as u32);
        }
    }

    /// Literals, runs and repetitions, long and short, as calldata has them.
    fn compressible() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            prop::collection::vec(0u8..3, 0..40),
            (any::<u8>(), 0usize..700).prop_map(|(byte, count)| vec![byte; count]),
            (prop::collection::vec(any::<u8>(), 1..40), 1usize..8)
                .prop_map(|(piece, times)| piece.repeat(times)),
        ];
        let apart = prop_oneof![8 => Just(0usize), 1 => 8_100usize..8_300];
        (prop::collection::vec(piece, 0..12), apart).prop_map(|(pieces, apart)| {
            let mut input = pieces.concat();
            let head = input.clone();
            // The same again, at about the furthest distance that a match can reach.
            let mut noise = 1u32;
            input.extend(
                std::iter::repeat_with(|| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (noise >> 24) as u8
                })
                .take(apart),
            );
            if apart > 0 {
                input.extend(head);
            }
            input
        })
    }

    /// FastLZ level 1 that really writes: slow, with a fresh table, and checked by decompressing.
    fn compress(input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut table = vec![0usize; 8192];
        let hash = |at: usize| {
            let word = u32::from(input[at])
                | u32::from(input[at + 1]) << 8
                | u32::from(input[at + 2]) << 16;
            (word.wrapping_mul(0x9e37_79b9) >> 19) as usize
        };
        let put_literals = |out: &mut Vec<u8>, bytes: &[u8]| {
            for run in bytes.chunks(32) {
                out.push(run.len() as u8 - 1);
                out.extend_from_slice(run);
            }
        };
        let mut anchor = 0;
        let mut at = 2;
        while at + 13 < input.len() {
            let seen = std::mem::replace(&mut table[hash(at)], at);
            let distance = at - seen;
            if distance >= 8192 || input[seen..seen + 3] != input[at..at + 3] {
                at += 1;
                continue;
            }
            if at + 14 == input.len() {
                break;
            }
            put_literals(&mut out, &input[anchor..at]);
            let mut length = 3;
            while at + length < input.len() - 4 && input[seen + length] == input[at + length] {
                length += 1;
            }
            // A match that runs into the end stops one byte short of it.
            if at + length == input.len() - 4 {
                length -= 1;
            }
            let mut rest = length - 2;
            let [high, low] = ((distance - 1) as u16).to_be_bytes();
            while rest > 262 {
                out.extend([(7 << 5) | high, 253, low]);
                rest -= 262;
            }
            if rest < 7 {
                out.extend([((rest as u8) << 5) | high, low]);
            } else {
                out.extend([(7 << 5) | high, (rest - 7) as u8, low]);
            }
            at += length;
            table[hash(at - 2)] = at - 2;
            table[hash(at - 1)] = at - 1;
            anchor = at;
        }
        put_literals(&mut out, &input[anchor..]);
        out
    }

    fn decompress(mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut take = |count: usize| {
            let (taken, rest) = bytes.split_at_checked(count)?;
            bytes = rest;
            Some(taken)
        };
        while let Some(&[first]) = take(1) {
            let mut length = usize::from(first >> 5);
            if length == 0 {
                out.extend_from_slice(take(usize::from(first) + 1).unwrap());
                continue;
            }
            if length == 7 {
                length += usize::from(take(1).unwrap()[0]);
            }
            let low = usize::from(take(1).unwrap()[0]);
            let distance = (usize::from(first & 31) << 8 | low) + 1;
            for _ in 0..length + 2 {
                out.push(out[out.len() - distance]);
            }
        }
        out
    }
}
