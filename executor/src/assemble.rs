//! From what was executed to a block: roots, bloom, header, hash.

use std::sync::Arc;

use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{B256, Bloom};
use alloy_trie::{EMPTY_ROOT_HASH, root::ordered_trie_root_with_encoder};
use millrace_protocol::{EvmFork, OpFork, Rules};
use millrace_types::{
    Block, ExecutedBlock, Header, Receipt, SealedHeader, StateDiff, Transaction, Waypoint,
};

use crate::BlockAttributes;

/// A block that was executed but has no header yet: for that, the state's root is missing.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The rules that it followed.
    pub rules: Rules,
    /// What was fixed about it before.
    pub attributes: BlockAttributes,
    /// Its transactions.
    pub transactions: Vec<Arc<Transaction>>,
    /// One receipt a transaction.
    pub receipts: Vec<Receipt>,
    /// The gas that its transactions used.
    pub gas_used: u64,
    /// The room on L1 that its transactions are estimated to take.
    pub data_bytes: u64,
    /// Everything that it changed.
    pub diff: Arc<StateDiff>,
    /// What it changed group by group.
    pub waypoints: Vec<Waypoint>,
}

/// The roots of the state that a block leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateRoots {
    /// Of the whole state.
    pub state_root: B256,
    /// Of the message passer's storage, which stands in the header since Isthmus. Not used under other rules.
    pub message_passer_storage_root: B256,
}

/// Makes the block: its header commits to everything in it.
pub fn assemble(executed: Executed, roots: StateRoots) -> ExecutedBlock {
    let Executed { rules, attributes, transactions, receipts, gas_used, diff, waypoints, .. } =
        executed;
    let (transactions_root, (receipts_root, logs_bloom)) =
        rayon::join(|| transactions_root(&transactions), || receipts_root(&receipts));
    let cancun = rules.evm >= EvmFork::Cancun;
    let header = Header {
        parent_hash: attributes.parent.hash(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: attributes.beneficiary,
        state_root: roots.state_root,
        transactions_root,
        receipts_root,
        logs_bloom,
        number: attributes.number(),
        gas_limit: attributes.gas_limit,
        gas_used,
        timestamp: attributes.timestamp,
        extra_data: attributes.extra_data,
        mix_hash: attributes.prev_randao,
        base_fee_per_gas: Some(attributes.base_fee),
        withdrawals_root: withdrawals_root(rules, &roots),
        blob_gas_used: cancun.then(|| blob_gas_used(&transactions)),
        excess_blob_gas: cancun.then_some(attributes.excess_blob_gas),
        parent_beacon_block_root: cancun.then_some(attributes.parent_beacon_block_root),
        // No block here makes requests: a rollup has none by rule.
        requests_hash: (rules.evm >= EvmFork::Prague).then_some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    };
    let block = Block { header: SealedHeader::seal_slow(header), transactions };
    ExecutedBlock { block: Arc::new(block), receipts: Arc::new(receipts), diff, waypoints }
}

/// Before Isthmus the withdrawals root is that of a list, which is always empty.
fn withdrawals_root(rules: Rules, roots: &StateRoots) -> Option<B256> {
    if rules.is_active(OpFork::Isthmus) {
        Some(roots.message_passer_storage_root)
    } else {
        (rules.evm >= EvmFork::Shanghai).then_some(EMPTY_ROOT_HASH)
    }
}

fn blob_gas_used(transactions: &[Arc<Transaction>]) -> u64 {
    use alloy_consensus::Transaction as _;

    transactions.iter().filter_map(|transaction| transaction.blob_gas_used()).sum()
}

fn transactions_root(transactions: &[Arc<Transaction>]) -> B256 {
    ordered_trie_root_with_encoder(transactions, |transaction, out| {
        out.extend_from_slice(transaction.encoded());
    })
}

fn receipts_root(receipts: &[Receipt]) -> (B256, Bloom) {
    let mut block_bloom = Bloom::ZERO;
    let root = ordered_trie_root_with_encoder(receipts, |receipt, out| {
        let bloom = receipt.bloom();
        block_bloom |= bloom;
        receipt.encode_2718(&bloom, out);
    });
    (root, block_bloom)
}
