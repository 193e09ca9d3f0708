//! How an OP chain begins: the genesis of a rollup that has an L1, and of a development chain that has none.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use millrace_protocol::{
    ChainSpec, Eip1559Params, L1Attributes, L1Header, SystemConfig, predeploys::SEQUENCER_FEE_VAULT,
};

use crate::{FeeVault, Genesis, Predeploys, WithdrawalNetwork};

/// A rollup that is about to begin, with every fork up to Isthmus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRollup {
    /// The chain id of L2.
    pub chain_id: u64,
    /// The L1 block in which its contracts were deployed: the origin of the genesis block, whose time is also L2's first.
    pub l1: L1Header,
    /// The system config that was deployed.
    pub system_config: SystemConfig,
    /// Who may upgrade the predeploys. If that is a contract on L1, its alias.
    pub owner: Address,
    /// Who gets all fees, on L2.
    pub fee_recipient: Address,
    /// Who has how many wei from the start. Nothing on L1 backs them: outside of development, nobody.
    pub balances: BTreeMap<Address, U256>,
}

impl Genesis {
    /// The genesis of a rollup.
    pub fn rollup(new: NewRollup) -> Self {
        let NewRollup { chain_id, l1, system_config, owner, fee_recipient, balances } = new;
        let spec = ChainSpec::dev(chain_id);
        let constants = spec.eip1559_constants(l1.timestamp);
        let beginning = Beginning {
            spec,
            timestamp: l1.timestamp,
            gas_limit: system_config.gas_limit,
            eip1559: system_config.eip1559.unwrap_or(constants),
            l1_attributes: L1Attributes::for_block(&system_config, &l1, 0),
            owner,
            fee_recipient,
            balances,
        };
        beginning.genesis()
    }
}

/// What sets one beginning apart from another.
pub(crate) struct Beginning {
    pub(crate) spec: ChainSpec,
    pub(crate) timestamp: u64,
    pub(crate) gas_limit: u64,
    pub(crate) eip1559: Eip1559Params,
    pub(crate) l1_attributes: L1Attributes,
    pub(crate) owner: Address,
    pub(crate) fee_recipient: Address,
    pub(crate) balances: BTreeMap<Address, U256>,
}

impl Beginning {
    pub(crate) fn genesis(self) -> Genesis {
        let vault = FeeVault {
            recipient: self.fee_recipient,
            network: WithdrawalNetwork::L2,
            min_withdrawal: U256::ZERO,
        };
        let predeploys = Predeploys {
            proxy_admin_owner: self.owner,
            sequencer_fee_vault: vault,
            base_fee_vault: vault,
            l1_fee_vault: vault,
            operator_fee_vault: vault,
            l1_attributes: self.l1_attributes,
        };
        let mut alloc = predeploys.accounts();
        for (address, balance) in self.balances {
            // A predeploy may be given money too, and keeps its code.
            alloc.entry(address).or_default().balance = balance;
        }
        Genesis {
            spec: self.spec,
            timestamp: self.timestamp,
            gas_limit: self.gas_limit,
            base_fee: 1_000_000_000,
            extra_data: self.eip1559.to_extra_data().into(),
            beneficiary: SEQUENCER_FEE_VAULT,
            mix_hash: B256::ZERO,
            nonce: 0,
            difficulty: U256::ZERO,
            alloc,
        }
    }
}
