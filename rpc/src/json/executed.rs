//! A transaction where it was executed: all that its receipt and its logs are told from, be its block sealed or not.

use alloy_primitives::B256;
use millrace_types::{Receipt, SealedHeader, Transaction};

use crate::{
    backend::{ChainBlock, L1Fees, LogFilter, LogHit},
    promised::{Before, PromisedRun},
};

/// A transaction in a block, borrowed from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Executed<'a> {
    pub(crate) header: &'a SealedHeader,
    /// The hash that the block is known by; zero while it has none.
    pub(crate) block_hash: B256,
    pub(crate) transaction: &'a Transaction,
    pub(crate) receipt: &'a Receipt,
    /// What comes before it. The number of transactions is its index.
    pub(crate) before: Before,
    /// What L1 charged for the block, and which of the entries is this transaction's.
    pub(crate) l1_fees: Option<(&'a L1Fees, usize)>,
}

/// The transactions of a block, in order.
pub(crate) fn of_block(block: &ChainBlock) -> impl Iterator<Item = Executed<'_>> {
    let header = &block.block.header;
    let block_hash = if block.pending { B256::ZERO } else { header.hash() };
    let transactions = block.block.transactions.iter().map(|tx| &**tx).zip(block.receipts.iter());
    in_order(header, block_hash, Before::default(), transactions, block.l1_fees.as_deref())
}

/// Promised transactions, in order.
pub(crate) fn of_run(run: &PromisedRun) -> impl Iterator<Item = Executed<'_>> {
    let transactions = run.transactions.iter().map(|(tx, receipt)| (&**tx, receipt));
    in_order(&run.header, B256::ZERO, run.before, transactions, run.l1_fees.as_deref())
}

fn in_order<'a>(
    header: &'a SealedHeader,
    block_hash: B256,
    first: Before,
    transactions: impl Iterator<Item = (&'a Transaction, &'a Receipt)> + 'a,
    l1_fees: Option<&'a L1Fees>,
) -> impl Iterator<Item = Executed<'a>> {
    let mut before = first;
    transactions.enumerate().map(move |(entry, (transaction, receipt))| {
        let executed = Executed {
            header,
            block_hash,
            transaction,
            receipt,
            before,
            l1_fees: l1_fees.map(|fees| (fees, entry)),
        };
        before.transactions += 1;
        before.logs += receipt.logs.len();
        before.gas = receipt.cumulative_gas_used;
        executed
    })
}

impl<'a> Executed<'a> {
    /// Its logs.
    pub(crate) fn logs(self) -> impl Iterator<Item = LogHit> + 'a {
        let transaction_hash = self.transaction.hash();
        self.receipt.logs.iter().zip(self.before.logs as u64..).map(move |(log, log_index)| {
            LogHit {
                log: log.clone(),
                block_hash: self.block_hash,
                block_number: self.header.number,
                block_timestamp: self.header.timestamp,
                transaction_hash,
                transaction_index: self.before.transactions as u64,
                log_index,
            }
        })
    }

    /// Its logs that a filter wants.
    pub(crate) fn logs_matching(self, filter: &'a LogFilter) -> impl Iterator<Item = LogHit> + 'a {
        // Most transactions have none, and then nothing is worth a clone.
        let any = self.receipt.logs.iter().any(|log| filter.matches(log));
        any.then(|| self.logs().filter(|hit| filter.matches(&hit.log))).into_iter().flatten()
    }
}
