//! From what an origin prescribes to what is fixed about a block: the same for a block that is built, one that L1 orders, and
//! one that was promised.

use std::sync::Arc;

use millrace_executor::BlockAttributes;
use millrace_protocol::{BaseFeeError, ChainSpec, Prescribed, predeploys::SEQUENCER_FEE_VAULT};
use millrace_types::{SealedHeader, Transaction};

/// What is fixed about the block after `parent`.
pub(crate) fn block_attributes(
    spec: &ChainSpec,
    parent: SealedHeader,
    timestamp: u64,
    prescribed: &Prescribed,
) -> Result<BlockAttributes, BaseFeeError> {
    Ok(BlockAttributes {
        timestamp,
        beneficiary: SEQUENCER_FEE_VAULT,
        gas_limit: prescribed.gas_limit,
        base_fee: spec.next_base_fee(&parent, timestamp)?,
        prev_randao: prescribed.prev_randao,
        parent_beacon_block_root: prescribed.parent_beacon_block_root,
        extra_data: prescribed.eip1559.to_extra_data().into(),
        excess_blob_gas: 0,
        parent,
    })
}

/// The deposits, as blocks hold them.
pub(crate) fn deposits(prescribed: &Prescribed) -> Vec<Arc<Transaction>> {
    let deposits = prescribed.deposits.iter().cloned();
    deposits.map(|deposit| Arc::new(Transaction::deposit(deposit))).collect()
}
