//! The first block of a chain: its state's roots, worked out plainly, and its header.

use alloy_consensus::constants::KECCAK_EMPTY;
use alloy_primitives::{B256, keccak256};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use millrace_contracts::{Genesis, GenesisAccount, GenesisRoots};
use millrace_protocol::predeploys::L2_TO_L1_MESSAGE_PASSER;
use millrace_types::SealedHeader;

/// The header of block zero. Its state root does not come from the state that it is compared with.
pub(crate) fn header(genesis: &Genesis) -> SealedHeader {
    let accounts = genesis.alloc.iter().map(|(address, account)| {
        let code_hash =
            if account.code.is_empty() { KECCAK_EMPTY } else { keccak256(&account.code) };
        let storage_root = storage_root(account);
        (
            *address,
            TrieAccount { nonce: account.nonce, balance: account.balance, storage_root, code_hash },
        )
    });
    let roots = GenesisRoots {
        state_root: state_root_unhashed(accounts),
        message_passer_root: storage_root(
            genesis.alloc.get(&L2_TO_L1_MESSAGE_PASSER).unwrap_or(&GenesisAccount::default()),
        ),
    };
    SealedHeader::seal_slow(genesis.header(roots))
}

fn storage_root(account: &GenesisAccount) -> B256 {
    let slots = account.storage.iter().filter(|(_, value)| !value.is_zero());
    storage_root_unhashed(slots.map(|(slot, value)| (B256::from(*slot), *value)))
}
