//! The wall clock, read in one place.

use std::time::{Duration, SystemTime};

/// The time since the epoch; zero on a machine whose clock stands before it.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The same, in milliseconds.
pub(crate) fn unix_time_ms() -> u64 {
    u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX)
}
