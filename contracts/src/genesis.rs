//! A chain at block zero: who has what, and the header that commits to it.

use std::collections::BTreeMap;

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256, keccak256};
use millrace_protocol::{ChainSpec, EvmFork, OpFork};
use millrace_types::{Account, AccountDiff, DiffBuilder, Header, StateDiff};

/// A chain's rules, and its world and header at block zero.
///
/// Every field that the genesis hash depends on is here or follows from these, except the two roots, which need a trie:
/// see [`header`](Self::header).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Which chain this is and which rules it has.
    pub spec: ChainSpec,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// The gas limit of block zero, which an OP chain keeps until the system config changes it.
    pub gas_limit: u64,
    /// The base fee of block zero, in wei.
    pub base_fee: u64,
    /// Under Holocene, how the base fee of block one moves.
    pub extra_data: Bytes,
    /// The `coinbase` of the header.
    pub beneficiary: Address,
    /// The `prevRandao` of the header.
    pub mix_hash: B256,
    /// The proof-of-work nonce of the header: zero on any chain that never mined.
    pub nonce: u64,
    /// The difficulty of the header: zero, likewise.
    pub difficulty: U256,
    /// Every account.
    pub alloc: BTreeMap<Address, GenesisAccount>,
}

/// One account at block zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// How many transactions it has sent, or contracts created.
    pub nonce: u64,
    /// What it has, in wei.
    pub balance: U256,
    /// Its code; empty for a plain account.
    pub code: Bytes,
    /// Its storage. Slots that are zero are as good as absent.
    pub storage: BTreeMap<U256, U256>,
}

impl Genesis {
    /// The world at block zero, as what it differs in from the empty one.
    ///
    /// An account that is listed exists, even with nothing in it: so do go-ethereum's genesis states.
    pub fn state_diff(&self) -> StateDiff {
        let mut diff = DiffBuilder::default();
        for (address, account) in &self.alloc {
            let bytecode_hash = (!account.code.is_empty()).then(|| keccak256(&account.code));
            if let Some(hash) = bytecode_hash {
                diff.deploy(hash, account.code.clone());
            }
            let slots = account.storage.iter().filter(|(_, value)| !value.is_zero());
            let slots = slots.map(|(slot, value)| (*slot, *value));
            let GenesisAccount { nonce, balance, .. } = *account;
            let account = Some(Account { nonce, balance, bytecode_hash });
            diff.change(AccountDiff { address: *address, account, wiped: false }, slots);
        }
        diff.build()
    }

    /// The header of block zero.
    ///
    /// `state_root` is that of [`state_diff`](Self::state_diff) and `message_passer_root` the storage root of
    /// [`L2_TO_L1_MESSAGE_PASSER`](millrace_protocol::predeploys::L2_TO_L1_MESSAGE_PASSER) in it, which counts from
    /// Isthmus on and is ignored before.
    pub fn header(&self, GenesisRoots { state_root, message_passer_root }: GenesisRoots) -> Header {
        let rules = self.spec.rules(self.timestamp);
        let from = |fork| rules.evm >= fork;
        let withdrawals_root =
            if rules.is_active(OpFork::Isthmus) { message_passer_root } else { EMPTY_ROOT_HASH };
        Header {
            parent_hash: B256::ZERO,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.beneficiary,
            state_root,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            logs_bloom: Bloom::ZERO,
            difficulty: self.difficulty,
            number: 0,
            gas_limit: self.gas_limit,
            gas_used: 0,
            timestamp: self.timestamp,
            extra_data: self.extra_data.clone(),
            mix_hash: self.mix_hash,
            nonce: B64::from(self.nonce),
            base_fee_per_gas: Some(self.base_fee),
            withdrawals_root: from(EvmFork::Shanghai).then_some(withdrawals_root),
            blob_gas_used: from(EvmFork::Cancun).then_some(0),
            excess_blob_gas: from(EvmFork::Cancun).then_some(0),
            parent_beacon_block_root: from(EvmFork::Cancun).then_some(B256::ZERO),
            requests_hash: from(EvmFork::Prague).then_some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }
}

/// The roots that the header of block zero commits to, as computed by whoever has a trie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenesisRoots {
    /// The root of all accounts.
    pub state_root: B256,
    /// The storage root of the message passer.
    pub message_passer_root: B256,
}
