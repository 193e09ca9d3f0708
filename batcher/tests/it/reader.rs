//! A reader of what was posted, by the rules of Holocene, as plain as can be: all of L1 from the beginning, each time.

use millrace_protocol::{Batch, ChannelId, Frame, RollupConfig, decode_frames, read_batches};

use crate::world::Inner;

/// What all of L1 yields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The last block of the chain that was posted without a gap.
    pub(crate) safe: u64,
    /// Blocks that were posted although they were safe.
    pub(crate) repeated: u64,
    /// Channels that ended too late or were left behind.
    pub(crate) lost_frames: u64,
    /// Complete channels.
    pub(crate) channels: u64,
    /// Frames of the channel that has most.
    pub(crate) frames_max: u16,
}

struct Open {
    id: ChannelId,
    since: u64,
    next: u16,
    data: Vec<u8>,
}

pub(crate) fn read(world: &Inner, rollup: &RollupConfig) -> Reading {
    let mut reading = Reading::default();
    let mut open: Option<Open> = None;
    for block in &world.l1 {
        for data in block.transactions.iter().flat_map(|transaction| &transaction.inbox) {
            for frame in decode_frames(data).expect("frames are well-formed") {
                if let Some(channel) = take(&mut open, frame, block.id.number, rollup, &mut reading)
                {
                    reading.channel(&channel, world, rollup);
                }
            }
        }
    }
    reading
}

/// Adds a frame to the open channel; gives the channel when it is complete.
fn take(
    open: &mut Option<Open>,
    frame: Frame,
    l1_number: u64,
    rollup: &RollupConfig,
    reading: &mut Reading,
) -> Option<Vec<u8>> {
    if frame.number == 0 {
        *open = Some(Open { id: frame.channel, since: l1_number, next: 0, data: Vec::new() });
    }
    let fits = |open: &&mut Open| {
        open.id == frame.channel
            && open.next == frame.number
            && l1_number <= open.since + rollup.channel_timeout
    };
    let Some(current) = open.as_mut().filter(fits) else {
        reading.lost_frames += 1;
        return None;
    };
    current.next += 1;
    current.data.extend_from_slice(&frame.data);
    reading.frames_max = reading.frames_max.max(current.next);
    if frame.is_last { open.take().map(|open| open.data) } else { None }
}

impl Reading {
    fn channel(&mut self, data: &[u8], world: &Inner, rollup: &RollupConfig) {
        self.channels += 1;
        for batch in read_batches(data, rollup.spec.rules(rollup.genesis.l2_time)) {
            let batch = batch.expect("channels are well-formed");
            if !self.batch(&Batch::decode(&batch).expect("batches are well-formed"), world, rollup)
            {
                return;
            }
        }
    }

    /// Takes a batch; says no where the rest of the channel counts for nothing.
    fn batch(&mut self, batch: &Batch, world: &Inner, rollup: &RollupConfig) -> bool {
        let number = |timestamp: u64| (timestamp - rollup.genesis.l2_time) / rollup.block_time;
        match batch {
            Batch::Singular(batch) => {
                let number = number(batch.timestamp);
                let same = world.journal.get(number as usize).is_some_and(|block| {
                    block.parent_hash == batch.parent_hash
                        && block.epoch == batch.epoch
                        && block.transactions == batch.transactions
                });
                self.block(number, same)
            }
            Batch::Span(span) => {
                let elements = span.derive(rollup).expect("spans are well-formed");
                let first = number(elements[0].timestamp);
                let parent = world.journal.get(first as usize - 1);
                let last = world.journal.get(first as usize + elements.len() - 1);
                let holds = parent.is_some_and(|parent| span.follows(&parent.id.hash))
                    && last.is_some_and(|last| span.ends_with_origin(&last.epoch.hash));
                holds
                    && elements.into_iter().all(|element| {
                        let number = number(element.timestamp);
                        let same = world.journal.get(number as usize).is_some_and(|block| {
                            block.epoch.number == element.l1_number
                                && block.transactions == element.transactions
                        });
                        self.block(number, same)
                    })
            }
        }
    }

    fn block(&mut self, number: u64, same: bool) -> bool {
        if number <= self.safe {
            self.repeated += 1;
            return true;
        }
        let next = number == self.safe + 1 && same;
        self.safe += u64::from(next);
        next
    }
}
