//! Ethereum's rules by revm as it comes, under Prague.

use alloy_consensus::Transaction as _;
use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS, eip7840::BlobParams,
};
use alloy_primitives::{Address, Bytes, U256};
use millrace_executor::BlockAttributes;
use millrace_types::Transaction;
use revm::{
    Context, ExecuteEvm, MainBuilder, MainContext, MainnetEvm, SystemCallEvm,
    context::{BlockEnv, TxEnv, either::Either, result::EVMError},
    context_interface::{
        block::BlobExcessGasAndPrice,
        transaction::{RecoveredAuthority, RecoveredAuthorization},
    },
    handler::MainnetContext,
    primitives::hardfork::SpecId,
};

use super::{Memory, Verdict};

#[derive(Debug)]
pub(crate) struct PlainRevm {
    evm: MainnetEvm<MainnetContext<Memory>>,
}

impl PlainRevm {
    pub(crate) fn open(chain_id: u64, attributes: &BlockAttributes, before: &Memory) -> Self {
        let evm = Context::mainnet()
            .with_db(before.clone())
            .with_block(block_env(attributes))
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SpecId::PRAGUE);
                cfg.chain_id = chain_id;
                cfg.max_blobs_per_tx = Some(BlobParams::prague().max_blobs_per_tx);
            })
            .build_mainnet();
        let mut plain = Self { evm };
        plain.system_call(BEACON_ROOTS_ADDRESS, attributes.parent_beacon_block_root.into());
        plain.system_call(HISTORY_STORAGE_ADDRESS, attributes.parent.hash().into());
        plain
    }

    fn system_call(&mut self, to: Address, input: Bytes) {
        let result = self.evm.system_call(to, input).unwrap();
        self.commit(result.state);
    }

    fn commit(&mut self, changes: revm::state::EvmState) {
        self.evm.ctx.journaled_state.database.commit(changes);
    }

    pub(crate) fn execute(&mut self, transaction: &Transaction) -> Result<Verdict, String> {
        match self.evm.transact(tx_env(transaction)) {
            Ok(result) => {
                self.commit(result.state);
                Ok(Verdict {
                    success: result.result.is_success(),
                    gas_used: result.result.tx_gas_used(),
                    l1_fee: U256::ZERO,
                    logs: result.result.into_logs(),
                })
            }
            Err(EVMError::Transaction(reason)) => Err(format!("{reason}")),
            Err(error) => panic!("{error:?}"),
        }
    }

    pub(crate) fn state(&self) -> &Memory {
        &self.evm.ctx.journaled_state.database
    }

    pub(crate) fn close(self) -> Memory {
        self.evm.ctx.journaled_state.database
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

fn tx_env(transaction: &Transaction) -> TxEnv {
    let authorizations = transaction.authorization_list().unwrap_or_default();
    let recovered = authorizations.iter().map(|signed| {
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
