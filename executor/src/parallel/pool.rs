//! Threads that live as long as the executor, and what is given to them to do.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::handover::Handover;

type Job = Box<dyn FnOnce() + Send>;

/// The threads besides the caller's. Dropping it ends them, after what they are doing.
pub(crate) struct Pool {
    jobs: Arc<Handover<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// Work under way, in any number of pieces.
pub(crate) struct Errands<'a, T> {
    pool: &'a Pool,
    results: Arc<Handover<(usize, thread::Result<T>)>>,
    outstanding: usize,
}

impl Pool {
    /// Starts so many threads. A system that refuses one gets along with fewer: the caller does whatever nobody takes.
    pub(crate) fn new(threads: usize) -> Self {
        let jobs = Arc::new(Handover::<Job>::new());
        let start = |index| {
            let jobs = jobs.clone();
            let work = move || {
                while let Some(job) = jobs.take() {
                    job();
                }
            };
            thread::Builder::new().name(format!("executor-{index}")).spawn(work).ok()
        };
        let threads = (1..=threads).filter_map(start).collect();
        Self { jobs, threads }
    }

    /// How many threads there are, the caller's included.
    pub(crate) fn width(&self) -> usize {
        self.threads.len() + 1
    }

    /// Begins to give out work.
    pub(crate) fn errands<T: Send + 'static>(&self) -> Errands<'_, T> {
        Errands { pool: self, results: Arc::new(Handover::new()), outstanding: 0 }
    }
}

impl<T: Send + 'static> Errands<'_, T> {
    /// Has something done by whoever is free.
    pub(crate) fn give(&mut self, id: usize, work: impl FnOnce() -> T + Send + 'static) {
        let results = self.results.clone();
        self.outstanding += 1;
        self.pool.jobs.put(Box::new(move || {
            // Whatever the work held is dropped by the panic, so nothing half-done can be seen afterwards.
            let result = catch_unwind(AssertUnwindSafe(work));
            results.put((id, result));
        }));
    }

    /// The next result; meanwhile the caller does what nobody has begun. Nothing once everything is back.
    pub(crate) fn next(&mut self) -> Option<(usize, thread::Result<T>)> {
        if self.outstanding == 0 {
            return None;
        }
        self.outstanding -= 1;
        loop {
            if let Some(result) = self.results.try_take() {
                return Some(result);
            }
            match self.pool.jobs.try_take() {
                Some(job) => job(),
                // Nobody else takes from here, and nobody closes it: there is an answer for each piece of work.
                None => return self.results.take(),
            }
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("width", &self.width()).finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs.close();
        for thread in self.threads.drain(..) {
            // Jobs catch their own panics.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errand_is_answered_even_without_threads() {
        for threads in [0, 1, 3] {
            let pool = Pool::new(threads);
            let mut errands = pool.errands();
            (0..20).for_each(|id| errands.give(id, move || id * id));
            let mut answers: Vec<_> = std::iter::from_fn(|| errands.next())
                .map(|(id, answer)| (id, answer.unwrap()))
                .collect();
            answers.sort_unstable();
            assert_eq!(answers, (0..20).map(|id| (id, id * id)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_panic_is_an_answer_and_the_thread_lives_on() {
        let pool = Pool::new(1);
        for _ in 0..3 {
            let mut errands = pool.errands();
            errands.give(0, || panic!("on purpose"));
            errands.give(1, || ());
            let answers: Vec<_> = std::iter::from_fn(|| errands.next()).collect();
            assert_eq!(answers.len(), 2);
            assert!(answers.iter().all(|(id, answer)| answer.is_err() == (*id == 0)));
        }
    }
}
