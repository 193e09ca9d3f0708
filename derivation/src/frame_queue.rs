//! The frames of one batcher transaction at a time, in the only order in which they count.

use std::collections::VecDeque;

use alloy_primitives::Bytes;
use millrace_protocol::{Frame, decode_frames};
use tracing::{debug, warn};

/// What an L1 block holds for the rollup, as frames in their order.
///
/// It never holds more than one L1 block's data, decoded one batcher transaction at a time.
#[derive(Debug, Default)]
pub(crate) struct FrameQueue {
    /// What was posted and is not decoded yet.
    inbox: VecDeque<Bytes>,
    /// The frames of the transaction that was decoded last.
    frames: VecDeque<Frame>,
}

impl FrameQueue {
    /// Takes what the next L1 block holds.
    pub(crate) fn load(&mut self, inbox: impl IntoIterator<Item = Bytes>) {
        self.inbox.extend(inbox);
    }

    /// The next frame. A transaction with anything wrong in it counts for nothing.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        while self.frames.is_empty() {
            let data = self.inbox.pop_front()?;
            match decode_frames(&data) {
                Ok(frames) => self.frames = in_order(frames).into(),
                Err(error) => warn!(%error, bytes = data.len(), "ignore a batcher transaction"),
            }
        }
        self.frames.pop_front()
    }
}

/// Keeps the frames that follow upon each other.
///
/// What is left of a channel is contiguous, and a first frame stands at the very beginning or behind a channel that
/// was closed. Whether the *first* frame continues a channel from an earlier transaction is decided where channels are
/// assembled. A second first frame of the same open channel counts as out of order: the specification can be read
/// otherwise, but every implementation agrees on this.
fn in_order(frames: Vec<Frame>) -> Vec<Frame> {
    let mut kept: Vec<Frame> = Vec::with_capacity(frames.len());
    for frame in frames {
        let keep = match kept.last() {
            None => true,
            Some(last) if last.channel == frame.channel => follows(last, &frame),
            Some(_) => frame.number == 0,
        };
        if !keep {
            debug!(channel = ?frame.channel, number = frame.number, "drop a frame that is out of order");
            continue;
        }
        // A channel that another one interrupts will never be complete.
        while kept.pop_if(|last| last.channel != frame.channel && !last.is_last).is_some() {}
        kept.push(frame);
    }
    kept
}

/// Whether `next` is the frame behind `last`, both being of one channel.
fn follows(last: &Frame, next: &Frame) -> bool {
    !last.is_last && last.number.checked_add(1) == Some(next.number)
}

#[cfg(test)]
mod tests {
    use millrace_protocol::{ChannelId, encode_frames};

    use super::*;

    /// Reads `a0 a1!` as the first two frames of channel `a`, the second being its last.
    fn frames(text: &str) -> Vec<Frame> {
        let frame = |word: &str| {
            let number = word[1..].trim_end_matches('!').parse().unwrap();
            Frame {
                channel: ChannelId([word.as_bytes()[0]; 16]),
                number,
                data: Bytes::from(word.as_bytes().to_vec()),
                is_last: word.ends_with('!'),
            }
        };
        text.split_whitespace().map(frame).collect()
    }

    #[track_caller]
    fn check(given: &str, kept: &str) {
        assert_eq!(in_order(frames(given)), frames(kept), "{given}");
    }

    #[test]
    fn what_continues_an_earlier_transaction_is_kept() {
        check("", "");
        check("a2", "a2");
        check("a2!", "a2!");
        check("a2! b0", "a2! b0");
        check("b1 b2!", "b1 b2!");
    }

    #[test]
    fn frames_of_one_channel_are_contiguous() {
        check("b1 b3", "b1");
        check("b1 b1", "b1");
        check("b1 b0", "b1");
        check("b1! b2", "b1!");
        check("b0! b0!", "b0!");
        check("b1 b3! b2 b3!", "b1 b2 b3!");
        check("a65535 a0", "a65535");
    }

    #[test]
    fn another_channel_begins_with_its_first_frame() {
        check("a2! b1", "a2!");
        check("b1 a2!", "b1");
        check("b1 c3", "b1");
        check("b1 c3 b2!", "b1 b2!");
    }

    #[test]
    fn a_first_frame_removes_the_open_channel_before_it() {
        check("b1 a0", "a0");
        check("b1! a0", "b1! a0");
        check("c0 c1 c2 d0 c3!", "d0");
        check("x0! c0 c1 d0!", "x0! d0!");
        // Only the open run: an earlier channel of the same name was complete.
        check("a0! b0! a0 c0!", "a0! b0! c0!");
    }

    #[test]
    fn a_mixture_of_all_of_it() {
        check("b1 b2! a0 c1! a1 a2! c0 c1 d0 c2! e0", "b1 b2! a0 a1 a2! e0");
    }

    #[test]
    fn one_bad_frame_rejects_its_transaction_and_no_other() {
        let good = Bytes::from(encode_frames(&frames("a0 a1!")));
        let bad = Bytes::from(good[..good.len() - 1].to_vec());
        let mut queue = FrameQueue::default();
        queue.load([bad, Bytes::new(), Bytes::from_static(&[1, 2, 3]), good.clone(), good]);
        let read: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(read, frames("a0 a1! a0 a1!"));
    }

    #[test]
    fn transactions_are_put_in_order_one_by_one() {
        let mut queue = FrameQueue::default();
        queue.load(["a0 a1", "b1 a2!"].map(|text| encode_frames(&frames(text)).into()));
        let read: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(read, frames("a0 a1 b1"));
    }
}
