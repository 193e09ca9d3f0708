//! The sequencer's parts on real databases and disks.

#![allow(clippy::unwrap_used, reason = "tests")]

mod journal;
