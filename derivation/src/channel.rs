//! Channels, put together from frames that arrive in order: there is only one at a time.

use alloy_primitives::Bytes;
use millrace_protocol::{ChannelId, Frame};
use tracing::{debug, warn};

/// The most that an open channel may take, by its own reckoning: its frames, and some overhead for each.
const CHANNEL_BYTES_MAX: usize = 100_000_000;
/// What a frame counts beyond its data.
const FRAME_OVERHEAD: usize = 200;

/// Puts a channel together.
#[derive(Debug)]
pub(crate) struct ChannelAssembler {
    /// How many L1 blocks a channel may take from its first frame to its last.
    timeout: u64,
    open: Option<OpenChannel>,
}

#[derive(Debug)]
struct OpenChannel {
    id: ChannelId,
    /// The L1 block of its first frame.
    l1_opened: u64,
    pieces: Vec<Bytes>,
    size: usize,
}

impl ChannelAssembler {
    pub(crate) const fn new(timeout: u64) -> Self {
        Self { timeout, open: None }
    }

    /// Takes the next frame, found in this L1 block, and gives the channel that it completes: what was compressed.
    pub(crate) fn add(&mut self, frame: Frame, l1_number: u64) -> Option<Vec<u8>> {
        self.expire(l1_number);
        if frame.number == 0 {
            self.begin(frame.channel, l1_number);
        }
        let (channel, is_last) = (frame.channel, frame.is_last);
        let Some(open) = self.open.as_mut().filter(|open| open.accepts(&frame)) else {
            // Every start in the midst of a channel comes by here.
            debug!(?channel, number = frame.number, "drop a frame that continues no open channel");
            return None;
        };
        open.push(frame);
        if open.size > CHANNEL_BYTES_MAX {
            warn!(?channel, size = open.size, "drop a channel that has grown too large");
            self.open = None;
            return None;
        }
        if !is_last {
            return None;
        }
        let complete = self.open.take()?;
        debug!(?channel, size = complete.size, l1_number, "channel complete");
        Some(complete.pieces.concat())
    }

    /// Opens a channel, in place of the one that was open.
    fn begin(&mut self, id: ChannelId, l1_number: u64) {
        let opened = OpenChannel { id, l1_opened: l1_number, pieces: Vec::new(), size: 0 };
        if let Some(open) = self.open.replace(opened) {
            warn!(channel = ?open.id, "drop an open channel: another one begins");
        }
    }

    /// Drops the open channel if it took too long.
    fn expire(&mut self, l1_number: u64) {
        let timeout = self.timeout;
        let expired = |open: &mut OpenChannel| l1_number > open.l1_opened.saturating_add(timeout);
        if let Some(open) = self.open.take_if(expired) {
            warn!(channel = ?open.id, l1_opened = open.l1_opened, "drop a channel that timed out");
        }
    }
}

impl OpenChannel {
    fn accepts(&self, frame: &Frame) -> bool {
        frame.channel == self.id && usize::from(frame.number) == self.pieces.len()
    }

    fn push(&mut self, frame: Frame) {
        self.size += frame.data.len() + FRAME_OVERHEAD;
        self.pieces.push(frame.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: u64 = 10;

    fn frame(channel: u8, number: u16, is_last: bool) -> Frame {
        let data = Bytes::from(vec![channel, number as u8]);
        Frame { channel: ChannelId([channel; 16]), number, data, is_last }
    }

    /// Adds frames, each with its L1 block, and expects what they complete.
    #[track_caller]
    fn check(frames: &[(Frame, u64)], expected: &[Option<&[u8]>]) {
        let mut assembler = ChannelAssembler::new(TIMEOUT);
        let actual: Vec<_> =
            frames.iter().map(|(frame, l1)| assembler.add(frame.clone(), *l1)).collect();
        assert_eq!(actual.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn frames_become_a_channel() {
        check(&[(frame(1, 0, true), 5)], &[Some(&[1, 0])]);
        check(
            &[(frame(1, 0, false), 5), (frame(1, 1, false), 5), (frame(1, 2, true), 8)],
            &[None, None, Some(&[1, 0, 1, 1, 1, 2])],
        );
    }

    #[test]
    fn a_first_frame_replaces_the_open_channel() {
        check(
            &[
                (frame(1, 0, false), 5),
                (frame(2, 0, false), 5),
                (frame(1, 1, true), 5),
                (frame(2, 1, true), 5),
            ],
            &[None, None, None, Some(&[2, 0, 2, 1])],
        );
        // Even one of its own name.
        check(
            &[(frame(1, 0, false), 5), (frame(1, 0, false), 6), (frame(1, 1, true), 6)],
            &[None, None, Some(&[1, 0, 1, 1])],
        );
    }

    #[test]
    fn stray_frames_leave_the_open_channel_alone() {
        check(
            &[
                (frame(1, 1, true), 5),
                (frame(1, 0, false), 5),
                (frame(2, 1, true), 5),
                (frame(1, 2, true), 5),
                (frame(1, 1, true), 5),
                (frame(1, 2, true), 5),
            ],
            &[None, None, None, None, Some(&[1, 0, 1, 1]), None],
        );
    }

    #[test]
    fn the_last_block_in_time_counts_and_the_next_does_not() {
        let first = (frame(1, 0, false), 5);
        check(&[first.clone(), (frame(1, 1, true), 5 + TIMEOUT)], &[None, Some(&[1, 0, 1, 1])]);
        check(&[first, (frame(1, 1, true), 6 + TIMEOUT)], &[None, None]);
    }

    #[test]
    fn the_size_is_limited_with_overhead() {
        let data = Bytes::from(vec![0; Frame::DATA_MAX]);
        let size = Frame::DATA_MAX + FRAME_OVERHEAD;
        let fits = CHANNEL_BYTES_MAX / size;
        let mut assembler = ChannelAssembler::new(TIMEOUT);
        let mut add = |number: usize, is_last| {
            let (channel, number) = (ChannelId([1; 16]), number as u16);
            assembler.add(Frame { channel, number, data: data.clone(), is_last }, 1)
        };
        for number in 0..fits - 1 {
            assert_eq!(add(number, false), None);
        }
        assert_eq!(add(fits - 1, true).map(|channel| channel.len()), Some(fits * Frame::DATA_MAX));
        for number in 0..fits {
            assert_eq!(add(number, false), None);
        }
        assert_eq!(add(fits, true), None, "dropped with the frame that was too much");
        assert_eq!(add(fits + 1, true), None, "and it does not come back");
    }
}
