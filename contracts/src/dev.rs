//! The development chain: everything in place, and ten accounts with money whose keys everybody knows.

use alloy_primitives::{Address, B256, U256, address, uint};
use millrace_protocol::{ChainSpec, L1Fees, predeploys::SEQUENCER_FEE_VAULT};

use crate::{FeeVault, Genesis, GenesisAccount, Predeploys, WithdrawalNetwork};

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
        let spec = ChainSpec::dev(options.chain_id);
        let owner = DEV_ACCOUNTS[0];
        let vault = FeeVault {
            recipient: owner,
            network: WithdrawalNetwork::L2,
            min_withdrawal: U256::ZERO,
        };
        let predeploys = Predeploys {
            proxy_admin_owner: owner,
            sequencer_fee_vault: vault,
            base_fee_vault: vault,
            l1_fee_vault: vault,
            operator_fee_vault: vault,
            l1_fees: options.l1_fees,
        };

        let mut alloc = predeploys.accounts();
        let rich = GenesisAccount { balance: DEV_BALANCE, ..GenesisAccount::default() };
        alloc.extend(DEV_ACCOUNTS.map(|address| (address, rich.clone())));

        let eip1559 = spec.eip1559_constants(options.timestamp);
        Self {
            spec,
            timestamp: options.timestamp,
            gas_limit: options.gas_limit,
            base_fee: 1_000_000_000,
            extra_data: eip1559.to_extra_data().into(),
            beneficiary: SEQUENCER_FEE_VAULT,
            mix_hash: B256::ZERO,
            nonce: 0,
            difficulty: U256::ZERO,
            alloc,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::utils::parse_ether;
    use alloy_signer_local::{MnemonicBuilder, coins_bip39::English};
    use millrace_protocol::Eip1559Params;

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

    #[test]
    fn block_one_finds_its_base_fee_parameters() {
        let genesis = Genesis::dev(DevGenesis::default());
        let params = Eip1559Params::from_extra_data(&genesis.extra_data);
        assert_eq!(params, Ok(genesis.spec.eip1559_constants(0)));
    }
}
