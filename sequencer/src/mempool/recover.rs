//! From bytes to transactions, on every core.

use std::sync::Arc;

use alloy_primitives::Bytes;
use millrace_types::{Transaction, TransactionError};
use rayon::prelude::*;

/// Decodes transactions and recovers their senders, in order.
///
/// Recovery costs about 33 µs each, so a group is spread over rayon's threads; a single transaction is done at once
/// on the caller's, where waking another would only add to it. Not for the builder's thread.
pub fn decode_and_recover_batch(
    encoded: Vec<Bytes>,
) -> Vec<Result<Arc<Transaction>, TransactionError>> {
    let decode = |bytes| Transaction::decode(bytes).map(Arc::new);
    if encoded.len() == 1 {
        return encoded.into_iter().map(decode).collect();
    }
    encoded.into_par_iter().map(decode).collect()
}
