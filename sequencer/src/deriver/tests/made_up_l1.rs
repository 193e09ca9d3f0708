//! An L1 of empty blocks that changes its mind between any two answers, by a script.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header, constants::EMPTY_WITHDRAWALS};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{B256, U64};
use alloy_trie::EMPTY_ROOT_HASH;
use axum::{Json, Router, extract::State as Shared, routing::post};
use millrace_protocol::BlockId;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

pub(super) const CHAIN_ID: u64 = 31_337;

/// The number of its first block.
pub(super) const FIRST: u64 = 10;

/// A block is final when so many are above it.
const FINAL_DEPTH: u64 = 20;

/// Something that happens to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// Once so many more questions are answered.
    pub(super) after: u32,
    /// So many of the newest blocks go, if that many are not final.
    pub(super) depth: u64,
    /// So many new ones come.
    pub(super) blocks: u64,
}

/// A running L1, seconds apart. It ends with the runtime.
#[derive(Clone)]
pub(super) struct MadeUpL1 {
    pub(super) url: String,
    l1: Arc<Mutex<L1>>,
}

struct L1 {
    /// From the first one on.
    chain: Vec<(B256, Header)>,
    /// Those that went, too: nodes know them for a while, or not.
    known: HashMap<B256, Header>,
    remembers: bool,
    finalized: u64,
    script: VecDeque<Change>,
    rng: StdRng,
}

impl MadeUpL1 {
    /// One whose first block has this timestamp.
    pub(super) async fn start(seed: u64, timestamp: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut l1 = L1 {
            chain: Vec::new(),
            known: HashMap::new(),
            remembers: rng.random(),
            finalized: FIRST,
            script: VecDeque::new(),
            rng,
        };
        l1.push(FIRST, B256::ZERO, timestamp);
        let l1 = Arc::new(Mutex::new(l1));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/", post(answer)).with_state(l1.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, l1 }
    }

    /// Appends to what is going to happen.
    pub(super) fn plan(&self, changes: impl IntoIterator<Item = Change>) {
        self.l1.lock().script.extend(changes);
    }

    /// Whether all that was planned has happened.
    pub(super) fn is_done(&self) -> bool {
        self.l1.lock().script.is_empty()
    }

    /// More blocks at once.
    pub(super) fn extend(&self, blocks: u64) {
        self.l1.lock().change(Change { after: 0, depth: 0, blocks });
    }

    pub(super) fn tip(&self) -> BlockId {
        let l1 = self.l1.lock();
        BlockId { number: l1.tip_number(), hash: l1.tip().0 }
    }

    /// The canonical block of a number.
    pub(super) fn id(&self, number: u64) -> Option<BlockId> {
        let l1 = self.l1.lock();
        let (hash, _) = l1.chain.get(usize::try_from(number.checked_sub(FIRST)?).ok()?)?;
        Some(BlockId { number, hash: *hash })
    }
}

impl L1 {
    fn tip(&self) -> &(B256, Header) {
        self.chain.last().expect("the first block stays")
    }

    fn tip_number(&self) -> u64 {
        self.tip().1.number
    }

    fn push(&mut self, number: u64, parent_hash: B256, timestamp: u64) {
        let header = Header {
            parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            number,
            gas_limit: 30_000_000,
            timestamp,
            mix_hash: self.rng.random::<[u8; 32]>().into(),
            base_fee_per_gas: Some(1_000_000_000),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(self.rng.random::<[u8; 32]>().into()),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        };
        let hash = header.hash_slow();
        self.known.insert(hash, header.clone());
        self.chain.push((hash, header));
    }

    fn change(&mut self, change: Change) {
        let depth = change.depth.min(self.tip_number() - self.finalized);
        for _ in 0..depth {
            let gone = self.chain.pop();
            if !self.remembers
                && let Some((hash, _)) = gone
            {
                self.known.remove(&hash);
            }
        }
        for _ in 0..change.blocks {
            let (parent, Header { number, timestamp, .. }) = self.tip();
            let (parent, number, timestamp) = (*parent, number + 1, timestamp + 1);
            self.push(number, parent, timestamp);
        }
    }

    /// Lets happen what is due.
    fn count(&mut self) {
        let Some(next) = self.script.front_mut() else { return };
        if next.after > 0 {
            next.after -= 1;
        } else if let Some(change) = self.script.pop_front() {
            self.change(change);
        }
    }

    fn call(&mut self, method: &str, params: &Value) -> Result<Value, &'static str> {
        self.count();
        match method {
            "eth_chainId" => Ok(json!(U64::from(CHAIN_ID))),
            "eth_getBlockByNumber" => Ok(self.by_number(params[0].as_str().unwrap_or_default())),
            "eth_getBlockByHash" => Ok(block(self.by_hash(&params[0]))),
            "eth_getBlockReceipts" => {
                Ok(self.by_hash(&params[0]).map_or(Value::Null, |_| json!([])))
            }
            _ => Err("the method does not exist"),
        }
    }

    fn by_number(&mut self, name: &str) -> Value {
        let tip = self.tip_number();
        self.finalized = self.finalized.max(tip.saturating_sub(FINAL_DEPTH));
        let number = match name {
            "latest" => tip,
            "safe" | "finalized" => self.finalized,
            number => serde_json::from_value::<U64>(json!(number)).unwrap().to(),
        };
        let index = number.checked_sub(FIRST).and_then(|index| usize::try_from(index).ok());
        block(index.and_then(|index| self.chain.get(index)).map(|(_, header)| header))
    }

    fn by_hash(&self, hash: &Value) -> Option<&Header> {
        self.known.get(&serde_json::from_value::<B256>(hash.clone()).ok()?)
    }
}

fn block(header: Option<&Header>) -> Value {
    let Some(header) = header else { return Value::Null };
    let mut block = serde_json::to_value(header).unwrap();
    block["hash"] = json!(header.hash_slow());
    block["uncles"] = json!([]);
    block["transactions"] = json!([]);
    block["withdrawals"] = json!([]);
    block
}

async fn answer(Shared(l1): Shared<Arc<Mutex<L1>>>, Json(request): Json<Value>) -> Json<Value> {
    let one = |call: &Value| {
        let method = call["method"].as_str().unwrap_or_default();
        // Between two calls of a batch, too, the chain may change.
        match l1.lock().call(method, &call["params"]) {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }),
            Err(message) => {
                let error = json!({ "code": -32_601, "message": message });
                json!({ "jsonrpc": "2.0", "id": call["id"], "error": error })
            }
        }
    };
    Json(match &request {
        Value::Array(calls) => calls.iter().map(one).collect(),
        call => one(call),
    })
}
