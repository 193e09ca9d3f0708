//! The two contracts that the protocol itself writes to, by the rules of their EIPs.

use alloy_primitives::{B256, U256};
use millrace_contracts::DEV_ACCOUNTS;
use millrace_protocol::predeploys::{BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS};

use crate::chain::Chain;

/// EIP-4788 keeps this many roots, EIP-2935 as many hashes.
const RING: u64 = 8_191;

#[test]
fn beacon_roots_are_read_back_by_timestamp() {
    let mut chain = Chain::new();
    let root = B256::repeat_byte(0xbe);
    let timestamp: U256 = chain.block.timestamp;
    chain.system_call(BEACON_ROOTS_ADDRESS, root.to_vec().into());

    let index = timestamp % U256::from(RING);
    assert_eq!(chain.slot(BEACON_ROOTS_ADDRESS, index), timestamp);
    assert_eq!(
        chain.slot(BEACON_ROOTS_ADDRESS, index + U256::from(RING)),
        U256::from_be_bytes(root.0)
    );

    let read = |chain: &mut Chain, at: U256| {
        let data = at.to_be_bytes_vec().into();
        chain.transact(DEV_ACCOUNTS[0], BEACON_ROOTS_ADDRESS.into(), U256::ZERO, data)
    };
    assert_eq!(read(&mut chain, timestamp).into_output().unwrap()[..], root[..]);
    // Neither another time in the same place of the ring, nor one of which nothing is known.
    for unknown in [timestamp + U256::from(RING), timestamp + U256::from(1), U256::ZERO] {
        assert!(!read(&mut chain, unknown).is_success(), "{unknown}");
    }
}

#[test]
fn block_hashes_are_read_back_by_number() {
    let mut chain = Chain::new();
    let parent = B256::repeat_byte(0xb1);
    let number: U256 = chain.block.number;
    chain.system_call(HISTORY_STORAGE_ADDRESS, parent.to_vec().into());

    let index = (number - U256::from(1)) % U256::from(RING);
    assert_eq!(chain.slot(HISTORY_STORAGE_ADDRESS, index), U256::from_be_bytes(parent.0));

    let read = |chain: &mut Chain, at: U256| {
        let data = at.to_be_bytes_vec().into();
        chain.transact(DEV_ACCOUNTS[0], HISTORY_STORAGE_ADDRESS.into(), U256::ZERO, data)
    };
    assert_eq!(read(&mut chain, number - U256::from(1)).into_output().unwrap()[..], parent[..]);
    // The block itself and the future are refused, and once it is too old, so is that one.
    assert!(!read(&mut chain, number).is_success());
    chain.block.number = number + U256::from(RING - 1);
    assert!(read(&mut chain, number - U256::from(1)).is_success());
    chain.block.number = number + U256::from(RING);
    assert!(!read(&mut chain, number - U256::from(1)).is_success());
}

#[test]
fn what_anybody_else_sends_is_a_question_and_not_a_write() {
    let mut chain = Chain::new();
    let data = B256::repeat_byte(0xee);
    for address in [BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS] {
        let revert = chain.revert_data(DEV_ACCOUNTS[0], address, U256::ZERO, data.to_vec());
        assert!(revert.is_empty());
    }
    for slot in 0..2 * RING {
        assert_eq!(chain.slot(BEACON_ROOTS_ADDRESS, U256::from(slot)), U256::ZERO);
        assert_eq!(chain.slot(HISTORY_STORAGE_ADDRESS, U256::from(slot)), U256::ZERO);
    }
}
