//! The hand-over between threads, in every interleaving: loom runs the executor's own file with loom's primitives.

use std::{panic::AssertUnwindSafe, sync::Arc};

use self::handover::Handover;

#[path = "../../src/parallel/handover.rs"]
#[allow(dead_code, reason = "the model does not need all of it")]
mod handover;

/// What the file is made of here.
mod sync {
    pub(super) use loom::sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    };

    /// One look before falling asleep: both ways to a value are tried.
    pub(super) const SPINS: usize = 1;

    pub(super) fn pause() {
        loom::thread::yield_now();
    }
}

#[test]
fn a_value_that_was_put_is_taken_once_and_wakes_who_waits() {
    loom::model(|| {
        let handover = Arc::new(Handover::new());
        let taker = {
            let handover = handover.clone();
            loom::thread::spawn(move || [handover.take(), handover.take()])
        };
        handover.put(1);
        handover.put(2);
        assert_eq!(taker.join().unwrap(), [Some(1), Some(2)]);
        assert_eq!(handover.try_take(), None);
    });
}

#[test]
fn two_takers_share_what_is_put_and_go_home_when_it_is_closed() {
    loom::model(|| {
        let handover = Arc::new(Handover::new());
        let other = {
            let handover = handover.clone();
            loom::thread::spawn(move || handover.take())
        };
        handover.put(7);
        handover.close();
        let mine = handover.take();
        let theirs = other.join().unwrap();
        assert_eq!((mine.is_some(), theirs.is_some()), (theirs.is_none(), mine.is_none()));
    });
}

#[test]
fn a_result_reaches_its_caller_through_a_second_handover() {
    loom::model(|| {
        let jobs = Arc::new(Handover::<u32>::new());
        let results = Arc::new(Handover::new());
        let worker = {
            let (jobs, results) = (jobs.clone(), results.clone());
            loom::thread::spawn(move || {
                while let Some(job) = jobs.take() {
                    results.put(job * 10);
                }
            })
        };
        jobs.put(4);
        // As the caller does: whatever nobody has begun, it does itself.
        let answer = match jobs.try_take() {
            Some(job) => Some(job * 10),
            None => results.take(),
        };
        assert_eq!(answer, Some(40));
        jobs.close();
        worker.join().unwrap();
    });
}

#[test]
fn the_model_notices_a_lost_value() {
    // A check of the check: loom must see that nobody ever puts anything here.
    let lost = std::panic::catch_unwind(AssertUnwindSafe(|| {
        loom::model(|| {
            assert_eq!(Handover::<u32>::new().take(), None);
        });
    }));
    assert!(lost.is_err());
}
