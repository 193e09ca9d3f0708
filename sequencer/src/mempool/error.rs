//! Why a transaction was not kept, in the words that clients of geth match on.

use alloy_primitives::{Address, U256};
use millrace_types::TransactionError;

/// A transaction that was refused: it is not in the pool.
///
/// `Display` is what geth answers, to the letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The bytes are no transaction, or nobody signed them.
    #[error("{0}")]
    Decode(#[from] TransactionError),
    /// A kind of transaction that this chain does not take from users.
    #[error("transaction type not supported")]
    TypeNotSupported,
    /// A legacy transaction that could be replayed on any chain.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    Unprotected,
    /// Signed for another chain.
    #[error("invalid sender: invalid chain id for signer: have {have} want {want}")]
    ChainId {
        /// The transaction's.
        have: u64,
        /// Ours.
        want: u64,
    },
    /// The encoding is too long.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized {
        /// Length of the encoding.
        size: usize,
        /// The longest that is taken.
        limit: usize,
    },
    /// The code that a creation runs is too long (EIP-3860).
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    InitCodeSize {
        /// Length of the init code.
        size: usize,
        /// The longest that is valid.
        limit: usize,
    },
    /// No block could hold it.
    #[error("exceeds block gas limit")]
    BlockGasLimit,
    /// The tip exceeds the fee cap.
    #[error(
        "max priority fee per gas higher than max fee per gas: \
         maxPriorityFeePerGas: {tip}, maxFeePerGas: {max_fee}"
    )]
    TipAboveFeeCap {
        /// The priority fee.
        tip: u128,
        /// The fee cap.
        max_fee: u128,
    },
    /// The nonce could not be incremented (EIP-2681).
    #[error("nonce has max value")]
    NonceMax,
    /// The gas limit is below what inclusion alone costs.
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas {
        /// The gas limit.
        gas: u64,
        /// What inclusion costs.
        needed: u64,
    },
    /// The gas limit is below the floor that its data sets (EIP-7623).
    #[error("insufficient gas for floor data gas cost: gas {gas}, minimum needed {needed}")]
    FloorDataGas {
        /// The gas limit.
        gas: u64,
        /// The floor.
        needed: u64,
    },
    /// The tip is below the least that this sequencer asks for.
    #[error("transaction underpriced: gas tip cap {tip}, minimum needed {needed}")]
    TipTooLow {
        /// The priority fee.
        tip: u128,
        /// The least that is taken.
        needed: u128,
    },
    /// A set-code transaction that sets no code.
    #[error("set code tx must have at least one authorization tuple")]
    EmptyAuthorizationList,
    /// Sent already.
    #[error("already known")]
    AlreadyKnown,
    /// The nonce is used up.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The first that is free.
        next: u64,
        /// The transaction's.
        nonce: u64,
    },
    /// The sender is a contract (EIP-3607).
    #[error("sender not an eoa: address {0}")]
    SenderNotEoa(Address),
    /// The sender cannot pay for this transaction.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}",
        cost.saturating_sub(*balance)
    )]
    InsufficientFunds {
        /// What the sender has.
        balance: U256,
        /// The most that the transaction can cost, L1 and operator fees included.
        cost: U256,
    },
    /// The sender cannot pay for this transaction besides those in the pool.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, \
         tx cost {cost}, overshot {}",
        queued.saturating_add(*cost).saturating_sub(*balance)
    )]
    Overdraft {
        /// What the sender has.
        balance: U256,
        /// The most that the sender's pooled transactions can cost.
        queued: U256,
        /// The most that this one can cost.
        cost: U256,
    },
    /// The sender cannot pay for what a replacement costs more.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, \
         tx bumped {bump}, overshot {}",
        queued.saturating_add(*bump).saturating_sub(*balance)
    )]
    BumpOverdraft {
        /// What the sender has.
        balance: U256,
        /// The most that the sender's pooled transactions can cost.
        queued: U256,
        /// By how much the replacement raises that.
        bump: U256,
    },
    /// The sender has as many transactions in the pool as one sender may.
    #[error("account limit exceeded: pooled {0} txs")]
    AccountLimit(usize),
    /// A sender that runs code may have one transaction in the pool, as others can empty it at any time.
    #[error("in-flight transaction limit reached for delegated accounts")]
    DelegatedLimit,
    /// A sender that runs code may not leave gaps.
    #[error("gapped-nonce tx from delegated accounts")]
    DelegatedGap,
    /// Another transaction has this nonce, and this one does not pay enough more.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The pool is full of transactions that pay at least as much.
    #[error("transaction underpriced")]
    Underpriced,
    /// The pool is full and nothing in it may make room.
    #[error("txpool is full")]
    PoolFull,
    /// The sender's account could not be read.
    #[error(transparent)]
    Accounts(#[from] AccountsUnavailable),
}

/// The newest state could not be read; the text is for logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("account state unavailable: {0}")]
pub struct AccountsUnavailable(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: SubmitError, expected: &str) {
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn speaks_as_geth_does() {
        let (balance, queued) = (U256::from(10), U256::from(7));
        let funds = "insufficient funds for gas * price + value: balance 10";
        check(
            SubmitError::InsufficientFunds { balance, cost: U256::from(12) },
            &format!("{funds}, tx cost 12, overshot 2"),
        );
        check(
            SubmitError::Overdraft { balance, queued, cost: U256::from(5) },
            &format!("{funds}, queued cost 7, tx cost 5, overshot 2"),
        );
        check(
            SubmitError::BumpOverdraft { balance, queued, bump: U256::from(6) },
            &format!("{funds}, queued cost 7, tx bumped 6, overshot 3"),
        );
        check(
            SubmitError::NonceTooLow { next: 5, nonce: 3 },
            "nonce too low: next nonce 5, tx nonce 3",
        );
        check(SubmitError::AlreadyKnown, "already known");
        check(SubmitError::AccountLimit(64), "account limit exceeded: pooled 64 txs");
        check(SubmitError::ReplacementUnderpriced, "replacement transaction underpriced");
        check(SubmitError::Underpriced, "transaction underpriced");
        check(SubmitError::PoolFull, "txpool is full");
        check(
            SubmitError::DelegatedLimit,
            "in-flight transaction limit reached for delegated accounts",
        );
        check(SubmitError::DelegatedGap, "gapped-nonce tx from delegated accounts");
        check(
            SubmitError::SenderNotEoa(Address::with_last_byte(1)),
            "sender not an eoa: address 0x0000000000000000000000000000000000000001",
        );
    }
}
