//! Keccak-256 of many short messages at once.
//!
//! A state root is bound by Keccak, some three permutations for each changed leaf, and so is much of what contracts do: a
//! quarter of a token transfer goes into finding slots. One permutation of eight messages side by side in 512-bit registers
//! costs little more than one of a single message, so everything that knows several messages ahead comes here: trie nodes,
//! addresses and slots on their way to becoming keys, the mappings that transactions are about to look into. Which
//! instructions there are is found out at run time: AVX-512 (eight lanes), AVX2 (four), or else one message after the other.

#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(target_arch = "x86_64")]
mod x86;

use alloy_primitives::{B256, keccak256};

/// Bytes that one permutation absorbs.
pub const BLOCK_BYTES: usize = 136;

/// Blocks a lane has room for: a full branch node takes four.
pub const LANE_BLOCKS_MAX: usize = 4;

/// The longest message that fits a lane, with its padding.
pub const LANE_MESSAGE_BYTES_MAX: usize = LANE_BLOCKS_MAX * BLOCK_BYTES - 1;

/// Messages hashed together.
pub const LANES: usize = 8;

/// One message, padded: the unit that a kernel reads.
pub type Lane = [u8; LANE_BLOCKS_MAX * BLOCK_BYTES];

/// The hashes of a full or last group, each with the tag that its message was given.
pub type Hashed<T> = [(T, B256)];

/// Collects messages until there are enough of one length (in blocks) to hash them together.
///
/// Messages are written straight into their lane: ask for room with [`message`](Self::message), then
/// [`push`](Self::push) a tag to know the hash by. Hashes come back in groups, not in order.
pub struct Batcher<T> {
    groups: [Group<T>; LANE_BLOCKS_MAX],
    instructions: Instructions,
}

/// Messages of the same number of blocks.
struct Group<T> {
    lanes: Box<[Lane; LANES]>,
    lens: [usize; LANES],
    hashed: [(T, B256); LANES],
    count: usize,
}

impl<T: Copy + Default> Default for Batcher<T> {
    fn default() -> Self {
        Self::with(Instructions::detect())
    }
}

impl<T: Copy + Default> Batcher<T> {
    fn with(instructions: Instructions) -> Self {
        let group = || Group {
            lanes: Box::new([[0; LANE_BLOCKS_MAX * BLOCK_BYTES]; LANES]),
            lens: [0; LANES],
            hashed: [Default::default(); LANES],
            count: 0,
        };
        Self { groups: std::array::from_fn(|_| group()), instructions }
    }

    /// Room for a message of `len` bytes, at most [`LANE_MESSAGE_BYTES_MAX`]: overwrite all of it, then [`push`](Self::push).
    #[inline]
    pub fn message(&mut self, len: usize) -> &mut [u8] {
        let group = &mut self.groups[len / BLOCK_BYTES];
        &mut group.lanes[group.count][..len]
    }

    /// Takes the message of `len` bytes that was just written. The hashes of its group, if it filled it.
    #[inline]
    pub fn push(&mut self, len: usize, tag: T) -> Option<&Hashed<T>> {
        let blocks = len / BLOCK_BYTES + 1;
        let group = &mut self.groups[blocks - 1];
        let lane = &mut group.lanes[group.count];
        lane[len..blocks * BLOCK_BYTES].fill(0);
        lane[len] = 0x01;
        lane[blocks * BLOCK_BYTES - 1] |= 0x80;
        group.lens[group.count] = len;
        group.hashed[group.count].0 = tag;
        group.count += 1;
        (group.count == LANES).then(|| group.hash(blocks, self.instructions))
    }

    /// The hashes of one more group that is not full; `None` when nothing is left.
    pub fn drain(&mut self) -> Option<&Hashed<T>> {
        let (at, group) = self.groups.iter_mut().enumerate().find(|(_, group)| group.count > 0)?;
        Some(group.hash(at + 1, self.instructions))
    }
}

impl<T> Group<T> {
    fn hash(&mut self, blocks: usize, instructions: Instructions) -> &Hashed<T> {
        let count = std::mem::take(&mut self.count);
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512(kernel) if count > 1 => {
                let hashes = kernel.hash(&self.lanes, blocks);
                self.hashed.iter_mut().zip(hashes).for_each(|(entry, hash)| entry.1 = hash);
            }
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2(kernel) if count > 1 => {
                let (halves, _) = self.lanes.as_chunks::<4>();
                for (half, hashed) in halves.iter().zip(self.hashed[..count].chunks_mut(4)) {
                    let hashes = kernel.hash(half, blocks);
                    hashed.iter_mut().zip(hashes).for_each(|(entry, hash)| entry.1 = hash);
                }
            }
            _ => {
                for at in 0..count {
                    self.hashed[at].1 = keccak256(&self.lanes[at][..self.lens[at]]);
                }
            }
        }
        &self.hashed[..count]
    }
}

impl<T> std::fmt::Debug for Batcher<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher").field("instructions", &self.instructions).finish_non_exhaustive()
    }
}

/// The best kernel that this processor runs.
#[derive(Debug, Clone, Copy)]
enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    /// One at a time, by assembly that knows the processor better than we do.
    Scalar,
}

impl Instructions {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(kernel) = x86::Avx512::detect() {
                return Self::Avx512(kernel);
            }
            if let Some(kernel) = x86::Avx2::detect() {
                return Self::Avx2(kernel);
            }
        }
        Self::Scalar
    }
}

/// Hashes every input: `outputs[i]` is the Keccak-256 of `inputs[i]`.
///
/// # Panics
///
/// When there are not as many outputs as inputs.
pub fn keccak256_batch<I: AsRef<[u8]>>(inputs: &[I], outputs: &mut [B256]) {
    keccak256_batch_with(Instructions::detect(), inputs, outputs);
}

fn keccak256_batch_with<I: AsRef<[u8]>>(
    instructions: Instructions,
    inputs: &[I],
    outputs: &mut [B256],
) {
    assert_eq!(inputs.len(), outputs.len(), "one output for each input");
    if let [input] = inputs {
        outputs[0] = keccak256(input);
        return;
    }
    let mut batcher = Batcher::<usize>::with(instructions);
    for (at, input) in inputs.iter().enumerate() {
        let input = input.as_ref();
        if input.len() > LANE_MESSAGE_BYTES_MAX {
            outputs[at] = keccak256(input);
            continue;
        }
        batcher.message(input.len()).copy_from_slice(input);
        for (at, hash) in batcher.push(input.len(), at).unwrap_or_default() {
            outputs[*at] = *hash;
        }
    }
    while let Some(hashed) = batcher.drain() {
        for (at, hash) in hashed {
            outputs[*at] = *hash;
        }
    }
}

#[cfg(test)]
#[allow(clippy::print_stdout, reason = "the seed, for when a test fails")]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    /// Every kernel that this machine can run.
    fn kernels() -> Vec<Instructions> {
        let mut kernels = vec![Instructions::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            kernels.extend(x86::Avx512::detect().map(Instructions::Avx512));
            kernels.extend(x86::Avx2::detect().map(Instructions::Avx2));
        }
        kernels
    }

    #[test]
    fn every_lane_of_every_kernel_agrees_with_the_scalar() {
        let seed = rand::random::<u64>();
        println!("seed {seed}, kernels {:?}", kernels());
        let mut rng = StdRng::seed_from_u64(seed);
        for kernel in kernels() {
            for _ in 0..40 {
                let inputs: Vec<Vec<u8>> = (0..rng.random_range(0..40))
                    .map(|_| {
                        let len = rng.random_range(0..600);
                        (0..len).map(|_| rng.random()).collect()
                    })
                    .collect();
                let mut hashes = vec![B256::ZERO; inputs.len()];
                keccak256_batch_with(kernel, &inputs, &mut hashes);
                for (input, hash) in inputs.iter().zip(&hashes) {
                    assert_eq!(*hash, keccak256(input), "seed {seed} {kernel:?} {}", input.len());
                }
            }
        }
    }

    #[test]
    fn every_length_up_to_a_lane_and_beyond() {
        let inputs: Vec<Vec<u8>> =
            (0..700).step_by(3).flat_map(|len| vec![vec![len as u8; len]; LANES]).collect();
        for kernel in kernels() {
            let mut hashes = vec![B256::ZERO; inputs.len()];
            keccak256_batch_with(kernel, &inputs, &mut hashes);
            for (input, hash) in inputs.iter().zip(&hashes) {
                assert_eq!(*hash, keccak256(input), "{kernel:?} {}", input.len());
            }
        }
    }
}
