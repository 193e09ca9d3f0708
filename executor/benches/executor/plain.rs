//! The baseline: revm as it comes, one EVM for all blocks, one database in memory that every transaction changes in place.

use std::rc::Rc;

use alloy_consensus::Transaction as _;
use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS, eip7840::BlobParams,
};
use alloy_primitives::{Address, Bytes, U256};
use millrace_executor::BlockAttributes;
use millrace_types::{Receipt, Transaction, TxType};
use revm::{
    Context, ExecuteEvm, MainBuilder, MainContext, MainnetEvm,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        either::Either,
        result::{EVMError, ExecutionResult},
    },
    context_interface::{
        block::BlobExcessGasAndPrice,
        transaction::{RecoveredAuthority, RecoveredAuthorization},
    },
    handler::{Handler, MainnetHandler, SystemCallTx},
    primitives::hardfork::SpecId,
    state::EvmState,
};

use crate::ledger::{Ledger, Missing};

/// Transactions are lent to revm: it would copy them otherwise, which takes longer than counting one more reference.
type MainnetContext = Context<BlockEnv, Rc<TxEnv>, CfgEnv, Ledger>;

/// Plain sequential revm, under Prague's rules.
pub(crate) struct Plain {
    evm: MainnetEvm<MainnetContext>,
    gas_limit: u64,
    gas_used: u64,
    receipts: Vec<Receipt>,
}

impl Plain {
    pub(crate) fn new(chain_id: u64, ledger: Ledger) -> Self {
        let evm = Context::mainnet()
            .with_db(ledger)
            .with_tx(Rc::default())
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SpecId::PRAGUE);
                cfg.chain_id = chain_id;
            })
            .build_mainnet();
        Self { evm, gas_limit: 0, gas_used: 0, receipts: Vec::new() }
    }

    pub(crate) fn ledger(&mut self) -> &mut Ledger {
        &mut self.evm.ctx.journaled_state.database
    }

    /// Begins a block: sets what code can see of it, and does its book-keeping (EIP-4788, EIP-2935).
    pub(crate) fn open(&mut self, attributes: &BlockAttributes, transactions: usize) {
        self.evm.set_block(block_env(attributes));
        self.gas_limit = attributes.gas_limit;
        self.gas_used = 0;
        self.receipts = Vec::with_capacity(transactions);
        let root = attributes.parent_beacon_block_root.into();
        self.system_call(BEACON_ROOTS_ADDRESS, root);
        let parent = attributes.parent.hash().into();
        self.system_call(HISTORY_STORAGE_ADDRESS, parent);
    }

    fn system_call(&mut self, to: Address, input: Bytes) {
        self.evm.ctx.tx = Rc::new(TxEnv::new_system_tx(to, input));
        let mut handler = MainnetHandler::<_, EVMError<Missing>, _>::default();
        handler.run_system_call(&mut self.evm).unwrap();
        self.commit();
    }

    /// Runs transactions one after the other. One that is not valid leaves no receipt.
    pub(crate) fn run(&mut self, transactions: &[Rc<TxEnv>]) {
        for transaction in transactions {
            self.run_one(transaction.clone(), |_| ());
        }
    }

    /// Runs one and shows what it did, before that becomes part of the state.
    #[inline]
    pub(crate) fn run_one(&mut self, transaction: Rc<TxEnv>, show: impl FnOnce(&EvmState)) {
        if transaction.gas_limit > self.gas_limit - self.gas_used {
            return;
        }
        let tx_type = transaction.tx_type;
        match self.evm.transact_one(transaction) {
            Ok(result) => {
                show(&self.evm.ctx.journaled_state.inner.state);
                self.commit();
                self.receive(tx_type, result);
            }
            Err(EVMError::Transaction(_)) => self.evm.ctx.journaled_state.inner.state.clear(),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn commit(&mut self) {
        let journal = &mut self.evm.ctx.journaled_state;
        journal.database.commit(&mut journal.inner.state);
        // Going over an empty map takes time by its capacity, so one that a large transaction has blown up must go.
        if journal.inner.state.capacity() > 256 {
            journal.inner.state = Default::default();
        }
    }

    fn receive(&mut self, tx_type: u8, result: ExecutionResult) {
        self.gas_used += result.tx_gas_used();
        self.receipts.push(Receipt {
            tx_type: TxType::try_from(tx_type).unwrap(),
            success: result.is_success(),
            cumulative_gas_used: self.gas_used,
            logs: result.into_logs(),
            deposit: None,
        });
    }

    /// The gas that the block has used so far.
    pub(crate) fn gas_used(&self) -> u64 {
        self.gas_used
    }

    /// The receipts of the block so far.
    pub(crate) fn close(&mut self) -> Vec<Receipt> {
        std::mem::take(&mut self.receipts)
    }
}

fn block_env(attributes: &BlockAttributes) -> BlockEnv {
    let excess_blob_gas = attributes.excess_blob_gas;
    let blob_gasprice = BlobParams::prague().calc_blob_fee(excess_blob_gas);
    BlockEnv {
        number: U256::from(attributes.number()),
        beneficiary: attributes.beneficiary,
        timestamp: U256::from(attributes.timestamp),
        gas_limit: attributes.gas_limit,
        basefee: attributes.base_fee,
        difficulty: U256::ZERO,
        prevrandao: Some(attributes.prev_randao),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice }),
        slot_num: 0,
    }
}

/// The transaction as revm wants it. Done before the clock starts, as the making of candidates is.
pub(crate) fn tx_env(transaction: &Transaction) -> TxEnv {
    let authorizations = transaction.authorization_list().unwrap_or_default();
    let recovered = authorizations.iter().map(|signed| {
        // Signatures are not measured.
        let authority = signed.recover_authority();
        let authority = authority.map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
        Either::Right(RecoveredAuthorization::new_unchecked(signed.inner().clone(), authority))
    });
    TxEnv {
        tx_type: transaction.tx_type() as u8,
        caller: transaction.sender(),
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: transaction.max_priority_fee_per_gas(),
        blob_hashes: transaction.blob_versioned_hashes().unwrap_or_default().to_vec(),
        max_fee_per_blob_gas: transaction.max_fee_per_blob_gas().unwrap_or_default(),
        authorization_list: recovered.collect(),
    }
}
