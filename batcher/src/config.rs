//! What can be configured about batching, and what is checked about it.

use std::{num::NonZeroU128, sync::Arc, time::Duration};

use alloy_primitives::U256;
use millrace_protocol::{BLOB_DATA_MAX, CompressionAlgo, Frame, RollupConfig};

use crate::{
    fees::FeeCaps,
    limits::{BLOBS_MAX, CALLDATA_BYTES_MAX, VERSION_LEN},
    record::Kind,
};

/// How blocks are written into a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchFormat {
    /// A batch for each block.
    Singular,
    /// A batch for many blocks, column by column: smaller.
    Span,
}

/// How channels travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindPolicy {
    /// Always in this way.
    Only(Kind),
    /// In whichever way is cheaper.
    Cheaper {
        /// What to begin with.
        start: Kind,
        /// By how many percent the other one must be cheaper before we change.
        hysteresis_percent: NonZeroU128,
    },
}

/// Everything that can be configured about batching.
#[derive(Debug, Clone)]
pub struct Config {
    /// The rollup, which fixes the inbox, the channel timeout and the sequencing window.
    pub rollup: Arc<RollupConfig>,
    /// How blocks are written.
    pub format: BatchFormat,
    /// How channels are compressed.
    pub compression: CompressionAlgo,
    /// How channels travel.
    pub kind: KindPolicy,
    /// How many full transactions a channel shall take.
    pub channel_transactions: usize,
    /// The most bytes of calldata in a transaction.
    pub calldata_bytes_max: usize,
    /// The most bytes in a blob.
    pub blob_bytes_max: usize,
    /// The most blobs in a transaction.
    pub blobs_max: usize,
    /// A channel is closed when it was open for so many L1 blocks.
    pub channel_duration_max: u64,
    /// A channel is closed when its first block's epoch is so near the end of its sequencing window, in L1 blocks.
    pub window_margin: u64,
    /// A channel with transactions is closed when no more of them came for so long: whoever sent them waits for L1. One
    /// of empty blocks waits for `channel_duration_max`, as a quiet chain would else pay for a channel every `idle`.
    pub idle: Duration,
    /// The most transactions that are sent and not included.
    pub in_flight_max: usize,
    /// The most transactions between the ledger and their settlement. Their bytes are in memory.
    pub unsettled_max: usize,
    /// How deep a transaction must be in L1's chain to be forgotten (if its blocks are safe, too): 1 is the head.
    pub confirmations: u64,
    /// For how many L1 blocks contradictory answers must persist before they are believed.
    pub doubt: u64,
    /// A transaction that is not included for so long offers more.
    pub bump_after: Duration,
    /// How often L1 is looked at.
    pub poll: Duration,
    /// How long to wait after a failure.
    pub retry: Duration,
    /// What we offer at most.
    pub caps: FeeCaps,
    /// The sequencer is told to wait when more blocks than this are not on L1.
    pub backlog_blocks_max: u64,
    /// The sequencer is told to wait when more bytes of transactions than this are not on L1.
    pub backlog_bytes_max: u64,
    /// A smaller balance is warned about, in wei.
    pub balance_min: U256,
    /// A balance that lasts for less time at the present rate is warned about.
    pub runway_min: Duration,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A figure that must be more than zero.
    #[error("{0} must be more than zero")]
    Zero(&'static str),
    /// A figure beyond what L1 or the formats admit.
    #[error("{key} must be at most {max}")]
    TooLarge {
        /// Which one.
        key: &'static str,
        /// Its limit.
        max: u64,
    },
    /// A figure that leaves no room for data.
    #[error("{key} must be at least {min}")]
    TooSmall {
        /// Which one.
        key: &'static str,
        /// Its limit.
        min: u64,
    },
}

impl ConfigError {
    /// Which figure it is about.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Zero(key) | Self::TooLarge { key, .. } | Self::TooSmall { key, .. } => key,
        }
    }
}

impl Config {
    /// Sensible figures for a rollup on a public L1.
    pub fn new(rollup: Arc<RollupConfig>) -> Self {
        Self {
            rollup,
            format: BatchFormat::Span,
            // Higher levels save one byte in a hundred at three times the time: `make bench NAME=batch`.
            compression: CompressionAlgo::Brotli { level: 5 },
            kind: KindPolicy::Cheaper {
                start: Kind::Blobs,
                hysteresis_percent: const { NonZeroU128::new(20).unwrap() },
            },
            channel_transactions: 1,
            calldata_bytes_max: CALLDATA_BYTES_MAX,
            blob_bytes_max: BLOB_DATA_MAX,
            blobs_max: BLOBS_MAX,
            channel_duration_max: 10,
            window_margin: 100,
            idle: Duration::from_secs(60),
            in_flight_max: 8,
            unsettled_max: 64,
            confirmations: 10,
            doubt: 3,
            bump_after: Duration::from_secs(48),
            poll: Duration::from_secs(2),
            retry: Duration::from_secs(2),
            caps: FeeCaps::default(),
            backlog_blocks_max: 3_600,
            backlog_bytes_max: 256 << 20,
            balance_min: U256::from(100_000_000_000_000_000_u64),
            runway_min: Duration::from_hours(24),
        }
    }

    /// Says what is wrong, if anything is.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("channel_transactions", self.channel_transactions as u64),
            ("blobs_max", self.blobs_max as u64),
            ("channel_duration_max", self.channel_duration_max),
            ("in_flight_max", self.in_flight_max as u64),
            ("confirmations", self.confirmations),
            ("doubt", self.doubt),
            ("backlog_blocks_max", self.backlog_blocks_max),
            ("backlog_bytes_max", self.backlog_bytes_max),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Zero(key));
        }
        let window = self.rollup.seq_window_size;
        let bounded = [
            // A frame's number has 16 bits; far fewer make sense within a channel's timeout.
            ("channel_transactions", self.channel_transactions as u64, 100),
            ("calldata_bytes_max", self.calldata_bytes_max as u64, CALLDATA_BYTES_MAX as u64),
            ("blob_bytes_max", self.blob_bytes_max as u64, BLOB_DATA_MAX as u64),
            ("blobs_max", self.blobs_max as u64, BLOBS_MAX as u64),
            ("channel_duration_max", self.channel_duration_max, self.rollup.channel_timeout / 2),
            ("window_margin", self.window_margin, window.saturating_sub(1)),
            ("in_flight_max", self.in_flight_max as u64, self.unsettled_max as u64),
        ];
        if let Some((key, _, max)) = bounded.into_iter().find(|(_, value, max)| value > max) {
            return Err(ConfigError::TooLarge { key, max });
        }
        // Below this the overhead outweighs the data; and the frames of the largest channel must be countable.
        let min = 128;
        let roomy = [
            ("calldata_bytes_max", self.calldata_bytes_max),
            ("blob_bytes_max", self.blob_bytes_max),
        ];
        match roomy.into_iter().find(|(_, value)| *value < min) {
            Some((key, _)) => Err(ConfigError::TooSmall { key, min: min as u64 }),
            None => Ok(()),
        }
    }

    /// Channel data in one frame.
    pub(crate) fn frame_room(&self, kind: Kind) -> usize {
        let room = match kind {
            Kind::Calldata => self.calldata_bytes_max,
            Kind::Blobs => self.blob_bytes_max,
        };
        room - VERSION_LEN - Frame::OVERHEAD
    }

    /// Frames in one transaction.
    pub(crate) const fn transaction_frames(&self, kind: Kind) -> usize {
        match kind {
            Kind::Calldata => 1,
            Kind::Blobs => self.blobs_max,
        }
    }

    /// The compressed size at which a channel is full.
    pub(crate) fn channel_bytes(&self, kind: Kind) -> usize {
        self.channel_transactions * self.transaction_frames(kind) * self.frame_room(kind)
    }
}
