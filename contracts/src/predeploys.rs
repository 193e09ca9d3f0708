//! The accounts that the protocol and its tools expect to find from block zero on.

use std::collections::BTreeMap;

use alloy_eips::{eip2935::HISTORY_STORAGE_CODE, eip4788::BEACON_ROOTS_CODE};
use alloy_primitives::{Address, Bytes, U256, address, bytes, uint};
use millrace_protocol::{
    L1Attributes,
    predeploys::{
        BASE_FEE_VAULT, BEACON_ROOTS_ADDRESS, CREATE2_DEPLOYER, GAS_PRICE_ORACLE,
        HISTORY_STORAGE_ADDRESS, L1_BLOCK, L1_FEE_VAULT, L2_TO_L1_MESSAGE_PASSER, MULTICALL3,
        OPERATOR_FEE_VAULT, PROXY_ADMIN, SEQUENCER_FEE_VAULT, WETH9, l1_block_slots,
    },
};

use crate::{Contract, GenesisAccount};

/// `keccak256("eip1967.proxy.implementation") - 1`: where a proxy keeps the address of its code.
const IMPLEMENTATION_SLOT: U256 =
    uint!(0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc_U256);
/// `keccak256("eip1967.proxy.admin") - 1`: where a proxy keeps the address of its admin.
const ADMIN_SLOT: U256 =
    uint!(0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103_U256);

/// The deterministic deployer's published code. It deploys what it is called with: a salt, then init code.
static CREATE2_DEPLOYER_CODE: Bytes = bytes!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

/// The settings of the predeploys that a chain chooses at genesis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predeploys {
    /// Who may upgrade the proxied predeploys and set up the vaults; zero: nobody ever.
    pub proxy_admin_owner: Address,
    /// Where tips go.
    pub sequencer_fee_vault: FeeVault,
    /// Where base fees go.
    pub base_fee_vault: FeeVault,
    /// Where L1 data fees go.
    pub l1_fee_vault: FeeVault,
    /// Where operator fees go.
    pub operator_fee_vault: FeeVault,
    /// What L1Block says until the first block sets it.
    pub l1_attributes: L1Attributes,
}

/// How a fee vault is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeVault {
    /// Who gets the fees.
    pub recipient: Address,
    /// On which chain.
    pub network: WithdrawalNetwork,
    /// The least balance that may be withdrawn, in wei.
    pub min_withdrawal: U256,
}

/// The chain that a fee vault's recipient is on, numbered as in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithdrawalNetwork {
    /// Through a withdrawal.
    L1 = 0,
    /// By a plain transfer.
    L2 = 1,
}

/// Where the code behind the proxy of a predeploy is: the same last two bytes in the OP Stack's "code namespace".
pub fn implementation_address(predeploy: Address) -> Address {
    let mut address = address!("c0D3C0d3C0d3C0D3c0d3C0d3c0D3C0d3c0d30000");
    address[18..].copy_from_slice(&predeploy[18..]);
    address
}

impl Predeploys {
    /// Every account that genesis has to hold for the protocol and its tools.
    pub fn accounts(&self) -> BTreeMap<Address, GenesisAccount> {
        let mut accounts = BTreeMap::new();
        accounts.extend(proxied(
            L1_BLOCK,
            Contract::L1Block,
            l1_block_storage(&self.l1_attributes),
        ));
        accounts.extend(proxied(GAS_PRICE_ORACLE, Contract::GasPriceOracle, []));
        accounts.extend(proxied(L2_TO_L1_MESSAGE_PASSER, Contract::L2ToL1MessagePasser, []));
        for (address, contract, vault) in [
            (SEQUENCER_FEE_VAULT, Contract::SequencerFeeVault, &self.sequencer_fee_vault),
            (BASE_FEE_VAULT, Contract::BaseFeeVault, &self.base_fee_vault),
            (L1_FEE_VAULT, Contract::L1FeeVault, &self.l1_fee_vault),
            (OPERATOR_FEE_VAULT, Contract::OperatorFeeVault, &self.operator_fee_vault),
        ] {
            accounts.extend(proxied(address, contract, vault.storage()));
        }

        let owner = self.proxy_admin_owner.into_word().into();
        accounts.insert(
            PROXY_ADMIN,
            contract(Contract::ProxyAdmin.runtime_code(), [(U256::ZERO, owner)]),
        );
        accounts.insert(WETH9, contract(Contract::Weth.runtime_code(), []));
        accounts.insert(MULTICALL3, contract(Contract::Multicall3.runtime_code(), []));
        accounts.insert(CREATE2_DEPLOYER, contract(CREATE2_DEPLOYER_CODE.clone(), []));
        accounts.insert(BEACON_ROOTS_ADDRESS, contract(BEACON_ROOTS_CODE.clone(), []));
        accounts.insert(HISTORY_STORAGE_ADDRESS, contract(HISTORY_STORAGE_CODE.clone(), []));
        accounts
    }
}

impl FeeVault {
    fn storage(&self) -> [(U256, U256); 2] {
        let recipient: U256 = self.recipient.into_word().into();
        let network = U256::from(self.network as u8) << 160;
        [(U256::from(1), self.min_withdrawal), (U256::from(2), recipient | network)]
    }
}

/// A predeploy behind an EIP-1967 proxy: the proxy with all the storage, and the code elsewhere.
fn proxied<const N: usize>(
    address: Address,
    implementation: Contract,
    storage: [(U256, U256); N],
) -> [(Address, GenesisAccount); 2] {
    let code_address = implementation_address(address);
    let mut proxy = contract(Contract::Proxy.runtime_code(), storage);
    proxy.storage.insert(IMPLEMENTATION_SLOT, code_address.into_word().into());
    proxy.storage.insert(ADMIN_SLOT, PROXY_ADMIN.into_word().into());
    [(address, proxy), (code_address, contract(implementation.runtime_code(), []))]
}

/// An account with code. Its nonce is one, like that of any contract that was deployed.
fn contract<const N: usize>(code: Bytes, storage: [(U256, U256); N]) -> GenesisAccount {
    let storage = storage.into_iter().filter(|(_, value)| !value.is_zero()).collect();
    GenesisAccount { nonce: 1, balance: U256::ZERO, code, storage }
}

/// What L1Block has stored when a block has told it this.
fn l1_block_storage(attributes: &L1Attributes) -> [(U256, U256); 7] {
    // Where only L1Block's own getters read; the other slots are the fee rules' too.
    const NUMBER_AND_TIMESTAMP: U256 = U256::ZERO;
    const HASH: U256 = U256::from_limbs([2, 0, 0, 0]);
    const BATCHER_HASH: U256 = U256::from_limbs([4, 0, 0, 0]);

    let L1Attributes { l1_number, l1_timestamp, sequence_number, .. } = *attributes;
    let fees = attributes.fees();
    let scalars = u64::from(fees.base_fee_scalar) << 32 | u64::from(fees.blob_base_fee_scalar);
    let operator = [fees.operator_fee_constant, u64::from(fees.operator_fee_scalar), 0, 0];
    [
        (NUMBER_AND_TIMESTAMP, U256::from_limbs([l1_number, l1_timestamp, 0, 0])),
        (l1_block_slots::BASE_FEE, fees.base_fee),
        (HASH, attributes.l1_hash.into()),
        (l1_block_slots::FEE_SCALARS, U256::from_limbs([sequence_number, scalars, 0, 0])),
        (BATCHER_HASH, attributes.batcher_hash.into()),
        (l1_block_slots::BLOB_BASE_FEE, fees.blob_base_fee),
        (l1_block_slots::OPERATOR_FEE, U256::from_limbs(operator)),
    ]
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use alloy_primitives::{B256, b256, keccak256};
    use millrace_protocol::{L1Fees, OpFork, OperatorFee};

    use super::*;

    #[test]
    fn specified_code_is_the_published_one() {
        let check = |code: &Bytes, hash| assert_eq!(keccak256(code), hash);
        check(
            &CREATE2_DEPLOYER_CODE,
            b256!("2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989"),
        );
        // As the OP Stack's network upgrades name them.
        check(
            &BEACON_ROOTS_CODE,
            b256!("f57acd40259872606d76197ef052f3d35588dadf919ee1f0e3cb9b62d3f4b02c"),
        );
        check(
            &HISTORY_STORAGE_CODE,
            b256!("6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d"),
        );
    }

    #[test]
    fn proxy_slots_are_those_of_the_eip() {
        let slot = |name: &str| U256::from_be_bytes(keccak256(name).0) - U256::from(1);
        assert_eq!(IMPLEMENTATION_SLOT, slot("eip1967.proxy.implementation"));
        assert_eq!(ADMIN_SLOT, slot("eip1967.proxy.admin"));
    }

    #[test]
    fn the_fee_rules_read_back_what_genesis_wrote() {
        let fees = L1Fees {
            base_fee: U256::from(1) << 200,
            blob_base_fee: U256::from(7),
            base_fee_scalar: 0xdead_beef,
            blob_base_fee_scalar: 0x1234_5678,
            operator_fee_scalar: u32::MAX,
            operator_fee_constant: u64::MAX - 1,
        };
        let attributes = L1Attributes {
            l1_number: 1,
            l1_timestamp: 2,
            l1_hash: B256::repeat_byte(3),
            sequence_number: u64::MAX,
            base_fee: fees.base_fee,
            blob_base_fee: fees.blob_base_fee,
            base_fee_scalar: fees.base_fee_scalar,
            blob_base_fee_scalar: fees.blob_base_fee_scalar,
            batcher_hash: B256::repeat_byte(4),
            operator_fee: Some(OperatorFee {
                scalar: fees.operator_fee_scalar,
                constant: fees.operator_fee_constant,
            }),
        };
        let storage = BTreeMap::from(l1_block_storage(&attributes));
        let slot = |slot| Ok::<_, Infallible>(storage.get(&slot).copied().unwrap_or_default());
        assert_eq!(L1Fees::read(OpFork::Isthmus, slot), Ok(fees));
    }

    #[test]
    fn code_is_in_its_namespace() {
        let expected = address!("c0d3c0d3c0d3c0d3c0d3c0d3c0d3c0d3c0d3001b");
        assert_eq!(implementation_address(OPERATOR_FEE_VAULT), expected);
    }
}
