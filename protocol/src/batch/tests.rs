use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Signature, TxKind, U256, hex};
use proptest::prelude::*;

use super::{span::ELEMENTS_MAX, *};
use crate::{BlockId, L1Attributes, RollupConfig};

const CHAIN: u64 = 901;

fn config() -> RollupConfig {
    RollupConfig::usual(CHAIN)
}

fn l1(number: u64) -> BlockId {
    BlockId { number, hash: B256::repeat_byte(number as u8) }
}

fn signed(
    tx: impl SignableTransaction<Signature> + Into<alloy_consensus::TypedTransaction>,
    signature: Signature,
) -> Bytes {
    let tx: alloy_consensus::TypedTransaction = tx.into();
    let envelope: TxEnvelope = tx.into_signed(signature).into();
    envelope.encoded_2718().into()
}

fn signature() -> impl Strategy<Value = Signature> {
    // Short ones too: they have leading zeros in their column and none in a transaction.
    let scalar = (any::<[u64; 4]>(), 0usize..256)
        .prop_map(|(limbs, shift)| U256::from_limbs(limbs) >> shift);
    (scalar.clone(), scalar, any::<bool>()).prop_map(|(r, s, parity)| Signature::new(r, s, parity))
}

fn to() -> impl Strategy<Value = TxKind> {
    prop_oneof![
        3 => any::<[u8; 20]>().prop_map(|to| TxKind::Call(to.into())),
        1 => Just(TxKind::Create),
    ]
}

fn input() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..80).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = U256> {
    (any::<[u64; 4]>(), 0usize..=256)
        .prop_map(|(limbs, shift)| U256::from_limbs(limbs).checked_shr(shift).unwrap_or_default())
}

fn access_list() -> impl Strategy<Value = AccessList> {
    let keys = prop::collection::vec(any::<[u8; 32]>().prop_map(B256::from), 0..3);
    let item = (any::<[u8; 20]>(), keys).prop_map(|(address, storage_keys)| AccessListItem {
        address: address.into(),
        storage_keys,
    });
    prop::collection::vec(item, 0..3).prop_map(AccessList)
}

fn authorizations() -> impl Strategy<Value = Vec<SignedAuthorization>> {
    let one = (value(), any::<[u8; 20]>(), any::<u64>(), any::<u8>(), value(), value()).prop_map(
        |(chain_id, address, nonce, y_parity, r, s)| {
            let authorization = Authorization { chain_id, address: address.into(), nonce };
            SignedAuthorization::new_unchecked(authorization, y_parity, r, s)
        },
    );
    prop::collection::vec(one, 0..3)
}

/// A signed transaction of any type that a batch may hold.
fn transaction() -> impl Strategy<Value = Bytes> {
    let common = (any::<u64>(), any::<u64>(), to(), value(), input(), signature());
    let lists = (access_list(), authorizations(), any::<bool>());
    let prices = (any::<u128>(), any::<u128>(), 0u32..128);
    (0..4, common, prices, lists).prop_map(|(kind, common, prices, lists)| {
        let (nonce, gas_limit, to, value, input, signature) = common;
        let (price, tip, shift) = (prices.0 >> prices.2, prices.1 >> prices.2, prices.2);
        let (access_list, authorization_list, protected) = lists;
        let chain_id = CHAIN;
        match kind {
            0 => signed(
                TxLegacy {
                    chain_id: protected.then_some(chain_id),
                    nonce,
                    gas_price: price,
                    gas_limit: gas_limit >> (shift / 2),
                    to,
                    value,
                    input,
                },
                signature,
            ),
            1 => signed(
                TxEip2930 {
                    chain_id,
                    nonce,
                    gas_price: price,
                    gas_limit,
                    to,
                    value,
                    access_list,
                    input,
                },
                signature,
            ),
            2 => signed(
                TxEip1559 {
                    chain_id,
                    nonce: nonce >> (shift / 2),
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: tip,
                    to,
                    value,
                    access_list,
                    input,
                },
                signature,
            ),
            _ => signed(
                TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: price,
                    max_priority_fee_per_gas: tip,
                    to: to.to().copied().unwrap_or_default(),
                    value,
                    access_list,
                    authorization_list,
                    input,
                },
                signature,
            ),
        }
    })
}

/// Blocks that follow each other: whether the epoch advances, and the transactions.
fn blocks() -> impl Strategy<Value = Vec<(bool, Vec<Bytes>)>> {
    let block = (any::<bool>(), prop::collection::vec(transaction(), 0..6));
    prop::collection::vec(block, 1..12)
}

struct Span {
    encoded: Bytes,
    elements: Vec<SpanElement>,
    last_origin: BlockId,
}

/// What the builder makes of the blocks, and what should come out of it again.
fn span(blocks: &[(bool, Vec<Bytes>)]) -> Span {
    let mut builder = SpanBuilder::new(&config(), B256::repeat_byte(0xaa));
    assert_eq!(builder.encode(), None);
    let mut elements = Vec::new();
    let (mut origin, mut sequence_number) = (l1(50), 3);
    for (index, (advances, transactions)) in blocks.iter().enumerate() {
        (origin, sequence_number) =
            if *advances { (l1(origin.number + 1), 0) } else { (origin, sequence_number + 1) };
        let timestamp = 1_100 + 2 * index as u64;
        let block = SpanBlock { timestamp, l1_origin: origin, sequence_number };
        builder.push(block, transactions).unwrap();
        elements.push(SpanElement {
            timestamp,
            l1_number: origin.number,
            transactions: transactions.clone(),
        });
    }
    let encoded = builder.encode_parts().unwrap();
    assert_eq!(builder.encode().as_ref(), Some(&encoded.bytes));
    let signatures = &encoded.bytes[encoded.signatures.clone()];
    assert_eq!(signatures.len(), 64 * builder.tx_count());
    let encoded = encoded.bytes;
    assert!((encoded.len()..encoded.len() + 40).contains(&builder.encoded_len_max()));
    assert_eq!(builder.block_count(), blocks.len());
    Span { encoded: encoded.into(), elements, last_origin: origin }
}

fn decode_span(encoded: &[u8]) -> Result<SpanBatch, BatchError> {
    match Batch::decode(&Bytes::copy_from_slice(encoded))? {
        Batch::Span(span) => Ok(span),
        Batch::Singular(_) => panic!("a singular batch"),
    }
}

#[test]
fn a_span_byte_by_byte() {
    let legacy = |chain_id, to, input| TxLegacy {
        chain_id,
        nonce: 300,
        gas_price: 5,
        gas_limit: 21_000,
        to,
        value: U256::from(0x99),
        input,
    };
    let signature = |parity| Signature::new(U256::from(0x1234), U256::from(0x56), parity);
    let to = Address::repeat_byte(0x77);
    let dynamic = TxEip1559 {
        chain_id: CHAIN,
        nonce: 1,
        gas_limit: 128,
        max_fee_per_gas: 0x80,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        value: U256::ZERO,
        access_list: AccessList::default(),
        input: Bytes::new(),
    };
    let transactions = vec![
        signed(legacy(Some(CHAIN), TxKind::Create, Bytes::from_static(&[1])), signature(true)),
        signed(dynamic, signature(false)),
        signed(legacy(None, TxKind::Call(to), Bytes::new()), signature(true)),
    ];
    let blocks = [(false, vec![]), (true, transactions), (false, vec![])];
    let signature = "0000000000000000000000000000000000000000000000000000000000001234".to_owned()
        + "0000000000000000000000000000000000000000000000000000000000000056";
    let expected = [
        "01",
        // 100 seconds after genesis; the last origin is 51.
        "6433",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "3333333333333333333333333333333333333333",
        // Three blocks, of which the second begins an epoch; no, three, no transactions.
        "0302000300",
        // The first transaction creates a contract; the first and third have odd parity.
        "0105",
        &signature.repeat(3),
        "77777777777777777777777777777777777777777777777777777777777777777777777777777777",
        // [0x99, 5, 0x01] and [0, 1, 0x80, "", []] and [0x99, 5, ""].
        "c481990501",
        "02c68001818080c0",
        "c481990580",
        "ac0201ac02",
        "88a401800188a401",
        // Of the two legacy transactions the first is protected.
        "01",
    ];
    let span = span(&blocks);
    assert_eq!(hex::encode(&span.encoded), expected.concat());
    assert_eq!(decode_span(&span.encoded).unwrap().derive(&config()), Ok(span.elements));
}

#[test]
fn a_span_says_where_it_lies() {
    let span = span(&[(true, vec![]), (false, vec![]), (true, vec![]), (true, vec![])]);
    let batch = decode_span(&span.encoded).unwrap();
    assert_eq!((batch.block_count(), batch.tx_count()), (4, 0));
    assert_eq!((batch.first_l1_number(), batch.last_l1_number()), (Some(51), 53));
    assert!(batch.advances_first());
    assert_eq!(batch.first_timestamp(&config()), 1_100);
    assert_eq!(batch.last_timestamp(&config()), 1_106);
    assert!(batch.follows(&B256::repeat_byte(0xaa)) && !batch.follows(&B256::ZERO));
    assert!(batch.ends_with_origin(&l1(53).hash) && !batch.ends_with_origin(&l1(52).hash));
}

/// A span of blocks without transactions, in parts that a test can change.
fn raw_span(time: &[u8], origin: &[u8], count: &[u8], bits: &[u8], tx_counts: &[u8]) -> Vec<u8> {
    [&[1], time, origin, &[0xaa; 40], count, bits, tx_counts].concat()
}

#[test]
fn refuses_malformed_spans() {
    let check = |encoded: Vec<u8>, error| {
        assert_eq!(decode_span(&encoded), Err(BatchError::Span(error)), "{encoded:02x?}");
    };
    assert!(decode_span(&raw_span(&[5], &[6], &[1], &[0], &[0])).is_ok());
    check(raw_span(&[0xff; 10], &[6], &[1], &[0], &[0]), SpanBatchError::Varint);
    check(raw_span(&[5], &[6], &[0], &[], &[]), SpanBatchError::Empty);
    check(raw_span(&[5], &[6], &[1], &[2], &[0]), SpanBatchError::Bits);
    check(raw_span(&[5], &[6], &[2], &[2], &[0]), SpanBatchError::Truncated);
    // One more than the limit: blocks, transactions of a block, transactions of two.
    let many = [0x81, 0xad, 0xe2, 4];
    check(raw_span(&[5], &[6], &many, &[], &[]), SpanBatchError::TooMany);
    check(raw_span(&[5], &[6], &[1], &[1], &many), SpanBatchError::TooMany);
    let most = [0x80, 0xad, 0xe2, 4];
    check(raw_span(&[5], &[6], &[1], &[1], &most), SpanBatchError::Truncated);
    check(raw_span(&[5], &[6], &[2], &[1], &[&most[..], &[1]].concat()), SpanBatchError::TooMany);
    check(raw_span(&[5], &[6], &[2], &[1], &[0xff; 20]), SpanBatchError::Varint);

    let derive = |encoded: Vec<u8>| decode_span(&encoded).unwrap().derive(&config());
    // Two advances from origin 0 lead to 2; the first one does not count.
    assert!(derive(raw_span(&[5], &[1], &[2], &[3], &[0, 0])).is_ok());
    assert!(derive(raw_span(&[5], &[0], &[2], &[1], &[0, 0])).is_ok());
    assert_eq!(derive(raw_span(&[5], &[0], &[2], &[2], &[0, 0])), Err(SpanBatchError::Range));
    let latest = [&[0xff; 9][..], &[1]].concat();
    assert_eq!(derive(raw_span(&latest, &[9], &[1], &[0], &[0])), Err(SpanBatchError::Range));
}

/// Eleven megabytes of zeros, which fit into some hundred bytes of a channel, are ten million blocks.
#[test]
fn the_longest_span_takes_no_room_before_its_blocks_are_asked_for() {
    let most = [0x80, 0xad, 0xe2, 4];
    let columns = vec![0; ELEMENTS_MAX / 8 + ELEMENTS_MAX];
    let batch = decode_span(&raw_span(&[5], &[6], &most, &columns, &[])).unwrap();
    assert_eq!(batch.block_count(), ELEMENTS_MAX);
    // A check of its times tells that it is hopeless; its first blocks are there all the same.
    assert_eq!(batch.last_timestamp(&config()), 1_005 + 2 * (ELEMENTS_MAX as u64 - 1));
    let mut elements = batch.elements(&config()).unwrap();
    let second = elements.nth(1).unwrap().unwrap();
    assert_eq!((second.timestamp, second.l1_number), (1_007, 6));
}

/// As many transactions of one byte as no block has room for.
#[test]
fn a_singular_batch_keeps_no_more_than_would_be_enough_to_refuse_it() {
    let good = SingularBatch { transactions: vec![], ..singular() };
    let encoded = Batch::Singular(good).encode();
    let len = ELEMENTS_MAX as u32 + 100;
    let fields = &encoded[3..encoded.len() - 1];
    let list = |len: u32| [&[0xfa], &len.to_be_bytes()[1..]].concat();
    let outer = list(fields.len() as u32 + 4 + len);
    let batch = [&[0], &outer[..], fields, &list(len), &vec![1; len as usize]].concat();
    let Ok(Batch::Singular(batch)) = Batch::decode(&batch.into()) else { panic!("no batch") };
    assert_eq!(batch.transactions.len(), ELEMENTS_MAX + 1);
}

#[test]
fn every_prefix_of_a_span_is_refused_and_every_suffix_ignored() {
    let tx = TxEip2930 { chain_id: CHAIN, to: TxKind::Create, ..Default::default() };
    let legacy = TxLegacy { chain_id: Some(CHAIN), ..Default::default() };
    let signature = Signature::new(U256::from(1), U256::from(2), false);
    let transactions = vec![signed(tx, signature), signed(legacy, signature)];
    let span = span(&[(true, transactions), (false, vec![])]);
    for len in 1..span.encoded.len() {
        let error = decode_span(&span.encoded[..len]);
        assert!(matches!(error, Err(BatchError::Span(_))), "{len}: {error:?}");
    }
    let longer = [&span.encoded[..], &[1, 2, 3]].concat();
    let batch = decode_span(&longer).unwrap();
    assert_eq!(batch.derive(&config()), Ok(span.elements));
    assert_eq!(batch.encode(), span.encoded);
}

/// A span of one block with one transaction, whose data column is this.
fn with_data(data: &[u8], creation: u8) -> Result<Vec<SpanElement>, BatchError> {
    let to = if creation == 1 { vec![] } else { vec![0x77; 20] };
    let legacy = data.first().is_some_and(|&byte| byte >= 0x80);
    let columns: [&[u8]; 7] =
        [&[creation, 0], &[1; 64], &to, data, &[0], &[0], if legacy { &[1] } else { &[] }];
    let encoded = [raw_span(&[5], &[6], &[1], &[0], &[1]), columns.concat()].concat();
    Ok(decode_span(&encoded)?.derive(&config())?)
}

#[test]
fn refuses_malformed_transaction_data() {
    let good = |data: &[u8], creation| {
        let derived = with_data(data, creation);
        assert!(derived.is_ok(), "{}: {derived:?}", hex::encode(data));
    };
    let bad = |data: &[u8], creation, error| {
        let expected = Err(BatchError::Span(error));
        assert_eq!(with_data(data, creation), expected, "{}", hex::encode(data));
    };
    good(&hex!("c3808080"), 0);
    good(&hex!("01c4808080c0"), 1);
    good(&hex!("02c580808080c0"), 1);
    good(&hex!("04c680808080c0c0"), 0);
    // A number of 300 bits is a matter for the block that it is in.
    good(&[&hex!("e9a601")[..], &[0; 37], &hex!("8080")].concat(), 0);

    bad(&hex!("00c3808080"), 0, SpanBatchError::TransactionType(0));
    bad(&hex!("03c3808080"), 0, SpanBatchError::TransactionType(3));
    bad(&hex!("7ec3808080"), 0, SpanBatchError::TransactionType(0x7e));
    let malformed = SpanBatchError::TransactionData;
    bad(&hex!("83808080"), 0, malformed);
    bad(&hex!("f803808080"), 0, malformed);
    // Too few and too many fields, or of the wrong kind.
    bad(&hex!("c28080"), 0, malformed);
    bad(&hex!("c480808080"), 0, malformed);
    bad(&hex!("c38080c0"), 0, malformed);
    bad(&hex!("c3c08080"), 0, malformed);
    bad(&hex!("02c5808080c080"), 0, malformed);
    bad(&hex!("02c480808080"), 0, malformed);
    bad(&hex!("01c480808080"), 0, malformed);
    // Leading zeros.
    bad(&hex!("c3008080"), 0, malformed);
    bad(&hex!("c5820001" "8080"), 0, malformed);
    bad(&hex!("c3800080"), 0, malformed);
    // This type creates no contracts.
    bad(&hex!("04c680808080c0c0"), 1, malformed);
    // An access list that is none, an authorization that is none.
    bad(&hex!("01c5808080c1c0"), 0, malformed);
    bad(&hex!("01c5808080c180"), 0, malformed);
    bad(&hex!("04c780808080c0c1c0"), 0, malformed);
}

#[test]
fn the_builder_takes_only_what_follows() {
    let mut builder = SpanBuilder::new(&config(), B256::ZERO);
    let none: [Bytes; 0] = [];
    let block = |timestamp, number, sequence_number| SpanBlock {
        timestamp,
        l1_origin: l1(number),
        sequence_number,
    };
    let time = SpanBuildError::Timestamp;
    let origin = SpanBuildError::Origin;
    assert_eq!(builder.push(block(998, 5, 0), &none), Err(time(998)));
    assert_eq!(builder.push(block(1_000, 5, 1), &none), Ok(()));
    assert_eq!(builder.push(block(1_001, 5, 2), &none), Err(time(1_001)));
    assert_eq!(builder.push(block(1_004, 5, 2), &none), Err(time(1_004)));
    assert_eq!(builder.push(block(1_002, 6, 2), &none), Err(origin(6)));
    assert_eq!(builder.push(block(1_002, 5, 0), &none), Err(origin(5)));
    assert_eq!(builder.push(block(1_002, 7, 0), &none), Err(origin(7)));

    // What is refused leaves no trace.
    let before = builder.encode();
    let signature = Signature::new(U256::from(1), U256::from(2), false);
    let good = signed(TxLegacy { chain_id: Some(CHAIN), ..Default::default() }, signature);
    let other_chain = [
        signed(TxLegacy { chain_id: Some(CHAIN + 1), ..Default::default() }, signature),
        signed(TxEip1559 { chain_id: CHAIN + 1, ..Default::default() }, signature),
    ];
    let config = config().genesis.system_config;
    let l1 = crate::l1_attributes::tests::l1_header();
    let deposit = L1Attributes::for_block(&config, &l1, 0).to_deposit().encoded_2718().into();
    let truncated = good.slice(..good.len() - 1);
    let longer = [&good[..], &[0]].concat().into();
    for bad in [&other_chain[..], &[deposit, truncated, longer, Bytes::new()]].concat() {
        let pushed = builder.push(block(1_002, 6, 0), &[good.clone(), bad]);
        assert_eq!(pushed, Err(SpanBuildError::Transaction(1)));
    }
    assert_eq!(builder.encode(), before);
    assert_eq!(builder.push(block(1_002, 6, 0), &[good]), Ok(()));
}

fn singular() -> SingularBatch {
    SingularBatch {
        parent_hash: B256::repeat_byte(0x11),
        epoch: BlockId { number: 0x0102, hash: B256::repeat_byte(0x22) },
        timestamp: 0x0304_0506,
        transactions: vec![Bytes::from_static(&[0x02, 0xff]), Bytes::from_static(&[0x05])],
    }
}

#[test]
fn a_singular_batch_byte_by_byte() {
    let expected = [
        &hex!("00f84f")[..],
        &hex!("a01111111111111111111111111111111111111111111111111111111111111111"),
        &hex!("820102"),
        &hex!("a02222222222222222222222222222222222222222222222222222222222222222"),
        &hex!("8403040506"),
        &hex!("c48202ff05"),
    ]
    .concat();
    assert_eq!(hex::encode(Batch::Singular(singular()).encode()), hex::encode(&expected));
    assert_eq!(Batch::decode(&expected.clone().into()), Ok(Batch::Singular(singular())));
    for len in 1..expected.len() {
        let error = Batch::decode(&Bytes::copy_from_slice(&expected[..len]));
        assert!(matches!(error, Err(BatchError::Singular(_))), "{len}: {error:?}");
    }
    // What follows counts for nothing.
    let longer = [&expected[..], &[1, 2]].concat();
    assert_eq!(Batch::decode(&longer.into()), Ok(Batch::Singular(singular())));
}

#[test]
fn refuses_malformed_singular_batches() {
    let good = Batch::Singular(singular()).encode();
    let check = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        let error = Batch::decode(&bad.clone().into());
        assert!(matches!(error, Err(BatchError::Singular(_))), "{at}: {error:?}");
    };
    // A list of another length, hashes of another length, a number with a zero, a list within the transactions.
    check(2, 0x4e);
    check(3, 0x9f);
    check(37, 0);
    check(36, 0xc2);
    let list = good.len() - 5;
    check(list, 0x84);
    check(list + 1, 0xc2);
    check(list + 4, 0x81);

    assert_eq!(Batch::decode(&Bytes::new()), Err(BatchError::Empty));
    for version in [2, 3, 0x80, 0xf8] {
        let batch = Bytes::copy_from_slice(&[version, 0]);
        assert_eq!(Batch::decode(&batch), Err(BatchError::Version(version)));
    }
}

proptest! {
    #[test]
    fn spans_come_back(blocks in blocks()) {
        let span = span(&blocks);
        let batch = decode_span(&span.encoded).unwrap();
        prop_assert_eq!(batch.last_l1_number(), span.last_origin.number);
        prop_assert_eq!(batch.first_l1_number(), Some(span.elements[0].l1_number));
        prop_assert_eq!(batch.encode(), &span.encoded[..]);
        prop_assert_eq!(batch.derive(&config()), Ok(span.elements));
    }

    #[test]
    fn singular_batches_come_back(
        number: u64,
        timestamp: u64,
        transactions in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..5),
    ) {
        let batch = Batch::Singular(SingularBatch {
            epoch: BlockId { number, ..singular().epoch },
            timestamp,
            transactions: transactions.into_iter().map(Bytes::from).collect(),
            ..singular()
        });
        prop_assert_eq!(Batch::decode(&batch.encode().into()), Ok(batch));
    }

    #[test]
    fn a_changed_byte_never_panics(blocks in blocks(), at: prop::sample::Index, to: u8) {
        let mut encoded = span(&blocks).encoded.to_vec();
        let at = at.index(encoded.len());
        encoded[at] = to;
        if let Ok(Batch::Span(batch)) = Batch::decode(&encoded.into())
            && let Ok(elements) = batch.derive(&config())
        {
            prop_assert_eq!(elements.len(), batch.block_count());
        }
    }

    #[test]
    fn no_batch_panics(version in 0u8..2, content in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(Batch::Span(batch)) = Batch::decode(&[vec![version], content].concat().into()) {
            let _ = batch.derive(&config());
        }
    }
}
