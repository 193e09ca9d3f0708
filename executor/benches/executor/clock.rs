//! How much time threads spent on a core, where the system tells.

use std::{fs, time::Duration};

/// What this thread has used so far.
pub(crate) fn thread() -> Duration {
    read("/proc/thread-self/schedstat")
}

/// What all threads that still live have used so far.
pub(crate) fn process() -> Duration {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    tasks.flatten().map(|task| read(task.path().join("schedstat"))).sum()
}

fn read(path: impl AsRef<std::path::Path>) -> Duration {
    let spent = fs::read_to_string(path).ok();
    let spent = spent.as_ref().and_then(|line| line.split_whitespace().next()?.parse().ok());
    spent.map_or(Duration::ZERO, Duration::from_nanos)
}
