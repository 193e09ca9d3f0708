//! A block of L1 as the rollup sees it: [`protocol::L1Block`](millrace_protocol::L1Block) from a verified header,
//! verified transactions, verified receipts and verified blobs.

mod extract;

use std::sync::Arc;

use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::{B256, Bytes, Log};
use millrace_protocol::{
    L1Block, L1Header, RollupConfig, SystemConfig, UserDepositError, decode_blob,
};

use crate::{
    blob_schedule::{BlobSchedule, ScheduleVerdict},
    blobs::{BlobError, BlobSource},
    client::{L1Client, L1Error},
    reader::extract::Posted,
    verify::{FullBlock, L1HeaderSealed},
};

/// Reads blocks of L1 for the rollup.
///
/// Nothing is remembered between calls, and several blocks may be read at once: [`Reader::fetch`] doesn't need to know
/// the system config, so it can run ahead of [`Reader::read`], which does.
#[derive(Debug)]
pub struct Reader {
    client: L1Client,
    blobs: BlobSource,
    schedule: BlobSchedule,
    rollup: Arc<RollupConfig>,
}

/// A block with everything that its header commits to.
#[derive(Debug, Clone)]
pub struct VerifiedBlock {
    /// The header and the transactions.
    pub block: FullBlock,
    /// The receipts, in the order of the transactions.
    pub receipts: Vec<ReceiptEnvelope<Log>>,
}

/// Why a block can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// L1 has no such block (any more): a reorganization took it, or it is too new for the endpoints that answer.
    #[error("L1 has no block {0}")]
    Gone(B256),
    /// L1 has the block, but no endpoint tells its receipts.
    #[error("L1 doesn't tell the receipts of block {0}")]
    NoReceipts(B256),
    /// L1 can't be asked now.
    #[error(transparent)]
    L1(#[from] L1Error),
    /// A blob of the batcher's isn't there, so the chain can't be derived past this block.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The block is older than what the rollup needs of L1.
    #[error("L1 block {0} has no base fee")]
    TooOld(u64),
    /// The portal emitted what isn't a deposit: this software doesn't understand its L1, and must not go on.
    #[error("log {index} of L1 block {block} is not a deposit: {source}")]
    Deposit {
        /// The block.
        block: u64,
        /// The log's number in it.
        index: u64,
        /// What is wrong with it.
        source: UserDepositError,
    },
}

impl Reader {
    /// A reader for one rollup.
    pub const fn new(
        client: L1Client,
        blobs: BlobSource,
        schedule: BlobSchedule,
        rollup: Arc<RollupConfig>,
    ) -> Self {
        Self { client, blobs, schedule, rollup }
    }

    /// Fetches a block with everything that its header commits to, and checks it.
    pub async fn fetch(&self, hash: B256) -> Result<VerifiedBlock, ReadError> {
        let block = self.client.block(hash).await?.ok_or(ReadError::Gone(hash))?;
        let receipts = self.client.receipts(&block.header).await?;
        let receipts = receipts.ok_or(ReadError::NoReceipts(hash))?;
        Ok(VerifiedBlock { block, receipts })
    }

    /// What a fetched block holds for the rollup, given the system config that held at its parent. Fetches the blobs of
    /// the batcher, and no others.
    pub async fn read(
        &self,
        fetched: &VerifiedBlock,
        parent: &SystemConfig,
    ) -> Result<L1Block, ReadError> {
        let header = &fetched.block.header;
        let header = self.schedule.l1_header(header).ok_or(ReadError::TooOld(header.number))?;
        let receipts = &fetched.receipts;
        let deposits =
            extract::deposits(&self.rollup, header.hash, receipts).map_err(|(index, source)| {
                ReadError::Deposit { block: header.number, index, source }
            })?;
        let system_config = extract::system_config(&self.rollup, parent, receipts);
        // A new batcher's transactions count from the block on that names it.
        let posted =
            extract::posted(&self.rollup, system_config.batcher, &fetched.block.transactions);
        let inbox = self.inbox(&header, posted).await?;
        Ok(L1Block { header, system_config, deposits, inbox })
    }

    /// [`Reader::fetch`] and [`Reader::read`] in one.
    pub async fn block(&self, hash: B256, parent: &SystemConfig) -> Result<L1Block, ReadError> {
        self.read(&self.fetch(hash).await?, parent).await
    }

    /// Compares the blob base fee of a block by our schedule with what every endpoint says. To be called for new heads now
    /// and then; an endpoint that the others outvote is set aside.
    pub async fn check_blob_schedule(&self, header: &L1HeaderSealed) -> ScheduleVerdict {
        let ours = self.schedule.blob_base_fee(header);
        let theirs = self.client.blob_base_fees_of(header.number).await;
        let verdict = ScheduleVerdict::of(ours, theirs.iter().map(|(_, price)| *price));
        if verdict == ScheduleVerdict::Agrees {
            for (endpoint, price) in theirs.into_iter().filter(|(_, price)| *price != ours) {
                let name = self.client.endpoint_name(endpoint);
                tracing::warn!(
                    endpoint = name,
                    l1_block = header.number,
                    price,
                    ours,
                    "an L1 endpoint prices blobs as nobody else does"
                );
                self.client.distrust(endpoint);
            }
        }
        verdict
    }

    async fn inbox(&self, header: &L1Header, posted: Vec<Posted>) -> Result<Vec<Bytes>, ReadError> {
        let hashes: Vec<B256> = posted
            .iter()
            .filter_map(|item| match item {
                Posted::Blob(hash) => Some(*hash),
                Posted::Calldata(_) => None,
            })
            .collect();
        let mut blobs =
            self.blobs.fetch(&self.client, header.timestamp, &hashes).await?.into_iter();
        let data = posted.into_iter().filter_map(|item| match item {
            Posted::Calldata(data) => Some(data),
            Posted::Blob(hash) => {
                let decoded = decode_blob(&*blobs.next()?);
                decoded
                    .inspect_err(|error| {
                        tracing::warn!(l1_block = header.number, %hash, %error, "a blob counts for nothing");
                    })
                    .ok()
            }
        });
        Ok(data.collect())
    }
}
