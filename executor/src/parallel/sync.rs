//! What the hand-over is made of. Its model test puts loom's in this place.

pub(super) use std::sync::{
    Condvar, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

/// How often to look before falling asleep: some twenty microseconds.
pub(super) const SPINS: usize = 400;

/// What a thread does between two looks.
pub(super) fn pause() {
    std::hint::spin_loop();
}
