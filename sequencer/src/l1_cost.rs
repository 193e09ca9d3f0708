//! What transactions pay for their data on L1, worked out from the block alone.

use std::sync::Arc;

use millrace_executor::data_size;
use millrace_protocol::{ChainSpec, L1Attributes, L1Fees};
use millrace_rpc as rpc;
use millrace_types::{Block, Transaction};

/// The prices that a block's first transaction sets, if it is one that sets prices.
pub(crate) fn prices_set_by(transactions: &[Arc<Transaction>]) -> Option<L1Fees> {
    let attributes = transactions.first()?.as_deposit()?;
    L1Attributes::decode(&attributes.input).ok().map(|attributes| attributes.fees())
}

/// The prices of a block and what each of its transactions paid by them. Nothing on a chain without L1.
pub(crate) fn of_block(spec: &ChainSpec, block: &Block) -> Option<Arc<rpc::L1Fees>> {
    let prices = prices_set_by(&block.transactions)?;
    let transactions = block.transactions.iter().map(|transaction| &**transaction);
    of_transactions(spec, block.header.timestamp, prices, transactions)
}

/// The same of some of a block's transactions.
pub(crate) fn of_transactions<'a>(
    spec: &ChainSpec,
    timestamp: u64,
    prices: L1Fees,
    transactions: impl Iterator<Item = &'a Transaction>,
) -> Option<Arc<rpc::L1Fees>> {
    spec.rules(timestamp).optimism?;
    let transactions = transactions.map(|transaction| {
        if transaction.is_deposit() {
            return rpc::L1TxFee::default();
        }
        let size = data_size(transaction);
        rpc::L1TxFee {
            fee: prices.data_fee(size),
            gas_used: alloy_primitives::U256::from(size.l1_gas()),
        }
    });
    Some(Arc::new(rpc::L1Fees {
        base_fee: prices.base_fee,
        blob_base_fee: prices.blob_base_fee,
        base_fee_scalar: prices.base_fee_scalar,
        blob_base_fee_scalar: prices.blob_base_fee_scalar,
        operator_fee_scalar: prices.operator_fee_scalar,
        operator_fee_constant: prices.operator_fee_constant,
        transactions: transactions.collect(),
    }))
}
