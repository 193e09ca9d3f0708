//! The one place where threads meet: values put by some are taken by others.
//!
//! ```text
//! put:   lock ─► push ─► count := len (release) ─► unlock ─► wake one
//! take:  watch the count for a moment ─► lock ─► pop, or sleep until woken
//! ```
//!
//! The lock protects everything; the counter only tells when taking it may be worth while. `tests/it/threads.rs` lets loom
//! try every interleaving of this file.

use std::collections::VecDeque;

use super::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, SPINS, pause};

/// A queue between threads. Its users bound it: nobody puts more than one value a lane.
#[derive(Debug)]
pub(crate) struct Handover<T> {
    /// How many values wait. It is stored with release under the lock and loaded with acquire without it, so that whoever
    /// sees a value counted also sees the lock's holder done counting; a stale zero costs a nap, never a value.
    waiting: AtomicUsize,
    state: Mutex<State<T>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct State<T> {
    values: VecDeque<T>,
    closed: bool,
}

impl<T> Handover<T> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            state: Mutex::new(State { values: VecDeque::new(), closed: false }),
            arrived: Condvar::new(),
        }
    }

    /// Adds a value at the end and wakes one who sleeps.
    pub(crate) fn put(&self, value: T) {
        let mut state = self.lock();
        state.values.push_back(value);
        self.waiting.store(state.values.len(), Ordering::Release);
        drop(state);
        self.arrived.notify_one();
    }

    /// The first value, if there is one.
    pub(crate) fn try_take(&self) -> Option<T> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.pop(&mut self.lock())
    }

    /// The first value, as soon as there is one; nothing once it is closed and empty.
    pub(crate) fn take(&self) -> Option<T> {
        // Within a block the next value is microseconds away, less than falling asleep and being woken.
        for _ in 0..SPINS {
            if let Some(value) = self.try_take() {
                return Some(value);
            }
            pause();
        }
        let mut state = self.lock();
        loop {
            if let Some(value) = self.pop(&mut state) {
                return Some(value);
            }
            if state.closed {
                return None;
            }
            state = self.arrived.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// No more values will come: who waits in vain goes home.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    fn pop(&self, state: &mut State<T>) -> Option<T> {
        let value = state.values.pop_front();
        self.waiting.store(state.values.len(), Ordering::Release);
        value
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
