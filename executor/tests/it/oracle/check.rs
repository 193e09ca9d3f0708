//! Builds blocks, and compares what came out with the oracle.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::KECCAK256_EMPTY;
use millrace_executor::{
    BlockAttributes, Candidate, Executed, Executor, Full, Group, Included, Invalid, LayeredView,
    Limits, Outcome, Rejection, StateView,
};
use millrace_protocol::DataSize;
use millrace_types::{AccountDiff, StateDiff, Transaction};

use super::{Family, Memory, Oracle, Refusal};

/// A block as the executor built it, with everything that it said on the way.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) chain_id: u64,
    pub(crate) attributes: BlockAttributes,
    pub(crate) rounds: Vec<Round>,
    pub(crate) executed: Executed,
    /// Whether it was built on one thread: then candidates are placed and refused exactly in their order.
    pub(crate) in_order: bool,
}

/// One group of candidates, or the deposits, which come first and are refused by nobody.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) limits: Limits,
    pub(crate) group: Group,
    /// Where its transactions begin and end in the block.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The state after it, which later groups must leave alone.
    pub(crate) view: LayeredView,
}

/// Builds a block of deposits and groups of candidates.
pub(crate) fn build(
    executor: &Executor,
    attributes: &BlockAttributes,
    before: Arc<dyn StateView>,
    deposits: &[Arc<Transaction>],
    groups: Vec<(Vec<Candidate>, Limits)>,
) -> Build {
    let mut open = executor.open(attributes.clone(), before).unwrap();
    let mut rounds = Vec::new();
    if !deposits.is_empty() {
        let group = open.include_deposits(deposits).unwrap();
        let candidates = deposits.iter().cloned().map(Candidate::new).collect();
        let (limits, end, view) = (Limits::NONE, open.transactions().len(), open.view());
        rounds.push(Round { candidates, limits, group, start: 0, end, view });
    }
    for (candidates, limits) in groups {
        let start = open.transactions().len();
        let group = open.run(candidates.as_slice(), limits).unwrap();
        let (end, view) = (open.transactions().len(), open.view());
        assert_eq!(group.outcomes.len(), candidates.len());
        rounds.push(Round { candidates, limits, group, start, end, view });
    }
    let in_order = executor.config().threads == 1;
    let (chain_id, executed) = (executor.chain().chain_id(), open.finish().unwrap());
    Build { chain_id, attributes: attributes.clone(), rounds, executed, in_order }
}

/// Compares a block with the oracle, and gives the state after it.
pub(crate) fn check(family: Family, before: &Memory, built: &Build) -> Memory {
    let executed = &built.executed;
    let mut oracle = Oracle::open(family, built.chain_id, &built.attributes, before);
    let mut progress = Progress::default();
    assert_eq!(executed.receipts.len(), executed.transactions.len());
    for round in &built.rounds {
        assert_eq!(round.start, progress.transactions, "groups follow each other");
        check_round(&mut oracle, &mut progress, built, round);
    }
    assert_eq!(progress.transactions, executed.transactions.len());
    assert_eq!((progress.gas, progress.data), (executed.gas_used, executed.data_bytes));
    let after = oracle.close();
    assert_leads_to(before, executed, &after);
    check_waypoints(before, executed, &after);
    after
}

/// Compares a block that was executed again with the first time. `after` is the state that the oracle came to.
///
/// What it says about its waypoints is not looked at: they may be the ones that it was given, lies and all.
pub(crate) fn check_replay(before: &Memory, built: &Executed, after: &Memory, again: &Executed) {
    let hashes = |executed: &Executed| -> Vec<_> {
        executed.transactions.iter().map(|transaction| transaction.hash()).collect()
    };
    assert_eq!(hashes(again), hashes(built));
    assert_eq!(again.receipts, built.receipts);
    assert_eq!((again.gas_used, again.data_bytes), (built.gas_used, built.data_bytes));
    assert_leads_to(before, again, after);
}

/// What the block says it changed must be what did.
fn assert_leads_to(before: &Memory, executed: &Executed, after: &Memory) {
    let mut whole = before.clone();
    whole.apply(&executed.diff);
    whole.assert_same(after, "the state after the block");
}

/// The same, stretch by stretch.
fn check_waypoints(before: &Memory, executed: &Executed, after: &Memory) {
    let mut stepwise = before.clone();
    for waypoint in &executed.waypoints {
        stepwise.apply(&waypoint.diff);
    }
    stepwise.assert_same(after, "the state after the last waypoint");
    let last = executed.waypoints.last().unwrap();
    assert_eq!(last.transactions, executed.transactions.len());
}

/// How far the block has come.
#[derive(Debug, Default)]
struct Progress {
    transactions: usize,
    gas: u64,
    data: u64,
}

impl Progress {
    /// What is in the way of a transaction at this point.
    fn obstacle(&self, built: &Build, limits: Limits, candidate: &Candidate) -> Option<Full> {
        let gas_max = limits.gas.min(built.attributes.gas_limit);
        let gas_limit = candidate.transaction.gas_limit();
        if gas_limit > built.attributes.gas_limit {
            // No block has room for it: that is a reason to refuse it.
            return None;
        }
        if gas_limit > gas_max.saturating_sub(self.gas) {
            return Some(Full::Gas);
        }
        let data = candidate.data_size.bytes();
        (data > limits.data_bytes.saturating_sub(self.data)).then_some(Full::Data)
    }
}

/// A candidate that is not in the block, and the points of the block at which that may have been decided.
struct Absentee<'a> {
    candidate: &'a Candidate,
    outcome: &'a Outcome,
    earliest: usize,
    latest: usize,
    is_explained: bool,
}

fn check_round(oracle: &mut Oracle, progress: &mut Progress, built: &Build, round: &Round) {
    let included = included(built, round);
    let mut absentees = absentees(built, round);
    for index in round.start..=round.end {
        for absentee in &mut absentees {
            if (absentee.earliest..=absentee.latest).contains(&index) && !absentee.is_explained {
                absentee.is_explained = explains(oracle, progress, built, round, absentee);
            }
        }
        if let Some(included) = included.get(index - round.start) {
            check_transaction(oracle, progress, built, round, included);
        }
    }
    for Absentee { candidate, outcome, earliest, latest, is_explained } in absentees {
        let (hash, sender) = (candidate.transaction.hash(), candidate.transaction.sender());
        assert!(
            is_explained,
            "{outcome:?} is true of {hash} from {sender} nowhere from {earliest} to {latest}"
        );
    }
    check_view(oracle, round);
}

/// The transactions of the group, which must be those that were said to be included, at the places that were named.
fn included<'a>(built: &Build, round: &'a Round) -> Vec<&'a Included> {
    let mut all = Vec::new();
    for (candidate, outcome) in round.candidates.iter().zip(&round.group.outcomes) {
        let Outcome::Included(included) = outcome else { continue };
        all.push(included);
        let transaction = &built.executed.transactions[included.index];
        assert_eq!(transaction.hash(), candidate.transaction.hash());
    }
    if built.in_order {
        assert!(all.is_sorted_by_key(|one| one.index), "one thread keeps the candidates' order");
    }
    all.sort_unstable_by_key(|one| one.index);
    assert!(all.iter().map(|one| one.index).eq(round.start..round.end));
    all
}

/// Candidates of one sender keep their order, whatever else is exchanged.
fn absentees<'a>(built: &Build, round: &'a Round) -> Vec<Absentee<'a>> {
    let outcomes = || round.candidates.iter().zip(&round.group.outcomes).enumerate();
    let mut absentees = Vec::new();
    for (place, (candidate, outcome)) in outcomes() {
        if matches!(outcome, Outcome::Included(_)) {
            continue;
        }
        let (mut earliest, mut latest) = (round.start, round.end);
        for (other_place, (other, outcome)) in outcomes() {
            let same_sender = other.transaction.sender() == candidate.transaction.sender();
            let Outcome::Included(included) = outcome else { continue };
            if !built.in_order && !same_sender {
                continue;
            }
            if other_place < place {
                earliest = earliest.max(included.index + 1);
            } else {
                latest = latest.min(included.index);
            }
        }
        absentees.push(Absentee { candidate, outcome, earliest, latest, is_explained: false });
    }
    absentees
}

/// Whether the outcome would be right at this point.
fn explains(
    oracle: &mut Oracle,
    progress: &Progress,
    built: &Build,
    round: &Round,
    absentee: &Absentee<'_>,
) -> bool {
    let candidate = absentee.candidate;
    let transaction = &candidate.transaction;
    let obstacle = progress.obstacle(built, round.limits, candidate);
    if let Outcome::Rejected(Rejection::Invalid(Invalid::Misplaced)) = absentee.outcome {
        return transaction.is_deposit();
    }
    let reason = match absentee.outcome {
        // Nobody but the clock knows.
        Outcome::DoesNotFit(Full::Time) => return true,
        Outcome::DoesNotFit(full) => return obstacle == Some(*full),
        // Of two good reasons, lanes may name the other one.
        Outcome::Rejected(reason) if obstacle.is_none() || !built.in_order => reason,
        _ => return false,
    };
    if !is_plausible(oracle, built, transaction, reason) {
        return false;
    }
    // Only now, for it would be executed if it were not refused.
    match oracle.execute(transaction) {
        Err(Refusal::Reason(other)) => other == *reason,
        Err(Refusal::Words(_)) => true,
        Err(Refusal::NoRoom) => !built.in_order,
        Ok(_) => panic!("{} was rejected, {reason:?}, but is valid", transaction.hash()),
    }
}

/// Whether the figures in a rejection are those of this point.
fn is_plausible(
    oracle: &Oracle,
    built: &Build,
    transaction: &Transaction,
    reason: &Rejection,
) -> bool {
    let sender = oracle.account(&transaction.sender()).unwrap_or_default();
    let next = transaction.nonce();
    match *reason {
        Rejection::NonceTooHigh { transaction, state } => {
            (transaction, state) == (next, sender.nonce) && transaction > state
        }
        Rejection::NonceTooLow { transaction, state } => {
            (transaction, state) == (next, sender.nonce) && transaction < state
        }
        Rejection::InsufficientFunds { required, balance } => {
            next == sender.nonce && balance == sender.balance && required > balance
        }
        Rejection::FeeCapBelowBaseFee { fee_cap, base_fee } => {
            (fee_cap, base_fee) == (transaction.max_fee_per_gas(), built.attributes.base_fee)
                && fee_cap < u128::from(base_fee)
        }
        Rejection::SenderHasCode => {
            let code = oracle.code(&sender);
            !code.is_empty() && !code.starts_with(&[0xef, 0x01])
        }
        Rejection::Invalid(_) => true,
    }
}

/// The next transaction must do exactly what the oracle says.
fn check_transaction(
    oracle: &mut Oracle,
    progress: &mut Progress,
    built: &Build,
    round: &Round,
    included: &Included,
) {
    let index = progress.transactions;
    let transaction = &built.executed.transactions[index];
    let receipt = &built.executed.receipts[index];
    let size = DataSize::estimate(transaction.encoded());
    let candidate = Candidate { transaction: transaction.clone(), data_size: size };
    if !transaction.is_deposit() {
        assert_eq!(progress.obstacle(built, round.limits, &candidate), None);
        progress.data += size.bytes();
    }
    let sender = oracle.account(&transaction.sender()).unwrap_or_default();
    let verdict = oracle
        .execute(transaction)
        .unwrap_or_else(|refusal| panic!("transaction {index} is not valid: {refusal:?}"));
    let what = || format!("transaction {index} ({})", transaction.hash());
    assert_eq!(receipt.success, verdict.success, "{}", what());
    assert_eq!(included.gas_used, verdict.gas_used, "{}", what());
    assert_eq!(included.l1_fee, verdict.l1_fee, "{}", what());
    assert_eq!(receipt.logs, verdict.logs, "{}", what());
    assert_eq!(receipt.tx_type, transaction.tx_type());
    let deposit_nonce = receipt.deposit.map(|deposit| deposit.nonce);
    assert_eq!(deposit_nonce, transaction.is_deposit().then_some(sender.nonce));
    progress.gas += verdict.gas_used;
    assert_eq!(receipt.cumulative_gas_used, progress.gas, "{}", what());
    progress.transactions += 1;
}

/// What the group says it changed, and the view of the state after it, must be what the oracle has there.
fn check_view(oracle: &Oracle, round: &Round) {
    let changes = StateDiff::merge(round.group.diffs.iter().map(|diff| &**diff));
    for (AccountDiff { address, account: changed, .. }, slots) in changes.accounts() {
        let account = oracle.account(address);
        assert_eq!(*changed, account, "{address}");
        assert_eq!(round.view.account(address).unwrap(), account, "{address}");
        for (slot, value) in slots {
            let expected = oracle.slot(address, slot);
            assert_eq!(*value, expected, "{address} {slot}");
            assert_eq!(round.view.storage(address, slot).unwrap(), expected, "{address} {slot}");
        }
        let account = account.unwrap_or_default();
        if let Some(hash) = account.bytecode_hash {
            assert_ne!(hash, KECCAK256_EMPTY);
            assert_eq!(round.view.code(&hash).unwrap(), oracle.code(&account));
        }
    }
}
