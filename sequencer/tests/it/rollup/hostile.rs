//! Batches that nobody should have posted: from strangers they mean nothing, and from the batcher's own key they cost
//! only what the rules say.

use alloy_eips::eip4844::Blob;
use alloy_primitives::{Bytes, U256};
use millrace_protocol::{
    BlockId, ChannelId, CompressionAlgo, Frame, SingularBatch, compress, encode_blob, encode_frames,
};
use rand::{Rng, rngs::StdRng};

use super::{
    fixture::{ETHER, Rollup, fresh_key, hash, number, rng, wait_for_safe},
    load::Load,
};
use crate::support::node::wait_for;

/// A channel of a single frame.
fn channel(rng: &mut StdRng, data: Vec<u8>) -> Bytes {
    let channel = ChannelId(rng.random());
    let frame = Frame { channel, number: 0, data: data.into(), is_last: true };
    encode_frames(&[frame]).into()
}

fn zlib(batches: &[Vec<u8>]) -> Vec<u8> {
    compress(batches, CompressionAlgo::Zlib { level: 9 }).expect("small enough")
}

fn noise(rng: &mut StdRng, length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    rng.fill(&mut noise[..]);
    noise
}

/// What is wrong in one way or another, from the outermost layer to the innermost.
fn malformed(rollup: &Rollup, rng: &mut StdRng) -> Vec<Bytes> {
    let good = SingularBatch {
        parent_hash: rollup.config.genesis.l2.hash,
        epoch: rollup.config.genesis.l1,
        timestamp: rollup.config.genesis.l2_time + rollup.config.block_time,
        transactions: Vec::new(),
    };
    let batch = |change: &dyn Fn(&mut SingularBatch)| {
        let mut batch = good.clone();
        change(&mut batch);
        zlib(&[batch.encode()])
    };
    let frame = channel(rng, batch(&|_| {}));
    let mut bad_last = frame.to_vec();
    *bad_last.last_mut().expect("a byte") = 2;
    let mut too_long = frame.to_vec();
    too_long[19..23].fill(0xff);
    let mut all: Vec<Bytes> = vec![
        Bytes::new(),
        Bytes::from_static(&[0]),
        Bytes::from_static(&[1, 2, 3]),
        noise(rng, 1_000).into(),
        frame.slice(..frame.len() - 1),
        bad_last.into(),
        too_long.into(),
    ];
    let garbage = noise(rng, 500);
    let bomb = compress([vec![0; 90_000_000]], CompressionAlgo::Brotli { level: 1 });
    let truncated = batch(&|_| {});
    let contents = [
        Vec::new(),
        vec![1],
        garbage.clone(),
        [&[0x78, 0xda][..], &garbage].concat(),
        bomb.expect("below the limit"),
        truncated[..truncated.len() / 2].to_vec(),
        zlib(&[vec![0; 50], vec![1; 50]]),
        batch(&|batch| batch.parent_hash.0[0] ^= 1),
        batch(&|batch| batch.epoch = BlockId { number: u64::MAX, ..batch.epoch }),
        batch(&|batch| batch.timestamp = u64::MAX),
        batch(&|batch| batch.timestamp += 1_000_000),
        batch(&|batch| batch.transactions = vec![Bytes::new()]),
        // A deposit is L1's to make.
        batch(&|batch| batch.transactions = vec![Bytes::from_static(&[0x7e, 1, 2, 3])]),
        // Nothing is wrong with this batch until it is executed: its block has nothing but deposits then.
        batch(&|batch| batch.transactions = vec![Bytes::from_static(&[0x02, 0xc0])]),
    ];
    all.extend(contents.map(|content| channel(rng, content)));
    all
}

/// Batches of no type that there is, which kona's decoder panics at.
fn of_no_type(rng: &mut StdRng) -> Vec<Bytes> {
    let contents = [noise(rng, 500), Vec::new(), vec![2; 50], vec![0xff]];
    contents.map(|batch| channel(rng, zlib(&[batch, vec![3; 50]]))).into()
}

fn malformed_blobs(rng: &mut StdRng, good: &Bytes) -> Vec<Blob> {
    let mut elements = noise(rng, 131_072);
    // The first byte of a field element is small.
    elements.iter_mut().step_by(32).for_each(|first| *first &= 0x3f);
    let mut lengthy = *encode_blob(good).expect("it fits");
    lengthy[2] = 0xff;
    let torn = encode_blob(&good[..good.len() / 2]).expect("it fits");
    vec![
        Blob::try_from(&elements[..]).expect("a blob's length"),
        Blob::new(lengthy),
        Blob::new(*torn),
        Blob::new([0; 131_072]),
    ]
}

#[test]
fn malformed_batches_change_nothing_that_they_should_not() {
    let mut rng = rng("malformed batches");
    let rollup = Rollup::deploy();
    let (l1, inbox) = (&rollup.l1, rollup.config.batch_inbox);
    // Nobody posts yet, so that L1 knows nothing beyond the genesis.
    let node = rollup.silent_sequencer(&[]);
    let mut load = Load::new(&node.rpc, rng.clone());
    load.send(&node.rpc, 20);

    let stranger = fresh_key(&mut rng);
    l1.set_balance(stranger.address(), U256::from(1_000 * u128::from(ETHER)));
    let payloads = malformed(&rollup, &mut rng);
    let blobs = malformed_blobs(&mut rng, payloads.last().expect("some"));
    let first = hash(&node.rpc, 1);
    for key in [&stranger, &rollup.batcher] {
        let mut last = l1.send_blobs(key, inbox, blobs.clone());
        for payload in &payloads {
            last = l1.send_calldata(key, inbox, payload.clone());
        }
        l1.rpc.receipt(&last);
        if key.address() == stranger.address() {
            let read = l1.number("latest");
            wait_for("L1 to be read", || {
                (node.metric("millrace_l1_tip_number") > read as f64).then_some(())
            });
            assert_eq!(number(&node.rpc, "safe"), 0, "a stranger's word counts");
            assert_eq!(hash(&node.rpc, 1), first);
        }
    }
    // The last of them, from the batcher's key, decided about the first block.
    wait_for_safe(&node.rpc, 1);
    assert!(node.metric("millrace_derivation_contradictions_total") >= 1.0);
    load.settle(&node.rpc);
    assert!(node.terminate().success());

    let node = rollup.sequencer(&[]);
    for payload in &payloads {
        l1.send_calldata(&stranger, inbox, payload.clone());
    }
    let mut load = Load::new(&node.rpc, rng.clone());
    let last = load.send(&node.rpc, 50);
    rollup.verify_with_invalid(&node, last, &[1]);
    assert!(node.terminate().success());

    let node = rollup.silent_sequencer(&[]);
    for payload in of_no_type(&mut rng) {
        l1.send_calldata(&rollup.batcher, inbox, payload);
    }
    let read = l1.number("latest");
    wait_for("L1 to be read", || {
        (node.metric("millrace_l1_tip_number") > read as f64).then_some(())
    });
    rollup.verify_by_ourselves(&node, last);
}
