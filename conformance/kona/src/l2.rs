//! The L2 node under test, and the part of its chain that has been agreed with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy_consensus::{Block, BlockBody, proofs};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{B256, U64};
use async_trait::async_trait;
use kona_derive::{L2ChainProvider, PipelineError, PipelineErrorKind};
use kona_genesis::{RollupConfig, SystemConfig};
use kona_protocol::{
    BatchValidationProvider, FromBlockError, L2BlockInfo, OpBlockConversionError, to_system_config,
};
use op_alloy_consensus::{OpBlock, OpTxEnvelope};
use serde::Deserialize;
use serde_json::json;

use crate::{
    header::{HeaderHashError, ServedHeader},
    rpc::{Rpc, RpcError},
};

/// An L2 node.
#[derive(Debug, Clone)]
pub(crate) struct L2 {
    rpc: Rpc,
}

/// Why L2 cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum L2Error {
    /// The node has not answered.
    #[error("L2: {0}")]
    Rpc(#[from] RpcError),
    /// A block is not what its hash says.
    #[error("L2: {0}")]
    HeaderHash(#[from] HeaderHashError),
    /// A block's body is not what its header says.
    #[error("the transactions that L2 served for block {0} do not match its header")]
    Transactions(u64),
    /// A block does not begin as every block has to.
    #[error("L2 block {number}: {source}")]
    Attributes { number: u64, source: FromBlockError },
    /// A block says no system config.
    #[error("the system config of L2 block {number}: {source}")]
    SystemConfig { number: u64, source: OpBlockConversionError },
    /// The pipeline asks for a block that it has not derived.
    #[error("L2 block {0} is not derived yet")]
    Unknown(u64),
    /// A block that had been agreed with is another one now.
    #[error("L2 block {0} was replaced while it was being compared")]
    Replaced(u64),
}

impl From<L2Error> for PipelineErrorKind {
    fn from(error: L2Error) -> Self {
        PipelineError::Provider(error.to_string()).crit()
    }
}

/// A block of the node, with the hash that its header really has and the transactions that the header commits to.
#[derive(Debug, Clone)]
pub(crate) struct L2Block {
    pub(crate) hash: B256,
    pub(crate) block: OpBlock,
}

#[derive(Deserialize)]
struct ServedBlock {
    #[serde(flatten)]
    header: ServedHeader,
    transactions: Vec<OpTxEnvelope>,
    withdrawals: Option<Withdrawals>,
}

impl L2 {
    pub(crate) fn new(url: String) -> Self {
        Self { rpc: Rpc::new(url) }
    }

    pub(crate) fn chain_id(&self) -> Result<u64, L2Error> {
        Ok(self.rpc.get::<U64>("eth_chainId", json!([]))?.to())
    }

    /// The number of the block that the node holds for derivable from L1.
    pub(crate) fn safe(&self) -> Result<u64, L2Error> {
        let header: ServedHeader = self.rpc.get("eth_getBlockByNumber", json!(["safe", false]))?;
        let (_, header) = header.verify()?;
        Ok(header.number)
    }

    pub(crate) fn block(&self, number: u64) -> Result<L2Block, L2Error> {
        let ServedBlock { header, transactions, withdrawals } =
            self.rpc.get("eth_getBlockByNumber", json!([U64::from(number), true]))?;
        let (hash, header) = header.verify()?;
        if proofs::calculate_transaction_root(&transactions) != header.transactions_root {
            return Err(L2Error::Transactions(number));
        }
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
        Ok(L2Block { hash, block: Block::new(header, body) })
    }
}

impl L2Block {
    /// The block as the pipeline refers to it.
    pub(crate) fn info(&self, config: &RollupConfig) -> Result<L2BlockInfo, L2Error> {
        let number = self.block.header.number;
        L2BlockInfo::from_block_and_genesis(&self.block, &config.genesis)
            .map_err(|source| L2Error::Attributes { number, source })
    }
}

/// The blocks that were derived and found to be the node's: all of L2 that the pipeline gets to see.
///
/// Every stage holds a copy of the handle. Only hashes are kept of older blocks, which are asked for again in the rare
/// case that a batch overlaps them.
#[derive(Debug, Clone)]
pub(crate) struct Agreed {
    l2: L2,
    config: Arc<RollupConfig>,
    chain: Arc<Mutex<Chain>>,
}

#[derive(Debug)]
struct Chain {
    /// From the genesis block on.
    blocks: Vec<L2BlockInfo>,
    tip: L2Block,
}

impl Agreed {
    /// Begins with the genesis block.
    pub(crate) fn new(
        l2: L2,
        config: Arc<RollupConfig>,
        genesis: L2Block,
    ) -> Result<Self, L2Error> {
        let blocks = vec![genesis.info(&config)?];
        Ok(Self { l2, config, chain: Arc::new(Mutex::new(Chain { blocks, tip: genesis })) })
    }

    /// The newest block, which the next one builds on.
    pub(crate) fn tip(&self) -> (L2Block, L2BlockInfo) {
        let chain = self.chain();
        (chain.tip.clone(), chain.blocks[chain.blocks.len() - 1])
    }

    /// Takes the child of the newest block.
    pub(crate) fn push(&self, block: L2Block) -> Result<(), L2Error> {
        let info = block.info(&self.config)?;
        let mut chain = self.chain();
        chain.blocks.push(info);
        chain.tip = block;
        Ok(())
    }

    fn chain(&self) -> MutexGuard<'_, Chain> {
        // One thread only ever holds it.
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn info(&self, number: u64) -> Result<L2BlockInfo, L2Error> {
        let chain = self.chain();
        let index = number.checked_sub(chain.blocks[0].block_info.number);
        index
            .and_then(|index| chain.blocks.get(usize::try_from(index).ok()?).copied())
            .ok_or(L2Error::Unknown(number))
    }

    fn block(&self, number: u64) -> Result<OpBlock, L2Error> {
        let hash = self.info(number)?.block_info.hash;
        let (tip, _) = self.tip();
        let block = if tip.hash == hash { tip } else { self.l2.block(number)? };
        match block.hash == hash {
            true => Ok(block.block),
            false => Err(L2Error::Replaced(number)),
        }
    }
}

#[async_trait]
impl BatchValidationProvider for Agreed {
    type Error = L2Error;

    async fn l2_block_info_by_number(&mut self, number: u64) -> Result<L2BlockInfo, L2Error> {
        self.info(number)
    }

    async fn block_by_number(&mut self, number: u64) -> Result<OpBlock, L2Error> {
        self.block(number)
    }
}

#[async_trait]
impl L2ChainProvider for Agreed {
    type Error = L2Error;

    async fn system_config_by_number(
        &mut self,
        number: u64,
        config: Arc<RollupConfig>,
    ) -> Result<SystemConfig, L2Error> {
        to_system_config(&self.block(number)?, &config)
            .map_err(|source| L2Error::SystemConfig { number, source })
    }
}
