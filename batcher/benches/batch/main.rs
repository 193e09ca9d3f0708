//! What posting costs: bytes on L1 and CPU time a transaction, by format, compression and workload.
//!
//! `make bench NAME=batch ARGS="transactions level_max"`: 100,000 and 9 unless told; levels 10 and 11 take minutes.
//!
//! Blocks go through the batcher's own channel builder into channels of six blobs, on one thread; what counts is the
//! thread's CPU time. Beside the bytes stands the incompressible floor: 64 bytes of signature, and 20 for each address
//! never seen before, which is to say in the same channel, as each is read on its own. Every channel is read back
//! outside the timing. The price of the blobs' commitments is a row of its own.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

mod workloads;

use std::{fs, sync::Arc, time::Duration};

use alloy_eips::eip4844::{Blob, BlobTransactionSidecar, c_kzg};
use alloy_primitives::{Address, B256};
use millrace_batcher::{
    BLOBS_MAX, BatchFormat, ChannelBuilder, ChannelSettings, ClosedChannel, Pushed, Rates,
};
use millrace_protocol::{
    BLOB_DATA_MAX, Batch, BlockId, ChainSpec, CompressionAlgo, Frame, OperatorFee, RollupConfig,
    RollupGenesis, SystemConfig, encode_blob, read_batches,
};

use crate::workloads::Workload;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 1;
const ROUNDS: usize = 3;
/// Channel data in a blob: all but the version byte and the frame's overhead.
const BLOB_ROOM: usize = BLOB_DATA_MAX - 1 - Frame::OVERHEAD;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let count = arguments.first().map_or(100_000, |count| count.parse().unwrap());
    let level_max = arguments.get(1).map_or(9, |level| level.parse().unwrap());
    println!("# seed {SEED}, {count} transactions a workload");
    let rollup = rollup();
    for workload in workloads::all(&rollup, count, SEED) {
        let mut rows = vec![(BatchFormat::Singular, CompressionAlgo::Zlib { level: 6 })];
        rows.push((BatchFormat::Span, CompressionAlgo::Zlib { level: 6 }));
        rows.extend(
            (0..=level_max).map(|level| (BatchFormat::Span, CompressionAlgo::Brotli { level })),
        );
        for (format, compression) in rows {
            run(&workload, &rollup, format, compression);
        }
    }
    commitments();
}

fn run(
    workload: &Workload,
    rollup: &Arc<RollupConfig>,
    format: BatchFormat,
    compression: CompressionAlgo,
) {
    let settings = ChannelSettings {
        rollup: rollup.clone(),
        format,
        compression,
        bytes_max: BLOBS_MAX * BLOB_ROOM,
    };
    let (name, level, slow) = match compression {
        CompressionAlgo::Zlib { level } => ("zlib", level, false),
        CompressionAlgo::Brotli { level } => ("brotli", level, level >= 10),
    };
    let mut times = Vec::new();
    let mut channels = Vec::new();
    for _ in 0..if slow { 1 } else { ROUNDS } {
        let before = cpu();
        channels = encode(workload, &settings);
        times.push(cpu() - before);
    }
    times.sort();
    check(workload, rollup, &channels);

    let transactions = workload.transactions as f64;
    let data: usize = channels.iter().map(|channel| channel.data.len()).sum();
    let frames: usize = channels.iter().map(|channel| channel.data.len().div_ceil(BLOB_ROOM)).sum();
    let bytes = (data + frames * (1 + Frame::OVERHEAD)) as f64 / transactions;
    let ranges = channels.iter().map(|channel| channel.blocks.first..=channel.blocks.last);
    let floor = ranges.map(|blocks| workload.floor(blocks)).sum::<usize>() as f64 / transactions;
    // How full the channels are that were closed because the next block found no room.
    let full = &channels[..channels.len() - 1];
    let filled: usize = full.iter().map(|channel| channel.data.len()).sum();
    let fill = filled as f64 / (full.len().max(1) * settings.bytes_max) as f64 * 100.0;
    let format = match format {
        BatchFormat::Singular => "singular",
        BatchFormat::Span => "span",
    };
    println!(
        "RESULT name=batch workload={} variety={} format={format} compression={name} level={level} \
         transactions={} bytes_per_tx={bytes:.2} floor={floor:.2} over_floor_percent={:.1} \
         cpu_us_per_tx={:.2} channels={} fill_percent={fill:.1}",
        workload.name,
        workload.variety,
        workload.transactions,
        (bytes / floor - 1.0) * 100.0,
        times[times.len() / 2].as_secs_f64() * 1e6 / transactions,
        channels.len(),
    );
}

/// All blocks of the workload in channels.
fn encode(workload: &Workload, settings: &ChannelSettings) -> Vec<ClosedChannel> {
    let mut channels = Vec::new();
    let mut builder = ChannelBuilder::new(settings.clone(), Rates::default());
    for block in &workload.blocks {
        if let Pushed::Closed(channel) = builder.push(block).unwrap() {
            builder = ChannelBuilder::new(settings.clone(), channel.rates);
            channels.push(channel);
            builder.push(block).unwrap();
        }
    }
    channels.extend(builder.finish().unwrap());
    channels
}

/// The channels hold the blocks' transactions, all of them and in order.
fn check(workload: &Workload, rollup: &RollupConfig, channels: &[ClosedChannel]) {
    let mut expected = workload.blocks.iter().flat_map(|block| &block.transactions);
    for channel in channels {
        for batch in read_batches(&channel.data, rollup.spec.rules(rollup.genesis.l2_time)) {
            let transactions: Vec<_> = match Batch::decode(&batch.unwrap()).unwrap() {
                Batch::Singular(batch) => batch.transactions,
                Batch::Span(batch) => {
                    let blocks = batch.derive(rollup).unwrap();
                    blocks.into_iter().flat_map(|block| block.transactions).collect()
                }
            };
            assert!(transactions.iter().all(|transaction| Some(transaction) == expected.next()));
        }
    }
    assert!(expected.next().is_none());
}

/// What a blob costs besides, whatever is in it.
fn commitments() {
    let settings = c_kzg::ethereum_kzg_settings(0);
    let mut blob = Blob::ZERO;
    blob.copy_from_slice(&encode_blob(&[0x5a; BLOB_DATA_MAX]).unwrap()[..]);
    let before = cpu();
    let blobs = vec![blob; BLOBS_MAX];
    let sidecar = BlobTransactionSidecar::try_from_blobs_with_settings(blobs, settings).unwrap();
    assert_eq!(sidecar.blobs.len(), BLOBS_MAX);
    let each = (cpu() - before).as_secs_f64() * 1e3 / BLOBS_MAX as f64;
    println!("RESULT name=batch what=commitment cpu_ms_per_blob={each:.1}");
}

/// What this thread has used of a core so far.
fn cpu() -> Duration {
    let spent = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(spent.split_whitespace().next().unwrap().parse().unwrap())
}

fn rollup() -> Arc<RollupConfig> {
    let system_config = SystemConfig {
        batcher: Address::ZERO,
        gas_limit: 60_000_000,
        base_fee_scalar: 0,
        blob_base_fee_scalar: 0,
        eip1559: None,
        operator_fee: OperatorFee::default(),
    };
    Arc::new(RollupConfig {
        spec: ChainSpec::dev(901),
        genesis: RollupGenesis {
            l1: BlockId { number: 20_000_000, hash: B256::repeat_byte(1) },
            l2: BlockId { number: 0, hash: B256::repeat_byte(2) },
            l2_time: 1_700_000_000,
            system_config,
        },
        block_time: 1,
        max_sequencer_drift: 1_800,
        seq_window_size: 3_600,
        channel_timeout: 50,
        l1_chain_id: 1,
        batch_inbox: Address::ZERO,
        deposit_contract: Address::ZERO,
        system_config_contract: Address::ZERO,
    })
}
