//! A real L1 node, of which the test makes every block itself.

use std::{
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicU8, Ordering},
};

use alloy_consensus::{
    BlobTransactionSidecar, SignableTransaction, TxEip1559, TxEip4844, TxEip4844WithSidecar,
};
use alloy_eips::{
    Encodable2718,
    eip4844::{Blob, c_kzg},
};
use alloy_network::TxSignerSync;
use alloy_primitives::{Address, B256, Bytes, TxKind, keccak256};
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner};
use millrace_l1::{L1Client, NonceAt};
use millrace_protocol::BlockId;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{CHAIN_ID, client};

/// Killed when it goes out of scope.
pub(crate) struct Anvil {
    pub(crate) url: String,
    pub(crate) client: L1Client,
    http: reqwest::Client,
    forks: AtomicU8,
    _child: Child,
}

const GWEI: u128 = 1_000_000_000;

impl Anvil {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(args: &[&str]) -> Self {
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/node_modules/.bin/anvil");
        assert!(
            program.exists(),
            "anvil is missing: `make test` installs it, or `npm ci --prefix conformance`"
        );
        let mut child = Command::new(program)
            .args(["--hardfork", "prague", "--port", "0", "--no-mining"])
            .args(args)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("anvil starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next_line().await.unwrap().expect("anvil says where it listens");
            if let Some(address) = line.strip_prefix("Listening on ") {
                break format!("http://{address}");
            }
        };
        // It goes on writing, and must not be stopped by a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = client(&[&url]);
        Self { client, url, http: reqwest::Client::new(), forks: AtomicU8::new(1), _child: child }
    }

    /// A call past the client under test.
    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.http.post(&self.url).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap().bytes().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub(crate) async fn mine(&self, blocks: u64) -> BlockId {
        self.rpc("anvil_mine", json!([blocks])).await;
        self.head().await
    }

    /// Replaces the newest blocks by as many others.
    pub(crate) async fn reorg(&self, depth: u64) -> BlockId {
        // Blocks of the same second with the same content would be the same blocks.
        let fork = self.forks.fetch_add(1, Ordering::SeqCst);
        self.rpc("anvil_setCoinbase", json!([Address::left_padding_from(&[fork])])).await;
        self.rpc("anvil_reorg", json!([depth, []])).await;
        self.head().await
    }

    pub(crate) async fn head(&self) -> BlockId {
        let block = self.rpc("eth_getBlockByNumber", json!(["latest", false])).await;
        block_id(&block)
    }

    pub(crate) async fn id_at(&self, number: u64) -> BlockId {
        block_id(&self.rpc("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await)
    }

    /// Sends calldata, and says under which hash.
    pub(crate) async fn send(&self, key: &PrivateKeySigner, to: Address, input: Bytes) -> B256 {
        let mut transaction = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.client.nonce(key.address(), NonceAt::Pending).await.unwrap(),
            gas_limit: 1_000_000,
            max_fee_per_gas: 100 * GWEI,
            max_priority_fee_per_gas: GWEI,
            to: TxKind::Call(to),
            input,
            ..Default::default()
        };
        let signature = key.sign_transaction_sync(&mut transaction).unwrap();
        let raw: Bytes = transaction.into_signed(signature).encoded_2718().into();
        self.client.send_raw(&raw).await.unwrap();
        keccak256(raw)
    }

    /// Sends blobs, and says under which versioned hashes.
    pub(crate) async fn send_blobs(
        &self,
        key: &PrivateKeySigner,
        to: Address,
        blobs: Vec<Blob>,
    ) -> Vec<B256> {
        let settings = c_kzg::ethereum_kzg_settings(0);
        let sidecar =
            BlobTransactionSidecar::try_from_blobs_with_settings(blobs, settings).unwrap();
        let hashes: Vec<B256> = sidecar.versioned_hashes().collect();
        let mut transaction = TxEip4844 {
            chain_id: CHAIN_ID,
            nonce: self.client.nonce(key.address(), NonceAt::Pending).await.unwrap(),
            gas_limit: 1_000_000,
            max_fee_per_gas: 100 * GWEI,
            max_priority_fee_per_gas: GWEI,
            to,
            blob_versioned_hashes: hashes.clone(),
            max_fee_per_blob_gas: GWEI,
            ..Default::default()
        };
        let signature = key.sign_transaction_sync(&mut transaction).unwrap();
        let transaction = TxEip4844WithSidecar { tx: transaction, sidecar };
        let raw: Bytes = transaction.into_signed(signature).encoded_2718().into();
        self.client.send_raw(&raw).await.unwrap();
        hashes
    }
}

/// One of anvil's funded accounts.
pub(crate) fn key(index: u32) -> PrivateKeySigner {
    let words = "test test test test test test test test test test test junk";
    MnemonicBuilder::from_phrase_nth(words, index)
}

fn block_id(block: &Value) -> BlockId {
    let number: alloy_primitives::U64 = serde_json::from_value(block["number"].clone()).unwrap();
    BlockId { number: number.to(), hash: serde_json::from_value(block["hash"].clone()).unwrap() }
}
