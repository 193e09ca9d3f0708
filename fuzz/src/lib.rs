//! What must hold for any bytes that reach a decoder: it answers, and what it accepts encodes back to the same.
//!
//! Each function is one property. It panics where that does not hold, and says whether the bytes were accepted at all,
//! so that a driver can tell whether it tests anything. There are two drivers: libFuzzer, from `libfuzzer/`, and
//! `cargo test`, over a bounded and seeded corpus (see `tests/bounded.rs`).

use alloy_consensus::Header;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{B64, B256, Bytes, LogData, U256, keccak256};
use millrace_protocol::{
    BLOB_LEN, Batch, BlockId, ChainSpec, CompressionAlgo, ConfigUpdate, DataSize, Eip1559Params,
    L1Attributes, L1Fees, RollupConfig, SpanBatch, SpanBlock, SpanBuilder, UserDeposit, compress,
    compressed_len, decode_blob, decode_frames, encode_blob, encode_frames, read_batches,
};
use millrace_types::Transaction;
use op_alloy_consensus::{TxDeposit, decode_holocene_extra_data};

/// A transaction from a client: one transaction has one encoding, and its hash is of that.
pub fn transaction(data: &[u8]) -> bool {
    let Ok(tx) = Transaction::decode(Bytes::copy_from_slice(data)) else { return false };
    assert_eq!(tx.envelope().encoded_2718(), data, "another encoding would have another hash");
    assert_eq!(tx.hash(), keccak256(data));
    assert_eq!(tx.envelope().trie_hash(), tx.hash());
    let again = Transaction::decode_with_sender(tx.encoded().clone(), tx.sender());
    assert_eq!(again.map(|again| again.sender()), Ok(tx.sender()));
    true
}

/// A deposit transaction, as it stands in blocks.
///
/// It goes through our envelope: `TxDeposit`'s own decoder also takes one without its type byte.
pub fn deposit(data: &[u8]) -> bool {
    let Ok(tx) = Transaction::decode(Bytes::copy_from_slice(data)) else { return false };
    let Some(deposit) = tx.as_deposit() else { return false };
    assert_eq!(deposit.encoded_2718(), data);
    assert_eq!(tx.sender(), deposit.from);
    let again = Transaction::deposit(deposit.clone());
    assert_eq!((again.hash(), &again.encoded()[..]), (tx.hash(), data));
    assert_eq!(again.as_deposit(), Some(deposit));
    true
}

/// A log: a count of topics, the topics, then the data.
fn log(data: &[u8]) -> Option<LogData> {
    let (&count, rest) = data.split_first()?;
    let (topics, data) = rest.split_at_checked(usize::from(count) * 32)?;
    let topics = topics.chunks_exact(32).map(B256::from_slice).collect();
    Some(LogData::new_unchecked(topics, Bytes::copy_from_slice(data)))
}

/// The portal's event.
pub fn deposit_log(data: &[u8]) -> bool {
    let Some(log) = log(data) else { return false };
    let Ok(deposit) = UserDeposit::decode_log(&log) else { return false };
    // Padding and the upper bytes of addresses are not kept, so the deposit is compared, not the bytes.
    assert_eq!(UserDeposit::decode_log(&deposit.encode_log()), Ok(deposit.clone()));
    let tx = deposit.into_deposit(B256::repeat_byte(1), log.topics().len() as u64);
    assert!(TxDeposit::decode_2718_exact(&tx.encoded_2718()).is_ok_and(|again| again == tx));
    true
}

/// The calldata of a block's first transaction.
pub fn l1_attributes(data: &[u8]) -> bool {
    let Ok(attributes) = L1Attributes::decode(data) else { return false };
    assert_eq!(attributes.encode(), data);
    assert_eq!(attributes.to_deposit().input[..], *data);
    let fees = attributes.fees();
    fees.operator_fee(u64::MAX);
    let least = fees.data_fee(DataSize::from_compressed_len(0));
    assert!(
        least <= fees.data_fee(DataSize::from_compressed_len(u32::MAX)),
        "more data never costs less"
    );
    true
}

/// A header's `extraData`, or a payload's `eip1559Params`: their lengths differ.
pub fn eip1559_params(data: &[u8]) -> bool {
    if let Ok(payload) = data.try_into().map(B64::new) {
        let Ok(read) = Eip1559Params::from_payload(payload, Eip1559Params::OPTIMISM) else {
            return false;
        };
        let defaults = Eip1559Params::OPTIMISM.to_payload();
        assert_eq!(read.to_payload(), if payload.is_zero() { defaults } else { payload });
        return true;
    }

    let parent = Header {
        base_fee_per_gas: Some(u64::MAX / 3),
        gas_used: 1 << 40,
        gas_limit: u64::MAX,
        extra_data: Bytes::copy_from_slice(data),
        ..Header::default()
    };
    let next = ChainSpec::dev(901).next_base_fee(&parent, 1);
    let theirs = decode_holocene_extra_data(data);
    match Eip1559Params::from_extra_data(data) {
        Ok(params) => {
            assert_eq!(params.to_extra_data(), data);
            assert_eq!(theirs, Ok((params.elasticity().get(), params.denominator().get())));
            assert!(next.is_ok());
            true
        }
        Err(error) => {
            // Theirs takes zeros, which the specification refuses.
            assert!(
                theirs.is_err()
                    || theirs
                        .is_ok_and(|(elasticity, denominator)| elasticity == 0 || denominator == 0)
            );
            assert_eq!(next, Err(error.into()));
            false
        }
    }
}

/// A transaction's bytes on their way to a fee: any two inputs are measured independently of each other.
pub fn data_size(data: &[u8]) -> bool {
    let len = compressed_len(data);
    let worst = data.len() + data.len().div_ceil(32);
    assert!(len as usize <= worst, "{len} > {worst}");
    let (head, tail) = data.split_at(data.len() / 2);
    compressed_len(tail);
    compressed_len(head);
    assert_eq!(compressed_len(data), len);

    let size = DataSize::estimate(data);
    assert_eq!(size, DataSize::from_compressed_len(len));
    assert!(size.bytes() >= 100 && size.l1_gas() / 16 == size.bytes());
    assert_eq!(L1Fees::default().data_fee(size), U256::ZERO);
    true
}

/// The system config contract's event.
pub fn config_update(data: &[u8]) -> bool {
    let Some(log) = log(data) else { return false };
    let Ok(update) = ConfigUpdate::decode_log(&log) else { return false };
    // Words that nobody reads are not kept, so the update is compared, not the bytes.
    assert_eq!(ConfigUpdate::decode_log(&update.encode_log()), Ok(update));
    true
}

/// What the batcher posts, as calldata or in a blob.
pub fn frame(data: &[u8]) -> bool {
    let Ok(frames) = decode_frames(&Bytes::copy_from_slice(data)) else { return false };
    assert!(!frames.is_empty());
    assert_eq!(encode_frames(&frames), data);
    true
}

/// A whole channel. What comes out of it before it turns out to be broken counts, so that is what makes it accepted.
pub fn channel(data: &[u8]) -> bool {
    let mut reader = read_batches(data, ChainSpec::dev(901).rules(0));
    let batches: Vec<Bytes> = reader.by_ref().map_while(Result::ok).collect();
    assert!(reader.next().is_none(), "nothing comes after the end or an error");
    let len: usize = batches.iter().map(|batch| batch.len()).sum();
    assert!(len <= 100_000_000, "{len} bytes");
    // A bomb need not be compressed again, and of the rest a part is enough: it takes longer than everything else.
    if len < 100_000 && data.len().is_multiple_of(16) {
        for algo in [CompressionAlgo::Zlib { level: 1 }, CompressionAlgo::Brotli { level: 1 }] {
            let channel = compress(&batches, algo).expect("is not too long");
            let again = read_batches(channel, ChainSpec::dev(901).rules(0));
            assert!(again.eq(batches.iter().cloned().map(Ok)));
        }
    }
    !batches.is_empty()
}

/// A batch of either kind, and the blocks of a span batch.
pub fn batch(data: &[u8]) -> bool {
    let data = Bytes::copy_from_slice(data);
    let Ok(batch) = Batch::decode(&data) else { return false };
    let encoded = Bytes::from(batch.encode());
    // Neither bytes that follow a batch are kept nor longer forms of a number than the shortest.
    assert!(encoded.len() <= data.len());
    assert_eq!(Batch::decode(&encoded).as_ref(), Ok(&batch));
    match batch {
        Batch::Singular(_) => true,
        Batch::Span(span) => span_batch(&span),
    }
}

/// Whatever derives can be built again.
fn span_batch(span: &SpanBatch) -> bool {
    let config = RollupConfig::usual(901);
    let Ok(elements) = span.derive(&config) else { return false };
    assert_eq!(elements.len(), span.block_count());
    assert_eq!(elements.first().map(|first| first.timestamp), Some(span.first_timestamp(&config)));
    assert_eq!(elements.last().map(|last| last.timestamp), Some(span.last_timestamp(&config)));
    assert_eq!(elements.first().map(|first| first.l1_number), span.first_l1_number());

    let mut builder = SpanBuilder::new(&config, B256::ZERO);
    let mut advances = span.advances_first();
    let mut l1_number = elements[0].l1_number;
    for element in &elements {
        advances |= element.l1_number != l1_number;
        l1_number = element.l1_number;
        let block = SpanBlock {
            timestamp: element.timestamp,
            l1_origin: BlockId { number: l1_number, hash: B256::ZERO },
            sequence_number: u64::from(!advances),
        };
        builder.push(block, &element.transactions).expect("what derives can be built");
        advances = false;
    }
    let again = Bytes::from(builder.encode().expect("there are blocks"));
    let Ok(Batch::Span(again)) = Batch::decode(&again) else { panic!("{again} is no span batch") };
    assert_eq!(again.derive(&config), Ok(elements));
    true
}

/// A blob, of which the input is the beginning and the rest is zero: nobody mutates 128 KiB byte by byte.
pub fn blob(data: &[u8]) -> bool {
    let mut blob = Box::new([0; BLOB_LEN]);
    let len = data.len().min(BLOB_LEN);
    blob[..len].copy_from_slice(&data[..len]);
    let Ok(content) = decode_blob(&blob) else { return false };
    // The two bits that go unread.
    blob[0] &= 0b0011_1111;
    assert!(encode_blob(&content).expect("what came out of a blob goes into one") == blob);
    true
}
