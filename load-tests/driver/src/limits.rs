//! The bounds of a run.

use std::time::Duration;

/// Transactions that are signed ahead: at 600 bytes each, with the request that carries them, 12 GB, which is a quarter of
/// an hour at the fastest that was measured.
pub(crate) const COUNT_MAX: u64 = 20_000_000;
/// What is sent when nothing is said.
pub(crate) const COUNT_DEFAULT: u64 = 20_000;
/// How long a run, or its end, may take.
pub(crate) const DURATION_SECS_MAX: f64 = 86_400.0;
/// How long after the end of a run with a rate may be sent what was due before it.
pub(crate) const LATE_MAX: Duration = Duration::from_secs(1);
/// Transactions a second.
pub(crate) const RATE_MAX: f64 = 1_000_000.0;
/// Accounts that send.
pub(crate) const SENDERS_MAX: u64 = 100_000;
/// Transactions that reads look at. More than a few thousand differ in nothing, and each has its own request.
pub(crate) const READ_TRANSACTIONS_MAX: u64 = 100_000;
/// Connections.
pub(crate) const CONNECTIONS_MAX: u64 = 4_096;
/// Transactions a request.
pub(crate) const BATCH_MAX: u64 = 1_000;
/// The largest answer that is read: a block of 100,000 hashes has 7 MB.
pub(crate) const RESPONSE_BYTES_MAX: usize = 256 << 20;
/// How long an endpoint may think about one request.
pub(crate) const RESPONSE_SECS_MAX: u64 = 30;
/// How long the endpoint may take to include transactions of the preparation.
pub(crate) const SETUP_SECS_MAX: u64 = 120;
/// Different errors that are counted apart; the rest is counted together.
pub(crate) const ERROR_KINDS_MAX: usize = 32;
