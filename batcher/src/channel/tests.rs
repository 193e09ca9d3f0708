use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use millrace_protocol::{BlockId, RollupGenesis, decode_frames, read_batches};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

const ZLIB: CompressionAlgo = CompressionAlgo::Zlib { level: 6 };
const BROTLI: CompressionAlgo = CompressionAlgo::Brotli { level: 5 };

fn rollup() -> Arc<RollupConfig> {
    let usual = RollupConfig::usual(901);
    let genesis = RollupGenesis { l2_time: 0, ..usual.genesis };
    Arc::new(RollupConfig { genesis, block_time: 1, ..usual })
}

fn block(number: u64, transactions: usize, rng: &mut StdRng) -> SealedBlock {
    let transaction = |rng: &mut StdRng| {
        let mut scalar = || U256::from_be_bytes(rng.random::<[u8; 32]>());
        let signature = Signature::new(scalar(), scalar(), true);
        let transaction = TxEip1559 {
            chain_id: 901,
            to: TxKind::Call(Address::from(rng.random::<[u8; 20]>())),
            ..TxEip1559::default()
        };
        Bytes::from(transaction.into_signed(signature).encoded_2718())
    };
    SealedBlock {
        id: BlockId { number, hash: B256::from(U256::from(number)) },
        parent_hash: B256::from(U256::from(number - 1)),
        timestamp: number,
        epoch: BlockId::default(),
        sequence_number: number,
        transactions: (0..transactions).map(|_| transaction(rng)).collect(),
    }
}

/// Fills channels with blocks of so many transactions each, and reads them back.
fn check(format: BatchFormat, compression: CompressionAlgo, load: &[usize]) -> Vec<ClosedChannel> {
    const BYTES_MAX: usize = 20_000;
    let rollup = rollup();
    let settings =
        ChannelSettings { rollup: rollup.clone(), format, compression, bytes_max: BYTES_MAX };
    let rng = &mut StdRng::seed_from_u64(1);
    let blocks: Vec<_> =
        (1..).zip(load).map(|(number, count)| block(number, *count, rng)).collect();
    let mut builder = ChannelBuilder::new(settings, Rates::default());
    let mut channels = Vec::new();
    for block in &blocks {
        if let Pushed::Closed(channel) = builder.push(block).unwrap() {
            channels.push(channel);
            assert!(matches!(builder.push(block).unwrap(), Pushed::Taken));
        }
    }
    channels.extend(builder.finish().unwrap());

    let mut read = Vec::new();
    let mut next = 1;
    for channel in &channels {
        assert_eq!(channel.blocks.first, next);
        next = channel.blocks.last + 1;
        for batch in read_batches(&channel.data, rollup.spec.rules(0)) {
            match Batch::decode(&batch.unwrap()).unwrap() {
                Batch::Singular(batch) => read.push(batch.transactions),
                Batch::Span(batch) => {
                    let elements = batch.derive(&rollup).unwrap();
                    read.extend(elements.into_iter().map(|element| element.transactions));
                }
            }
        }
    }
    let written: Vec<_> = blocks.iter().map(|block| block.transactions.clone()).collect();
    assert_eq!(read, written);
    for channel in &channels {
        let alone = channel.blocks.first == channel.blocks.last;
        let len = channel.data.len();
        let ClosedChannel { blocks, rates, .. } = channel;
        // What a channel of another load taught may be wrong by as much, once.
        let small = len <= BYTES_MAX + BYTES_MAX / 8;
        assert!(alone || small, "{len} bytes: {blocks:?} {rates:?} {format:?} {compression:?}");
    }
    channels
}

#[test]
fn channels_are_nearly_full_and_hold_every_block() {
    for format in [BatchFormat::Singular, BatchFormat::Span] {
        for compression in [ZLIB, BROTLI] {
            let channels = check(format, compression, &[3; 400]);
            for channel in &channels[..channels.len() - 1] {
                assert!(channel.data.len() > 18_000, "{} bytes", channel.data.len());
            }
        }
    }
}

#[test]
fn quiet_blocks_busy_blocks_and_huge_ones() {
    let mut load = vec![0; 2_000];
    load.extend([20; 50]);
    load.extend([400, 0, 400]);
    for format in [BatchFormat::Singular, BatchFormat::Span] {
        check(format, BROTLI, &load);
        check(format, ZLIB, &load);
    }
}

#[test]
fn an_empty_channel_is_none() {
    let settings = ChannelSettings {
        rollup: rollup(),
        format: BatchFormat::Span,
        compression: ZLIB,
        bytes_max: 100,
    };
    let builder = ChannelBuilder::new(settings, Rates::default());
    assert!(builder.is_empty());
    assert_eq!(builder.finish().unwrap(), None);
}

#[test]
fn a_block_that_no_batch_may_hold_is_an_error() {
    let settings = ChannelSettings {
        rollup: rollup(),
        format: BatchFormat::Span,
        compression: ZLIB,
        bytes_max: 100,
    };
    let mut bad = block(1, 1, &mut StdRng::seed_from_u64(1));
    bad.transactions[0] = Bytes::from_static(&[0x7e, 0xc0]);
    let error = ChannelBuilder::new(settings, Rates::default()).push(&bad).unwrap_err();
    assert!(matches!(error, ChannelError::Block { number: 1, .. }));
}

#[test]
fn frames_are_dealt_in_order() {
    let data = Bytes::from_static(b"0123456789");
    let id = ChannelId([7; 16]);
    let shares = cut(&data, id, 3, 2);
    let ranges: Vec<_> =
        shares.iter().map(|s| (s.frames.first, s.frames.count, s.frames.is_last)).collect();
    assert_eq!(ranges, [(0, 2, false), (2, 2, true)]);
    let frames: Vec<_> = shares
        .iter()
        .flat_map(|share| &share.encoded)
        .flat_map(|encoded| decode_frames(encoded).unwrap())
        .collect();
    let joined: Vec<u8> = frames.iter().flat_map(|frame| frame.data.to_vec()).collect();
    assert_eq!(joined, data);
    assert_eq!(
        frames.iter().map(|frame| frame.is_last).collect::<Vec<_>>(),
        [false, false, false, true]
    );
}
