//! Handing signed transactions to L1.

use alloy_primitives::{B256, Bytes};
use serde_json::json;

use crate::{
    client::{L1Client, L1Error, Scope, plain},
    endpoint::EndpointError,
    json_rpc::{Call, RpcError},
};

/// L1 has the transaction, which promises nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is new to the node.
    Accepted,
    /// The node had it, in its pool or in a block: somebody sent it before, perhaps an earlier attempt of ours whose
    /// answer was lost.
    Known,
}

/// Why L1 doesn't take a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Its nonce is used up: it is in the chain, or another transaction is.
    #[error("its nonce is used up: {0}")]
    NonceTooLow(RpcError),
    /// The pool has another transaction with its nonce, which pays too much to be replaced by it.
    #[error("it pays too little to replace another transaction: {0}")]
    ReplacementUnderpriced(RpcError),
    /// It pays less than the pool asks of any transaction, or than the next block does.
    #[error("it pays too little: {0}")]
    Underpriced(RpcError),
    /// The account can't pay for it.
    #[error("the account has too little: {0}")]
    InsufficientFunds(RpcError),
    /// Another reason.
    #[error("refused: {0}")]
    Refused(RpcError),
    /// No endpoint answered. It may have arrived all the same.
    #[error(transparent)]
    Unavailable(L1Error),
}

impl L1Client {
    /// Hands over a signed transaction as the bytes that travel: a blob transaction with its sidecar.
    ///
    /// When an answer is lost, the same bytes are handed to the next endpoint: sending them twice has no other effect
    /// than sending them once. The first refusal ends it.
    pub async fn send_raw(&self, raw: &Bytes) -> Result<Sent, SendError> {
        let call = [Call::new("eth_sendRawTransaction", json!([raw]))];
        let mut last = None;
        for round in 0..self.rounds_max() {
            self.pause_before(round).await;
            for i in self.order(Scope::Head) {
                match self.put(i, &call, plain::<B256>).await {
                    Ok(Some(_)) => return Ok(Sent::Accepted),
                    Ok(None) => last = Some((i, EndpointError::Missing("a transaction's hash"))),
                    Err(EndpointError::Rpc(error))
                        if !error.is_busy() && !error.is_unknown_method() =>
                    {
                        return judge(error);
                    }
                    Err(error) => last = Some((i, error)),
                }
            }
        }
        Err(SendError::Unavailable(self.unanswered(last)))
    }
}

/// There are no codes for it, so the words of nodes decide: geth and erigon, nethermind, besu, reth, anvil.
fn judge(error: RpcError) -> Result<Sent, SendError> {
    let message = error.message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&["already known", "alreadyknown", "known transaction", "already imported"]) {
        Ok(Sent::Known)
    } else if says(&["nonce too low", "nonce_too_low", "oldnonce", "nonce is too low"]) {
        Err(SendError::NonceTooLow(error))
    } else if says(&["replacement transaction underpriced", "replacementnotallowed"]) {
        Err(SendError::ReplacementUnderpriced(error))
    } else if says(&["insufficient funds", "insufficientfunds", "exceeds account balance"]) {
        Err(SendError::InsufficientFunds(error))
    } else if says(&["underpriced", "fee cap less than", "feetoolow", "less than block base fee"]) {
        Err(SendError::Underpriced(error))
    } else {
        Err(SendError::Refused(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_their_words() {
        let check = |message: &str, expected: fn(RpcError) -> Result<Sent, SendError>| {
            let error = RpcError { code: -32000, message: message.to_owned(), data: None };
            assert_eq!(judge(error.clone()), expected(error), "{message}");
        };
        check("already known", |_| Ok(Sent::Known));
        check("AlreadyKnown", |_| Ok(Sent::Known));
        check("Known transaction", |_| Ok(Sent::Known));
        check("transaction already imported", |_| Ok(Sent::Known));
        check("nonce too low: next nonce 5, tx nonce 4", |error| {
            Err(SendError::NonceTooLow(error))
        });
        check("replacement transaction underpriced", |error| {
            Err(SendError::ReplacementUnderpriced(error))
        });
        check("transaction underpriced: tip needed 1", |error| Err(SendError::Underpriced(error)));
        check("max fee per gas less than block base fee", |error| {
            Err(SendError::Underpriced(error))
        });
        check("insufficient funds for gas * price + value", |error| {
            Err(SendError::InsufficientFunds(error))
        });
        check("invalid sender", |error| Err(SendError::Refused(error)));
    }
}
