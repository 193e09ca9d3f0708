//! From what an L1 block holds to batches, one at a time.

use millrace_protocol::{
    Batch, BatchError, BatchReader, ChannelError, L1Block, RollupConfig, Rules, read_batches,
};
use tracing::{debug, warn};

use crate::{channel::ChannelAssembler, frame_queue::FrameQueue};

/// Frames, the channel that they make up, and the batches in it.
///
/// Each part is only asked for more when the one behind it is used up.
#[derive(Debug)]
pub(crate) struct BatchSource {
    rules: Rules,
    frames: FrameQueue,
    assembler: ChannelAssembler,
    /// The complete channel that is being read.
    reading: Option<BatchReader<Vec<u8>>>,
}

/// Why no more is read of a channel.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("read channel: {0}")]
    Channel(ChannelError),
    #[error("read batch: {0}")]
    Batch(BatchError),
}

impl BatchSource {
    pub(crate) fn new(config: &RollupConfig) -> Self {
        Self {
            // Derivation begins with rules that are newer than all that ever changed for channels.
            rules: config.spec.rules(config.genesis.l2_time),
            frames: FrameQueue::default(),
            assembler: ChannelAssembler::new(config.channel_timeout),
            reading: None,
        }
    }

    /// Takes the next L1 block. The one before must have been used up.
    pub(crate) fn load(&mut self, block: &L1Block) {
        self.frames.load(block.inbox.iter().cloned());
    }

    /// The next batch that L1 up to this block holds.
    ///
    /// A batch that cannot be decoded is an invalid one: the rest of its channel goes with it.
    pub(crate) fn next(&mut self, l1_number: u64) -> Option<Batch> {
        loop {
            let Some(channel) = &mut self.reading else {
                let channel = self.next_channel(l1_number)?;
                self.reading = Some(read_batches(channel, self.rules));
                continue;
            };
            let batch = match channel.next() {
                Some(Ok(encoded)) => Batch::decode(&encoded).map_err(Unreadable::Batch),
                Some(Err(error)) => Err(Unreadable::Channel(error)),
                None => {
                    self.reading = None;
                    continue;
                }
            };
            match batch {
                Ok(batch) => return Some(batch),
                Err(error) => {
                    warn!(%error, l1_number, "drop the rest of a channel");
                    self.reading = None;
                }
            }
        }
    }

    /// Drops the rest of the channel that is being read.
    pub(crate) fn flush(&mut self) {
        if self.reading.take().is_some() {
            debug!("drop the rest of the channel");
        }
    }

    /// Reads all of L1 up to this block, for the sake of the channel that stays open.
    pub(crate) fn skip(&mut self, l1_number: u64) {
        self.reading = None;
        while self.next_channel(l1_number).is_some() {}
    }

    fn next_channel(&mut self, l1_number: u64) -> Option<Vec<u8>> {
        loop {
            let frame = self.frames.next()?;
            if let Some(channel) = self.assembler.add(frame, l1_number) {
                return Some(channel);
            }
        }
    }
}
