//! A state in memory, and short ways to write transactions and code.

use std::{collections::HashMap, sync::Arc};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip7702};
use alloy_eips::{
    eip2718::Encodable2718,
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address, keccak256};
use millrace_executor::{
    BlockAttributes, Candidate, Executor, ExecutorConfig, Group, Included, Limits, OpenBlock,
    Outcome, StateError, StateView,
};
use millrace_protocol::{
    ChainSpec, Eip1559Params, L1Fees, OptimismSpec,
    predeploys::{
        BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS, L1_BLOCK, SEQUENCER_FEE_VAULT,
        l1_block_slots,
    },
};
use millrace_types::{Account, Header, Receipt, SealedHeader, StateDiff, Transaction, TxEnvelope};
use op_alloy_consensus::TxDeposit;

pub(crate) const CHAIN_ID: u64 = 901;
pub(crate) const BASE_FEE: u64 = 1_000;
pub(crate) const GAS_LIMIT: u64 = 30_000_000;
pub(crate) const ETHER: u128 = 1_000_000_000_000_000_000;
pub(crate) const ALICE: Address = address!("a11ce00000000000000000000000000000000001");
pub(crate) const BOB: Address = address!("b0b0000000000000000000000000000000000002");
pub(crate) const CONTRACT: Address = address!("c0de000000000000000000000000000000000003");

/// The prices of the L1 that every world knows, unless a test removes them.
pub(crate) const FEES: L1Fees = L1Fees {
    base_fee: U256::from_limbs([30_000_000_000, 0, 0, 0]),
    blob_base_fee: U256::from_limbs([7_000_000, 0, 0, 0]),
    base_fee_scalar: 5_227,
    blob_base_fee_scalar: 1_014_213,
    operator_fee_scalar: 2_000_000,
    operator_fee_constant: 5_000,
};

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    accounts: HashMap<Address, Account>,
    storage: HashMap<(Address, U256), U256>,
    codes: HashMap<B256, Bytes>,
    pub(crate) block_hashes: HashMap<u64, B256>,
}

impl World {
    /// Alice and the contracts that the protocol needs.
    pub(crate) fn new() -> Self {
        let word = |high: u64, low: u64| U256::from_limbs([low, high, 0, 0]);
        let scalars = u64::from(FEES.base_fee_scalar) << 32 | u64::from(FEES.blob_base_fee_scalar);
        let operator = u64::from(FEES.operator_fee_scalar);
        Self::default()
            .with_balance(ALICE, ETHER)
            .with_code(BEACON_ROOTS_ADDRESS, alloy_eips::eip4788::BEACON_ROOTS_CODE.clone())
            .with_code(HISTORY_STORAGE_ADDRESS, alloy_eips::eip2935::HISTORY_STORAGE_CODE.clone())
            .with_code(L1_BLOCK, [0x00])
            .with_slot(L1_BLOCK, l1_block_slots::BASE_FEE, FEES.base_fee)
            .with_slot(L1_BLOCK, l1_block_slots::BLOB_BASE_FEE, FEES.blob_base_fee)
            .with_slot(L1_BLOCK, l1_block_slots::FEE_SCALARS, word(scalars, 0))
            .with_slot(
                L1_BLOCK,
                l1_block_slots::OPERATOR_FEE,
                word(operator, FEES.operator_fee_constant),
            )
    }

    pub(crate) fn with_balance(mut self, address: Address, balance: u128) -> Self {
        self.accounts.entry(address).or_default().balance = U256::from(balance);
        self
    }

    pub(crate) fn with_nonce(mut self, address: Address, nonce: u64) -> Self {
        self.accounts.entry(address).or_default().nonce = nonce;
        self
    }

    pub(crate) fn with_code(mut self, address: Address, code: impl Into<Bytes>) -> Self {
        let code = code.into();
        let hash = keccak256(&code);
        self.accounts.entry(address).or_default().bytecode_hash = Some(hash);
        self.codes.insert(hash, code);
        self
    }

    pub(crate) fn with_slot(mut self, address: Address, slot: U256, value: U256) -> Self {
        self.storage.insert((address, slot), value);
        self
    }

    pub(crate) fn view(&self) -> Arc<dyn StateView> {
        Arc::new(self.clone())
    }

    /// Begins a block on the development chain.
    pub(crate) fn open(&self) -> OpenBlock {
        self.open_on(&executor())
    }

    pub(crate) fn open_on(&self, executor: &Executor) -> OpenBlock {
        executor.open(attributes(), self.view()).unwrap()
    }
}

impl StateView for World {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.accounts.get(address).copied())
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        Ok(self.storage.get(&(*address, *slot)).copied().unwrap_or_default())
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.codes.get(hash).cloned().ok_or_else(|| StateError::new("no such code"))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.block_hashes.get(&number).copied().ok_or_else(|| StateError::new("no such block"))
    }
}

/// Under the rules of the development chain: everything up to Isthmus.
pub(crate) fn executor() -> Executor {
    Executor::new(Arc::new(ChainSpec::dev(CHAIN_ID)), ExecutorConfig::default())
}

/// Under Holocene's rules.
pub(crate) fn holocene() -> Executor {
    let genesis = Some(0);
    let spec = OptimismSpec {
        eip1559: Eip1559Params::OPTIMISM,
        eip1559_canyon: Eip1559Params::OPTIMISM,
        canyon_time: genesis,
        delta_time: genesis,
        ecotone_time: genesis,
        fjord_time: genesis,
        granite_time: genesis,
        holocene_time: genesis,
        isthmus_time: None,
    };
    let chain = ChainSpec::optimism(CHAIN_ID, spec).unwrap();
    Executor::new(Arc::new(chain), ExecutorConfig::default())
}

pub(crate) fn attributes() -> BlockAttributes {
    let parent =
        Header { number: 41, timestamp: 1_700_000_000, gas_limit: GAS_LIMIT, ..Header::default() };
    BlockAttributes {
        parent: SealedHeader::seal_slow(parent),
        timestamp: 1_700_000_001,
        beneficiary: SEQUENCER_FEE_VAULT,
        gas_limit: GAS_LIMIT,
        base_fee: BASE_FEE,
        prev_randao: B256::repeat_byte(0x5a),
        parent_beacon_block_root: B256::repeat_byte(0xbe),
        extra_data: Bytes::from_static(&[0; 9]),
        excess_blob_gas: 0,
    }
}

/// A transfer of one wei from Alice to Bob, before a test changes it.
pub(crate) fn transfer(nonce: u64) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 3_000,
        max_priority_fee_per_gas: 500,
        to: TxKind::Call(BOB),
        value: U256::from(1),
        ..TxEip1559::default()
    }
}

/// Signed by nobody: the executor believes the sender that it is told.
pub(crate) fn signed(tx: TxEip1559, sender: Address) -> Arc<Transaction> {
    enveloped(TxEnvelope::Eip1559(tx.into_signed(Signature::test_signature())), sender)
}

pub(crate) fn delegating(tx: TxEip7702, sender: Address) -> Arc<Transaction> {
    enveloped(TxEnvelope::Eip7702(tx.into_signed(Signature::test_signature())), sender)
}

pub(crate) fn enveloped(envelope: TxEnvelope, sender: Address) -> Arc<Transaction> {
    let encoded = envelope.encoded_2718().into();
    Arc::new(Transaction::decode_with_sender(encoded, sender).unwrap())
}

pub(crate) fn deposit(tx: TxDeposit) -> Arc<Transaction> {
    Arc::new(Transaction::deposit(tx))
}

pub(crate) fn candidate(tx: TxEip1559) -> Candidate {
    Candidate::new(signed(tx, ALICE))
}

/// A transaction that was included, with its receipt.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) index: usize,
    pub(crate) gas_used: u64,
    pub(crate) l1_fee: U256,
    pub(crate) receipt: Receipt,
}

/// Includes one transaction, which must be accepted.
pub(crate) fn include(block: &mut OpenBlock, candidate: Candidate) -> Entry {
    let group = block.run([candidate], Limits::NONE).unwrap();
    entry(block, &group)
}

/// Includes one deposit.
pub(crate) fn include_deposit(block: &mut OpenBlock, tx: TxDeposit) -> Entry {
    let group = block.include_deposits(&[deposit(tx)]).unwrap();
    entry(block, &group)
}

fn entry(block: &OpenBlock, group: &Group) -> Entry {
    let Included { index, gas_used, l1_fee } = included(group.outcomes[0].clone());
    Entry { index, gas_used, l1_fee, receipt: block.receipts()[index].clone() }
}

/// What a group changed in all.
pub(crate) fn changes(group: &Group) -> StateDiff {
    StateDiff::merge(group.diffs.iter().map(|diff| &**diff))
}

pub(crate) fn included(outcome: Outcome) -> Included {
    match outcome {
        Outcome::Included(included) => included,
        other => panic!("not included: {other:?}"),
    }
}

pub(crate) fn account(view: &impl StateView, address: Address) -> Account {
    view.account(&address).unwrap().unwrap_or_default()
}

pub(crate) fn balance(view: &impl StateView, address: Address) -> U256 {
    account(view, address).balance
}

pub(crate) fn slot(view: &impl StateView, address: Address, slot: u64) -> U256 {
    view.storage(&address, &U256::from(slot)).unwrap()
}

/// An account with a key, which can sign authorizations.
pub(crate) fn authorize(key: u8, address: Address, nonce: u64) -> (Address, SignedAuthorization) {
    use secp256k1::{Message, SECP256K1, SecretKey};

    let secret = SecretKey::from_byte_array(&[key; 32]).unwrap();
    let public = secret.public_key(SECP256K1).serialize_uncompressed();
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address, nonce };
    let message = Message::from_digest(authorization.signature_hash().0);
    let (parity, signature) =
        SECP256K1.sign_ecdsa_recoverable(&message, &secret).serialize_compact();
    let signature = Signature::from_bytes_and_parity(&signature, i32::from(parity) == 1);
    (Address::from_raw_public_key(&public[1..]), authorization.into_signed(signature))
}

/// Code that does this, then stops.
pub(crate) fn code(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// Stores what is on the stack.
pub(crate) fn store(slot: u8) -> Vec<u8> {
    vec![0x60, slot, 0x55]
}

/// Pushes an account's balance.
pub(crate) fn push_balance(of: Address) -> Vec<u8> {
    [&[0x73], of.as_slice(), &[0x31]].concat()
}

/// Takes everything back and returns four bytes as the reason.
pub(crate) const REVERT: &[u8] =
    &[0x63, 0xde, 0xad, 0xbe, 0xef, 0x5f, 0x52, 0x60, 4, 0x60, 28, 0xfd];
/// Consumes all gas.
pub(crate) const INVALID: &[u8] = &[0xfe];
