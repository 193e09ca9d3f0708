//! Neighbours that fail: what the log says of them, and when it is trouble rather than a hiccup.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

/// What fails at present, by what it is.
#[derive(Debug, Default)]
pub(crate) struct Troubles(BTreeMap<&'static str, Failing>);

/// A neighbour that failed whenever it was asked of late.
#[derive(Debug, Default)]
struct Failing {
    failures: u32,
    /// The last one's.
    reason: String,
    /// The kinds of reasons that the log has.
    logged: BTreeSet<String>,
}

/// So many failures in a row are no hiccup any more.
const FAILURES_MIN: u32 = 5;
/// Whoever finds more kinds of reasons than this has told enough.
const KINDS_MAX: usize = 16;

impl Troubles {
    /// A neighbour failed, and is asked again. Each kind of reason is logged once: says whether this was.
    pub(crate) fn failed(&mut self, what: &'static str, error: &dyn std::error::Error) -> bool {
        let failing = self.0.entry(what).or_default();
        failing.failures = failing.failures.saturating_add(1);
        failing.reason = error.to_string();
        let is_new =
            failing.logged.len() < KINDS_MAX && failing.logged.insert(kind(&failing.reason));
        if is_new {
            warn!(%error, "{what} failed; it is tried again");
        }
        is_new
    }

    /// A neighbour did what it was asked for.
    pub(crate) fn worked(&mut self, what: &'static str) {
        if let Some(failing) = self.0.remove(what)
            && failing.failures >= FAILURES_MIN
        {
            info!(failures = failing.failures, "{what} works again");
        }
    }

    /// Nobody needs any more what a neighbour could not do.
    pub(crate) fn forget(&mut self, what: &'static str) {
        self.0.remove(what);
    }

    /// What failed several times in a row, and why.
    pub(crate) fn gravest(&self) -> Option<String> {
        let (what, failing) =
            self.0.iter().find(|(_, failing)| failing.failures >= FAILURES_MIN)?;
        Some(format!("{what}: {}", failing.reason))
    }
}

/// A reason without what differs from one time to the next: words with digits, such as amounts, heights and hashes.
fn kind(reason: &str) -> String {
    let words = reason.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let without_numbers =
        words.map(|word| if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word });
    without_numbers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::FaceError;

    fn failed(troubles: &mut Troubles, reason: &str) -> bool {
        troubles.failed("ask", &FaceError(reason.to_owned()))
    }

    #[test]
    fn each_kind_of_reason_is_logged_once() {
        let mut troubles = Troubles::default();
        assert!(failed(&mut troubles, "no answer"));
        assert!(failed(&mut troubles, "block 7 (0xab12) is unknown"));
        for number in 8..100 {
            assert!(!failed(&mut troubles, "no answer"));
            assert!(!failed(&mut troubles, &format!("block {number} (0x{number}cd) is unknown")));
        }
        // What is shown is the last one.
        assert_eq!(troubles.gravest().as_deref(), Some("ask: block 99 (0x99cd) is unknown"));
        troubles.worked("ask");
        assert_eq!(troubles.gravest(), None);
        assert!(failed(&mut troubles, "no answer"), "after a while that went well it is news");
    }

    #[test]
    fn reasons_without_end_are_not_remembered() {
        let mut troubles = Troubles::default();
        for length in 1..=KINDS_MAX {
            assert!(failed(&mut troubles, &"x".repeat(length)));
        }
        assert!(!failed(&mut troubles, "y"));
    }
}
