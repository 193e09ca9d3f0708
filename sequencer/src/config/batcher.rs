//! How blocks are posted to L1, and who pays for it.

use std::{path::PathBuf, time::Duration};

use alloy_primitives::Address;
use millrace_batcher::{BatchFormat, ConfigError, KindPolicy};
use millrace_protocol::{CompressionAlgo, RollupConfig};
use serde::{Deserialize, Serialize};

use super::{Span, settings::redact_url};

/// How batches are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A batch for many blocks: smaller.
    Span,
    /// A batch for each block.
    Singular,
}

/// How channels are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Smaller.
    Brotli,
    /// Understood by chains older than Fjord, too.
    Zlib,
}

/// How channels travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// In whichever way is cheaper now.
    Cheaper,
    /// In blobs.
    Blobs,
    /// As calldata.
    Calldata,
}

/// What was said about batching. In the file, a table named `batcher`.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatcherSettings {
    /// A file with the batcher's private key, in hexadecimal.
    #[arg(
        id = "batcher_key_file",
        long = "batcher-key-file",
        env = "MILLRACE_BATCHER_KEY_FILE",
        value_name = "PATH"
    )]
    pub key_file: Option<PathBuf>,
    /// A keystore with the batcher's private key.
    #[arg(
        id = "batcher_keystore",
        long = "batcher-keystore",
        env = "MILLRACE_BATCHER_KEYSTORE",
        value_name = "PATH"
    )]
    pub keystore: Option<PathBuf>,
    /// A file with the keystore's password.
    #[arg(
        id = "batcher_keystore_password_file",
        long = "batcher-keystore-password-file",
        env = "MILLRACE_BATCHER_KEYSTORE_PASSWORD_FILE",
        value_name = "PATH"
    )]
    pub keystore_password_file: Option<PathBuf>,
    /// A signer that has the batcher's key and answers eth_signTransaction.
    #[arg(
        id = "batcher_signer_url",
        long = "batcher-signer-url",
        env = "MILLRACE_BATCHER_SIGNER_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub signer_url: Option<String>,
    /// For whom it signs.
    #[arg(
        id = "batcher_address",
        long = "batcher-address",
        env = "MILLRACE_BATCHER_ADDRESS",
        value_name = "ADDRESS"
    )]
    pub address: Option<Address>,
    /// How batches are written [default: span].
    #[arg(
        id = "batcher_format",
        long = "batcher-format",
        env = "MILLRACE_BATCHER_FORMAT",
        value_name = "FORMAT"
    )]
    pub format: Option<Format>,
    /// How channels are compressed [default: brotli].
    #[arg(
        id = "batcher_compression",
        long = "batcher-compression",
        env = "MILLRACE_BATCHER_COMPRESSION",
        value_name = "ALGORITHM"
    )]
    pub compression: Option<Compression>,
    /// How hard, from 0 to 11 for brotli and to 9 for zlib [default: 5].
    #[arg(
        id = "batcher_compression_level",
        long = "batcher-compression-level",
        env = "MILLRACE_BATCHER_COMPRESSION_LEVEL",
        value_name = "N"
    )]
    pub compression_level: Option<u8>,
    /// How channels travel [default: cheaper].
    #[arg(
        id = "batcher_carrier",
        long = "batcher-carrier",
        env = "MILLRACE_BATCHER_CARRIER",
        value_name = "CARRIER"
    )]
    pub carrier: Option<Carrier>,
    /// How many full transactions a channel takes before it is closed [default: 1].
    #[arg(
        id = "batcher_channel_transactions",
        long = "batcher-channel-transactions",
        env = "MILLRACE_BATCHER_CHANNEL_TRANSACTIONS",
        value_name = "N"
    )]
    pub channel_transactions: Option<usize>,
    /// The most bytes of calldata in one transaction [default: 120000].
    #[arg(
        id = "batcher_calldata_bytes_max",
        long = "batcher-calldata-bytes-max",
        env = "MILLRACE_BATCHER_CALLDATA_BYTES_MAX",
        value_name = "N"
    )]
    pub calldata_bytes_max: Option<usize>,
    /// For how many L1 blocks a channel stays open at most [default: 10].
    #[arg(
        id = "batcher_channel_l1_blocks",
        long = "batcher-channel-l1-blocks",
        env = "MILLRACE_BATCHER_CHANNEL_L1_BLOCKS",
        value_name = "N"
    )]
    pub channel_l1_blocks: Option<u64>,
    /// After how long without further transactions a channel that has some is closed [default: 60s].
    #[arg(
        id = "batcher_idle",
        long = "batcher-idle",
        env = "MILLRACE_BATCHER_IDLE",
        value_name = "SPAN"
    )]
    pub idle: Option<Span>,
    /// After how long a transaction that L1 does not include offers more [default: 48s].
    #[arg(
        id = "batcher_bump_after",
        long = "batcher-bump-after",
        env = "MILLRACE_BATCHER_BUMP_AFTER",
        value_name = "SPAN"
    )]
    pub bump_after: Option<Span>,
    /// How deep in L1 a transaction has to be to be done with [default: 10].
    #[arg(
        id = "batcher_confirmations",
        long = "batcher-confirmations",
        env = "MILLRACE_BATCHER_CONFIRMATIONS",
        value_name = "N"
    )]
    pub confirmations: Option<u64>,
    /// The most that is paid for a unit of gas, in gwei [default: 2000].
    #[arg(
        id = "batcher_fee_cap_gwei",
        long = "batcher-fee-cap-gwei",
        env = "MILLRACE_BATCHER_FEE_CAP_GWEI",
        value_name = "GWEI"
    )]
    pub fee_cap_gwei: Option<u64>,
    /// The most that is paid for a unit of blob gas, in gwei [default: 5000].
    #[arg(
        id = "batcher_blob_fee_cap_gwei",
        long = "batcher-blob-fee-cap-gwei",
        env = "MILLRACE_BATCHER_BLOB_FEE_CAP_GWEI",
        value_name = "GWEI"
    )]
    pub blob_fee_cap_gwei: Option<u64>,
    /// When so many blocks wait to be posted, new ones stay empty [default: 3600].
    #[arg(
        id = "batcher_backlog_blocks_max",
        long = "batcher-backlog-blocks-max",
        env = "MILLRACE_BATCHER_BACKLOG_BLOCKS_MAX",
        value_name = "N"
    )]
    pub backlog_blocks_max: Option<u64>,
    /// The same by the size of their transactions, in MiB [default: 256].
    #[arg(
        id = "batcher_backlog_mib_max",
        long = "batcher-backlog-mib-max",
        env = "MILLRACE_BATCHER_BACKLOG_MIB_MAX",
        value_name = "MIB"
    )]
    pub backlog_mib_max: Option<u64>,
}

/// How blocks are posted.
#[derive(Debug, Clone)]
pub struct BatcherConfig {
    /// Who signs; nobody: nothing is posted.
    pub key: Option<KeySource>,
    /// How batches are written.
    pub format: BatchFormat,
    /// How channels are compressed.
    pub compression: CompressionAlgo,
    /// How channels travel.
    pub carrier: Carrier,
    /// How many full transactions a channel takes.
    pub channel_transactions: usize,
    /// The most bytes of calldata in one transaction.
    pub calldata_bytes_max: usize,
    /// For how many L1 blocks a channel stays open.
    pub channel_l1_blocks: u64,
    /// After how long without further transactions a channel that has some is closed.
    pub idle: Duration,
    /// After how long a transaction offers more.
    pub bump_after: Duration,
    /// How deep in L1 a transaction has to be.
    pub confirmations: u64,
    /// The most that is paid for a unit of gas, in gwei.
    pub fee_cap_gwei: u64,
    /// The most that is paid for a unit of blob gas, in gwei.
    pub blob_fee_cap_gwei: u64,
    /// How many blocks may wait to be posted.
    pub backlog_blocks_max: u64,
    /// How many bytes of transactions may.
    pub backlog_bytes_max: u64,
}

/// Where the batcher's key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a file, in hexadecimal.
    File(PathBuf),
    /// In a keystore, whose password is in a file.
    Keystore {
        /// The keystore.
        path: PathBuf,
        /// The password's file.
        password: PathBuf,
    },
    /// With a signer.
    Remote {
        /// Its address.
        url: String,
        /// For whom it signs.
        address: Address,
    },
    /// One of the development accounts. Never from configuration.
    Development(usize),
}

impl BatcherSettings {
    pub(super) fn defaults() -> Self {
        let span = |seconds| Some(Span(Duration::from_secs(seconds)));
        Self {
            format: Some(Format::Span),
            compression: Some(Compression::Brotli),
            compression_level: Some(5),
            carrier: Some(Carrier::Cheaper),
            channel_transactions: Some(1),
            calldata_bytes_max: Some(millrace_batcher::CALLDATA_BYTES_MAX),
            channel_l1_blocks: Some(10),
            idle: span(60),
            bump_after: span(48),
            confirmations: Some(10),
            fee_cap_gwei: Some(2_000),
            blob_fee_cap_gwei: Some(5_000),
            backlog_blocks_max: Some(3_600),
            backlog_mib_max: Some(256),
            ..Self::default()
        }
    }

    pub(super) fn or(self, others: Self) -> Self {
        macro_rules! each {
            ($($key:ident)*) => { Self { $($key: self.$key.or(others.$key)),* } };
        }
        each! {
            key_file keystore keystore_password_file signer_url address format compression compression_level carrier
            channel_transactions calldata_bytes_max channel_l1_blocks idle bump_after confirmations fee_cap_gwei
            blob_fee_cap_gwei backlog_blocks_max backlog_mib_max
        }
    }

    pub(super) fn redacted(mut self) -> Self {
        self.signer_url = self.signer_url.as_deref().map(redact_url);
        self
    }
}

impl BatcherConfig {
    /// Turns it into what the batcher wants for a rollup.
    pub(crate) fn for_rollup(
        &self,
        rollup: std::sync::Arc<millrace_protocol::RollupConfig>,
        poll: Duration,
    ) -> millrace_batcher::Config {
        use millrace_batcher::Kind;

        const GWEI: u128 = 1_000_000_000;
        let mut config = millrace_batcher::Config::new(rollup);
        config.format = self.format;
        config.compression = self.compression;
        config.kind = match self.carrier {
            Carrier::Cheaper => config.kind,
            Carrier::Blobs => KindPolicy::Only(Kind::Blobs),
            Carrier::Calldata => KindPolicy::Only(Kind::Calldata),
        };
        config.channel_transactions = self.channel_transactions;
        config.calldata_bytes_max = self.calldata_bytes_max;
        config.channel_duration_max = self.channel_l1_blocks;
        config.window_margin = config.window_margin.min(config.rollup.seq_window_size / 4);
        config.idle = self.idle;
        config.bump_after = self.bump_after;
        config.confirmations = self.confirmations;
        config.caps.fee_cap_max = u128::from(self.fee_cap_gwei) * GWEI;
        config.caps.blob_fee_cap_max = u128::from(self.blob_fee_cap_gwei) * GWEI;
        config.backlog_blocks_max = self.backlog_blocks_max;
        config.backlog_bytes_max = self.backlog_bytes_max;
        config.poll = poll;
        config.retry = poll;
        config
    }
}

impl super::Check<'_> {
    pub(super) fn batcher(&mut self) -> BatcherConfig {
        let level = self.required("batcher.compression_level", |s| s.batcher.compression_level);
        let compression = self.required("batcher.compression", |s| s.batcher.compression);
        let (compression, level_max) = match compression {
            Compression::Brotli => (CompressionAlgo::Brotli { level }, 11),
            Compression::Zlib => (CompressionAlgo::Zlib { level }, 9),
        };
        self.that(level <= level_max, "batcher.compression_level", || {
            format!("the highest level is {level_max}")
        });
        let key = self.key();
        let config = BatcherConfig {
            key,
            format: match self.required("batcher.format", |s| s.batcher.format) {
                Format::Span => BatchFormat::Span,
                Format::Singular => BatchFormat::Singular,
            },
            compression,
            carrier: self.required("batcher.carrier", |s| s.batcher.carrier),
            channel_transactions: self
                .positive("batcher.channel_transactions", |s| s.batcher.channel_transactions),
            calldata_bytes_max: self
                .positive("batcher.calldata_bytes_max", |s| s.batcher.calldata_bytes_max),
            channel_l1_blocks: self
                .positive("batcher.channel_l1_blocks", |s| s.batcher.channel_l1_blocks),
            idle: self.required("batcher.idle", |s| s.batcher.idle).0,
            bump_after: self.required("batcher.bump_after", |s| s.batcher.bump_after).0,
            confirmations: self.positive("batcher.confirmations", |s| s.batcher.confirmations),
            fee_cap_gwei: self.positive("batcher.fee_cap_gwei", |s| s.batcher.fee_cap_gwei),
            blob_fee_cap_gwei: self
                .positive("batcher.blob_fee_cap_gwei", |s| s.batcher.blob_fee_cap_gwei),
            backlog_blocks_max: self
                .positive("batcher.backlog_blocks_max", |s| s.batcher.backlog_blocks_max),
            backlog_bytes_max: self
                .positive("batcher.backlog_mib_max", |s| s.batcher.backlog_mib_max)
                .saturating_mul(1 << 20),
        };
        self.usable(&config);
        config
    }

    /// Has the batcher look at it, as if for a rollup like most: what the rollup itself decides is checked when it is known.
    fn usable(&mut self, config: &BatcherConfig) {
        let rollup = std::sync::Arc::new(RollupConfig::usual(1));
        let problem = match config.for_rollup(rollup, Duration::from_secs(1)).validate() {
            // What is zero was found already.
            Ok(()) | Err(ConfigError::Zero(_)) => return,
            Err(error) => error,
        };
        let key = match problem.key() {
            "channel_transactions" => "batcher.channel_transactions",
            "calldata_bytes_max" => "batcher.calldata_bytes_max",
            "channel_duration_max" => "batcher.channel_l1_blocks",
            _ => "batcher",
        };
        self.that(false, key, || match problem {
            ConfigError::Zero(_) => "must not be zero".into(),
            ConfigError::TooLarge { max, .. } => format!("must be at most {max}"),
            ConfigError::TooSmall { min, .. } => format!("must be at least {min}"),
        });
    }

    /// One source of the key, if any.
    fn key(&mut self) -> Option<KeySource> {
        let settings = &self.settings.batcher;
        let file = settings.key_file.clone().map(KeySource::File);
        let keystore = settings.keystore.clone();
        let password = settings.keystore_password_file.clone();
        let (url, address) = (settings.signer_url.clone(), settings.address);
        self.that(keystore.is_some() == password.is_some(), "batcher.keystore", || {
            "a keystore and the file with its password belong together".into()
        });
        self.that(url.is_some() == address.is_some(), "batcher.signer_url", || {
            "a signer and the address for which it signs belong together".into()
        });
        let keystore =
            keystore.zip(password).map(|(path, password)| KeySource::Keystore { path, password });
        let remote = url.zip(address).map(|(url, address)| KeySource::Remote { url, address });
        let mut sources: Vec<_> = [file, keystore, remote].into_iter().flatten().collect();
        self.that(sources.len() <= 1, "batcher.key_file", || {
            "the key comes from a file, a keystore or a signer, not from several".into()
        });
        sources.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Settings};

    fn check(settings: BatcherSettings, expected: &str) {
        let settings = Settings { batcher: settings, ..Settings::default() };
        let problems = Config::from_settings(&settings.or(Settings::defaults())).err();
        let problems: Vec<_> = problems.iter().flatten().map(ToString::to_string).collect();
        assert_eq!(problems, [expected]);
    }

    #[test]
    fn what_the_batcher_would_refuse_is_refused_by_name() {
        let settings = BatcherSettings::default;
        check(
            BatcherSettings { channel_l1_blocks: Some(26), ..settings() },
            "batcher.channel_l1_blocks: must be at most 25",
        );
        check(
            BatcherSettings { calldata_bytes_max: Some(127), ..settings() },
            "batcher.calldata_bytes_max: must be at least 128",
        );
        check(
            BatcherSettings { channel_transactions: Some(101), ..settings() },
            "batcher.channel_transactions: must be at most 100",
        );
        check(
            BatcherSettings { confirmations: Some(0), ..settings() },
            "batcher.confirmations: must not be zero",
        );
    }
}
