//! CPU time and memory of processes, from /proc.

use std::time::Duration;

/// In which unit Linux states CPU time to programs, on every architecture that we run on.
const TICKS_A_SECOND: u64 = 100;

/// The CPU time, user and system, that a process has used. `None` where it is gone or there is no /proc.
pub(crate) fn cpu(pid: u32) -> Option<Duration> {
    parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Our own.
pub(crate) fn own_cpu() -> Option<Duration> {
    cpu(std::process::id())
}

/// The memory that a process has, as far as it is in RAM, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Option<u64> {
    resident(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib >> 10)
}

/// The name of a program may hold anything, so that fields are counted from its closing bracket.
fn parse(stat: &str) -> Option<Duration> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let total = ticks()? + ticks()?;
    Some(Duration::from_millis(total * 1_000 / TICKS_A_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_add_up() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 150 27 5 6 20 0 9 0 1 2 3";
        assert_eq!(parse(stat), Some(Duration::from_millis(1_770)));
        assert_eq!(parse("42 (a) S 1"), None);
        assert!(own_cpu().is_some());
    }

    #[test]
    fn memory_is_what_is_resident() {
        let status = "Name:\tVmRSS:\nVmPeak:\t  999999 kB\nVmRSS:\t  262656 kB\nThreads:\t3\n";
        assert_eq!(resident(status), Some(256));
        assert_eq!(resident("Name:\tzombie\n"), None);
        assert!(resident_mib(std::process::id()).is_some());
    }
}
