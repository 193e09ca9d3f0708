//! Which blocks may hold a log that a filter asks for.

use std::{collections::VecDeque, ops::RangeInclusive};

use alloy_primitives::{Address, B256, map::HashSet};
use fjall::{Keyspace, Readable as _, Snapshot};
use millrace_types::Receipt;

use super::{Index, IndexError, decode_number};

/// How many blocks are intersected at a time.
const WINDOW_BLOCKS: u64 = 1024;

/// Something that a log has, and that a filter can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Posting {
    kind: u8,
    digest: u64,
}

impl Posting {
    /// That there is a log at all, for filters that ask for nothing else.
    const ANY: Self = Self { kind: 0, digest: 0 };

    fn address(address: &Address) -> Self {
        Self { kind: 1, digest: digest(address.as_slice()) }
    }

    /// No log has more than four topics, so a filter for a fifth finds nothing.
    fn topic(position: usize, topic: &B256) -> Self {
        let kind = u8::try_from(position).map_or(u8::MAX, |position| position.saturating_add(2));
        Self { kind, digest: digest(topic.as_slice()) }
    }

    /// Big-endian, so that one posting's blocks lie side by side and in order.
    pub(super) fn key(self, number: u64) -> [u8; 17] {
        let mut key = [self.kind; 17];
        key[1..9].copy_from_slice(&self.digest.to_be_bytes());
        key[9..].copy_from_slice(&number.to_be_bytes());
        key
    }
}

/// The words of a value, folded together. Two values with one digest only make more candidates, so nothing stronger is
/// needed; no part of the value may be left out, since addresses as topics begin with zeros and short strings end in them.
fn digest(value: &[u8]) -> u64 {
    value.chunks(8).fold(0_u64, |digest, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        digest.rotate_left(19) ^ u64::from_be_bytes(word)
    })
}

/// Everything that filters can ask for in a block, once each.
pub(super) fn postings(receipts: &[Receipt]) -> HashSet<Posting> {
    let mut postings = HashSet::default();
    for log in receipts.iter().flat_map(|receipt| &receipt.logs) {
        postings.insert(Posting::ANY);
        postings.insert(Posting::address(&log.address));
        let topics = log.topics().iter().enumerate();
        postings.extend(topics.map(|(position, topic)| Posting::topic(position, topic)));
    }
    postings
}

impl Index {
    /// The blocks of a range that may hold a matching log, in order: every block that does, and few that don't.
    ///
    /// A log matches if its address is among `addresses` and each of its topics is among those at the same position;
    /// an empty list matches anything. Blocks that are not indexed yet count as candidates, so the caller ends the
    /// range at the newest block. Memory is constant; time follows the number of addresses and topics, and the blocks
    /// that have the rarest of them: bounding the range and the lists is the caller's part.
    pub fn log_candidates(
        &self,
        range: RangeInclusive<u64>,
        addresses: &[Address],
        topics: &[Vec<B256>],
    ) -> Result<LogCandidates, IndexError> {
        let mut criteria = Vec::new();
        if !addresses.is_empty() {
            criteria.push(distinct(addresses.iter().map(Posting::address)));
        }
        for (position, topics) in topics.iter().enumerate().filter(|(_, topics)| !topics.is_empty())
        {
            criteria.push(distinct(topics.iter().map(|topic| Posting::topic(position, topic))));
        }
        if criteria.is_empty() {
            criteria.push(vec![Posting::ANY]);
        }
        let snapshot = self.database.snapshot();
        let first = snapshot.first_key_value(&self.numbers).map(|entry| entry.key()).transpose()?;
        let last = snapshot.last_key_value(&self.numbers).map(|entry| entry.key()).transpose()?;
        let indexed = match (first, last) {
            (Some(first), Some(last)) => Some((decode_number(&first)?, decode_number(&last)?)),
            _ => None,
        };
        Ok(LogCandidates {
            snapshot,
            postings: self.postings.clone(),
            criteria,
            rest: (!range.is_empty()).then_some(range.into_inner()),
            indexed,
            ready: VecDeque::new(),
        })
    }
}

fn distinct(postings: impl Iterator<Item = Posting>) -> Vec<Posting> {
    postings.collect::<HashSet<_>>().into_iter().collect()
}

/// The blocks that may hold a matching log, in order. Sees the index as it was when it was made.
pub struct LogCandidates {
    snapshot: Snapshot,
    postings: Keyspace,
    /// A block is a candidate if it has one posting of each.
    criteria: Vec<Vec<Posting>>,
    /// First and last block to look at yet.
    rest: Option<(u64, u64)>,
    /// First and last indexed block.
    indexed: Option<(u64, u64)>,
    /// Found, but not handed out.
    ready: VecDeque<u64>,
}

impl Iterator for LogCandidates {
    type Item = Result<u64, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(number) = self.ready.pop_front() {
                return Some(Ok(number));
            }
            let (from, to) = self.rest?;
            match self.indexed {
                Some((first, last)) if first <= from && from <= last => {
                    match self.search(from, to.min(last)) {
                        Ok(searched) => self.advance(searched, to),
                        Err(error) => {
                            self.rest = None;
                            return Some(Err(error));
                        }
                    }
                }
                _ => {
                    self.advance(from, to);
                    return Some(Ok(from));
                }
            }
        }
    }
}

impl LogCandidates {
    fn advance(&mut self, done: u64, to: u64) {
        self.rest = (done < to).then(|| (done + 1, to));
    }

    /// Looks for candidates among indexed blocks, and returns up to which block it has looked.
    fn search(&mut self, from: u64, to: u64) -> Result<u64, IndexError> {
        // Skip to where every criterion has had a block: a rare one carries the others over all that it isn't in.
        let mut start = from;
        for criterion in &self.criteria {
            let mut nearest = None;
            for posting in criterion {
                if let Some(number) = self.numbers(*posting, start, to).next().transpose()? {
                    nearest = Some(nearest.map_or(number, |nearest: u64| nearest.min(number)));
                }
            }
            match nearest {
                Some(nearest) => start = nearest,
                None => return Ok(to),
            }
        }
        let end = to.min(start.saturating_add(WINDOW_BLOCKS - 1));
        let mut candidates = Window::FULL;
        for criterion in &self.criteria {
            let mut window = Window::EMPTY;
            for posting in criterion {
                for number in self.numbers(*posting, start, end) {
                    window.insert(number? - start);
                }
            }
            candidates.intersect(&window);
        }
        self.ready.extend(candidates.iter().map(|offset| start + offset));
        Ok(end)
    }

    /// The blocks that have a posting.
    fn numbers(
        &self,
        posting: Posting,
        from: u64,
        to: u64,
    ) -> impl Iterator<Item = Result<u64, IndexError>> + use<> {
        self.snapshot.range(&self.postings, posting.key(from)..=posting.key(to)).map(|entry| {
            let key = entry.key()?;
            let number = key.get(9..).ok_or(IndexError::Corrupt("a posting is too short"))?;
            decode_number(number)
        })
    }
}

impl std::fmt::Debug for LogCandidates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogCandidates")
            .field("criteria", &self.criteria)
            .field("rest", &self.rest)
            .field("indexed", &self.indexed)
            .finish_non_exhaustive()
    }
}

/// A set of blocks within a window.
struct Window([u64; WINDOW_BLOCKS as usize / 64]);

impl Window {
    const EMPTY: Self = Self([0; WINDOW_BLOCKS as usize / 64]);
    const FULL: Self = Self([u64::MAX; WINDOW_BLOCKS as usize / 64]);

    fn insert(&mut self, offset: u64) {
        self.0[offset as usize / 64] |= 1 << (offset % 64);
    }

    fn intersect(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        (0..WINDOW_BLOCKS).filter(|offset| self.0[*offset as usize / 64] >> (offset % 64) & 1 == 1)
    }
}
