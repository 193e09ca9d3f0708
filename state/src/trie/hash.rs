//! Hashing what changed, of many subtrees together, deepest level first.
//!
//! The nodes of one level do not depend on each other, so those of equal length (in blocks) go through Keccak eight
//! at a time, from whichever subtree they are: a thousand accounts with a slot each fill the lanes as well as one
//! contract with a thousand. A hash goes straight to its place beside the link in the parent.

use millrace_keccak::{Batcher, keccak256_batch};
use rayon::prelude::*;

use super::{
    node::{Kind, NodeRef, bits},
    path::NIBBLES,
    rlp::Reference,
    subtree::Subtree,
};

/// So many nodes are read ahead of their use, for the waits for memory to overlap.
const AHEAD: usize = 16;

/// A node to hash.
#[derive(Debug, Clone, Copy, Default)]
struct Job {
    /// Which of the subtrees.
    subtree: u32,
    node: NodeRef,
    /// The branch or extension that refers to it; empty for the subtree's root.
    parent: NodeRef,
    nibble: u8,
}

/// Hashes all that is stale in these subtrees.
pub(super) fn hash(subtrees: &mut [&mut Subtree]) {
    let mut levels: Vec<Vec<Job>> = vec![Vec::new(); NIBBLES + 1];
    let mut deepest = 0;
    for (at, subtree) in subtrees.iter_mut().enumerate().filter(|(_, subtree)| subtree.root.stale) {
        let node = subtree.root.node;
        if node.is_empty() {
            (subtree.root.stale, subtree.changes) = (false, 0);
            continue;
        }
        levels[subtree.base].push(Job { subtree: at as u32, node, ..Job::default() });
        deepest = deepest.max(subtree.base);
    }
    let mut level = 0;
    while level <= deepest {
        let jobs = std::mem::take(&mut levels[level]);
        for (at, job) in jobs.iter().enumerate() {
            if let Some(job) = jobs.get(at + AHEAD) {
                subtrees[job.subtree as usize].arena.prefetch(job.node, true);
            }
            let below = expand(subtrees[job.subtree as usize], job, &mut levels, level);
            deepest = deepest.max(below);
        }
        levels[level] = jobs;
        level += 1;
    }
    let mut batcher = Batcher::<Job>::default();
    for depth in (0..=deepest).rev() {
        for (at, job) in levels[depth].iter().enumerate() {
            if let Some(job) = levels[depth].get(at + AHEAD) {
                subtrees[job.subtree as usize].arena.prefetch(job.node, false);
            }
            let subtree = &mut *subtrees[job.subtree as usize];
            let len = subtree.encoded_len(job.node, depth);
            let is_trie_root = depth == 0;
            if len < 32 && !is_trie_root {
                let encoding = subtree.encode(job.node, depth);
                settle(subtree, job, &Reference::inline(&encoding));
                continue;
            }
            subtree.write(job.node, depth, batcher.message(len));
            for (job, hash) in batcher.push(len, *job).unwrap_or_default() {
                settle(subtrees[job.subtree as usize], job, &Reference::hash(*hash));
            }
        }
        while let Some(hashed) = batcher.drain() {
            for (job, hash) in hashed {
                settle(subtrees[job.subtree as usize], job, &Reference::hash(*hash));
            }
        }
    }
}

/// Adds the stale children of a node to their levels, and marks them fresh: they are about to be. The deepest level.
fn expand(subtree: &mut Subtree, job: &Job, levels: &mut [Vec<Job>], depth: usize) -> usize {
    match job.node.kind() {
        Kind::Branch(block) => {
            let mut head = subtree.arena.branch_head(block);
            if head.stale == 0 {
                return depth;
            }
            for nibble in bits(head.stale) {
                let node = subtree.arena.child(block, head.rank(nibble));
                levels[depth + 1].push(Job {
                    node,
                    parent: job.node,
                    nibble: nibble as u8,
                    ..*job
                });
            }
            head.stale = 0;
            subtree.arena.set_branch_head(block, &head);
            depth + 1
        }
        Kind::Extension(block) => {
            let mut link = subtree.arena.extension_link(block);
            if !link.stale {
                return depth;
            }
            let end = subtree.arena.extension_end(block);
            levels[end].push(Job { node: link.node, parent: job.node, ..*job });
            link.stale = false;
            subtree.arena.set_extension_link(block, &link);
            end
        }
        Kind::Leaf(_) | Kind::Empty | Kind::Stub => depth,
    }
}

/// Tells a node's parent what to call it.
#[inline]
fn settle(subtree: &mut Subtree, job: &Job, reference: &Reference) {
    match job.parent.kind() {
        Kind::Branch(block) => {
            subtree.arena.set_child_reference(block, usize::from(job.nibble), reference);
        }
        Kind::Extension(block) => {
            let mut link = subtree.arena.extension_link(block);
            link.reference = *reference;
            subtree.arena.set_extension_link(block, &link);
        }
        _ => {
            subtree.changes = 0;
            subtree.root.reference = *reference;
            subtree.root.stale = false;
        }
    }
}

/// The references to nodes by their encodings.
pub(super) fn hash_branches(encodings: &[Vec<u8>]) -> Vec<Reference> {
    let mut hashes = vec![alloy_primitives::B256::ZERO; encodings.len()];
    keccak256_batch(encodings, &mut hashes);
    (encodings.iter().zip(hashes))
        .map(
            |(encoding, hash)| {
                if encoding.len() < 32 {
                    Reference::inline(encoding)
                } else {
                    Reference::hash(hash)
                }
            },
        )
        .collect()
}

/// Changes that one task hashes at least, for its lanes to be full, and at most, for its nodes to stay in the cache.
const TASK_CHANGES: std::ops::RangeInclusive<usize> = 64..=1024;

/// Hashes these subtrees on all cores.
pub(super) fn hash_parallel(mut subtrees: Vec<&mut Subtree>) {
    let changes = subtrees.iter().map(|subtree| subtree.changes).sum::<usize>();
    let task = (changes / (4 * rayon::current_num_threads()))
        .clamp(*TASK_CHANGES.start(), *TASK_CHANGES.end());
    if changes < 2 * task {
        return hash(&mut subtrees);
    }
    let (mut tasks, mut rest) = (Vec::new(), &mut subtrees[..]);
    while !rest.is_empty() {
        let mut sum = 0;
        let len = rest.iter().take_while(|subtree| {
            let before = sum;
            sum += subtree.changes;
            before < task
        });
        let len = len.count();
        let (first, after) = rest.split_at_mut(len);
        tasks.push(first);
        rest = after;
    }
    tasks.into_par_iter().for_each(hash);
}
