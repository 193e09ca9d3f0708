//! Holding what a node says against the hashes that commit to it. Pure.

use alloy_consensus::{
    EthereumTxEnvelope, Header, ReceiptEnvelope, Sealed, TxEip4844, TxEnvelope, proofs,
};
use alloy_eips::{Decodable2718, Encodable2718};
use alloy_primitives::{B256, Log, keccak256};
use alloy_rpc_types_eth::{Block, TransactionReceipt};
use serde_json::value::RawValue;

/// A header of L1 with the hash that was recomputed from it.
pub type L1HeaderSealed = Sealed<Header>;

/// A transaction as blocks hold it: a blob transaction has no blobs there, whatever a node's JSON adds to it.
pub type L1Transaction = EthereumTxEnvelope<TxEip4844>;

/// A block of L1 whose transactions match its header.
#[derive(Debug, Clone)]
pub struct FullBlock {
    /// The header.
    pub header: L1HeaderSealed,
    /// The transactions, in order.
    pub transactions: Vec<L1Transaction>,
}

/// Which block an answer must be about, as far as that is known beforehand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    Any,
    Number(u64),
    Hash(B256),
}

/// Reads a header, and checks that it hashes to what the node says and is the one asked for.
pub(crate) fn header(raw: &RawValue, expected: Expected) -> Result<L1HeaderSealed, String> {
    // Transactions are left out: only hashes are asked for, and none of them matter here.
    let header: alloy_rpc_types_eth::Header =
        serde_json::from_str(raw.get()).map_err(|error| format!("a header: {error}"))?;
    sealed(header, expected)
}

/// Reads a block with its transactions, and checks them against the header.
pub(crate) fn block(raw: &RawValue, expected: Expected) -> Result<FullBlock, String> {
    let block: Block =
        serde_json::from_str(raw.get()).map_err(|error| format!("a block: {error}"))?;
    let header = sealed(block.header, expected)?;
    if !block.transactions.is_full() {
        return Err("the block comes without its transactions".to_owned());
    }
    let as_given: Vec<TxEnvelope> =
        block.transactions.into_transactions_vec().into_iter().map(|tx| tx.into_inner()).collect();
    let as_given_root = proofs::calculate_transaction_root(&as_given);
    let transactions: Vec<L1Transaction> = as_given.into_iter().map(L1Transaction::from).collect();
    let encoded: Vec<Vec<u8>> = transactions.iter().map(Encodable2718::encoded_2718).collect();
    let root = proofs::ordered_trie_root_encoded(&encoded);
    // Anvil keeps blobs in its blocks, shows them, and has its headers commit to them. Such a root commits to the
    // transactions no less, and no other L1 ever has one.
    if root != header.transactions_root && as_given_root != header.transactions_root {
        return Err(format!(
            "transactions with the root {root} in a block with {}",
            header.transactions_root
        ));
    }
    let transactions = transactions.into_iter().zip(&encoded);
    let transactions =
        transactions.map(|(transaction, encoded)| under_own_hash(transaction, encoded));
    Ok(FullBlock { header, transactions: transactions.collect::<Result<_, _>>()? })
}

/// The transaction with the hash that its bytes have.
///
/// The root covers the bytes and not the hash that JSON brings along, so that one counts for nothing. Real nodes never
/// have another; anvil does for impersonated senders. The signature under such a transaction is nobody's, or that of a
/// stranger, and what it says of its sender here is the same for everybody who reads this L1.
fn under_own_hash(transaction: L1Transaction, encoded: &[u8]) -> Result<L1Transaction, String> {
    if *transaction.tx_hash() == keccak256(encoded) {
        return Ok(transaction);
    }
    L1Transaction::decode_2718_exact(encoded).map_err(|error| format!("a transaction: {error}"))
}

/// Reads a block's receipts, and checks them against the header.
pub(crate) fn receipts(
    raw: &RawValue,
    header: &L1HeaderSealed,
) -> Result<Vec<ReceiptEnvelope<Log>>, String> {
    let receipts: Vec<TransactionReceipt> =
        serde_json::from_str(raw.get()).map_err(|error| format!("receipts: {error}"))?;
    let receipts: Vec<ReceiptEnvelope<Log>> = receipts
        .into_iter()
        .map(|receipt| receipt.into_primitives_receipt().into_inner())
        .collect();
    let root = proofs::calculate_receipt_root(&receipts);
    if root != header.receipts_root {
        return Err(format!(
            "receipts with the root {root} for a block with {}",
            header.receipts_root
        ));
    }
    Ok(receipts)
}

fn sealed(
    header: alloy_rpc_types_eth::Header,
    expected: Expected,
) -> Result<L1HeaderSealed, String> {
    let hash = header.inner.hash_slow();
    if hash != header.hash {
        return Err(format!("a header that hashes to {hash} under the hash {}", header.hash));
    }
    match expected {
        Expected::Number(number) if header.inner.number != number => {
            return Err(format!("block {} instead of {number}", header.inner.number));
        }
        Expected::Hash(wanted) if hash != wanted => {
            return Err(format!("block {hash} instead of {wanted}"));
        }
        _ => {}
    }
    Ok(Sealed::new_unchecked(header.inner, hash))
}
