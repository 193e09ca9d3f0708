use alloy_primitives::{Bytes, hex};
use proptest::prelude::*;

use super::*;
use crate::chain_spec::{ChainSpec, OptimismSpec};

const ALGOS: [CompressionAlgo; 6] = [
    CompressionAlgo::Zlib { level: 0 },
    CompressionAlgo::Zlib { level: 6 },
    CompressionAlgo::Zlib { level: 255 },
    CompressionAlgo::Brotli { level: 0 },
    CompressionAlgo::Brotli { level: 6 },
    CompressionAlgo::Brotli { level: 255 },
];

fn rules() -> Rules {
    ChainSpec::dev(901).rules(0)
}

fn before_fjord() -> Rules {
    let spec = OptimismSpec {
        eip1559: crate::Eip1559Params::OPTIMISM,
        eip1559_canyon: crate::Eip1559Params::OPTIMISM,
        canyon_time: Some(0),
        delta_time: Some(0),
        ecotone_time: Some(0),
        fjord_time: None,
        granite_time: None,
        holocene_time: None,
        isthmus_time: None,
    };
    ChainSpec::optimism(901, spec).unwrap().rules(0)
}

fn read(channel: impl AsRef<[u8]>) -> Vec<Result<Bytes, ChannelError>> {
    read_batches(channel, rules()).collect()
}

/// Batches of lengths at which RLP changes its form.
fn batches() -> Vec<Bytes> {
    let lens = [0u32, 1, 2, 55, 56, 255, 256, 70_000];
    lens.into_iter().map(|len| (0..len).map(|i| (i % 251 * i % 253) as u8).collect()).collect()
}

/// A channel of these decompressed bytes.
fn channel_of(raw: &[u8], algo: CompressionAlgo) -> Vec<u8> {
    let mut writer = ChannelWriter::new(algo);
    writer.write(raw);
    writer.finish()
}

#[test]
fn batches_come_back() {
    for algo in ALGOS {
        let expected: Vec<_> = batches().into_iter().map(Ok).collect();
        assert_eq!(read(compress(batches(), algo).unwrap()), expected, "{algo:?}");
        assert_eq!(read(compress([[0u8; 0]; 0], algo).unwrap()), []);
    }
}

#[test]
fn the_first_byte_says_how_it_is_compressed() {
    for algo in ALGOS {
        let channel = compress(batches(), algo).unwrap();
        match algo {
            CompressionAlgo::Zlib { .. } => assert_eq!(channel[0], 0x78),
            CompressionAlgo::Brotli { .. } => assert_eq!(channel[0], 1),
        }
    }
    assert_eq!(read([]), [Err(ChannelError::Empty)]);
    for other in [0, 2, 3, 0x11, 0xff - 8] {
        assert_eq!(read([other, 1, 2]), [Err(ChannelError::Algorithm(other))]);
    }
    // Reserved for zlib, but no zlib.
    assert_eq!(read([0x0f, 1, 2]), [Err(ChannelError::Stream)]);
}

#[test]
fn brotli_and_long_channels_came_with_fjord() {
    let brotli = compress(batches(), CompressionAlgo::Brotli { level: 1 }).unwrap();
    let read = |channel: &[u8]| read_batches(channel, before_fjord()).collect::<Vec<_>>();
    assert_eq!(read(&brotli), [Err(ChannelError::Algorithm(1))]);
    let long = vec![1; 6_000_000];
    let zlib = compress([&long, &long], CompressionAlgo::Zlib { level: 1 }).unwrap();
    assert_eq!(read(&zlib), [Ok(long.into()), Err(ChannelError::Stream)]);
}

#[test]
fn what_follows_the_stream_counts_for_nothing() {
    for algo in ALGOS {
        let mut channel = compress([b"batch"], algo).unwrap();
        channel.extend(*b"and more");
        assert_eq!(read(channel), [Ok(Bytes::from_static(b"batch"))]);
    }
}

#[test]
fn what_came_before_a_fault_counts() {
    for algo in ALGOS {
        let whole = compress(batches(), algo).unwrap();
        let read = read(&whole[..whole.len() - 1]);
        let (last, before) = read.split_last().unwrap();
        assert_eq!(last, &Err(ChannelError::Stream), "{algo:?}");
        assert!(before.iter().zip(batches()).all(|(read, batch)| read == &Ok(batch)));
        // A checksum is zlib's last word, after every batch.
        if matches!(algo, CompressionAlgo::Zlib { .. }) {
            assert_eq!(before.len(), batches().len());
        }
    }

    let mut wrong_sum = compress([b"batch"], CompressionAlgo::Zlib { level: 6 }).unwrap();
    *wrong_sum.last_mut().unwrap() ^= 1;
    assert_eq!(read(wrong_sum), [Ok(Bytes::from_static(b"batch")), Err(ChannelError::Stream)]);
}

#[test]
fn a_corrupt_block_takes_nothing_with_it_that_came_before() {
    // A stored deflate block that holds a batch, then one of a type that does not exist.
    let good = hex!("7801" "00" "0300" "fcff" "820102");
    assert_eq!(
        read([&good[..], &hex!("07ffff")].concat()),
        [Ok(Bytes::from_static(&[1, 2])), Err(ChannelError::Stream)]
    );
    // The corrupt block comes within the second batch.
    let good = hex!("7801" "00" "0500" "faff" "8201028201");
    assert_eq!(
        read([&good[..], &hex!("07ffff")].concat()),
        [Ok(Bytes::from_static(&[1, 2])), Err(ChannelError::Stream)]
    );
    // A dictionary, which nobody has.
    assert_eq!(read(hex!("78bb00000001030000")), [Err(ChannelError::Stream)]);
    // A stored brotli block with a batch, then one whose header sets a bit that must be clear.
    let good = hex!("01" "0b0180" "820102");
    assert_eq!(read(good), [Ok(Bytes::from_static(&[1, 2])), Err(ChannelError::Stream)]);
    // A window of a gigabyte, by an extension that no channel may use.
    assert_eq!(read(hex!("01" "111e03")), [Err(ChannelError::Stream)]);
}

#[test]
fn refuses_what_is_no_rlp_string() {
    let check = |raw: &[u8], error| {
        for algo in ALGOS {
            // A good batch before it counts, one after it does not.
            let raw = [&[0x82, 1, 2], raw, &[0x82, 3, 4]].concat();
            let expected = [Ok(Bytes::from_static(&[1, 2])), Err(error)];
            assert_eq!(read(channel_of(&raw, algo)), expected, "{raw:?}");
        }
    };
    check(&hex!("c0"), ChannelError::Rlp);
    check(&hex!("c101"), ChannelError::Rlp);
    check(&hex!("f838"), ChannelError::Rlp);
    // Not the shortest form.
    check(&hex!("8101"), ChannelError::Rlp);
    check(&hex!("b801ff"), ChannelError::Rlp);
    check(&hex!("b837"), ChannelError::Rlp);
    check(&hex!("b90038"), ChannelError::Rlp);
    // More than there is, up to more than there can be.
    check(&hex!("8a"), ChannelError::Stream);
    check(&hex!("b9ffff"), ChannelError::Stream);
    check(&hex!("ba100000"), ChannelError::Stream);
    check(&hex!("bfffffffffffffffff"), ChannelError::Stream);
}

#[test]
fn one_byte_can_be_a_batch() {
    let channel = channel_of(&[0, 0x7f, 0x80, 0x81, 0x80], CompressionAlgo::Zlib { level: 6 });
    let expected: [&[u8]; 4] = [&[0], &[0x7f], &[], &[0x80]];
    assert_eq!(read(channel), expected.map(|batch| Ok(Bytes::from_static(batch))));
    let batches = expected.map(Bytes::from_static);
    let channel = compress(&batches, CompressionAlgo::Brotli { level: 1 }).unwrap();
    assert_eq!(read(channel), batches.map(Ok));
}

#[test]
fn noise_is_stored_and_comes_back() {
    let text: Vec<u8> = b"and that is all there is to it ".repeat(100);
    // Lengths at which the header of a stored block changes its form, and one that needs two blocks.
    for len in [NOISE_MIN, 0xffff, 0x1_0000, 0x1_0001, 0x10_0000, 0x10_0001, (1 << 24) + 1] {
        let noise = noise(len);
        for (before, after) in
            [(&text, &text), (&vec![], &text), (&text, &vec![]), (&vec![], &vec![])]
        {
            let batch = [&before[..], &noise, after].concat();
            let at = before.len()..before.len() + len;
            for algo in [CompressionAlgo::Brotli { level: 1 }, CompressionAlgo::Brotli { level: 5 }]
            {
                let mut writer = ChannelWriter::new(algo);
                writer.push_with_noise(&batch, at.clone()).unwrap();
                writer.push(&text).unwrap();
                assert!(writer.flushed_len() >= len);
                let channel = writer.finish();
                assert!(channel.len() < len + 800, "{len}: {}", channel.len());
                let expected = [Ok(batch.clone().into()), Ok(text.clone().into())];
                assert!(read(channel) == expected, "{len} {algo:?}");
            }
            if len > 0x10_0000 {
                // Once is enough for the long ones.
                break;
            }
        }
    }
}

#[test]
fn noise_is_told_to_every_level_and_to_zlib() {
    let noise = noise(NOISE_MIN);
    let text = b"a text with a text in it".repeat(1_000);
    let batch = [&text[..], &noise, &text].concat();
    let zlib = (0..=9).map(|level| CompressionAlgo::Zlib { level });
    for algo in (0..=11).map(|level| CompressionAlgo::Brotli { level }).chain(zlib) {
        let mut writer = ChannelWriter::new(algo);
        for _ in 0..3 {
            writer.push_with_noise(&batch, text.len()..text.len() + noise.len()).unwrap();
        }
        assert_eq!(read(writer.finish()), vec![Ok(batch.clone().into()); 3], "{algo:?}");
    }
}

/// Bytes that nothing compresses.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(len)
    .collect()
}

/// A small channel that decompresses to more than anybody reads, of which nothing is kept but one batch at a time.
#[test]
fn a_bomb_goes_off_in_small_pieces() {
    let batch = vec![0; 1_000_000];
    for algo in [CompressionAlgo::Zlib { level: 1 }, CompressionAlgo::Brotli { level: 1 }] {
        let raw: Vec<u8> = [&hex!("ba0f4240")[..], &batch].concat().repeat(110);
        let channel = channel_of(&raw, algo);
        assert!(channel.len() < 1_500_000, "{}", channel.len());
        let mut reader = read_batches(&channel, rules());
        // 99 whole ones fit below the limit, as each has a length of four bytes.
        for _ in 0..99 {
            assert_eq!(reader.next(), Some(Ok(batch.clone().into())));
        }
        assert_eq!(reader.next(), Some(Err(ChannelError::Stream)));
        assert_eq!(reader.next(), None);
    }
}

#[test]
fn a_channel_is_full_at_the_limit() {
    let mut writer = ChannelWriter::new(CompressionAlgo::Zlib { level: 1 });
    let longest = vec![0; ChannelWriter::RAW_LEN_MAX - 5];
    assert_eq!(writer.push(&[&longest[..], &[0]].concat()), Err(ChannelFull));
    assert_eq!(writer.raw_len(), 0);
    writer.push(&longest).unwrap();
    assert_eq!(writer.raw_len(), ChannelWriter::RAW_LEN_MAX);
    assert_eq!(writer.push(&[1]), Err(ChannelFull));
    assert!(writer.flushed_len() > 0);
    let channel = writer.finish();
    assert_eq!(read(channel).first(), Some(&Ok(longest.into())));
}

proptest! {
    #[test]
    fn any_batches_come_back(
        batches in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5),
        algo in prop::sample::select(ALGOS.to_vec()),
    ) {
        let expected: Vec<_> = batches.iter().map(|batch| Ok(batch.clone().into())).collect();
        prop_assert_eq!(read(compress(batches, algo).unwrap()), expected);
    }

    #[test]
    fn no_channel_panics(
        first in prop::sample::select(vec![1u8, 0x78, 0x68, 0x0f]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        read([vec![first], rest].concat());
    }

    #[test]
    fn a_changed_byte_never_panics(at in 0usize..2_000, to: u8, algo in prop::sample::select(ALGOS.to_vec())) {
        let mut channel = compress(&batches()[..7], algo).unwrap();
        let at = at % channel.len();
        channel[at] = to;
        read(channel);
    }
}
