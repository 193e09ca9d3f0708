//! A transaction as the EVM reads it.

use std::sync::Arc;

use alloy_consensus::{Transaction as _, crypto::secp256k1::recover_signer};
use alloy_eips::{eip2930::AccessListItem, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use millrace_protocol::DataSize;
use millrace_types::{Transaction, TxEnvelope};
use revm::context_interface::transaction::{AuthorizationTr, Transaction as EvmTransaction};

/// The fields that the EVM asks for often are copied out; lists stay where they are.
#[derive(Debug, Clone)]
pub(crate) struct EvmTx {
    pub(crate) role: Role,
    pub(crate) tx_type: u8,
    pub(crate) caller: Address,
    pub(crate) nonce: u64,
    pub(crate) gas_limit: u64,
    /// The most that it pays for a unit of gas.
    pub(crate) fee_cap: u128,
    pub(crate) tip_cap: Option<u128>,
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    pub(crate) chain_id: Option<u64>,
    pub(crate) lists: Lists,
}

/// Which rules besides the EVM's a transaction follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It has a signature and pays for everything.
    Signed(DataSize),
    /// It was paid for on L1.
    Deposit {
        /// Created for the sender before anything else, whatever happens then.
        mint: u128,
        is_system: bool,
    },
    /// A question rather than a transaction: nonce and sender are not checked, data is free.
    Simulated,
    /// The block's own bookkeeping.
    System,
}

/// Access list, authorizations and blobs, where there are any.
#[derive(Debug, Clone)]
pub(crate) enum Lists {
    None,
    Of(Arc<Transaction>),
    Given { access_list: Vec<AccessListItem>, authorizations: Vec<SignedAuthorization> },
}

/// Gas of a system call: fixed, and not counted (EIP-4788, EIP-2935).
const SYSTEM_CALL_GAS: u64 = 30_000_000;

impl EvmTx {
    /// A signed transaction.
    pub(crate) fn signed(transaction: &Arc<Transaction>, data_size: DataSize) -> Self {
        let envelope: &TxEnvelope = transaction;
        // Holding on to the transaction touches its reference count: only where there is a list to read.
        let lists = match envelope {
            TxEnvelope::Legacy(_) | TxEnvelope::Deposit(_) => Lists::None,
            TxEnvelope::Eip2930(tx) if tx.tx().access_list.is_empty() => Lists::None,
            TxEnvelope::Eip1559(tx) if tx.tx().access_list.is_empty() => Lists::None,
            _ => Lists::Of(transaction.clone()),
        };
        Self {
            role: Role::Signed(data_size),
            tx_type: transaction.tx_type() as u8,
            caller: transaction.sender(),
            nonce: envelope.nonce(),
            gas_limit: envelope.gas_limit(),
            fee_cap: envelope.max_fee_per_gas(),
            tip_cap: envelope.max_priority_fee_per_gas(),
            to: envelope.kind(),
            value: envelope.value(),
            input: envelope.input().clone(),
            chain_id: envelope.chain_id(),
            lists,
        }
    }

    /// A deposit.
    pub(crate) fn deposit(deposit: &op_alloy_consensus::TxDeposit) -> Self {
        Self {
            role: Role::Deposit { mint: deposit.mint, is_system: deposit.is_system_transaction },
            tx_type: op_alloy_consensus::DEPOSIT_TX_TYPE_ID,
            caller: deposit.from,
            nonce: 0,
            gas_limit: deposit.gas_limit,
            fee_cap: 0,
            tip_cap: None,
            to: deposit.to,
            value: deposit.value,
            input: deposit.input.clone(),
            chain_id: None,
            lists: Lists::None,
        }
    }

    /// A call that the block makes by itself.
    pub(crate) fn system(to: Address, input: Bytes) -> Self {
        Self {
            role: Role::System,
            tx_type: 0,
            caller: alloy_eips::eip4788::SYSTEM_ADDRESS,
            nonce: 0,
            gas_limit: SYSTEM_CALL_GAS,
            fee_cap: 0,
            tip_cap: None,
            to: TxKind::Call(to),
            value: U256::ZERO,
            input,
            chain_id: None,
            lists: Lists::None,
        }
    }

    fn authorizations(&self) -> &[SignedAuthorization] {
        match &self.lists {
            Lists::None => &[],
            Lists::Of(transaction) => transaction.authorization_list().unwrap_or_default(),
            Lists::Given { authorizations, .. } => authorizations,
        }
    }
}

impl EvmTransaction for EvmTx {
    type AccessListItem<'a> = &'a AccessListItem;
    type Authorization<'a> = Authority<'a>;

    fn tx_type(&self) -> u8 {
        self.tx_type
    }

    fn caller(&self) -> Address {
        self.caller
    }

    fn gas_limit(&self) -> u64 {
        self.gas_limit
    }

    fn value(&self) -> U256 {
        self.value
    }

    fn input(&self) -> &Bytes {
        &self.input
    }

    fn nonce(&self) -> u64 {
        self.nonce
    }

    fn kind(&self) -> TxKind {
        self.to
    }

    fn chain_id(&self) -> Option<u64> {
        self.chain_id
    }

    fn gas_price(&self) -> u128 {
        self.fee_cap
    }

    fn access_list(&self) -> Option<impl Iterator<Item = &AccessListItem>> {
        let list = match &self.lists {
            Lists::None => return None,
            Lists::Of(transaction) => transaction.access_list()?.as_slice(),
            Lists::Given { access_list, .. } => access_list.as_slice(),
        };
        Some(list.iter())
    }

    fn blob_versioned_hashes(&self) -> &[B256] {
        match &self.lists {
            Lists::Of(transaction) => transaction.blob_versioned_hashes().unwrap_or_default(),
            _ => &[],
        }
    }

    fn max_fee_per_blob_gas(&self) -> u128 {
        match &self.lists {
            Lists::Of(transaction) => transaction.max_fee_per_blob_gas().unwrap_or_default(),
            _ => 0,
        }
    }

    fn authorization_list_len(&self) -> usize {
        self.authorizations().len()
    }

    fn authorization_list(&self) -> impl Iterator<Item = Authority<'_>> {
        self.authorizations().iter().map(Authority)
    }

    fn max_priority_fee_per_gas(&self) -> Option<u128> {
        self.tip_cap
    }
}

/// An EIP-7702 authorization, recovered with libsecp256k1: revm's own way costs four times as much.
#[derive(Debug)]
pub(crate) struct Authority<'a>(&'a SignedAuthorization);

impl AuthorizationTr for Authority<'_> {
    fn authority(&self) -> Option<Address> {
        let signature = self.0.signature().ok()?;
        recover_signer(&signature, self.0.signature_hash()).ok()
    }

    fn chain_id(&self) -> U256 {
        self.0.chain_id
    }

    fn nonce(&self) -> u64 {
        self.0.nonce
    }

    fn address(&self) -> Address {
        self.0.address
    }
}
