//! A batcher that posts the safe chain's continuation: late, in pieces, among rubbish, and with mistakes of every kind.

use std::collections::VecDeque;

use alloy_primitives::{B256, Bytes};
use millrace_derivation::{Attributes, L2Ref};
use millrace_protocol::{
    Batch, BlockId, ChannelId, CompressionAlgo, Frame, L1Block, RollupConfig, SingularBatch,
    SpanBlock, SpanBuilder, compress, encode_frames,
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use crate::{
    execution::{poison, transaction},
    model::{Meant, MeantBlock, Model, content},
};

/// What the batcher does wrong, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// How many of a hundred batches are not as they should be.
    pub(crate) mistakes: u32,
    /// How many of a hundred L1 blocks get rubbish that means nothing.
    pub(crate) rubbish: u32,
    /// How many of a hundred L1 blocks begin a pause in which nothing is posted.
    pub(crate) pauses: u32,
    /// Whether all that there is is posted at once, and nothing twice.
    pub(crate) neat: bool,
}

impl Habits {
    /// Does everything right, and at once.
    pub(crate) const GOOD: Self = Self { mistakes: 0, rubbish: 0, pauses: 0, neat: true };
    /// Means well.
    pub(crate) const USUAL: Self = Self { mistakes: 0, rubbish: 30, pauses: 4, neat: false };
    /// Does not.
    pub(crate) const BAD: Self = Self { mistakes: 25, rubbish: 40, pauses: 4, neat: false };
}

#[derive(Debug, Clone)]
pub(crate) struct Batcher {
    habits: Habits,
    /// What is to be posted, in order.
    outbox: VecDeque<Post>,
    /// The channel that is open on L1: since when, and whether it is one that will go on.
    open: Option<(u64, bool)>,
    paused: u32,
}

/// What goes into one transaction, and what that means.
#[derive(Debug, Clone, Default)]
struct Post {
    frames: Vec<Frame>,
    opens: bool,
    completes: Option<Vec<Meant>>,
}

/// A block as the sequencer would make it.
#[derive(Debug, Clone)]
struct Planned {
    block: L2Ref,
    transactions: Vec<Bytes>,
}

impl Batcher {
    pub(crate) fn new(habits: Habits) -> Self {
        Self { habits, outbox: VecDeque::new(), open: None, paused: 0 }
    }

    /// What is posted in the L1 block behind these, and the channels that it completes.
    pub(crate) fn post(
        &mut self,
        config: &RollupConfig,
        l1: &[L1Block],
        model: &Model,
        dice: &mut StdRng,
    ) -> (Vec<Bytes>, Vec<Vec<Meant>>) {
        let mut inbox = Vec::new();
        let mut complete = Vec::new();
        let number = l1.last().unwrap().header.number + 1;
        if self.outbox.is_empty() {
            self.fill_outbox(config, l1, model, dice);
        }
        if dice.random_ratio(self.habits.rubbish, 100) {
            inbox.push(self.rubbish(number, dice));
        }
        if dice.random_ratio(self.habits.pauses, 100) {
            self.paused = dice.random_range(1..20);
        }
        self.paused = self.paused.saturating_sub(1);
        let posts = match self.habits.neat {
            true => usize::MAX,
            false if self.paused > 0 => 0,
            false => dice.random_range(0..4),
        };
        for _ in 0..posts {
            let Some(post) = self.outbox.pop_front() else { break };
            inbox.push(encode_frames(&post.frames).into());
            // A transaction ends one channel before it opens the next.
            let opens_and_completes_the_same =
                post.opens && post.completes.is_some() && self.open.is_none();
            if opens_and_completes_the_same {
                complete.extend(post.completes);
                continue;
            }
            if let Some(batches) = post.completes {
                match self.open {
                    Some((opened, true)) if post.frames[0].number > 0 => {
                        self.open = None;
                        if number <= opened + config.channel_timeout {
                            complete.push(batches);
                        }
                    }
                    // Replaced by rubbish on the way; but a whole channel replaces that in turn.
                    _ if post.opens && post.frames[0].number == 0 => {
                        self.open = None;
                        complete.push(batches);
                        continue;
                    }
                    _ => {}
                }
            }
            if post.opens {
                self.open = Some((number, true));
            }
            if dice.random_ratio(self.habits.rubbish, 200) {
                inbox.push(self.rubbish(number, dice));
            }
        }
        (inbox, complete)
    }

    /// Something that is no part of a channel of ours, though it may be the end of the open one.
    fn rubbish(&mut self, number: u64, dice: &mut StdRng) -> Bytes {
        let next = self.outbox.front().map(|post| post.frames.clone()).unwrap_or_default();
        let stray = |channel, number| Frame {
            channel: ChannelId([channel; 16]),
            number,
            data: Bytes::from_static(&[1, 2, 3]),
            is_last: false,
        };
        match dice.random_range(0..7) {
            0 => Bytes::new(),
            1 => vec![dice.random(); dice.random_range(1..100)].into(),
            // What comes next anyway, and something wrong at its end.
            2 => [encode_frames(&next), vec![dice.random(); 5]].concat().into(),
            3 => encode_frames(&[stray(0, 3), stray(0, 1)]).into(),
            4 => match next.first() {
                Some(frame) if frame.number > 0 => {
                    let number = frame.number + 1;
                    encode_frames(&[Frame { number, ..frame.clone() }]).into()
                }
                _ => encode_frames(&[stray(2, 9)]).into(),
            },
            5 => {
                let mut data = encode_frames(&[stray(0, 0)]);
                data[0] = dice.random_range(1..=255);
                data.into()
            }
            _ if dice.random_ratio(self.habits.mistakes, 100) => {
                self.open = Some((number, false));
                encode_frames(&[stray(0, 0)]).into()
            }
            _ => encode_frames(&[stray(9, 2)]).into(),
        }
    }

    /// Plans what comes behind the safe head, in one channel or several.
    fn fill_outbox(
        &mut self,
        config: &RollupConfig,
        l1: &[L1Block],
        model: &Model,
        dice: &mut StdRng,
    ) {
        let mut parent = model.safe();
        for _ in 0..dice.random_range(1..3) {
            let count = if self.habits.neat { 200 } else { dice.random_range(1..40) };
            let blocks = plan(config, l1, parent, count, dice);
            let Some(last) = blocks.last() else { return };
            let batches = self.batches(config, model, parent, &blocks, dice);
            parent = last.block;
            let encoded: Vec<_> = batches.iter().map(|batch| encode(config, batch)).collect();
            let algo = if dice.random() {
                CompressionAlgo::Zlib { level: dice.random_range(0..10) }
            } else {
                CompressionAlgo::Brotli { level: dice.random_range(0..3) }
            };
            self.cut(&compress(encoded, algo).unwrap(), batches, dice);
        }
    }

    /// Groups blocks into batches, some of which go wrong.
    fn batches(
        &self,
        config: &RollupConfig,
        model: &Model,
        mut parent: L2Ref,
        mut blocks: &[Planned],
        dice: &mut StdRng,
    ) -> Vec<Meant> {
        let mut batches = Vec::new();
        while !blocks.is_empty() {
            let (run, rest) = blocks.split_at(dice.random_range(1..=blocks.len()));
            let wrong = dice.random_ratio(self.habits.mistakes, 100);
            if dice.random() {
                let mut batch = span(parent, run);
                if wrong {
                    spoil_span(&mut batch, config, model, dice);
                } else if !self.habits.neat && dice.random_ratio(1, 4) {
                    overlap(&mut batch, config, model, dice);
                }
                batches.push(batch);
            } else {
                let mut before = parent;
                for planned in run {
                    let mut batch = singular(before, planned);
                    before = planned.block;
                    if wrong && dice.random_ratio(1, run.len() as u32) {
                        spoil_singular(&mut batch, config, dice);
                    }
                    batches.push(batch);
                }
            }
            if wrong && dice.random_ratio(1, 10) {
                batches.push(Meant::Garbage);
            }
            if wrong && dice.random_ratio(1, 5) {
                batches.push(batches.choose(dice).unwrap().clone());
            }
            parent = run.last().unwrap().block;
            blocks = rest;
        }
        batches
    }

    /// Cuts a channel into frames and puts those into transactions.
    fn cut(&mut self, mut data: &[u8], batches: Vec<Meant>, dice: &mut StdRng) {
        let channel = ChannelId(dice.random());
        let pieces = dice.random_range(1..6_usize);
        let mut frames = Vec::new();
        for number in 0..pieces {
            let is_last = number + 1 == pieces;
            let len = if is_last { data.len() } else { dice.random_range(0..=data.len()) };
            let (piece, rest) = data.split_at(len);
            let (number, data_) = (number as u16, Bytes::copy_from_slice(piece));
            frames.push(Frame { channel, number, data: data_, is_last });
            data = rest;
        }
        let mut meaning = Some(batches);
        while !frames.is_empty() {
            let rest = frames.split_off(dice.random_range(1..=frames.len()));
            let opens = frames[0].number == 0;
            let completes = if rest.is_empty() { meaning.take() } else { None };
            // Sometimes the end of one channel and the beginning of the next travel together.
            let joins = opens && completes.is_none() && dice.random();
            match self.outbox.back_mut() {
                Some(last) if joins && last.completes.is_some() && !last.opens => {
                    last.frames.append(&mut frames);
                    last.opens = true;
                }
                _ => self.outbox.push_back(Post { frames, opens, completes }),
            }
            frames = rest;
        }
    }
}

/// Blocks behind this one as a sequencer makes them, as far as the L1 blocks allow.
fn plan(
    config: &RollupConfig,
    l1: &[L1Block],
    mut parent: L2Ref,
    count: usize,
    dice: &mut StdRng,
) -> Vec<Planned> {
    let first = l1[0].header.number;
    let at = |number: u64| l1.get((number - first) as usize);
    let newest = l1.last().unwrap().header.timestamp;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let timestamp = parent.timestamp + config.block_time;
        if timestamp > newest + config.max_sequencer_drift / 2 {
            break;
        }
        let stay = at(parent.origin.number).unwrap();
        let next = at(parent.origin.number + 1).filter(|l1| l1.header.timestamp <= timestamp);
        let too_far = timestamp > stay.header.timestamp + config.max_sequencer_drift;
        let origin = next.filter(|_| too_far || dice.random_ratio(2, 3)).unwrap_or(stay);
        let too_far = timestamp > origin.header.timestamp + config.max_sequencer_drift;
        let count = if too_far { 0 } else { dice.random_range(0..4) };
        let transactions: Vec<_> = (0..count).map(|_| transaction(dice)).collect();
        let block = content(config, parent, origin, transactions.clone()).seal();
        blocks.push(Planned { block, transactions });
        parent = block;
    }
    blocks
}

fn singular(parent: L2Ref, planned: &Planned) -> Meant {
    Meant::Singular {
        parent: parent.id.hash,
        origin: planned.block.origin,
        timestamp: planned.block.timestamp,
        transactions: planned.transactions.clone(),
    }
}

fn span(parent: L2Ref, planned: &[Planned]) -> Meant {
    let meant = |planned: &Planned| MeantBlock {
        timestamp: planned.block.timestamp,
        origin: planned.block.origin.number,
        transactions: planned.transactions.clone(),
    };
    Meant::Span {
        parent: parent.id.hash,
        last_origin_hash: planned.last().unwrap().block.origin.hash,
        blocks: planned.iter().map(meant).collect(),
    }
}

fn spoil_singular(batch: &mut Meant, config: &RollupConfig, dice: &mut StdRng) {
    let Meant::Singular { parent, origin, timestamp, transactions } = batch else { return };
    match dice.random_range(0..11) {
        0 => parent.0[31] ^= 1,
        1 => origin.hash.0[0] ^= 1,
        2 => origin.number += 1,
        3 => origin.number -= 1,
        4 => *timestamp += config.block_time,
        5 => *timestamp -= config.block_time,
        6 => *timestamp += 1,
        7 => transactions.push(Bytes::new()),
        8 => transactions.push(Bytes::from_static(&[0x7e, 1])),
        9 => transactions.push(Bytes::from_static(&[5, 6, 7])),
        _ => transactions.insert(0, poison()),
    }
}

fn spoil_span(batch: &mut Meant, config: &RollupConfig, model: &Model, dice: &mut StdRng) {
    overlap(batch, config, model, dice);
    let Meant::Span { parent, last_origin_hash, blocks } = batch else { return };
    let any = dice.random_range(0..blocks.len());
    match dice.random_range(0..9) {
        0 => parent.0[19] ^= 1,
        1 => last_origin_hash.0[19] ^= 1,
        // Only the first twenty bytes count.
        2 => parent.0[20] ^= 1,
        3 if blocks.len() > 1 => drop(blocks.remove(0)),
        4 => blocks.iter_mut().for_each(|block| block.timestamp += 1),
        5 => blocks.iter_mut().for_each(|block| block.timestamp += config.block_time),
        6 => blocks[any].transactions.push(poison()),
        7 => blocks[any].transactions.push(transaction(dice)),
        _ => blocks.iter_mut().for_each(|block| block.origin += 1),
    }
}

/// Puts blocks of the safe chain before the span.
fn overlap(batch: &mut Meant, config: &RollupConfig, model: &Model, dice: &mut StdRng) {
    let Meant::Span { parent, blocks, .. } = batch else { return };
    let next = model.safe().timestamp + config.block_time;
    let len = model.chain.len();
    if blocks[0].timestamp != next || len < 2 {
        return;
    }
    let from = dice.random_range(len.saturating_sub(6).max(1)..len);
    let safe = model.chain[from..].iter().map(|made| MeantBlock {
        timestamp: made.block.timestamp,
        origin: made.block.origin.number,
        transactions: made.transactions.clone(),
    });
    *parent = model.chain[from - 1].block.id.hash;
    *blocks = safe.chain(blocks.drain(..)).collect();
}

fn encode(config: &RollupConfig, batch: &Meant) -> Vec<u8> {
    match batch {
        Meant::Garbage => vec![2, 3, 4],
        Meant::Singular { parent, origin, timestamp, transactions } => {
            Batch::Singular(SingularBatch {
                parent_hash: *parent,
                epoch: *origin,
                timestamp: *timestamp,
                transactions: transactions.clone(),
            })
            .encode()
        }
        Meant::Span { parent, last_origin_hash, blocks } => {
            let mut span = SpanBuilder::new(config, *parent);
            let last = blocks.last().unwrap().origin;
            let mut before = None;
            for block in blocks {
                let number = block.origin;
                let hash = if number == last { *last_origin_hash } else { B256::ZERO };
                // Whether the first block opens its epoch changes nothing about what the batch says.
                let opens = before.is_some_and(|before| before != number);
                before = Some(number);
                let block_ = SpanBlock {
                    timestamp: block.timestamp,
                    l1_origin: BlockId { number, hash },
                    sequence_number: u64::from(!opens),
                };
                span.push(block_, &block.transactions).unwrap();
            }
            span.encode().unwrap()
        }
    }
}

/// A whole channel with one batch: the block of these attributes, with other transactions.
pub(crate) fn one_batch(attributes: &Attributes, transactions: Vec<Bytes>) -> Bytes {
    let batch = Batch::Singular(SingularBatch {
        parent_hash: attributes.parent.id.hash,
        epoch: attributes.origin,
        timestamp: attributes.timestamp,
        transactions,
    });
    let data = compress([batch.encode()], CompressionAlgo::Zlib { level: 1 }).unwrap().into();
    let frame = Frame { channel: ChannelId([1; 16]), number: 0, data, is_last: true };
    encode_frames(&[frame]).into()
}
