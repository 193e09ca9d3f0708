//! A block under construction.

use std::{
    cell::RefCell,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::Transaction as _;
use alloy_primitives::Bytes;
use millrace_protocol::{
    ChainSpec, EvmFork, L1Fees, Rules,
    predeploys::{BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS},
};
use millrace_types::{DepositReceipt, Receipt, Transaction, Waypoint};
use rayon::prelude::*;

use crate::{
    BlockAttributes, BlockContext, Candidate, ExecuteError, Executed, Executor, Full, Group,
    Included, Invalid, LayeredView, Limits, Outcome, Rejection, StateView, data_size,
    evm::{Blueprint, Checks, EvmTx, Keep, Machine, Overlay, Ran, Stop},
    parallel::{Attempt, Lanes, Window, Workshop},
    view::Layers,
};

/// A block under construction: deposits first, then groups of candidates, until it is finished.
///
/// After an error it must be abandoned: what of a group was executed is no longer known.
#[derive(Debug)]
pub struct OpenBlock {
    chain: Arc<ChainSpec>,
    rules: Rules,
    attributes: BlockAttributes,
    view: Arc<dyn StateView>,
    /// Absent while a machine holds it, and after an error.
    overlay: Option<Overlay>,
    /// The prices of this block, once a transaction has paid them.
    fees: Option<L1Fees>,
    lanes: Lanes,
    workshop: Arc<Workshop>,
    /// Behind a cell because looking at it puts it in order.
    layers: RefCell<Layers>,
    waypoints: Vec<Waypoint>,
    transactions: Vec<Arc<Transaction>>,
    receipts: Vec<Receipt>,
    gas_used: u64,
    data_bytes: u64,
}

/// Candidates that run sequentially are cut into stretches of so much gas, so that each gets its waypoint.
const STRETCH_GAS: u64 = 2_000_000;

/// Transactions whose accounts are looked up together.
pub(crate) const LOOK_AHEAD: usize = 16;

/// Of a block whose order is fixed so many transactions are tried in lanes together: one wrong forecast costs them all.
const FIXED_WINDOW_MAX: usize = 256;

impl OpenBlock {
    pub(crate) fn open(
        chain: Arc<ChainSpec>,
        workshop: Arc<Workshop>,
        attributes: BlockAttributes,
        view: Arc<dyn StateView>,
    ) -> Result<Self, ExecuteError> {
        let mut block = Self::resume(chain, workshop, attributes, view)?;
        block.group(|block, machine| block.keep_books(machine))?;
        Ok(block)
    }

    /// A block whose beginning is part of the view already.
    pub(crate) fn resume(
        chain: Arc<ChainSpec>,
        workshop: Arc<Workshop>,
        attributes: BlockAttributes,
        view: Arc<dyn StateView>,
    ) -> Result<Self, ExecuteError> {
        let rules = Executor::rules(&chain, attributes.timestamp)?;
        let mut overlay = workshop.overlay(view.clone());
        overlay.set_block_hash(attributes.parent.number, attributes.parent.hash());
        Ok(Self {
            chain,
            rules,
            attributes,
            view,
            overlay: Some(overlay),
            fees: None,
            lanes: Lanes::new(workshop.clone()),
            workshop,
            layers: RefCell::default(),
            waypoints: Vec::new(),
            transactions: Vec::new(),
            receipts: Vec::new(),
            gas_used: 0,
            data_bytes: 0,
        })
    }

    /// What is fixed about the block.
    pub fn attributes(&self) -> &BlockAttributes {
        &self.attributes
    }

    /// What code in this block can find out about it.
    pub fn context(&self) -> BlockContext {
        BlockContext::from(&self.attributes)
    }

    /// The transactions so far.
    pub fn transactions(&self) -> &[Arc<Transaction>] {
        &self.transactions
    }

    /// The receipts so far.
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// The gas used so far.
    pub fn gas_used(&self) -> u64 {
        self.gas_used
    }

    /// The room on L1 that the transactions so far are estimated to take. Deposits come from there and take none.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// The block's prices for data and operator, once a signed transaction has paid them.
    pub fn fees(&self) -> Option<L1Fees> {
        self.fees
    }

    /// The state as the transactions so far have left it. It does not change when more are run.
    pub fn view(&self) -> LayeredView {
        LayeredView::new(self.view.clone(), self.layers.borrow_mut().snapshot())
    }

    /// Includes deposits, which nothing refuses. They must come before everything else.
    pub fn include_deposits(
        &mut self,
        deposits: &[Arc<Transaction>],
    ) -> Result<Group, ExecuteError> {
        self.group(|block, machine| {
            let include = |deposit| block.include_fixed(machine, deposit).map(Outcome::Included);
            let outcomes = deposits.iter().map(include).collect();
            // The first of them sets the prices: whatever was read for a candidate that came too early is stale.
            machine.forget_l1_fees();
            outcomes
        })
    }

    /// Tries candidates, on several threads where that pays.
    ///
    /// What is included keeps the candidates' order, except that candidates which got into each other's way are run again
    /// after the others around them; [`Included::index`] tells the place. One that is rejected or does not fit leaves no
    /// trace, and the next is tried.
    pub fn run(
        &mut self,
        candidates: impl Into<Arc<[Candidate]>>,
        limits: Limits,
    ) -> Result<Group, ExecuteError> {
        let candidates = candidates.into();
        self.group(|block, machine| {
            let mut outcomes = Vec::with_capacity(candidates.len());
            block.transactions.reserve(candidates.len());
            block.receipts.reserve(candidates.len());
            while outcomes.len() < candidates.len() {
                let next = outcomes.len();
                if limits.expired() {
                    let rest = candidates.len() - next;
                    outcomes.extend((0..rest).map(|_| Outcome::DoesNotFit(Full::Time)));
                    break;
                }
                let range = next..next + Lanes::window(&candidates[next..]);
                let attempts = block.run_lanes(
                    machine,
                    &candidates,
                    range.clone(),
                    limits,
                    Keep::Independent,
                )?;
                match attempts {
                    Some(attempts) => block.take_over(
                        machine,
                        &candidates[range],
                        attempts,
                        limits,
                        &mut outcomes,
                    )?,
                    None => {
                        block.run_one_by_one(machine, &candidates[range], limits, &mut outcomes)?
                    }
                }
            }
            Ok(outcomes)
        })
    }

    /// Includes transactions that are known to be part of the block, in this order.
    pub(crate) fn run_fixed(
        &mut self,
        transactions: &[Arc<Transaction>],
    ) -> Result<(), ExecuteError> {
        let deposits = transactions.iter().take_while(|transaction| transaction.is_deposit());
        let (deposits, signed) = transactions.split_at(deposits.count());
        self.group(|block, machine| {
            block.include_in_order(machine, deposits)?;
            if !block.lanes.are_many() {
                return block.include_in_order(machine, signed);
            }
            // Sizes take longer than transfers.
            let candidates: Vec<_> = signed.par_iter().cloned().map(Candidate::new).collect();
            block.run_fixed_windows(machine, &candidates.into())?;
            Ok(Vec::new())
        })?;
        Ok(())
    }

    /// The same, on this thread alone.
    pub(crate) fn run_in_order(
        &mut self,
        transactions: &[Arc<Transaction>],
    ) -> Result<(), ExecuteError> {
        self.group(|block, machine| block.include_in_order(machine, transactions)).map(drop)
    }

    fn include_in_order(
        &mut self,
        machine: &mut Machine,
        transactions: &[Arc<Transaction>],
    ) -> Result<Vec<Outcome>, ExecuteError> {
        for next in transactions.chunks(LOOK_AHEAD) {
            machine.overlay().look_ahead(next.iter().map(|transaction| &**transaction));
            for transaction in next {
                self.include_fixed(machine, transaction)?;
            }
        }
        Ok(Vec::new())
    }

    /// Runs windows in lanes where that turns out to be the same as their order, and in their order otherwise.
    fn run_fixed_windows(
        &mut self,
        machine: &mut Machine,
        candidates: &Arc<[Candidate]>,
    ) -> Result<(), ExecuteError> {
        let mut next = 0;
        while next < candidates.len() {
            let range = next..next + Lanes::window(&candidates[next..]).min(FIXED_WINDOW_MAX);
            next = range.end;
            let attempts = self.run_lanes(
                machine,
                candidates,
                range.clone(),
                Limits::NONE,
                Keep::AllOrNothing,
            )?;
            let all_ran = |attempts: &Vec<Attempt>| {
                attempts.iter().all(|attempt| matches!(attempt, Attempt::Ran(..)))
            };
            let started = Instant::now();
            let again = match attempts.filter(all_ran) {
                Some(attempts) => {
                    for (attempt, candidate) in attempts.into_iter().zip(&candidates[range]) {
                        if let Attempt::Ran(transaction, ran) = attempt {
                            self.data_bytes += candidate.data_size.bytes();
                            self.include(transaction, ran, None);
                        }
                    }
                    Duration::ZERO
                }
                None => {
                    for candidate in &candidates[range] {
                        self.include_fixed(machine, &candidate.transaction)?;
                    }
                    started.elapsed()
                }
            };
            self.lanes.judge(again);
        }
        Ok(())
    }

    /// Closes the block.
    pub fn finish(mut self) -> Result<Executed, ExecuteError> {
        let mut overlay = self.overlay.take().ok_or_else(failed_before)?;
        let diff = Arc::new(overlay.all_changes());
        self.workshop.put_away(overlay);
        self.lanes.dismiss();
        Ok(Executed {
            rules: self.rules,
            attributes: self.attributes,
            transactions: self.transactions,
            receipts: self.receipts,
            gas_used: self.gas_used,
            data_bytes: self.data_bytes,
            diff,
            waypoints: self.waypoints,
        })
    }

    fn blueprint(&self) -> Blueprint {
        Blueprint {
            chain_id: self.chain.chain_id(),
            rules: self.rules,
            block: self.context(),
            checks: Checks::All,
            fees: self.fees,
        }
    }

    /// Does something with the machine, and collects what changed.
    fn group(
        &mut self,
        work: impl FnOnce(&mut Self, &mut Machine) -> Result<Vec<Outcome>, ExecuteError>,
    ) -> Result<Group, ExecuteError> {
        let overlay = self.overlay.take().ok_or_else(failed_before)?;
        let mut machine = Machine::new(&self.blueprint(), overlay);
        let waypoints = self.waypoints.len();
        let outcomes = work(self, &mut machine)?;
        self.set_waypoint(&mut machine)?;
        self.fees = machine.known_l1_fees();
        self.overlay = Some(machine.into_overlay());
        let diffs = self.waypoints[waypoints..].iter().map(|waypoint| waypoint.diff.clone());
        Ok(Group { outcomes, diffs: diffs.collect() })
    }

    /// Collects what changed since the last waypoint, unless nothing did.
    fn set_waypoint(&mut self, machine: &mut Machine) -> Result<(), ExecuteError> {
        let diff = Arc::new(machine.overlay().take_changes()?);
        let transactions = self.transactions.len();
        let last = self.waypoints.last().map_or(0, |last| last.transactions);
        if diff.is_empty() && transactions == last {
            return Ok(());
        }
        self.layers.get_mut().push(diff.clone());
        self.waypoints.push(Waypoint { transactions, diff });
        Ok(())
    }

    fn run_lanes(
        &mut self,
        machine: &mut Machine,
        candidates: &Arc<[Candidate]>,
        range: Range<usize>,
        limits: Limits,
        keep: Keep,
    ) -> Result<Option<Vec<Attempt>>, ExecuteError> {
        let blueprint = self.blueprint();
        let window = Window {
            candidates,
            range,
            gas_left: self.gas_left(limits),
            data_left: self.data_left(limits),
            deadline: limits.deadline,
            keep,
        };
        Ok(self.lanes.run(machine, blueprint, window)?)
    }

    /// Includes what lanes have run, then runs the rest.
    fn take_over(
        &mut self,
        machine: &mut Machine,
        candidates: &[Candidate],
        attempts: Vec<Attempt>,
        limits: Limits,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), ExecuteError> {
        let first = outcomes.len();
        let mut again = Vec::new();
        for (index, (attempt, candidate)) in attempts.into_iter().zip(candidates).enumerate() {
            outcomes.push(match attempt {
                Attempt::Ran(transaction, ran) => {
                    self.data_bytes += candidate.data_size.bytes();
                    Outcome::Included(self.include(transaction, ran, None))
                }
                Attempt::Rejected(rejection) => Outcome::Rejected(rejection),
                Attempt::Stopped => {
                    again.push(index);
                    Outcome::DoesNotFit(Full::Time)
                }
            });
        }
        self.set_waypoint(machine)?;
        let started = Instant::now();
        for index in again {
            if !limits.expired() {
                outcomes[first + index] = self.attempt(machine, &candidates[index], limits)?;
            }
        }
        self.lanes.judge(started.elapsed());
        Ok(())
    }

    fn run_one_by_one(
        &mut self,
        machine: &mut Machine,
        candidates: &[Candidate],
        limits: Limits,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), ExecuteError> {
        let mut stretch_end = self.gas_used + STRETCH_GAS;
        for next in candidates.chunks(LOOK_AHEAD) {
            machine.overlay().look_ahead(next.iter().map(|candidate| &*candidate.transaction));
            for candidate in next {
                if self.gas_used >= stretch_end {
                    self.set_waypoint(machine)?;
                    stretch_end = self.gas_used + STRETCH_GAS;
                    if limits.expired() {
                        return Ok(());
                    }
                }
                outcomes.push(self.attempt(machine, candidate, limits)?);
            }
        }
        Ok(())
    }

    fn gas_left(&self, limits: Limits) -> u64 {
        limits.gas.min(self.attributes.gas_limit).saturating_sub(self.gas_used)
    }

    fn data_left(&self, limits: Limits) -> u64 {
        limits.data_bytes.saturating_sub(self.data_bytes)
    }

    /// Writes the beacon root (EIP-4788) and the parent's hash (EIP-2935) where contracts can read them.
    fn keep_books(&mut self, machine: &mut Machine) -> Result<Vec<Outcome>, ExecuteError> {
        if self.rules.evm >= EvmFork::Cancun {
            let root = self.attributes.parent_beacon_block_root;
            system_call(machine, EvmTx::system(BEACON_ROOTS_ADDRESS, root.into()))?;
        }
        if self.rules.evm >= EvmFork::Prague {
            let hash = self.attributes.parent.hash();
            system_call(machine, EvmTx::system(HISTORY_STORAGE_ADDRESS, Bytes::from(hash)))?;
        }
        Ok(Vec::new())
    }

    fn attempt(
        &mut self,
        machine: &mut Machine,
        candidate: &Candidate,
        limits: Limits,
    ) -> Result<Outcome, ExecuteError> {
        let transaction = &candidate.transaction;
        if transaction.is_deposit() {
            return Ok(Outcome::Rejected(Invalid::Misplaced.into()));
        }
        if transaction.gas_limit() > self.attributes.gas_limit {
            return Ok(Outcome::Rejected(Invalid::GasLimit.into()));
        }
        if transaction.gas_limit() > self.gas_left(limits) {
            return Ok(Outcome::DoesNotFit(Full::Gas));
        }
        if candidate.data_size.bytes() > self.data_left(limits) {
            return Ok(Outcome::DoesNotFit(Full::Data));
        }
        match machine.include(EvmTx::signed(transaction, candidate.data_size)) {
            Ok(ran) => {
                self.data_bytes += candidate.data_size.bytes();
                Ok(Outcome::Included(self.include(transaction.clone(), ran, None)))
            }
            Err(Stop::Rejected(rejection)) => Ok(Outcome::Rejected(rejection)),
            Err(stop) => Err(failure(stop)),
        }
    }

    fn include_fixed(
        &mut self,
        machine: &mut Machine,
        transaction: &Arc<Transaction>,
    ) -> Result<Included, ExecuteError> {
        let (index, hash) = (self.transactions.len(), transaction.hash());
        let invalid = |reason: Rejection| {
            let reason = Box::new(reason);
            ExecuteError::InvalidTransaction { index, hash, reason }
        };
        if transaction.gas_limit() > self.attributes.gas_limit - self.gas_used {
            return Err(ExecuteError::GasLimitReached { index, hash });
        }
        let follows_signed = self.transactions.last().is_some_and(|last| !last.is_deposit());
        let (tx, nonce) = match transaction.as_deposit() {
            Some(_) if follows_signed => return Err(invalid(Invalid::Misplaced.into())),
            Some(deposit) => (EvmTx::deposit(deposit), Some(machine.nonce(deposit.from)?)),
            None => {
                let data_size = data_size(transaction);
                self.data_bytes += data_size.bytes();
                (EvmTx::signed(transaction, data_size), None)
            }
        };
        let ran = machine.include(tx).map_err(|stop| match stop {
            Stop::Rejected(reason) => invalid(reason),
            stop => failure(stop),
        })?;
        let deposit =
            nonce.map(|nonce| DepositReceipt { nonce, version: DepositReceipt::CANYON_VERSION });
        Ok(self.include(transaction.clone(), ran, deposit))
    }

    fn include(
        &mut self,
        transaction: Arc<Transaction>,
        ran: Ran,
        deposit: Option<DepositReceipt>,
    ) -> Included {
        let Ran { success, gas_used, l1_fee, logs } = ran;
        self.gas_used += gas_used;
        let tx_type = transaction.tx_type();
        let cumulative_gas_used = self.gas_used;
        let index = self.transactions.len();
        self.transactions.push(transaction);
        self.receipts.push(Receipt { tx_type, success, cumulative_gas_used, logs, deposit });
        Included { index, gas_used, l1_fee }
    }
}

fn failed_before() -> ExecuteError {
    ExecuteError::Evm("the block failed before".to_owned())
}

fn system_call(machine: &mut Machine, tx: EvmTx) -> Result<(), ExecuteError> {
    // A system call that reverts or finds no code changes nothing, and that is all.
    machine.run(tx).map_err(failure)?;
    machine.commit();
    Ok(())
}

/// For what cannot be a rejection, or must not be one.
pub(crate) fn failure(stop: Stop) -> ExecuteError {
    match stop {
        Stop::State(error) => ExecuteError::State(error),
        Stop::Evm(message) => ExecuteError::Evm(message),
        Stop::Rejected(rejection) => ExecuteError::Evm(rejection.to_string()),
    }
}

impl std::fmt::Debug for dyn StateView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateView")
    }
}
