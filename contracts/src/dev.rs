//! The development chain: everything in place, and ten accounts with money whose keys everybody knows.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, address, uint};
use millrace_protocol::{ChainSpec, L1Attributes, L1Fees, L1Header, OperatorFee, SystemConfig};

use crate::{Genesis, NewRollup, new_rollup::Beginning};

/// The chain id of the development chain.
pub const DEV_CHAIN_ID: u64 = 901;

/// Where the keys of the development accounts come from. As public as can be: production has to refuse them.
pub const DEV_MNEMONIC: &str = "test test test test test test test test test test test junk";

/// The first ten accounts of [`DEV_MNEMONIC`], at `m/44'/60'/0'/0/i`.
pub const DEV_ACCOUNTS: [Address; 10] = [
    address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    address!("90F79bf6EB2c4f870365E785982E1f101E93b906"),
    address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
    address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
    address!("976EA74026E726554dB657fA54763abd0C3a0aa9"),
    address!("14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
    address!("23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
    address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"),
];

/// What each of them has: ten million ether.
const DEV_BALANCE: U256 = uint!(10_000_000_000_000_000_000_000_000_U256);

/// What a development chain may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevGenesis {
    /// [`DEV_CHAIN_ID`], unless somebody wants two chains side by side.
    pub chain_id: u64,
    /// Seconds since the epoch. Block one comes a block time later, so this is usually the time of the first start.
    pub timestamp: u64,
    /// The gas limit of every block.
    pub gas_limit: u64,
    /// Prices until the first block sets them, and the ones that a chain without L1 goes on to use.
    pub l1_fees: L1Fees,
}

impl DevGenesis {
    /// Prices as on a quiet day: a gwei of base fee and cheap blobs, with the scalars that OP chains start from.
    pub const L1_FEES: L1Fees = L1Fees {
        base_fee: uint!(1_000_000_000_U256),
        blob_base_fee: U256::ONE,
        base_fee_scalar: 1_368,
        blob_base_fee_scalar: 810_949,
        operator_fee_scalar: 0,
        operator_fee_constant: 0,
    };
}

impl Default for DevGenesis {
    fn default() -> Self {
        Self { chain_id: DEV_CHAIN_ID, timestamp: 0, gas_limit: 60_000_000, l1_fees: Self::L1_FEES }
    }
}

impl Genesis {
    /// The development chain: every fork up to Isthmus from block zero, all predeploys, and rich [`DEV_ACCOUNTS`]. The
    /// first of them is the owner of everything: it may upgrade the predeploys, and gets the fees.
    pub fn dev(options: DevGenesis) -> Self {
        let fees = options.l1_fees;
        let l1_attributes = L1Attributes {
            l1_number: 0,
            l1_timestamp: 0,
            l1_hash: B256::ZERO,
            sequence_number: 0,
            base_fee: fees.base_fee,
            blob_base_fee: fees.blob_base_fee,
            base_fee_scalar: fees.base_fee_scalar,
            blob_base_fee_scalar: fees.blob_base_fee_scalar,
            batcher_hash: B256::ZERO,
            operator_fee: Some(OperatorFee {
                scalar: fees.operator_fee_scalar,
                constant: fees.operator_fee_constant,
            }),
        };
        let spec = ChainSpec::dev(options.chain_id);
        let owner = DEV_ACCOUNTS[0];
        let beginning = Beginning {
            eip1559: spec.eip1559_constants(options.timestamp),
            spec,
            timestamp: options.timestamp,
            gas_limit: options.gas_limit,
            l1_attributes,
            owner,
            fee_recipient: owner,
            balances: dev_balances(),
        };
        beginning.genesis()
    }

    /// The same as a rollup: it begins at this L1 block, under this system config.
    pub fn dev_rollup(chain_id: u64, l1: L1Header, system_config: SystemConfig) -> Self {
        let owner = DEV_ACCOUNTS[0];
        let balances = dev_balances();
        Self::rollup(NewRollup {
            chain_id,
            l1,
            system_config,
            owner,
            fee_recipient: owner,
            balances,
        })
    }
}

fn dev_balances() -> BTreeMap<Address, U256> {
    DEV_ACCOUNTS.map(|address| (address, DEV_BALANCE)).into()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::utils::parse_ether;
    use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
    use millrace_protocol::{Eip1559Params, predeploys::L1_BLOCK};

    use super::*;

    #[test]
    fn the_accounts_are_those_of_the_mnemonic() {
        for (index, address) in DEV_ACCOUNTS.into_iter().enumerate() {
            let builder = MnemonicBuilder::<English>::default().phrase(DEV_MNEMONIC);
            let signer = builder.index(index as u32).unwrap().build().unwrap();
            assert_eq!(signer.address(), address);
        }
    }

    #[test]
    fn each_has_ten_million_ether() {
        let genesis = Genesis::dev(DevGenesis::default());
        for address in DEV_ACCOUNTS {
            assert_eq!(genesis.alloc[&address].balance, parse_ether("10000000").unwrap());
        }
    }

    fn l1() -> L1Header {
        L1Header {
            number: 7,
            hash: B256::repeat_byte(1),
            parent_hash: B256::repeat_byte(2),
            timestamp: 1_700_000_012,
            base_fee: 9,
            blob_base_fee: 1 << 70,
            prev_randao: B256::repeat_byte(3),
            parent_beacon_block_root: B256::repeat_byte(4),
        }
    }

    #[test]
    fn a_rollup_begins_with_its_l1_and_its_system_config() {
        let system_config = SystemConfig {
            batcher: DEV_ACCOUNTS[3],
            gas_limit: 40_000_000,
            base_fee_scalar: 11,
            blob_base_fee_scalar: 12,
            eip1559: Some(Eip1559Params::new(50, 10).unwrap()),
            operator_fee: OperatorFee { scalar: 13, constant: 14 },
        };
        let genesis = Genesis::dev_rollup(902, l1(), system_config);
        assert_eq!(genesis.spec.chain_id(), 902);
        assert_eq!((genesis.timestamp, genesis.gas_limit), (1_700_000_012, 40_000_000));
        let params = Eip1559Params::from_extra_data(&genesis.extra_data);
        assert_eq!(params.ok(), system_config.eip1559);

        let storage = &genesis.alloc[&L1_BLOCK].storage;
        let slot = |slot: u64| storage.get(&U256::from(slot)).copied().unwrap_or_default();
        assert_eq!(slot(0), U256::from_limbs([7, 1_700_000_012, 0, 0]));
        assert_eq!(slot(1), U256::from(9));
        assert_eq!(slot(2), U256::from_be_bytes(l1().hash.0));
        assert_eq!(slot(3), U256::from_limbs([0, 11 << 32 | 12, 0, 0]));
        assert_eq!(slot(4), U256::from_be_bytes(DEV_ACCOUNTS[3].into_word().0));
        assert_eq!(slot(7), U256::from(1_u128 << 70));
        assert_eq!(slot(8), U256::from_limbs([14, 13, 0, 0]));
    }

    #[test]
    fn a_system_config_without_base_fee_parameters_means_the_constants() {
        let system_config = SystemConfig {
            batcher: DEV_ACCOUNTS[3],
            gas_limit: 40_000_000,
            base_fee_scalar: 0,
            blob_base_fee_scalar: 0,
            eip1559: None,
            operator_fee: OperatorFee::default(),
        };
        let genesis = Genesis::dev_rollup(901, l1(), system_config);
        let dev = Genesis::dev(DevGenesis::default());
        assert_eq!(genesis.extra_data, dev.extra_data);
        assert_eq!(genesis.alloc.len(), dev.alloc.len());
    }

    #[test]
    fn block_one_finds_its_base_fee_parameters() {
        let genesis = Genesis::dev(DevGenesis::default());
        let params = Eip1559Params::from_extra_data(&genesis.extra_data);
        assert_eq!(params, Ok(genesis.spec.eip1559_constants(0)));
    }
}
