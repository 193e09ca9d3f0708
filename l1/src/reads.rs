//! What the rollup asks of L1. Headers, transactions and receipts are verified; what no hash commits to (fees, nonces,
//! balances) is taken from an endpoint whose head is not behind.

use alloy_consensus::ReceiptEnvelope;
use alloy_eips::eip1559::BaseFeeParams;
use alloy_primitives::{Address, B256, Bytes, Log, U64, U128, U256};
use alloy_rpc_types_eth::TransactionReceipt;
use millrace_protocol::BlockId;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    client::{L1Client, L1Error, Null, Scope, plain, quantity},
    json_rpc::Call,
    verify::{self, Expected, FullBlock, L1HeaderSealed},
};

/// Which block is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The newest one.
    Latest,
    /// The newest one that is unlikely to go.
    Safe,
    /// The newest one that never goes.
    Finalized,
    /// The one with this number on the canonical chain.
    Number(u64),
    /// The one with this hash, canonical or not.
    Hash(B256),
}

/// Which transactions of an account are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceAt {
    /// Those in blocks.
    Latest,
    /// Those that the node's pool holds, too.
    Pending,
}

/// What transactions cost on L1 now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// The block that these fees follow.
    pub head: BlockId,
    /// The head's base fee.
    pub base_fee: u64,
    /// The next block's base fee, which the head determines.
    pub next_base_fee: u64,
    /// The next block's blob base fee, by the node.
    pub blob_base_fee: u128,
    /// The tip that the node suggests.
    pub tip: u128,
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionPlace {
    /// In the block with this number.
    Block(u64),
    /// In a pool.
    Pool,
    /// No node that was asked knows it.
    Nowhere,
}

/// What became of a transaction that is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct L1Receipt {
    /// The block that it is in, by the endpoint that answered; it is the caller's to see whether that stays canonical.
    pub block: BlockId,
    /// Whether it did what it was meant to.
    pub success: bool,
    /// Gas.
    pub gas_used: u64,
    /// What a unit of gas cost.
    pub effective_gas_price: u128,
    /// Blob gas, of a blob transaction.
    pub blob_gas_used: u64,
    /// What a unit of blob gas cost, for a blob transaction.
    pub blob_gas_price: u128,
    /// The contract that it created.
    pub contract: Option<Address>,
}

/// Headers that are asked for at once are as many as fit one request of most providers.
pub(crate) const HEADERS_MAX: u64 = 50;

impl L1Client {
    /// A header. Nothing, if no endpoint that can be reached has the block.
    pub async fn header(&self, at: At) -> Result<Option<L1HeaderSealed>, L1Error> {
        let (call, scope, expected) = block_call(at, false);
        self.ask(scope, Null::AskOthers, call, move |raw| verify::header(raw, expected)).await
    }

    /// The canonical headers of a range of numbers, at most 50 of them, all by one endpoint.
    ///
    /// Nothing, if no endpoint has all of them. They are not checked to follow each other: while L1 reorganizes, an
    /// endpoint may answer from both sides.
    pub async fn headers(
        &self,
        numbers: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<Vec<L1HeaderSealed>>, L1Error> {
        let first = *numbers.start();
        let calls: Vec<Call> = numbers
            .take(HEADERS_MAX as usize)
            .map(|number| block_call(At::Number(number), false).0)
            .collect();
        if calls.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let wanted = calls.len() as u64;
        let read = move |raw: &RawValue| verify::header(raw, Expected::Any);
        let headers = self.ask_all(Scope::Head, Null::AskOthers, calls, read).await?;
        // A header under the wrong number is as good as none; the next question will show it again.
        Ok(headers
            .filter(|headers| headers.iter().map(|header| header.number).eq(first..first + wanted)))
    }

    /// A block with its transactions, which match its header. Nothing, if no endpoint has it.
    pub async fn block(&self, hash: B256) -> Result<Option<FullBlock>, L1Error> {
        let (call, scope, expected) = block_call(At::Hash(hash), true);
        self.ask(scope, Null::AskOthers, call, move |raw| verify::block(raw, expected)).await
    }

    /// A block's receipts, which match its header.
    ///
    /// The block exists, so a node that has no receipts of it is asked again a few times: many announce a block a
    /// moment before they can tell its receipts. Nothing in the end means that the block is gone, or that patience is.
    pub async fn receipts(
        &self,
        header: &L1HeaderSealed,
    ) -> Result<Option<Vec<ReceiptEnvelope<Log>>>, L1Error> {
        if header.receipts_root == alloy_consensus::EMPTY_ROOT_HASH {
            return Ok(Some(Vec::new()));
        }
        let call = Call::new("eth_getBlockReceipts", json!([header.hash()]));
        let header = header.clone();
        let read = move |raw: &RawValue| verify::receipts(raw, &header);
        self.ask(Scope::Chain, Null::Retry, call, read).await
    }

    /// What became of a transaction. Nothing, while it is in no block.
    pub async fn transaction_receipt(&self, hash: B256) -> Result<Option<L1Receipt>, L1Error> {
        let call = Call::new("eth_getTransactionReceipt", json!([hash]));
        let read = move |raw: &RawValue| {
            let receipt: TransactionReceipt = plain(raw)?;
            if receipt.transaction_hash != hash {
                return Err("the receipt of another transaction".to_owned());
            }
            let (Some(block_hash), Some(block_number)) = (receipt.block_hash, receipt.block_number)
            else {
                return Err("a receipt without a block".to_owned());
            };
            Ok(L1Receipt {
                block: BlockId { number: block_number, hash: block_hash },
                success: receipt.inner.status(),
                gas_used: receipt.gas_used,
                effective_gas_price: receipt.effective_gas_price,
                blob_gas_used: receipt.blob_gas_used.unwrap_or(0),
                blob_gas_price: receipt.blob_gas_price.unwrap_or(0),
                contract: receipt.contract_address,
            })
        };
        self.ask(Scope::Head, Null::AskOthers, call, read).await
    }

    /// Where nodes have a transaction.
    ///
    /// They know its block a moment before they can tell the receipt, and some lose receipts altogether.
    pub async fn transaction_place(&self, hash: B256) -> Result<TransactionPlace, L1Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            block_number: Option<U64>,
        }
        let call = Call::new("eth_getTransactionByHash", json!([hash]));
        let answer: Option<Answer> = self.ask(Scope::Head, Null::AskOthers, call, plain).await?;
        Ok(match answer.map(|answer| answer.block_number) {
            None => TransactionPlace::Nowhere,
            Some(None) => TransactionPlace::Pool,
            Some(Some(number)) => TransactionPlace::Block(number.to()),
        })
    }

    /// What transactions cost now.
    pub async fn fees(&self) -> Result<Fees, L1Error> {
        let head = self.heads().await?.latest;
        let (tip, blob_base_fee) = tokio::try_join!(
            self.amount("eth_maxPriorityFeePerGas"),
            self.amount("eth_blobBaseFee")
        )?;
        let next_base_fee = head.next_block_base_fee(BaseFeeParams::ethereum());
        Ok(Fees {
            head: BlockId { number: head.number, hash: head.hash() },
            base_fee: head.base_fee_per_gas.unwrap_or(0),
            next_base_fee: next_base_fee.unwrap_or(0),
            blob_base_fee,
            tip,
        })
    }

    /// The blob base fee of a block, as each endpoint computes it that is in use and has the block. Which endpoint it is,
    /// by its place in the configuration, comes first.
    pub async fn blob_base_fees_of(&self, number: u64) -> Vec<(usize, u128)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct History {
            base_fee_per_blob_gas: Vec<U128>,
        }
        let calls = [Call::new("eth_feeHistory", json!(["0x1", quantity(number), []]))];
        let read = |raw: &RawValue| {
            let history: History = plain(raw)?;
            let fee = history.base_fee_per_blob_gas.first();
            fee.map(|fee| fee.to()).ok_or_else(|| "a fee history without fees".to_owned())
        };
        let ask = |endpoint| {
            let calls = &calls;
            // Who doesn't answer has no say.
            async move { Some((endpoint, self.put(endpoint, calls, read).await.ok()??.pop()?)) }
        };
        let asked = self.order(Scope::Head).into_iter().map(ask);
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// The next nonce of an account.
    pub async fn nonce(&self, account: Address, at: NonceAt) -> Result<u64, L1Error> {
        let tag = match at {
            NonceAt::Latest => "latest",
            NonceAt::Pending => "pending",
        };
        let nonce: U64 = self.value("eth_getTransactionCount", json!([account, tag])).await?;
        Ok(nonce.to())
    }

    /// An account's balance at the head, in wei.
    pub async fn balance(&self, account: Address) -> Result<U256, L1Error> {
        self.value("eth_getBalance", json!([account, "latest"])).await
    }

    /// A contract's code at the head.
    pub async fn code(&self, account: Address) -> Result<Bytes, L1Error> {
        self.value("eth_getCode", json!([account, "latest"])).await
    }

    /// Calls a contract without a transaction. A revert is [`L1Error::Refused`].
    pub async fn call(&self, to: Address, input: &Bytes, at: At) -> Result<Bytes, L1Error> {
        self.value("eth_call", json!([{ "to": to, "input": input }, block_parameter(at)])).await
    }

    /// The gas that a transaction would use, by a node.
    pub async fn estimate_gas(
        &self,
        from: Address,
        to: Option<Address>,
        input: &Bytes,
    ) -> Result<u64, L1Error> {
        let mut transaction = json!({ "from": from, "input": input });
        if let Some(to) = to {
            transaction["to"] = json!(to);
        }
        let gas: U64 = self.value("eth_estimateGas", json!([transaction])).await?;
        Ok(gas.to())
    }

    async fn amount(&self, method: &'static str) -> Result<u128, L1Error> {
        let amount: U128 = self.value(method, json!([])).await?;
        Ok(amount.to())
    }

    /// A plain value at the head, which is never `null`.
    async fn value<T>(&self, method: &'static str, params: Value) -> Result<T, L1Error>
    where
        T: serde::de::DeserializeOwned + Send + 'static,
    {
        let call = Call::new(method, params);
        let value = self.ask(Scope::Head, Null::Retry, call, plain).await?;
        value.ok_or_else(|| self.null(method))
    }
}

fn block_call(at: At, with_transactions: bool) -> (Call, Scope, Expected) {
    let (method, scope, expected) = match at {
        At::Hash(hash) => ("eth_getBlockByHash", Scope::Chain, Expected::Hash(hash)),
        At::Number(number) => ("eth_getBlockByNumber", Scope::Head, Expected::Number(number)),
        At::Latest | At::Safe | At::Finalized => {
            ("eth_getBlockByNumber", Scope::Head, Expected::Any)
        }
    };
    let params = match at {
        At::Hash(hash) => json!([hash, with_transactions]),
        at => json!([block_parameter(at), with_transactions]),
    };
    (Call::new(method, params), scope, expected)
}

/// A block as a parameter of calls that take tags, numbers and hashes.
fn block_parameter(at: At) -> Value {
    match at {
        At::Latest => json!("latest"),
        At::Safe => json!("safe"),
        At::Finalized => json!("finalized"),
        At::Number(number) => quantity(number),
        At::Hash(hash) => json!({ "blockHash": hash }),
    }
}
