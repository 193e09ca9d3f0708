//! GasPriceOracle says what the node charges.

use alloy_primitives::{Bytes, U256};
use millrace_protocol::{
    DataSize, L1Attributes, OperatorFee, compressed_len,
    predeploys::{GAS_PRICE_ORACLE, L1_BLOCK},
};
use rand::{Rng, rngs::StdRng};

use crate::{
    chain::{Chain, seeded},
    interfaces::{IGasPriceOracle, IL1Block},
    l1_block::{random_attributes, set_attributes},
};

/// What a signature adds to an unsigned transaction, as the oracle counts it.
const SIGNATURE_BYTES: u32 = 68;

#[test]
fn the_l1_fee_is_the_protocols() {
    let (mut chain, mut rng) = (Chain::new(), seeded());
    let attributes = realistic(&mut rng);
    set_attributes(&mut chain, &attributes);
    for round in 0..60 {
        let data = random_data(&mut rng, round);
        let size = DataSize::from_compressed_len(compressed_len(&data) + SIGNATURE_BYTES);
        let call = IGasPriceOracle::getL1FeeCall { data: data.clone() };
        assert_eq!(chain.view(GAS_PRICE_ORACLE, call), attributes.fees().data_fee(size), "{data}");
        let call = IGasPriceOracle::getL1GasUsedCall { data: data.clone() };
        assert_eq!(chain.view(GAS_PRICE_ORACLE, call), U256::from(size.l1_gas()), "{data}");
    }
}

/// One match encodes at most 262 bytes, so the count steps there, and again at twice that.
#[test]
fn long_matches_are_split_where_the_protocol_splits_them() {
    let (mut chain, mut rng) = (Chain::new(), seeded());
    let attributes = realistic(&mut rng);
    set_attributes(&mut chain, &attributes);
    // Incompressible bytes in front bring the estimate above its minimum, below which all data costs the same.
    let noise: Vec<u8> = (0..200).map(|_| rng.random()).collect();
    for length in (260..290).chain(520..560) {
        let data = Bytes::from([noise.clone(), vec![0xaa; length]].concat());
        let size = DataSize::from_compressed_len(compressed_len(&data) + SIGNATURE_BYTES);
        assert!(size.bytes() > 100);
        let call = IGasPriceOracle::getL1FeeCall { data };
        assert_eq!(
            chain.view(GAS_PRICE_ORACLE, call),
            attributes.fees().data_fee(size),
            "a run of {length}"
        );
    }
}

#[test]
fn the_upper_bound_takes_data_for_incompressible() {
    let (mut chain, mut rng) = (Chain::new(), seeded());
    let attributes = realistic(&mut rng);
    set_attributes(&mut chain, &attributes);
    for unsigned in [0, 1, 100, 186, 187, 50_000] {
        let size = unsigned + SIGNATURE_BYTES;
        let expected =
            attributes.fees().data_fee(DataSize::from_compressed_len(size + size / 255 + 16));
        let call = IGasPriceOracle::getL1FeeUpperBoundCall { unsignedTxSize: U256::from(unsigned) };
        assert_eq!(chain.view(GAS_PRICE_ORACLE, call), expected, "{unsigned} bytes");
    }
}

#[test]
fn the_operator_fee_is_the_protocols_and_saturates() {
    let (mut chain, mut rng) = (Chain::new(), seeded());
    let fee = |chain: &mut Chain, gas| {
        chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::getOperatorFeeCall { gasUsed: gas })
    };
    for _ in 0..8 {
        let attributes = random_attributes(&mut rng);
        set_attributes(&mut chain, &attributes);
        let gas: u64 = rng.random();
        assert_eq!(fee(&mut chain, U256::from(gas)), attributes.fees().operator_fee(gas));
    }
    let largest = OperatorFee { scalar: u32::MAX, constant: u64::MAX };
    set_attributes(
        &mut chain,
        &L1Attributes { operator_fee: Some(largest), ..random_attributes(&mut rng) },
    );
    let saturated = U256::MAX / U256::from(1_000_000) + U256::from(u64::MAX);
    assert_eq!(fee(&mut chain, U256::MAX), saturated);

    let none = OperatorFee { scalar: 0, constant: 0 };
    set_attributes(
        &mut chain,
        &L1Attributes { operator_fee: Some(none), ..random_attributes(&mut rng) },
    );
    assert_eq!(fee(&mut chain, U256::MAX), U256::ZERO);
}

#[test]
fn it_passes_on_what_l1_block_and_the_block_say() {
    let (mut chain, mut rng) = (Chain::new(), seeded());
    let attributes = random_attributes(&mut rng);
    set_attributes(&mut chain, &attributes);
    assert_eq!(
        chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::l1BaseFeeCall {}),
        attributes.base_fee
    );
    assert_eq!(
        chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::blobBaseFeeCall {}),
        attributes.blob_base_fee
    );
    assert_eq!(
        chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::baseFeeScalarCall {}),
        attributes.base_fee_scalar
    );
    let blob_scalar = chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::blobBaseFeeScalarCall {});
    assert_eq!(blob_scalar, chain.view(L1_BLOCK, IL1Block::blobBaseFeeScalarCall {}));
    let base_fee = U256::from(chain.block.basefee);
    assert_eq!(chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::baseFeeCall {}), base_fee);
    assert_eq!(chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::gasPriceCall {}), base_fee);
    assert_eq!(chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::decimalsCall {}), U256::from(6));
    assert_eq!(chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::DECIMALSCall {}), U256::from(6));
    assert!(chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::isEcotoneCall {}));
    assert!(chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::isFjordCall {}));
    assert!(chain.view(GAS_PRICE_ORACLE, IGasPriceOracle::isIsthmusCall {}));
}

#[test]
fn what_ecotone_removed_says_so() {
    let mut chain = Chain::new();
    let from = millrace_contracts::DEV_ACCOUNTS[0];
    let reason = chain.revert_reason(from, GAS_PRICE_ORACLE, IGasPriceOracle::overheadCall {});
    assert_eq!(reason, "GasPriceOracle: overhead() is deprecated");
    let reason = chain.revert_reason(from, GAS_PRICE_ORACLE, IGasPriceOracle::scalarCall {});
    assert_eq!(reason, "GasPriceOracle: scalar() is deprecated");
}

/// Prices whose products stay within 256 bits: beyond, the contract reverts where the node saturates.
fn realistic(rng: &mut StdRng) -> L1Attributes {
    L1Attributes {
        base_fee: U256::from(rng.random::<u64>()),
        blob_base_fee: U256::from(rng.random::<u64>()),
        ..random_attributes(rng)
    }
}

/// Everything from noise to one byte repeated, with the short lengths at which the compressor behaves differently.
fn random_data(rng: &mut StdRng, round: usize) -> Bytes {
    let length = if round < 20 { round } else { rng.random_range(20..1_500) };
    let alphabet: u8 = [0, 1, 2, 4, 16, 255][rng.random_range(0..6)];
    let mut data: Vec<u8> = (0..length).map(|_| rng.random_range(0..=alphabet)).collect();
    // Copies of earlier parts, also from further back than a match can reach.
    if length > 64 && rng.random() {
        let from = rng.random_range(0..length / 2);
        let copy = data[from..from + rng.random_range(1..length / 2)].to_vec();
        if rng.random_range(0..6) == 0 {
            data.extend((0..8_300).map(|_| rng.random::<u8>()));
        }
        data.extend(copy);
    }
    data.into()
}
