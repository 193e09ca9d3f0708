//! Witness files: a block with everything that executing it reads, as JSON.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use alloy_primitives::{Address, B64, B256, Bloom, Bytes, Log, U64, U256};
use anyhow::{Context, ensure};
use millrace_executor::BlockAttributes;
use millrace_protocol::{ChainSpec, Eip1559Params, OpFork, OptimismSpec};
use millrace_types::{Header, SealedHeader, Transaction};
use serde::Deserialize;

use super::partial_trie::Preimages;

/// A block to execute, and what is expected to come of it.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) chain: Arc<ChainSpec>,
    pub(super) attributes: BlockAttributes,
    pub(super) transactions: Vec<Arc<Transaction>>,
    pub(super) preimages: Arc<Preimages>,
    pub(super) expected_hash: B256,
    pub(super) expected: Expected,
}

/// What a file may say besides, to find out where a block went astray.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) header: Option<Header>,
    pub(super) receipts: Option<Vec<ExpectedReceipt>>,
    pub(super) accounts: Option<BTreeMap<Address, Option<ExpectedAccount>>>,
}

/// A receipt as a node reports it; fields that are not known here are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExpectedReceipt {
    pub(super) status: U64,
    pub(super) cumulative_gas_used: U64,
    pub(super) logs: Vec<Log>,
    pub(super) deposit_nonce: Option<U64>,
}

/// An account afterwards. `null` in its place means that it does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExpectedAccount {
    pub(super) nonce: U64,
    pub(super) balance: U256,
    pub(super) code_hash: Option<B256>,
    #[serde(default)]
    pub(super) storage: BTreeMap<U256, U256>,
}

#[derive(Debug, Deserialize)]
struct File {
    chain: Chain,
    parent_header: HeaderJson,
    payload: Payload,
    expected_block_hash: B256,
    preimages: Vec<Bytes>,
    expected_header: Option<HeaderJson>,
    expected_receipts: Option<Vec<ExpectedReceipt>>,
    expected_accounts: Option<BTreeMap<Address, Option<ExpectedAccount>>>,
}

/// A header as a node reports it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeaderJson {
    parent_hash: B256,
    sha3_uncles: B256,
    miner: Address,
    state_root: B256,
    transactions_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
    difficulty: U256,
    number: U64,
    gas_limit: U64,
    gas_used: U64,
    timestamp: U64,
    extra_data: Bytes,
    mix_hash: B256,
    nonce: B64,
    base_fee_per_gas: Option<U64>,
    withdrawals_root: Option<B256>,
    blob_gas_used: Option<U64>,
    excess_blob_gas: Option<U64>,
    parent_beacon_block_root: Option<B256>,
    requests_hash: Option<B256>,
}

#[derive(Debug, Deserialize)]
struct Chain {
    l2_chain_id: u64,
    canyon_time: Option<u64>,
    delta_time: Option<u64>,
    ecotone_time: Option<u64>,
    fjord_time: Option<u64>,
    granite_time: Option<u64>,
    holocene_time: Option<u64>,
    isthmus_time: Option<u64>,
    eip1559_elasticity: u32,
    eip1559_denominator: u32,
    eip1559_denominator_canyon: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    timestamp: U64,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    parent_beacon_block_root: B256,
    transactions: Vec<Bytes>,
    gas_limit: U64,
    eip1559_params: Option<B64>,
}

impl Witness {
    /// Reads a file, and checks everything about it that needs no execution.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let json = fs::read(path).context("read the file")?;
        let file: File = serde_json::from_slice(&json).context("not a witness")?;
        Self::try_from(file)
    }
}

impl TryFrom<File> for Witness {
    type Error = anyhow::Error;

    fn try_from(file: File) -> anyhow::Result<Self> {
        let chain = chain_spec(&file.chain)?;
        let attributes =
            attributes(&chain, SealedHeader::seal_slow(file.parent_header.into()), &file.payload)?;
        let decode = |(index, encoded)| {
            let transaction = Transaction::decode(encoded);
            transaction.map(Arc::new).with_context(|| format!("decode transaction {index}"))
        };
        let transactions = file.payload.transactions.into_iter().enumerate().map(decode);
        let preimages =
            file.preimages.into_iter().map(|bytes| (alloy_primitives::keccak256(&bytes), bytes));
        Ok(Self {
            transactions: transactions.collect::<anyhow::Result<_>>()?,
            preimages: Arc::new(preimages.collect()),
            chain: Arc::new(chain),
            attributes,
            expected_hash: file.expected_block_hash,
            expected: Expected {
                header: file.expected_header.map(Header::from),
                receipts: file.expected_receipts,
                accounts: file.expected_accounts,
            },
        })
    }
}

impl From<HeaderJson> for Header {
    fn from(json: HeaderJson) -> Self {
        Self {
            parent_hash: json.parent_hash,
            ommers_hash: json.sha3_uncles,
            beneficiary: json.miner,
            state_root: json.state_root,
            transactions_root: json.transactions_root,
            receipts_root: json.receipts_root,
            logs_bloom: json.logs_bloom,
            difficulty: json.difficulty,
            number: json.number.to(),
            gas_limit: json.gas_limit.to(),
            gas_used: json.gas_used.to(),
            timestamp: json.timestamp.to(),
            extra_data: json.extra_data,
            mix_hash: json.mix_hash,
            nonce: json.nonce,
            base_fee_per_gas: json.base_fee_per_gas.map(|fee| fee.to()),
            withdrawals_root: json.withdrawals_root,
            blob_gas_used: json.blob_gas_used.map(|gas| gas.to()),
            excess_blob_gas: json.excess_blob_gas.map(|gas| gas.to()),
            parent_beacon_block_root: json.parent_beacon_block_root,
            requests_hash: json.requests_hash,
            ..Self::default()
        }
    }
}

fn chain_spec(chain: &Chain) -> anyhow::Result<ChainSpec> {
    let params = |denominator| Eip1559Params::new(denominator, chain.eip1559_elasticity);
    let spec = OptimismSpec {
        eip1559: params(chain.eip1559_denominator)?,
        eip1559_canyon: params(chain.eip1559_denominator_canyon)?,
        canyon_time: chain.canyon_time,
        delta_time: chain.delta_time,
        ecotone_time: chain.ecotone_time,
        fjord_time: chain.fjord_time,
        granite_time: chain.granite_time,
        holocene_time: chain.holocene_time,
        isthmus_time: chain.isthmus_time,
    };
    Ok(ChainSpec::optimism(chain.l2_chain_id, spec)?)
}

fn attributes(
    chain: &ChainSpec,
    parent: SealedHeader,
    payload: &Payload,
) -> anyhow::Result<BlockAttributes> {
    let timestamp = payload.timestamp.to();
    ensure!(timestamp > parent.timestamp, "the block is not later than its parent");
    let extra_data = if chain.rules(timestamp).is_active(OpFork::Holocene) {
        let params = payload.eip1559_params.context("the payload lacks eip1559Params")?;
        Eip1559Params::from_payload(params, chain.eip1559_constants(timestamp))?
            .to_extra_data()
            .to_vec()
    } else {
        Vec::new()
    };
    Ok(BlockAttributes {
        base_fee: chain.next_base_fee(&parent, timestamp)?,
        parent,
        timestamp,
        beneficiary: payload.suggested_fee_recipient,
        gas_limit: payload.gas_limit.to(),
        prev_randao: payload.prev_randao,
        parent_beacon_block_root: payload.parent_beacon_block_root,
        extra_data: extra_data.into(),
        excess_blob_gas: 0,
    })
}
