//! The rules and formats of the OP Stack as pure functions: who pays what, how a deposit is named, what a header says,
//! what a batch looks like on L1.
//!
//! Nothing here performs IO or knows the EVM: bytes and numbers in, bytes and numbers out. The public specification is
//! the authority, and every decoder accepts arbitrary bytes and answers with an error.
//!
//! Suggested reading order: [`ChainSpec`] (which rules hold when), [`predeploys`] (where things live), [`L1Fees`]
//! (what a transaction owes for its data), [`L1Attributes`] and [`UserDeposit`] (what comes from L1),
//! [`Eip1559Params`] and [`ChainSpec::next_base_fee`], [`Epoch`] (what an origin prescribes), [`OutputV0`] (what goes back to L1).
//!
//! Blocks travel through L1 like this, and back: [`Batch`] (the blocks; [`SpanBuilder`] writes many at once),
//! [`ChannelWriter`] and [`read_batches`] (batches, compressed), [`Frame`] (pieces of a channel), [`encode_blob`]. What
//! L1 says besides is in [`SystemConfig`] and [`RollupConfig`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod base_fee;
mod batch;
mod blob;
mod chain_spec;
mod channel;
mod deposit;
mod eip1559_params;
mod epoch;
mod fastlz;
mod fees;
mod frame;
mod l1_attributes;
mod l1_block;
mod output;
pub mod predeploys;
mod rollup_config;
mod system_config;

pub use crate::{
    base_fee::BaseFeeError,
    batch::{
        Batch, BatchError, SingularBatch, SpanBatch, SpanBatchError, SpanBlock, SpanBuildError,
        SpanBuilder, SpanBytes, SpanElement, SpanElements,
    },
    blob::{BLOB_DATA_MAX, BLOB_LEN, BlobError, decode_blob, encode_blob},
    chain_spec::{
        ChainFamily, ChainSpec, ChainSpecError, EthereumForks, EvmFork, OpFork, OptimismSpec, Rules,
    },
    channel::{
        BatchReader, ChannelError, ChannelFull, ChannelWriter, CompressionAlgo, compress,
        read_batches,
    },
    deposit::{
        TRANSACTION_DEPOSITED, UserDeposit, UserDepositError, alias_l1_address, unalias_l1_address,
    },
    eip1559_params::{Eip1559Params, Eip1559ParamsError},
    epoch::{Epoch, EpochPlace, Prescribed},
    fastlz::compressed_len,
    fees::{DataSize, L1Fees},
    frame::{ChannelId, Frame, FrameError, decode_frames, encode_frames},
    l1_attributes::{L1Attributes, L1AttributesError, OperatorFee},
    l1_block::{BlockId, L1Block, L1Header},
    output::OutputV0,
    rollup_config::{RollupConfig, RollupGenesis},
    system_config::{CONFIG_UPDATE, ConfigUpdate, ConfigUpdateError, SystemConfig},
};
