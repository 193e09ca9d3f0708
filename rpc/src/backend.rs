//! What the edge needs from the node behind it.
//!
//! The sequencer implements [`Backend`]; nothing here knows JSON, the EVM or SQL. Requests are typed and complete
//! (defaults applied, tags still symbolic), answers are plain values shared by reference count, and each error enum
//! holds the decisions that the edge takes: which code, which of geth's sentences.
//!
//! Reads of blocks, accounts and the pool are expected to answer from memory or a point lookup. The four heavy ones
//! ([`call`](Backend::call), [`estimate_gas`](Backend::estimate_gas), [`proof`](Backend::proof),
//! [`logs`](Backend::logs)) must run on threads of the backend's own, never on the async runtime; the edge admits
//! only a bounded number of them at once.

use std::{future::Future, sync::Arc, time::Duration};

use alloy_eips::{eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{
    Address, B256, Bytes, Log, TxHash, U256,
    map::{AddressMap, B256Map},
};
use millrace_types::{Account, Block, Receipt, SealedHeader, Transaction};
use tokio::sync::broadcast;

use crate::promised::{PromisedRun, WaitError};

/// The node, as the edge sees it.
///
/// Every method may be called concurrently, and a caller that goes away drops the future.
pub trait Backend: Send + Sync + 'static {
    /// What never changes while the process lives.
    fn chain(&self) -> ChainInfo;

    /// Where the chain's tags point at this moment. Must not block.
    fn heads(&self) -> Heads;

    /// A block with its receipts; `None` if there is no such block.
    fn block(
        &self,
        at: BlockRef,
    ) -> impl Future<Output = Result<Option<Arc<ChainBlock>>, ReadError>> + Send;

    /// A block's header alone, for answers that need no more.
    fn header(
        &self,
        at: BlockRef,
    ) -> impl Future<Output = Result<Option<SealedHeader>, ReadError>> + Send;

    /// A transaction, wherever it is.
    fn transaction(
        &self,
        hash: TxHash,
    ) -> impl Future<Output = Result<Option<Lookup>, ReadError>> + Send;

    /// An account in the state after a block; `None` if it does not exist there.
    fn account(
        &self,
        address: Address,
        at: BlockRef,
    ) -> impl Future<Output = Result<Option<Account>, StateError>> + Send;

    /// A storage slot in the state after a block, zero when unset.
    fn storage(
        &self,
        address: Address,
        slot: U256,
        at: BlockRef,
    ) -> impl Future<Output = Result<U256, StateError>> + Send;

    /// An account's code in the state after a block, empty when it has none.
    fn code(
        &self,
        address: Address,
        at: BlockRef,
    ) -> impl Future<Output = Result<Bytes, StateError>> + Send;

    /// The Merkle proof of an account and some of its slots, in the order asked. Heavy.
    fn proof(
        &self,
        address: Address,
        slots: Vec<B256>,
        at: BlockRef,
    ) -> impl Future<Output = Result<AccountProof, StateError>> + Send;

    /// The next nonce that the pool would accept without a gap: the account's, counting what is executed and pooled.
    fn next_nonce(&self, address: Address) -> impl Future<Output = Result<u64, StateError>> + Send;

    /// Offers an EIP-2718 encoded transaction to the pool. An error means that it was not kept.
    /// It must not take long: past the edge's time limit the client is told that it timed out, kept or not.
    fn submit(&self, encoded: Bytes) -> impl Future<Output = Result<TxHash, SubmitError>> + Send;

    /// Offers several, in this order; one answer each. They share what offering one costs beside looking at it.
    fn submit_all(
        &self,
        encoded: Vec<Bytes>,
    ) -> impl Future<Output = Vec<Result<TxHash, SubmitError>>> + Send {
        async move {
            let mut results = Vec::with_capacity(encoded.len());
            for encoded in encoded {
                results.push(self.submit(encoded).await);
            }
            results
        }
    }

    /// Offers an encoded transaction to the pool and waits until it is promised or sealed, for so long at most. One that was
    /// offered before is waited for as well, or found where it is. A caller that goes away takes back the wait and not the
    /// transaction.
    fn submit_and_wait(
        &self,
        encoded: Bytes,
        patience: Duration,
    ) -> impl Future<Output = Result<Inclusion, WaitError>> + Send;

    /// Runs a call on top of a block and throws its effects away. Heavy.
    fn call(&self, request: CallRequest) -> impl Future<Output = Result<Bytes, CallError>> + Send;

    /// The least gas limit with which a call succeeds. Heavy.
    fn estimate_gas(
        &self,
        request: CallRequest,
    ) -> impl Future<Output = Result<u64, CallError>> + Send;

    /// Logs of sealed blocks, in chain order. Heavy.
    fn logs(&self, query: LogQuery) -> impl Future<Output = Result<Vec<LogHit>, LogsError>> + Send;

    /// Blocks as they are sealed, or taken back. A receiver that lags too far sees so and is dropped by the edge.
    fn block_events(&self) -> broadcast::Receiver<BlockEvent>;

    /// Transactions as they are promised, each once, unless L1 takes their block back.
    fn promised_transactions(&self) -> broadcast::Receiver<Arc<PromisedRun>>;

    /// Transactions as the pool admits them, in groups so that a flood costs few messages.
    fn pooled_transactions(&self) -> broadcast::Receiver<Arc<[Arc<Transaction>]>>;
}

/// What never changes while the process lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainInfo {
    /// The EIP-155 chain id.
    pub chain_id: u64,
    /// What `web3_clientVersion` says, as `millrace/v0.1.0/linux-x86_64`.
    pub client_version: String,
    /// The number of the first block.
    pub genesis_number: u64,
    /// How the base fee follows from its parent, where the header does not carry it (plain Ethereum).
    /// OP chains since Holocene carry it in `extraData`, which wins.
    pub base_fee: BaseFeeParams,
}

/// The two constants of EIP-1559.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseFeeParams {
    /// By which fraction of itself the base fee moves at most.
    pub denominator: u64,
    /// How many times the gas target the limit is.
    pub elasticity: u64,
}

/// Where the chain's tags point. `earliest ≤ finalized ≤ safe ≤ latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// The newest sealed and journaled block.
    pub latest: u64,
    /// The newest block that L1 holds.
    pub safe: u64,
    /// The newest block that a finalized L1 block holds.
    pub finalized: u64,
    /// The oldest block that is kept.
    pub earliest: u64,
}

/// Which block a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockRef {
    /// The block of that number.
    Number(u64),
    /// The block with that hash. All blocks that we keep are canonical.
    Hash(B256),
    /// The newest sealed block.
    Latest,
    /// What is executed but not yet sealed, on top of the latest block; the latest block if there is none.
    Pending,
    /// The newest block that L1 holds.
    Safe,
    /// The newest block that a finalized L1 block holds.
    Finalized,
    /// The oldest block that is kept.
    Earliest,
}

/// A block as the chain serves it.
#[derive(Debug, Clone)]
pub struct ChainBlock {
    /// Header and transactions. A pending block's hash means nothing and is not shown.
    pub block: Arc<Block>,
    /// One receipt a transaction, in order.
    pub receipts: Arc<Vec<Receipt>>,
    /// What L1 charged for it; `None` on a chain without L1 fees.
    pub l1_fees: Option<Arc<L1Fees>>,
    /// Whether it is still being built.
    pub pending: bool,
}

/// The L1 fee parameters of a block, and what its transactions paid by them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct L1Fees {
    /// L1's base fee.
    pub base_fee: U256,
    /// L1's blob base fee.
    pub blob_base_fee: U256,
    /// The weight of the base fee.
    pub base_fee_scalar: u32,
    /// The weight of the blob base fee.
    pub blob_base_fee_scalar: u32,
    /// The operator fee's parameters, zero when there is none.
    pub operator_fee_scalar: u32,
    /// The operator fee's constant part.
    pub operator_fee_constant: u64,
    /// One entry a transaction, in order; all zero for deposits.
    pub transactions: Vec<L1TxFee>,
}

/// What one transaction paid for L1's data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct L1TxFee {
    /// The fee in wei, without the operator fee.
    pub fee: U256,
    /// The L1 gas that the estimate of its compressed size stands for.
    pub gas_used: U256,
}

/// Where a transaction is.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// In the pool, or executed and not promised yet.
    Pooled(Arc<Transaction>),
    /// In a block.
    Included(Inclusion),
}

/// In which block a transaction is, and where.
#[derive(Debug, Clone)]
pub enum Inclusion {
    /// In the block being built, and promised: a run of it alone, with what L1 charged.
    Promised(Arc<PromisedRun>),
    /// In a sealed block.
    Sealed {
        /// The block.
        block: Arc<ChainBlock>,
        /// Its index in the block.
        index: usize,
    },
}

/// The proof that an account and some of its slots are in a state, or are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountProof {
    /// The account; `None` if the proof shows its absence.
    pub account: Option<Account>,
    /// The root of its storage, the empty root when it has none.
    pub storage_root: B256,
    /// The trie's nodes from the root to the account.
    pub proof: Vec<Bytes>,
    /// One entry a slot, in the order asked.
    pub storage: Vec<StorageProof>,
}

/// The proof of one slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageProof {
    /// The slot.
    pub slot: B256,
    /// Its value.
    pub value: U256,
    /// The trie's nodes from the storage root to the slot.
    pub proof: Vec<Bytes>,
}

/// A call to run: `eth_call` and `eth_estimateGas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRequest {
    /// On top of which block.
    pub at: BlockRef,
    /// The message.
    pub message: CallMessage,
    /// What to change in the state before.
    pub state_overrides: AddressMap<AccountOverride>,
    /// What to change in the block's environment.
    pub block_overrides: BlockOverrides,
}

/// A transaction as a caller describes it: whatever is absent has the default that geth gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallMessage {
    /// The sender, zero when absent.
    pub from: Address,
    /// The recipient; `None` creates a contract.
    pub to: Option<Address>,
    /// The gas limit; as much as the node allows when absent.
    pub gas: Option<u64>,
    /// The fees that it offers.
    pub fees: CallFees,
    /// The value that it carries.
    pub value: U256,
    /// The data or init code.
    pub input: Bytes,
    /// The nonce, which matters to contract addresses; the account's when absent.
    pub nonce: Option<u64>,
    /// The chain id that it names, to be refused if it is another's.
    pub chain_id: Option<u64>,
    /// Its access list, if it has one.
    pub access_list: Option<AccessList>,
    /// Its authorizations, if it is of type 4.
    pub authorization_list: Option<Vec<SignedAuthorization>>,
}

/// What a call offers to pay. With [`Free`](Self::Free) the base fee counts as zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallFees {
    /// Nothing was said: nobody pays.
    #[default]
    Free,
    /// One price.
    GasPrice(u128),
    /// A cap and a tip.
    Dynamic {
        /// The most a unit of gas may cost.
        max_fee: u128,
        /// The most of it that goes to the sequencer.
        max_priority_fee: u128,
    },
}

/// What to change in an account before a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Its balance.
    pub balance: Option<U256>,
    /// Its nonce.
    pub nonce: Option<u64>,
    /// Its code.
    pub code: Option<Bytes>,
    /// Its storage.
    pub storage: StorageOverride,
    /// Where the precompile at this address goes.
    pub move_precompile_to: Option<Address>,
}

/// What to change in an account's storage before a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StorageOverride {
    /// Nothing.
    #[default]
    Keep,
    /// These slots; the rest stays.
    Patch(B256Map<B256>),
    /// Everything: what is not listed is zero.
    Replace(B256Map<B256>),
}

/// What to change in a block's environment before a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockOverrides {
    /// `block.number`.
    pub number: Option<U256>,
    /// `block.difficulty` before the merge.
    pub difficulty: Option<U256>,
    /// `block.timestamp`.
    pub timestamp: Option<u64>,
    /// `block.gaslimit`.
    pub gas_limit: Option<u64>,
    /// `block.coinbase`.
    pub fee_recipient: Option<Address>,
    /// `block.prevrandao`.
    pub prev_randao: Option<B256>,
    /// `block.basefee`.
    pub base_fee: Option<U256>,
    /// `block.blobbasefee`.
    pub blob_base_fee: Option<U256>,
}

/// Which logs to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// In which blocks.
    pub scope: LogScope,
    /// What they must look like.
    pub filter: LogFilter,
    /// How many at most. Does not bind a scope of one block, which must be answerable.
    pub results_max: usize,
}

/// Where to look for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogScope {
    /// In one block.
    Block(B256),
    /// In the blocks from the first to the second number, both included, neither beyond the latest block.
    Range(u64, u64),
}

/// What a log must look like. Empty lists match anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// One of these emitted it.
    pub addresses: Vec<Address>,
    /// For each position, one of these is there. A log with fewer topics than listed positions does not match, even
    /// where a position accepts anything, so trailing empty positions count.
    pub topics: Vec<Vec<B256>>,
}

impl LogFilter {
    /// Whether a log is wanted.
    pub fn matches(&self, log: &Log) -> bool {
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self.topics.len() <= log.topics().len()
            && self
                .topics
                .iter()
                .zip(log.topics())
                .all(|(wanted, topic)| wanted.is_empty() || wanted.contains(topic))
    }
}

/// A log and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHit {
    /// The log.
    pub log: Log,
    /// The block's hash.
    pub block_hash: B256,
    /// The block's number.
    pub block_number: u64,
    /// The block's timestamp.
    pub block_timestamp: u64,
    /// The transaction that emitted it.
    pub transaction_hash: TxHash,
    /// The transaction's index in the block.
    pub transaction_index: u64,
    /// The log's index in the block.
    pub log_index: u64,
}

/// What happened to the chain.
#[derive(Debug, Clone)]
pub enum BlockEvent {
    /// A block was sealed and journaled.
    Sealed(Arc<ChainBlock>),
    /// A sealed block was taken back because L1 was reorganised. Newest first.
    Removed(Arc<ChainBlock>),
}

/// Why a block or transaction could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It existed, and is no longer kept.
    #[error("pruned history unavailable")]
    Pruned,
    /// Something broke; the text is for the log, not for the client.
    #[error("{0}")]
    Internal(String),
}

/// Why a state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No such block.
    #[error("header not found")]
    UnknownBlock,
    /// The block is known, its state is no longer kept.
    #[error("state of block {number} is not available: the oldest kept is {oldest}")]
    Pruned {
        /// The block asked for.
        number: u64,
        /// The oldest block whose state is kept.
        oldest: u64,
    },
    /// The state is kept, but to prove something about it takes more work than is allowed. For the client.
    #[error("{0}")]
    Unprovable(String),
    /// Something broke; the text is for the log, not for the client.
    #[error("{0}")]
    Internal(String),
}

/// Why a transaction was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The bytes are not a transaction, or the pool refuses it. In geth's words, for the client.
    #[error("{0}")]
    Rejected(String),
    /// We take nothing at the moment: the reason, for the client.
    #[error("{0}")]
    Unavailable(String),
    /// Something broke; the text is for the log, not for the client.
    #[error("{0}")]
    Internal(String),
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It has no state to run on.
    #[error(transparent)]
    State(#[from] StateError),
    /// The contract reverted with this data.
    #[error("execution reverted")]
    Reverted(Bytes),
    /// It was refused before it ran, or stopped while it did (`out of gas`, `gas required exceeds allowance (N)`,
    /// `max fee per gas less than block base fee: …`). In geth's words, for the client.
    #[error("{0}")]
    Failed(String),
    /// It ran longer than it may.
    #[error("execution aborted (timeout = {0:?})")]
    Timeout(Duration),
    /// All workers are taken and the queue is full.
    #[error("server busy")]
    Busy,
}

/// Why a query for logs has no result.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// No such block.
    #[error("unknown block")]
    UnknownBlock,
    /// Its receipts are no longer kept.
    #[error("pruned history unavailable")]
    Pruned,
    /// More logs than asked for, of which those up to and including `last` fit.
    #[error("query returns too many logs")]
    TooMany {
        /// The last block that fits whole; never before the first one asked for.
        last: u64,
    },
    /// All workers are taken and the queue is full.
    #[error("server busy")]
    Busy,
    /// Something broke; the text is for the log, not for the client.
    #[error("{0}")]
    Internal(String),
}
