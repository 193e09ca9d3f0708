//! Processes that die and disks that fail, on SQLite.
//!
//! A child process (this test binary again, running only [`child`]) promises blocks and appends them, now and then removes
//! some again, and says what was acknowledged. Whatever is done to it, the journal afterwards is a linear chain that holds
//! everything acknowledged and nothing that was acknowledged to be gone, and what was promised of the next block.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use alloy_eips::BlockNumHash;
use millrace_sequencer::journal::{
    AppendError, Journal, OpenError, PromiseError, RewindError, WriteError,
};
use millrace_types::{ExecutedBlock, Waypoint};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    fixture::{self, GENESIS, IDENTITY, stored, with_waypoints},
    promises::{head, signed},
};
use crate::support::fault;

/// Enough gas for waypoints.
const TRANSFERS: usize = 60;

/// How many of them are promised at a time. Not the last ones.
const PROMISED_EACH: usize = 25;

fn block(parent: BlockNumHash) -> ExecutedBlock {
    with_waypoints(fixture::block(parent, 0, TRANSFERS), 5)
}

/// Keeps every block's waypoints: the checkpoint stays at genesis.
async fn open(path: &Path) -> Journal {
    let journal = Journal::open(&path.to_owned().into(), IDENTITY).await.unwrap();
    journal.keeping_waypoints(|| 0)
}

/// What the child is told: the journal's path, and a file to create after so many blocks.
const JOURNAL: &str = "MILLRACE_TEST_JOURNAL";
const SWITCH: &str = "MILLRACE_TEST_SWITCH";
const SWITCH_AFTER: &str = "MILLRACE_TEST_SWITCH_AFTER";

/// The child process: appends until it is killed or has failed three times.
#[tokio::test]
#[ignore = "started by the tests below"]
async fn child() {
    let journal = PathBuf::from(std::env::var_os(JOURNAL).unwrap());
    let journal = open(&journal).await;
    let switch = std::env::var_os(SWITCH);
    let switch_after = std::env::var_os(SWITCH_AFTER)
        .map_or(u64::MAX, |count| count.into_string().unwrap().parse().unwrap());
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
    };
    let tip = || journal.tip().map_or(0, |tip| tip.number);
    say("opened".to_owned());
    let (mut failures, mut appended, mut rewind_at) = (0, 0, 5);
    let mut promised =
        journal.promised().await.unwrap().map_or(0, |promised| promised.transactions.len());
    while failures < 3 {
        if appended == switch_after {
            std::fs::write(switch.as_ref().unwrap(), "").unwrap();
        }
        let done = if appended == rewind_at {
            let to = tip() - 2;
            say(format!("removing {to}"));
            journal.rewind(to).await.map(|()| format!("removed {to}")).map_err(
                |error| match error {
                    RewindError::Write(error) => error,
                    error => panic!("{error}"),
                },
            )
        } else {
            let next = block(journal.tip().unwrap_or(GENESIS));
            let number = next.block.number();
            let mut growing = Ok(());
            for group in signed(&next)[promised..].chunks_exact(PROMISED_EACH) {
                growing = journal.promise(&head(&next), promised as u64, group).await;
                if growing.is_err() {
                    break;
                }
                promised += PROMISED_EACH;
                say(format!("promised {promised}"));
            }
            match growing {
                Ok(()) => {
                    journal.append(&next).await.map(|()| format!("acknowledged {number}")).map_err(
                        |error| match error {
                            AppendError::Write(error) => error,
                            error => panic!("{error}"),
                        },
                    )
                }
                Err(PromiseError::Write(error)) => Err(error),
                Err(error) => panic!("{error}"),
            }
        };
        match done {
            Ok(done) if appended == rewind_at => {
                rewind_at += 5;
                say(done);
            }
            Ok(done) => {
                promised = 0;
                appended += 1;
                say(done);
            }
            Err(error) => {
                failures += 1;
                let kind = match error {
                    WriteError::DiskFull => "full",
                    WriteError::Halted(_) => "halted",
                    _ => "other",
                };
                say(format!("failed {kind}: {error}"));
            }
        }
    }
}

fn spawn(journal: &Path, configure: impl FnOnce(&mut Command)) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["journal::crash::child", "--exact", "--ignored", "--nocapture"])
        .env(JOURNAL, journal)
        .stdout(Stdio::piped());
    configure(&mut command);
    command.spawn().unwrap()
}

/// What a child said: where the journal may stand, and how it failed.
#[derive(Debug)]
struct Said {
    tips: RangeInclusive<u64>,
    /// How much of the block after the newest acknowledged one was promised.
    promised: usize,
    failures: Vec<String>,
    acknowledged_after_failing: bool,
}

impl Said {
    /// Of a child that begins where the journal stands.
    fn new(tip: u64) -> Self {
        // The one append that is under way may be there besides.
        Self {
            tips: tip..=tip + 1,
            promised: 0,
            failures: Vec::new(),
            acknowledged_after_failing: false,
        }
    }

    fn hear(&mut self, line: &str) {
        let Some((what, rest)) = line.split_once(' ') else { return };
        let number = || rest.parse::<u64>().unwrap();
        match what {
            "acknowledged" | "removed" => {
                self.tips = number()..=number() + 1;
                self.promised = 0;
                self.acknowledged_after_failing |= !self.failures.is_empty();
            }
            "promised" => {
                self.promised = number() as usize;
                self.acknowledged_after_failing |= !self.failures.is_empty();
            }
            // All of it or nothing.
            "removing" => self.tips = number()..=number() + 2,
            "failed" => self.failures.push(rest.to_owned()),
            _ => {}
        }
    }
}

fn listen(child: &mut Child, tip: u64) -> Said {
    let mut said = Said::new(tip);
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        said.hear(&line);
    }
    child.wait().unwrap();
    said
}

/// Opens the journal as a restart would, and makes sure of what was acknowledged and of a linear chain.
async fn reopen(path: &Path, said: &Said) -> Journal {
    let tips = &said.tips;
    let journal = open(path).await;
    let tip = journal.tip().unwrap_or(GENESIS);
    assert!(tips.contains(&tip.number), "there may be {tips:?}, but there is {tip:?}");
    let mut blocks = journal.range(1..=u64::MAX);
    let mut parent = GENESIS;
    while let Some(read) = blocks.next().await.unwrap() {
        let expected = block(parent);
        assert_eq!(read, stored(&expected));
        // They came with their block, or not at all.
        let waypoints = Waypoint::coalesce(&expected.waypoints, &expected.receipts, 16);
        assert_eq!(journal.waypoints(&read.block).await, waypoints);
        parent = read.block.header.num_hash();
    }
    assert_eq!(parent, tip);
    let next = block(tip);
    let found = journal.promised().await.unwrap().map_or(0, |promised| {
        assert_eq!(promised.head, head(&next));
        assert_eq!(promised.transactions, signed(&next)[..promised.transactions.len()]);
        promised.transactions.len()
    });
    // The block may have been appended without anybody's hearing of it; then all of it is there.
    assert!(found >= said.promised || tip.number > *tips.start(), "{said:?}, but {found}");
    journal
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let seed: u64 = rand::random();
    let mut rng = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    let (mut tip, mut removed, mut promised) = (0, 0, 0);
    for round in 0..20 {
        let mut child = spawn(&path, |_| {});
        let mut said = Said::new(tip);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Some acknowledgements, so that every round does something, and then any moment.
        for _ in 0..rng.random_range(4..40) {
            let Some(Ok(line)) = lines.next() else { break };
            said.hear(&line);
            removed += u64::from(line.starts_with("removed"));
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..3_000)));
        child.kill().unwrap();
        lines.map_while(Result::ok).for_each(|line| said.hear(&line));
        child.wait().unwrap();
        assert!(said.failures.is_empty(), "seed {seed}, round {round}: {said:?}");
        // What a restart has found must not get lost either, acknowledged before or not.
        let journal = reopen(&path, &said).await;
        tip = journal.tip().map_or(0, |tip| tip.number);
        promised += u64::from(journal.promised().await.unwrap().is_some());
        journal.close().await;
    }
    assert!(
        tip > 10 && removed > 0 && promised > 0,
        "seed {seed}: the children did hardly anything"
    );
}

/// Lets a child's disk fail after a random number of blocks, a few times over; returns what it said each time.
async fn with_fault(kind: &str, mut check: impl FnMut(&Said)) {
    let seed: u64 = rand::random();
    let mut rng = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let library = fault::library(directory.path());
    let switch = directory.path().join("failing");
    let path = directory.path().join("journal.sqlite");
    let mut tip = 0;
    for _ in 0..5 {
        let blocks = rng.random_range(0..30);
        let mut child = spawn(&path, |command| {
            command
                .env("LD_PRELOAD", &library)
                .env("MILLRACE_FAULT", format!("{kind}:{}", switch.display()))
                .env(SWITCH, &switch)
                .env(SWITCH_AFTER, blocks.to_string());
        });
        let said = listen(&mut child, tip);
        std::fs::remove_file(&switch).unwrap();
        eprintln!("seed {seed}: after {blocks} more blocks, {said:?}");
        assert_eq!(said.failures.len(), 3, "seed {seed}");
        assert!(!said.acknowledged_after_failing, "seed {seed}");
        check(&said);
        let journal = reopen(&path, &said).await;
        // And it goes on from there.
        let next = block(journal.tip().unwrap_or(GENESIS));
        journal.append(&next).await.unwrap();
        tip = next.block.number();
        journal.close().await;
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_after_a_failed_sync() {
    with_fault("fsync", |said| {
        assert!(said.failures.iter().all(|failure| failure.starts_with("halted")), "{said:?}");
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_is_named_and_changes_nothing() {
    with_fault("space", |said| {
        assert!(said.failures.iter().all(|failure| failure.starts_with("full")), "{said:?}");
    })
    .await;
}

/// A file system of a fixed size, for those who may mount one.
struct SmallDisk {
    mounted_at: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let mounted_at = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(mounted_at.path())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then_some(Self { mounted_at })
    }

    fn grow(&self, size: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,size={size}")])
            .arg(self.mounted_at.path())
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.mounted_at.path()).status();
    }
}

/// The same on a file system that really has no room. Only root may mount one; the test above serves everybody.
#[tokio::test]
async fn a_small_disk_fills_up_and_goes_on_when_it_has_grown() {
    let Some(disk) = SmallDisk::mount("1m") else {
        eprintln!("not permitted to mount a tmpfs: only the injected ENOSPC was tested");
        return;
    };
    let path = disk.mounted_at.path().join("journal.sqlite");
    let journal = open(&path).await;
    let mut tip = GENESIS;
    let mut full = loop {
        let next = block(tip);
        match journal.append(&next).await {
            Ok(()) => tip = next.block.header.num_hash(),
            Err(error) => break error,
        }
        assert!(tip.number < 10_000, "a disk of 1 MB holds everything");
    };
    for _ in 0..3 {
        assert!(matches!(full, AppendError::Write(WriteError::DiskFull)), "{full}");
        assert_eq!(journal.tip(), Some(tip));
        full = journal.append(&block(tip)).await.unwrap_err();
    }
    let newest = journal.block(tip.number).await.unwrap().unwrap();
    assert_eq!(newest.block.header.num_hash(), tip);

    disk.grow("64m");
    journal.append(&block(tip)).await.unwrap();
    let acknowledged = journal.tip().unwrap().number;
    drop(journal);
    let said = Said { tips: acknowledged..=acknowledged, ..Said::new(acknowledged) };
    reopen(&path, &said).await.close().await;
}

/// Opening makes sure of the disk before anything is built on it, so a full one is said at once.
#[tokio::test]
async fn opening_on_a_full_disk_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let library = fault::library(directory.path());
    let path = directory.path().join("journal.sqlite");
    let switch = directory.path().join("failing");
    std::fs::write(&switch, "").unwrap();
    let output = spawn(&path, |command| {
        command
            .env("LD_PRELOAD", &library)
            .env("MILLRACE_FAULT", format!("space:{}", switch.display()))
            .stderr(Stdio::piped());
    })
    .wait_with_output()
    .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("{:?}", OpenError::DiskFull)), "{said}");
}
