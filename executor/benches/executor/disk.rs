//! What it costs to read something of the state for the first time: nothing, or a nap.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, U256, map::HashSet};
const PARTS: usize = 64;

/// A disk with a cache that starts cold and never forgets. A thread that waits for it leaves its core to others.
#[derive(Debug)]
pub(crate) struct ColdDisk {
    nap: Duration,
    /// What was read before, in parts so that threads seldom wait for each other.
    warm: [Mutex<HashSet<Read>>; PARTS],
    hasher: RandomState,
}

/// Something that lies on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Read {
    Account(Address),
    Slot(Address, U256),
    Code(B256),
}

impl ColdDisk {
    pub(crate) fn new(nap: Duration) -> Self {
        let warm = std::array::from_fn(|_| Mutex::default());
        Self { nap, warm, hasher: RandomState::new() }
    }

    /// Empties the cache.
    pub(crate) fn cool(&self) {
        for part in &self.warm {
            part.lock().unwrap().clear();
        }
    }

    /// Returns when what was asked for is in memory.
    pub(crate) fn read(&self, read: Read) {
        let part = &self.warm[self.hasher.hash_one(read) as usize % PARTS];
        if part.lock().unwrap().insert(read) {
            thread::sleep(self.nap);
        }
    }
}

/// How long to ask for a nap, and how long it then really is: as close to what is wanted as the system's clock comes.
pub(crate) fn calibrate(wanted: Duration) -> (Duration, Duration) {
    let overhead = really(Duration::from_nanos(1));
    let nap = wanted.saturating_sub(overhead).max(Duration::from_nanos(1));
    (nap, really(nap))
}

fn really(nap: Duration) -> Duration {
    const NAPS: u32 = 2_000;
    let start = Instant::now();
    for _ in 0..NAPS {
        thread::sleep(nap);
    }
    start.elapsed() / NAPS
}
