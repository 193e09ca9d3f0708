//! The preparation: contracts deployed, senders paid, tokens minted and approved, whatever the endpoint is.

use std::{collections::VecDeque, time::Duration};

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, TxKind, U64, U256, hex};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    config::Config,
    keys::{Key, Signed},
    limits, program,
    rpc::{Block, Receipt, Rpc, RpcError, malformed, parse, quantity, result},
    workload::{Sender, Targets, Terms},
};

/// What each sender has of each token, and each pair as reserve: swaps of little move no price.
const TOKENS: u128 = 1_000_000_000_000_000_000_000_000;
/// Above the fees that a transaction can cost at most: for the rollup's L1 fee, which depends on L1's prices.
const EXTRA_WEI: u64 = 10_000_000_000_000;
/// Below the cap of EIP-7825, which later chains put on one transaction.
const GAS_MAX: u64 = 12_000_000;
/// Transactions of the preparation that wait for a block at once.
const WAITING_MAX: usize = 32;
/// What a gas offers beyond the base fee, in wei: the same for everybody, so that nobody is preferred.
const TIP: u128 = 1_000_000;
const RECEIPT_POLL: Duration = Duration::from_millis(50);

/// Why there was nothing to measure.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A call failed.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The funding account has too little.
    #[error(
        "{account} has {has} wei and the run may cost {needs}: lower --count or --max-fee, or give another --key-file"
    )]
    Poor {
        /// The funding account.
        account: Address,
        /// What it has.
        has: U256,
        /// What it needs.
        needs: U256,
    },
    /// A transaction of the preparation failed.
    #[error("transaction {0} of the preparation was reverted")]
    Reverted(B256),
    /// A transaction of the preparation does not come.
    #[error("transaction {0} of the preparation was not included within {secs} s", secs = limits::SETUP_SECS_MAX)]
    NotIncluded(B256),
}

/// A prepared chain.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) terms: Terms,
    pub(crate) targets: Targets,
    pub(crate) senders: Vec<Sender>,
}

/// Prepares the chain for a run.
pub(crate) async fn prepare(config: &Config, rpc: &mut Rpc) -> Result<Ready, SetupError> {
    let chain_id: U64 = rpc.call("eth_chainId", json!([])).await?;
    let (base_fee, gas_limit) = latest(rpc).await?;
    let max_fee = config.max_fee.unwrap_or(50 * base_fee + 2_000_000_000);
    let tip = max_fee.min(TIP);
    let terms = Terms { chain_id: chain_id.to(), max_fee, tip };
    let funder = config.funder.address;
    let nonce: U64 = rpc.call("eth_getTransactionCount", json!([funder, "pending"])).await?;
    let keys: Vec<Key> = (0..config.senders).map(|i| Key::sender(config.seed, i)).collect();
    let addresses: Vec<Address> = keys.iter().map(|key| key.address).collect();

    let mut plan = Plan { config, terms: &terms, nonce: nonce.to(), transactions: Vec::new() };
    let targets = plan.contracts();
    // Each sender's share of the run, and four transactions of its own before it.
    let each = config.count.div_ceil(config.senders) as u64;
    let cost = |gas: u64| U256::from(gas) * U256::from(max_fee) + U256::from(EXTRA_WEI);
    let share = cost(config.workload.gas_max()) * U256::from(each + 4);
    let chunk = GAS_MAX.min(gas_limit / 2) / 50_000;
    for some in addresses.chunks(chunk.max(1) as usize) {
        let value = share * U256::from(some.len());
        plan.add(program::pay(some, share), value, 200_000 + 45_000 * some.len() as u64);
    }
    if !targets.tokens.is_empty() {
        let holders: Vec<Address> = addresses.iter().chain(&targets.pairs).copied().collect();
        for some in holders.chunks((chunk as usize / targets.tokens.len()).max(1)) {
            let gas = 300_000 + (45_000 * some.len() * targets.tokens.len()) as u64;
            plan.add(program::mint(&targets.tokens, some, U256::from(TOKENS)), U256::ZERO, gas);
        }
    }
    let has: U256 = rpc.call("eth_getBalance", json!([funder, "latest"])).await?;
    let needs = plan.cost();
    if has < needs {
        return Err(SetupError::Poor { account: funder, has, needs });
    }
    let transactions: Vec<Signed> =
        plan.transactions.into_iter().map(|transaction| config.funder.sign(transaction)).collect();
    include(rpc, transactions).await?;

    let mut senders = Vec::with_capacity(keys.len());
    let mut approvals = Vec::new();
    for some in keys.chunks(100) {
        let accounts: Vec<Value> = some.iter().map(|key| json!([key.address, "latest"])).collect();
        let nonces: Vec<U64> = rpc.calls("eth_getTransactionCount", &accounts).await?;
        for (key, nonce) in some.iter().zip(nonces) {
            let mut sender = Sender { key: key.clone(), nonce: nonce.to() };
            // A sender swaps in one pair only, which takes both tokens.
            let index = senders.len();
            if let Some(pair) = targets.pairs.get(index % targets.pairs.len().max(1)) {
                for token in &targets.tokens {
                    let call = (TxKind::Call(*token), program::approve(*pair), U256::ZERO, 80_000);
                    approvals.push(sender.key.sign(write(&terms, sender.nonce, call)));
                    sender.nonce += 1;
                }
            }
            senders.push(sender);
        }
    }
    include(rpc, approvals).await?;
    Ok(Ready { terms, targets, senders })
}

/// The number of the latest block, which must be one.
pub(crate) async fn height(rpc: &mut Rpc) -> Result<u64, RpcError> {
    let height: U64 = rpc.call("eth_blockNumber", json!([])).await?;
    Ok(height.to())
}

/// Base fee and gas limit.
async fn latest(rpc: &mut Rpc) -> Result<(u128, u64), RpcError> {
    const METHOD: &str = "eth_getBlockByNumber";
    let body = json!({ "jsonrpc": "2.0", "id": 0, "method": METHOD, "params": ["latest", false] });
    let read = |answer: &[u8]| {
        let block: Block<'_> = result(METHOD, parse(METHOD, answer)?)?;
        let base_fee = quantity(block.base_fee_per_gas.unwrap_or("0x0"));
        let gas_limit = quantity(block.gas_limit);
        let both = base_fee.zip(gas_limit).ok_or_else(|| malformed(METHOD, "no numbers"))?;
        Ok((u128::from(both.0), both.1))
    };
    rpc.post(body.to_string().as_bytes(), read).await?
}

/// The funding account's transactions.
struct Plan<'a> {
    config: &'a Config,
    terms: &'a Terms,
    nonce: u64,
    transactions: Vec<TxEip1559>,
}

impl Plan<'_> {
    /// The contracts that the workload needs, under the addresses that they will have.
    fn contracts(&mut self) -> Targets {
        let Config { workload, spread, .. } = *self.config;
        let mut targets = Targets::default();
        for _ in 0..workload.tokens() {
            targets.tokens.push(self.add(program::token(), U256::ZERO, 1_500_000));
        }
        for _ in 0..workload.pairs(spread) {
            let code = program::pair([targets.tokens[0], targets.tokens[1]], TOKENS);
            targets.pairs.push(self.add(code, U256::ZERO, 2_000_000));
        }
        targets
    }

    /// Runs init code; what it leaves behind lies at the address.
    fn add(&mut self, code: Bytes, value: U256, gas: u64) -> Address {
        let address = self.config.funder.address.create(self.nonce);
        self.transactions.push(write(self.terms, self.nonce, (TxKind::Create, code, value, gas)));
        self.nonce += 1;
        address
    }

    fn cost(&self) -> U256 {
        let each = self.transactions.iter().map(|transaction| {
            let gas = U256::from(transaction.gas_limit) * U256::from(transaction.max_fee_per_gas);
            transaction.value + gas + U256::from(EXTRA_WEI)
        });
        each.sum()
    }
}

fn write(terms: &Terms, nonce: u64, call: (TxKind, Bytes, U256, u64)) -> TxEip1559 {
    let (to, input, value, gas_limit) = call;
    TxEip1559 {
        chain_id: terms.chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: terms.max_fee,
        max_priority_fee_per_gas: terms.tip,
        to,
        value,
        access_list: Default::default(),
        input,
    }
}

/// Sends these in order and waits until all are included and have succeeded.
async fn include(rpc: &mut Rpc, transactions: Vec<Signed>) -> Result<(), SetupError> {
    let mut waiting: VecDeque<B256> = VecDeque::new();
    let mut transactions = transactions.into_iter().peekable();
    let mut deadline = Instant::now() + Duration::from_secs(limits::SETUP_SECS_MAX);
    while transactions.peek().is_some() || !waiting.is_empty() {
        let next: Vec<Signed> = transactions.by_ref().take(WAITING_MAX - waiting.len()).collect();
        if !next.is_empty() {
            let raw: Vec<Value> =
                next.iter().map(|one| json!([hex::encode_prefixed(&one.raw)])).collect();
            let hashes: Vec<B256> = rpc.calls("eth_sendRawTransaction", &raw).await?;
            waiting.extend(hashes);
        }
        let asked: Vec<Value> = waiting.iter().map(|hash| json!([hash])).collect();
        let receipts: Vec<Option<Receipt>> = rpc.calls("eth_getTransactionReceipt", &asked).await?;
        let mut left = VecDeque::new();
        for (hash, receipt) in waiting.iter().zip(receipts) {
            match receipt {
                None => left.push_back(*hash),
                Some(receipt) if receipt.status.is_zero() => {
                    return Err(SetupError::Reverted(*hash));
                }
                Some(_) => deadline = Instant::now() + Duration::from_secs(limits::SETUP_SECS_MAX),
            }
        }
        if left.len() == waiting.len() && !left.is_empty() {
            if Instant::now() > deadline {
                return Err(SetupError::NotIncluded(left[0]));
            }
            sleep(RECEIPT_POLL).await;
        }
        waiting = left;
    }
    Ok(())
}
