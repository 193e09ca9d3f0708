//! Counts what happened in made-up blocks: blocks in which nothing happens, or everything fails, would prove nothing.

use std::collections::BTreeMap;

use millrace_executor::{Executor, Full, Outcome, Rejection};

use crate::oracle::{Build, Family};

#[derive(Debug, Default)]
pub(super) struct Tally {
    blocks: u64,
    counts: BTreeMap<&'static str, u64>,
}

/// What must have happened again and again on every chain, if enough blocks were made.
const EVERYWHERE: [&str; 20] = [
    "success",
    "failure",
    "nonce too high",
    "nonce too low",
    "insufficient funds",
    "fee cap",
    "invalid",
    "no gas left",
    "no data left",
    "no time left",
    "delegation",
    "wiped account",
    "empty group",
    "gone account",
    "large block",
    "long chain of one sender",
    "windows in lanes",
    "attempts in vain",
    "stretches kept",
    "stretches broken",
];

impl Tally {
    pub(super) fn add(&mut self, built: &Build) {
        self.blocks += 1;
        for round in &built.rounds {
            for outcome in &round.group.outcomes {
                self.count(match outcome {
                    Outcome::Included(included)
                        if built.executed.receipts[included.index].success =>
                    {
                        "success"
                    }
                    Outcome::Included(_) => "failure",
                    Outcome::DoesNotFit(Full::Gas) => "no gas left",
                    Outcome::DoesNotFit(Full::Data) => "no data left",
                    Outcome::DoesNotFit(Full::Time) => "no time left",
                    Outcome::Rejected(Rejection::NonceTooHigh { .. }) => "nonce too high",
                    Outcome::Rejected(Rejection::NonceTooLow { .. }) => "nonce too low",
                    Outcome::Rejected(Rejection::InsufficientFunds { .. }) => "insufficient funds",
                    Outcome::Rejected(Rejection::FeeCapBelowBaseFee { .. }) => "fee cap",
                    Outcome::Rejected(Rejection::SenderHasCode) => "sender has code",
                    Outcome::Rejected(Rejection::Invalid(_)) => "invalid",
                });
            }
            if round.start == round.end {
                self.count("empty group");
            }
        }
        for (diff, _) in built.executed.diff.accounts() {
            if diff.account.is_none() {
                self.count("gone account");
            }
            if diff.wiped {
                self.count("wiped account");
            }
        }
        for code in built.executed.diff.codes().values() {
            self.count(if code.starts_with(&[0xef, 0x01]) { "delegation" } else { "code" });
        }
        let transactions = &built.executed.transactions;
        if transactions.len() > 100 {
            self.count("large block");
        }
        let mut sent = BTreeMap::<_, u64>::new();
        transactions.iter().for_each(|one| *sent.entry(one.sender()).or_default() += 1);
        if sent.values().any(|count| *count > 20) {
            self.count("long chain of one sender");
        }
    }

    /// Takes down how an executor has done that is not needed any more. None of its threads may have panicked: that would
    /// be mended, and so go unseen.
    pub(super) fn dismiss(&mut self, executor: &Executor) {
        let stats = executor.stats();
        assert_eq!(stats.panics, 0, "lanes were lost to panics");
        for (what, count) in [
            ("windows in lanes", stats.windows_parallel),
            ("windows left alone", stats.windows_light + stats.windows_unpromising),
            ("windows in a pause", stats.windows_paused),
            ("attempts", stats.attempts),
            ("attempts in vain", stats.re_executed),
            ("meetings of lanes", stats.mispredicted),
            ("stretches kept", stats.stretches_kept),
            ("stretches broken", stats.stretches_broken),
        ] {
            *self.counts.entry(what).or_default() += count;
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A few blocks may miss anything.
    pub(super) fn check(&self, family: Family) {
        println!("{family:?}: {self:?}");
        if self.blocks < 1_000 {
            return;
        }
        for what in EVERYWHERE {
            let count = self.counts.get(what).copied().unwrap_or_default();
            // What is rarest comes once in two hundred blocks: half of the seeds are new each time, and none may be unlucky.
            assert!(count * 2_000 > self.blocks, "{what}: only {count} in {} blocks", self.blocks);
        }
    }
}
