//! L1Block takes the protocol's own calldata from the depositor, and from nobody else.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall, SolError};
use millrace_contracts::{DEV_ACCOUNTS, DevGenesis};
use millrace_protocol::{
    L1Attributes, L1Fees, OpFork, OperatorFee,
    predeploys::{L1_ATTRIBUTES_DEPOSITOR, L1_BLOCK},
};
use rand::Rng;

use crate::{
    chain::{Chain, seeded},
    interfaces::IL1Block,
};

/// Every field at random, so that a shift by one byte cannot go unseen.
pub(crate) fn random_attributes(rng: &mut impl Rng) -> L1Attributes {
    L1Attributes {
        l1_number: rng.random(),
        l1_timestamp: rng.random(),
        l1_hash: B256::from(rng.random::<[u8; 32]>()),
        sequence_number: rng.random(),
        base_fee: U256::from(rng.random::<u128>()),
        blob_base_fee: U256::from(rng.random::<u128>()),
        base_fee_scalar: rng.random(),
        blob_base_fee_scalar: rng.random(),
        batcher_hash: B256::from(rng.random::<[u8; 32]>()),
        operator_fee: Some(OperatorFee { scalar: rng.random(), constant: rng.random() }),
    }
}

pub(crate) fn set_attributes(chain: &mut Chain, attributes: &L1Attributes) {
    chain.send(L1_ATTRIBUTES_DEPOSITOR, L1_BLOCK, U256::ZERO, attributes.encode());
}

#[test]
fn isthmus_attributes_are_stored_and_read_back() {
    let (mut chain, mut rng) = (Chain::new(), seeded());
    for _ in 0..8 {
        let attributes = random_attributes(&mut rng);
        set_attributes(&mut chain, &attributes);
        check_getters(&mut chain, &attributes);
        check_slots(&mut chain, &attributes);
    }
}

#[test]
fn ecotone_attributes_leave_the_operator_fee_alone() {
    let (mut chain, mut rng) = (Chain::new(), seeded());
    let first = random_attributes(&mut rng);
    set_attributes(&mut chain, &first);
    let second = L1Attributes { operator_fee: None, ..random_attributes(&mut rng) };
    set_attributes(&mut chain, &second);
    let both = L1Attributes { operator_fee: first.operator_fee, ..second };
    check_getters(&mut chain, &both);
    check_slots(&mut chain, &both);
}

#[test]
fn nobody_else_may_set_them() {
    let (mut chain, mut rng) = (Chain::new(), seeded());
    let isthmus = random_attributes(&mut rng);
    let ecotone = L1Attributes { operator_fee: None, ..isthmus };
    for calldata in [isthmus.encode(), ecotone.encode()] {
        for caller in [DEV_ACCOUNTS[0], Address::ZERO, L1_BLOCK] {
            let revert = chain.revert_data(caller, L1_BLOCK, U256::ZERO, calldata.clone());
            assert_eq!(revert[..], IL1Block::NotDepositor::SELECTOR);
        }
    }
    assert_eq!(stored_fees(&mut chain), DevGenesis::L1_FEES);
}

#[test]
fn ether_pays_for_gas() {
    let mut chain = Chain::new();
    assert_eq!(chain.view(L1_BLOCK, IL1Block::DEPOSITOR_ACCOUNTCall {}), L1_ATTRIBUTES_DEPOSITOR);
    assert!(!chain.view(L1_BLOCK, IL1Block::isCustomGasTokenCall {}));
    assert_eq!(chain.view(L1_BLOCK, IL1Block::gasPayingTokenCall {})._1, 18);
    assert_eq!(chain.view(L1_BLOCK, IL1Block::gasPayingTokenNameCall {}), "Ether");
    assert_eq!(chain.view(L1_BLOCK, IL1Block::gasPayingTokenSymbolCall {}), "ETH");
}

/// The node gives the attributes transaction a million gas. All of it is what a deposit would burn by failing, so it
/// has to be plenty even when every slot changes from zero and the call goes through the proxy.
#[test]
fn the_attributes_transaction_is_far_below_its_gas_limit() {
    let (mut chain, mut rng) = (Chain::new(), seeded());
    let data = random_attributes(&mut rng).encode();
    let result = chain.transact(L1_ATTRIBUTES_DEPOSITOR, L1_BLOCK.into(), U256::ZERO, data.into());
    assert!(result.is_success());
    assert!(result.tx_gas_used() < 250_000, "{}", result.tx_gas_used());
}

fn stored_fees(chain: &mut Chain) -> L1Fees {
    L1Fees::read(OpFork::Isthmus, |slot| {
        Ok::<_, std::convert::Infallible>(chain.slot(L1_BLOCK, slot))
    })
    .unwrap()
}

fn check_getters(chain: &mut Chain, expected: &L1Attributes) {
    fn check<C: SolCall>(chain: &mut Chain, call: C, expected: C::Return)
    where
        C::Return: PartialEq + std::fmt::Debug,
    {
        assert_eq!(chain.view(L1_BLOCK, call), expected, "{}", C::SIGNATURE);
    }
    let operator = expected.operator_fee.unwrap();
    check(chain, IL1Block::numberCall {}, expected.l1_number);
    check(chain, IL1Block::timestampCall {}, expected.l1_timestamp);
    check(chain, IL1Block::hashCall {}, expected.l1_hash);
    check(chain, IL1Block::sequenceNumberCall {}, expected.sequence_number);
    check(chain, IL1Block::basefeeCall {}, expected.base_fee);
    check(chain, IL1Block::blobBaseFeeCall {}, expected.blob_base_fee);
    check(chain, IL1Block::baseFeeScalarCall {}, expected.base_fee_scalar);
    check(chain, IL1Block::blobBaseFeeScalarCall {}, expected.blob_base_fee_scalar);
    check(chain, IL1Block::batcherHashCall {}, expected.batcher_hash);
    check(chain, IL1Block::operatorFeeScalarCall {}, operator.scalar);
    check(chain, IL1Block::operatorFeeConstantCall {}, operator.constant);
    check(chain, IL1Block::l1FeeOverheadCall {}, U256::ZERO);
    check(chain, IL1Block::l1FeeScalarCall {}, U256::ZERO);
}

/// The slots as the specification packs them, and as the fee rules read them.
fn check_slots(chain: &mut Chain, expected: &L1Attributes) {
    let operator = expected.operator_fee.unwrap();
    let scalars =
        u64::from(expected.base_fee_scalar) << 32 | u64::from(expected.blob_base_fee_scalar);
    let slots = [
        U256::from_limbs([expected.l1_number, expected.l1_timestamp, 0, 0]),
        expected.base_fee,
        expected.l1_hash.into(),
        U256::from_limbs([expected.sequence_number, scalars, 0, 0]),
        expected.batcher_hash.into(),
        U256::ZERO,
        U256::ZERO,
        expected.blob_base_fee,
        U256::from_limbs([operator.constant, operator.scalar.into(), 0, 0]),
    ];
    for (slot, value) in slots.into_iter().enumerate() {
        assert_eq!(chain.slot(L1_BLOCK, U256::from(slot)), value, "slot {slot}");
    }
    assert_eq!(stored_fees(chain), expected.fees());
}
