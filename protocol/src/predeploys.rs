//! Where things live: the addresses that the protocol or its tools rely on, and the slots that the fee rules read.

use alloy_primitives::{Address, U256, address};

pub use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS,
    eip4788::{BEACON_ROOTS_ADDRESS, SYSTEM_ADDRESS},
};
pub use op_alloy_consensus::L2_TO_L1_MESSAGE_PASSER_ADDRESS as L2_TO_L1_MESSAGE_PASSER;

/// Wrapped ether.
pub const WETH9: Address = address!("4200000000000000000000000000000000000006");
/// Calls from and to the messenger on L1.
pub const L2_CROSS_DOMAIN_MESSENGER: Address = address!("4200000000000000000000000000000000000007");
/// What data on L1 costs, for wallets and contracts.
pub const GAS_PRICE_ORACLE: Address = address!("420000000000000000000000000000000000000F");
/// Tokens from and to L1.
pub const L2_STANDARD_BRIDGE: Address = address!("4200000000000000000000000000000000000010");
/// Collects tips; also the `coinbase` of every block.
pub const SEQUENCER_FEE_VAULT: Address = address!("4200000000000000000000000000000000000011");
/// What L2 knows about L1, set by the first transaction of every block.
pub const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// Owns the proxies of the other predeploys.
pub const PROXY_ADMIN: Address = address!("4200000000000000000000000000000000000018");
/// Collects base fees.
pub const BASE_FEE_VAULT: Address = address!("4200000000000000000000000000000000000019");
/// Collects L1 data fees.
pub const L1_FEE_VAULT: Address = address!("420000000000000000000000000000000000001A");
/// Collects operator fees.
pub const OPERATOR_FEE_VAULT: Address = address!("420000000000000000000000000000000000001b");

/// Sends the L1 attributes transaction. Nobody has its key.
pub const L1_ATTRIBUTES_DEPOSITOR: Address = address!("DeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");

/// Batches calls; tools expect it here.
pub const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");
/// The deterministic deployer of `CREATE2` contracts; tools expect it here.
pub const CREATE2_DEPLOYER: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");

/// Slots of [`L1_BLOCK`] that the fee rules read straight from the state.
pub mod l1_block_slots {
    use super::U256;

    /// The base fee of the L1 origin.
    pub const BASE_FEE: U256 = U256::from_limbs([1, 0, 0, 0]);
    /// From the top: 16 bytes without meaning, `u32` base-fee scalar, `u32` blob-base-fee scalar, `u64` sequence number.
    pub const FEE_SCALARS: U256 = U256::from_limbs([3, 0, 0, 0]);
    /// The blob base fee of the L1 origin.
    pub const BLOB_BASE_FEE: U256 = U256::from_limbs([7, 0, 0, 0]);
    /// From the top: 20 bytes without meaning, `u32` operator-fee scalar, `u64` operator-fee constant (Isthmus).
    pub const OPERATOR_FEE: U256 = U256::from_limbs([8, 0, 0, 0]);
}
