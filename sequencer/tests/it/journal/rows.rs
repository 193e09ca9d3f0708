//! The rows' encoding: what comes back is what went in, and nothing makes it panic or grow.

use std::sync::Arc;

use alloy_consensus::{SignableTransaction as _, TxEip2930, TxLegacy};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Log, LogData, Signature, TxKind, U256};
use millrace_sequencer::journal::{
    FrameError,
    row::{
        DECOMPRESSED_BYTES_MAX, Row, RowError, decode_body, decode_header, decode_receipts,
        encode_body, encode_receipts,
    },
};
use millrace_types::{DepositReceipt, Receipt, SealedHeader, Transaction, TxType};
use op_alloy_consensus::TxDeposit;
use proptest::{collection::vec, option, prelude::*};

use super::fixture::{GENESIS, seal, stored};

fn transactions() -> impl Strategy<Value = Arc<Transaction>> {
    let fields = (
        any::<[u8; 20]>(),
        any::<u64>(),
        option::of(any::<[u8; 20]>()),
        any::<[u8; 32]>(),
        vec(any::<u8>(), 0..200),
        0..3,
    );
    fields.prop_map(|(sender, nonce, to, value, input, kind)| {
        let sender = Address::from(sender);
        let to = to.map_or(TxKind::Create, |to| TxKind::Call(to.into()));
        let (value, input) = (U256::from_be_bytes(value), Bytes::from(input));
        let signature =
            Signature::new(value | U256::from(1), U256::from(nonce) + U256::from(1), true);
        let encoded = match kind {
            0 => {
                let source_hash = B256::from(value);
                let deposit =
                    TxDeposit { source_hash, from: sender, to, value, input, ..Default::default() };
                return Arc::new(Transaction::deposit(deposit));
            }
            1 => TxLegacy { chain_id: Some(901), nonce, to, value, input, ..Default::default() }
                .into_signed(signature)
                .encoded_2718(),
            _ => TxEip2930 { chain_id: 901, nonce, to, value, input, ..Default::default() }
                .into_signed(signature)
                .encoded_2718(),
        };
        Arc::new(Transaction::decode_with_sender(encoded.into(), sender).unwrap())
    })
}

fn receipts() -> impl Strategy<Value = Receipt> {
    let logs = (any::<[u8; 20]>(), vec(any::<[u8; 32]>(), 0..=4), vec(any::<u8>(), 0..100));
    let logs = logs.prop_map(|(address, topics, data)| Log {
        address: address.into(),
        data: LogData::new_unchecked(topics.into_iter().map(B256::from).collect(), data.into()),
    });
    let deposits =
        (any::<u64>(), any::<u64>()).prop_map(|(nonce, version)| DepositReceipt { nonce, version });
    let types = prop::sample::select(vec![
        TxType::Legacy,
        TxType::Eip2930,
        TxType::Eip1559,
        TxType::Eip4844,
        TxType::Eip7702,
        TxType::Deposit,
    ]);
    (types, any::<bool>(), any::<u64>(), vec(logs, 0..4), option::of(deposits)).prop_map(
        |(tx_type, success, cumulative_gas_used, logs, deposit)| Receipt {
            tx_type,
            success,
            cumulative_gas_used,
            logs,
            deposit,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_row_comes_back_as_it_was(content in vec((transactions(), receipts()), 0..20)) {
        let (transactions, receipts): (Vec<_>, Vec<_>) = content.into_iter().unzip();
        let block = seal(GENESIS, 0, transactions.clone(), receipts);
        let row = Row::encode(&block).unwrap();
        let read = row.decode().unwrap();
        for (read, written) in read.block.transactions.iter().zip(&transactions) {
            prop_assert_eq!(read.sender(), written.sender());
            prop_assert_eq!(read.encoded(), written.encoded());
        }
        prop_assert_eq!(read, stored(&block));
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read_but_never_panic(
        bytes in vec(any::<u8>(), 0..300), wrapped in any::<bool>(),
    ) {
        // Random bytes hardly ever pass for a zstd frame, so every other time they get a real one.
        let bytes = if wrapped { frame(&bytes) } else { bytes };
        let _ = decode_body(&bytes);
        let _ = decode_receipts(&bytes);
        let _ = decode_header(&bytes, 1, B256::ZERO);
    }

    #[test]
    fn a_flipped_bit_is_noticed(
        content in vec((transactions(), receipts()), 1..8), position in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let (transactions, receipts): (Vec<_>, Vec<_>) = content.into_iter().unzip();
        let block = seal(GENESIS, 0, transactions, receipts);
        let mut row = Row::encode(&block).unwrap();
        let parts = [&mut row.header, &mut row.body, &mut row.receipts];
        let mut bytes: Vec<_> = parts.into_iter().flatten().collect();
        let position = position.index(bytes.len());
        *bytes[position] ^= 1_u8 << bit;
        // A few bits of a zstd frame mean nothing; what matters is that no other block comes out.
        if let Ok(read) = row.decode() {
            prop_assert_eq!(read, stored(&block));
        }
    }
}

/// The version byte and a frame around some content.
fn frame(content: &[u8]) -> Vec<u8> {
    [&[1], zstd::encode_all(content, 1).unwrap().as_slice()].concat()
}

#[test]
fn refuses_a_decompression_bomb() {
    let zeros = std::io::Read::take(std::io::repeat(0), DECOMPRESSED_BYTES_MAX as u64 + 1);
    let bomb = [&[1], zstd::encode_all(zeros, 1).unwrap().as_slice()].concat();
    assert!(bomb.len() < 100_000, "{} bytes are no bomb", bomb.len());
    assert!(matches!(decode_body(&bomb), Err(RowError::Frame(FrameError::TooLarge(_)))));
    assert!(matches!(decode_receipts(&bomb), Err(RowError::Frame(FrameError::TooLarge(_)))));
}

#[test]
fn refuses_other_versions_and_anything_after_the_end() {
    let body = encode_body(&[]).unwrap();
    assert!(decode_body(&body).unwrap().is_empty());
    assert!(matches!(decode_body(&[]), Err(RowError::Frame(FrameError::Version(None)))));
    assert!(matches!(decode_body(&[2]), Err(RowError::Frame(FrameError::Version(Some(2))))));
    assert!(matches!(decode_body(&[1]), Err(RowError::Frame(FrameError::Compression(_)))));
    let receipts = encode_receipts(&[]).unwrap();
    let longer = [receipts.as_slice(), &[0]].concat();
    assert!(matches!(decode_receipts(&longer), Err(RowError::Frame(FrameError::Trailing))));
}

#[test]
fn refuses_a_wrongly_sealed_block() {
    let mut block = seal(GENESIS, 0, Vec::new(), Vec::new());
    let mut lying = (*block.block).clone();
    lying.header = SealedHeader::new(lying.header.into_header(), B256::ZERO);
    block.block = Arc::new(lying);
    assert!(matches!(Row::encode(&block), Err(RowError::Hash { .. })));
}
