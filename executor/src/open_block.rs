//! A block under construction.

use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Bytes, U256};
use millrace_protocol::{
    ChainSpec, DataSize, EvmFork, L1Fees, Rules,
    predeploys::{BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS},
};
use millrace_types::{DepositReceipt, Receipt, Transaction, Waypoint};

use crate::{
    BlockAttributes, BlockContext, Candidate, ExecuteError, Executed, Executor, Full, Group,
    Included, Invalid, LayeredView, Limits, Outcome, Rejection, StateView,
    evm::{Checks, EvmTx, Execution, Machine, Overlay, Stop},
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
    /// Absent while an EVM holds it.
    overlay: Option<Overlay>,
    /// The prices of this block, once the first transaction has paid them.
    fees: Option<L1Fees>,
    layers: Layers,
    waypoints: Vec<Waypoint>,
    transactions: Vec<Arc<Transaction>>,
    receipts: Vec<Receipt>,
    gas_used: u64,
    data_bytes: u64,
}

impl OpenBlock {
    pub(crate) fn open(
        chain: Arc<ChainSpec>,
        attributes: BlockAttributes,
        view: Arc<dyn StateView>,
    ) -> Result<Self, ExecuteError> {
        let rules = Executor::rules(&chain, attributes.timestamp)?;
        let mut overlay = Overlay::new(view.clone());
        overlay.set_block_hash(attributes.parent.number, attributes.parent.hash());
        let mut block = Self {
            chain,
            rules,
            attributes,
            view,
            overlay: Some(overlay),
            fees: None,
            layers: Layers::default(),
            waypoints: Vec::new(),
            transactions: Vec::new(),
            receipts: Vec::new(),
            gas_used: 0,
            data_bytes: 0,
        };
        block.with_machine(|block, machine| block.keep_books(machine))?;
        Ok(block)
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
        LayeredView::new(self.view.clone(), self.layers.snapshot())
    }

    /// Includes deposits, which nothing refuses. They must come before everything else.
    pub fn include_deposits(
        &mut self,
        deposits: &[Arc<Transaction>],
    ) -> Result<Group, ExecuteError> {
        let group = self.with_machine(|block, machine| {
            let include = |deposit| block.include_fixed(machine, deposit).map(Outcome::Included);
            deposits.iter().map(include).collect()
        })?;
        // The first of them sets the prices: whatever was read before, for a candidate that came too early, is stale.
        self.fees = None;
        Ok(group)
    }

    /// Tries candidates in their order. One that is rejected or does not fit leaves no trace, and the next is tried.
    pub fn run(&mut self, candidates: &[Candidate], limits: Limits) -> Result<Group, ExecuteError> {
        self.with_machine(|block, machine| {
            candidates.iter().map(|candidate| block.attempt(machine, candidate, limits)).collect()
        })
    }

    /// Includes transactions that are known to be part of the block, in this order.
    pub(crate) fn run_fixed(
        &mut self,
        transactions: &[Arc<Transaction>],
    ) -> Result<(), ExecuteError> {
        self.with_machine(|block, machine| {
            for transaction in transactions {
                block.include_fixed(machine, transaction)?;
            }
            Ok(Vec::new())
        })?;
        Ok(())
    }

    /// Closes the block.
    pub fn finish(self) -> Result<Executed, ExecuteError> {
        Ok(Executed {
            rules: self.rules,
            attributes: self.attributes,
            transactions: self.transactions,
            receipts: self.receipts,
            gas_used: self.gas_used,
            data_bytes: self.data_bytes,
            diff: self.layers.into_diff(),
            waypoints: self.waypoints,
        })
    }

    /// Lends the state to an EVM, and collects what changed.
    fn with_machine(
        &mut self,
        work: impl FnOnce(&mut Self, &mut Machine) -> Result<Vec<Outcome>, ExecuteError>,
    ) -> Result<Group, ExecuteError> {
        let overlay = self
            .overlay
            .take()
            .ok_or_else(|| ExecuteError::Evm("the block failed before".to_owned()))?;
        let mut machine = Machine::new(
            self.chain.chain_id(),
            self.rules,
            &self.context(),
            Checks::All,
            overlay,
            self.fees,
        );
        let outcomes = work(self, &mut machine)?;
        let (mut overlay, fees) = machine.into_parts();
        let diff = Arc::new(overlay.take_changes()?);
        self.overlay = Some(overlay);
        self.fees = fees;
        self.layers.push(diff.clone());
        self.waypoints.push(Waypoint { transactions: self.transactions.len(), diff: diff.clone() });
        Ok(Group { outcomes, diff })
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
        let gas_max = limits.gas.min(self.attributes.gas_limit);
        if transaction.gas_limit() > gas_max.saturating_sub(self.gas_used) {
            return Ok(Outcome::DoesNotFit(Full::Gas));
        }
        if candidate.data_size.bytes() > limits.data_bytes.saturating_sub(self.data_bytes) {
            return Ok(Outcome::DoesNotFit(Full::Data));
        }
        match machine.run(EvmTx::signed(transaction, candidate.data_size)) {
            Ok(execution) => {
                machine.commit();
                self.data_bytes += candidate.data_size.bytes();
                let l1_fee = machine.l1_fee();
                Ok(Outcome::Included(self.include(transaction, execution, l1_fee, None)))
            }
            Err(Stop::Rejected(rejection)) => {
                machine.discard();
                Ok(Outcome::Rejected(rejection))
            }
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
                let data_size = DataSize::estimate(transaction.encoded());
                self.data_bytes += data_size.bytes();
                (EvmTx::signed(transaction, data_size), None)
            }
        };
        let execution = machine.run(tx).map_err(|stop| match stop {
            Stop::Rejected(reason) => invalid(reason),
            stop => failure(stop),
        })?;
        machine.commit();
        let l1_fee = machine.l1_fee();
        let deposit =
            nonce.map(|nonce| DepositReceipt { nonce, version: DepositReceipt::CANYON_VERSION });
        Ok(self.include(transaction, execution, l1_fee, deposit))
    }

    fn include(
        &mut self,
        transaction: &Arc<Transaction>,
        execution: Execution,
        l1_fee: U256,
        deposit: Option<DepositReceipt>,
    ) -> Included {
        let gas_used = execution.tx_gas_used();
        self.gas_used += gas_used;
        let receipt = Receipt {
            tx_type: transaction.tx_type(),
            success: execution.is_success(),
            cumulative_gas_used: self.gas_used,
            logs: execution.into_logs(),
            deposit,
        };
        let index = self.transactions.len();
        self.transactions.push(transaction.clone());
        self.receipts.push(receipt.clone());
        Included { index, gas_used, l1_fee, receipt }
    }
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
