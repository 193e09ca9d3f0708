//! L1 as the pipeline reads it. Whatever comes from the node is checked against the block hash it belongs to, so that
//! the result depends on the chain of L1 hashes alone.

use alloy_consensus::{Header, Receipt, ReceiptEnvelope, TxEnvelope, proofs};
use alloy_eips::eip4844::{
    Blob, IndexedBlobHash, env_settings::EnvKzgSettings, kzg_to_versioned_hash,
};
use alloy_primitives::{B256, FixedBytes, U64};
use async_trait::async_trait;
use kona_derive::{BlobProvider, ChainProvider, PipelineError, PipelineErrorKind};
use kona_protocol::BlockInfo;
use serde::Deserialize;
use serde_json::json;

use crate::{
    header::{HeaderHashError, ServedHeader},
    rpc::{Rpc, RpcError},
};

/// An L1 node. Blobs are asked for by anvil's own method: it has no beacon node beside it.
#[derive(Debug, Clone)]
pub(crate) struct L1 {
    rpc: Rpc,
}

/// Why L1 cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum L1Error {
    /// The node has not answered.
    #[error("L1: {0}")]
    Rpc(#[from] RpcError),
    /// The chain is not longer yet.
    #[error("L1 has no block {0}")]
    End(u64),
    /// A block is not what its hash says.
    #[error("L1: {0}")]
    HeaderHash(#[from] HeaderHashError),
    /// Another block was served than the one asked for.
    #[error("L1 served block {served} when asked for {asked}")]
    OtherBlock { asked: B256, served: B256 },
    /// Transactions, receipts or a blob are not what the block says.
    #[error("the {what} that L1 served for {of} do not match it")]
    Content { what: &'static str, of: B256 },
    /// A blob is no polynomial.
    #[error("the blob that L1 served for {of}: {source}")]
    Blob { of: B256, source: c_kzg::Error },
}

impl From<L1Error> for PipelineErrorKind {
    fn from(error: L1Error) -> Self {
        match error {
            L1Error::End(_) => PipelineError::EndOfSource.crit(),
            error => PipelineError::Provider(error.to_string()).crit(),
        }
    }
}

#[derive(Deserialize)]
struct FullBlock {
    #[serde(flatten)]
    header: ServedHeader,
    transactions: Vec<TxEnvelope>,
}

impl L1 {
    pub(crate) fn new(url: String) -> Self {
        Self { rpc: Rpc::new(url) }
    }

    pub(crate) fn chain_id(&self) -> Result<u64, L1Error> {
        Ok(self.rpc.get::<U64>("eth_chainId", json!([]))?.to())
    }

    /// The block of that number on the chain that the node holds for L1 now.
    pub(crate) fn block_info(&self, number: u64) -> Result<BlockInfo, L1Error> {
        let header: Option<ServedHeader> =
            self.rpc.find("eth_getBlockByNumber", &json!([U64::from(number), false]))?;
        let (hash, header) = header.ok_or(L1Error::End(number))?.verify()?;
        Ok(block_info(hash, &header))
    }

    fn header(&self, asked: B256) -> Result<Header, L1Error> {
        verify(asked, self.rpc.get("eth_getBlockByHash", json!([asked, false]))?)
    }

    fn receipts(&self, block: B256) -> Result<Vec<Receipt>, L1Error> {
        let header = self.header(block)?;
        let receipts: Vec<ReceiptEnvelope> =
            self.rpc.get("eth_getBlockReceipts", json!([block]))?;
        if proofs::calculate_receipt_root(&receipts) != header.receipts_root {
            return Err(L1Error::Content { what: "receipts", of: block });
        }
        Ok(receipts.into_iter().map(ReceiptEnvelope::into_receipt).collect())
    }

    fn transactions(&self, asked: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), L1Error> {
        let FullBlock { header, transactions } =
            self.rpc.get("eth_getBlockByHash", json!([asked, true]))?;
        let header = verify(asked, header)?;
        if proofs::calculate_transaction_root(&transactions) != header.transactions_root {
            return Err(L1Error::Content { what: "transactions", of: asked });
        }
        Ok((block_info(asked, &header), transactions))
    }

    fn blob(&self, hash: B256) -> Result<Box<Blob>, L1Error> {
        let mut blob: Box<Blob> = self.rpc.get("anvil_getBlobByHash", json!([hash]))?;
        let commitment = EnvKzgSettings::Default
            .get()
            .blob_to_kzg_commitment(&c_kzg::Blob::new(blob.0))
            .map_err(|source| L1Error::Blob { of: hash, source })?;
        if kzg_to_versioned_hash(commitment.as_slice()) != hash {
            return Err(L1Error::Content { what: "bytes of the blob", of: hash });
        }
        if blob.is_zero() {
            *blob = NOTHING;
        }
        Ok(blob)
    }
}

/// Stands for the blob of zeros, which is a valid encoding of no bytes at all and says nothing therefore. This pipeline
/// takes it for a blob that could not be fetched and gives up; a blob of an unknown version says nothing as well.
const NOTHING: Blob = {
    let mut blob = [0; 131_072];
    blob[1] = 0xff;
    FixedBytes(blob)
};

fn verify(asked: B256, header: ServedHeader) -> Result<Header, L1Error> {
    let (served, header) = header.verify()?;
    match served == asked {
        true => Ok(header),
        false => Err(L1Error::OtherBlock { asked, served }),
    }
}

const fn block_info(hash: B256, header: &Header) -> BlockInfo {
    BlockInfo::new(hash, header.number, header.parent_hash, header.timestamp)
}

#[async_trait]
impl ChainProvider for L1 {
    type Error = L1Error;

    async fn header_by_hash(&mut self, hash: B256) -> Result<Header, L1Error> {
        self.header(hash)
    }

    async fn block_info_by_number(&mut self, number: u64) -> Result<BlockInfo, L1Error> {
        self.block_info(number)
    }

    async fn receipts_by_hash(&mut self, hash: B256) -> Result<Vec<Receipt>, L1Error> {
        self.receipts(hash)
    }

    async fn block_info_and_transactions_by_hash(
        &mut self,
        hash: B256,
    ) -> Result<(BlockInfo, Vec<TxEnvelope>), L1Error> {
        self.transactions(hash)
    }
}

#[async_trait]
impl BlobProvider for L1 {
    type Error = L1Error;

    async fn get_blobs(
        &mut self,
        _block: &BlockInfo,
        hashes: &[IndexedBlobHash],
    ) -> Result<Vec<Box<Blob>>, L1Error> {
        hashes.iter().map(|blob| self.blob(blob.hash)).collect()
    }
}
